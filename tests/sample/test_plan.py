"""Which engine and plan sample: tried, remembered, set by hand, refused; and an engine added in one file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from tests.helpers import tiny, toy_engine
from tests.helpers.sampling import NATIVE, SETTINGS, some, texts
from training.common.errors import DeepproverbsError, WrongUse
from training.model.convert import write_model
from training.model.converted import Converted
from training.sample import plan
from training.sample.engine import Plan
from training.sample.engines import ENGINES, ctranslate2, native
from training.sample.native.build import NoCompiler
from training.sample.plan import choose_plan, make_engine
from training.settings import SampleSettings


@pytest.fixture(autouse=True)
def _one_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a GPU, with memory, the native kernel a fast one, and CTranslate2 computing in three types."""
    monkeypatch.setattr(native, "FAST", [native.decoder().kernel().decode()])
    monkeypatch.setattr(plan, "free_memory", lambda: float("inf"))
    monkeypatch.setattr(ctranslate2, "gpu", lambda: False)
    monkeypatch.setattr(ctranslate2, "supported", lambda _: ["float32", "int8", "int8_float32"])


@pytest.mark.usefixtures("verbose")
def test_a_trial_chooses_remembers_and_says(model: Path) -> None:
    said: list[str] = []
    converted = Converted(model)
    first = choose_plan(converted, SETTINGS, said.append)
    assert first.engine == "native" and first.speed > 0 and "settings" in said[0] and "tokens/s" in said[0]
    assert choose_plan(converted, SETTINGS, said.append) == first and len(said) == 1
    choose_plan(converted, replace(SETTINGS, max_tokens=20), said.append)
    assert len(said) == 2
    (model / "calibration.json").write_text("{broken")
    choose_plan(converted, SETTINGS, said.append)
    assert len(said) == 3


def test_what_is_set_by_hand_is_not_tried(model: Path) -> None:
    by_hand = replace(SETTINGS, engine="ctranslate2", compute_type="int8", workers=3, threads=2, batch=9)
    assert choose_plan(Converted(model), by_hand) == Plan("ctranslate2", "cpu", "int8", 3, 2, 9)
    assert choose_plan(Converted(model), replace(SETTINGS, batch=9, workers=1)).batch == 9
    exact = replace(SETTINGS, compute_type="float32", workers=1, batch=8)
    assert choose_plan(Converted(model), exact).engine == "ctranslate2", "the native engine has int8 alone"


def test_without_a_compiler_ctranslate2_takes_over(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> object:
        raise NoCompiler("There is no C compiler.")

    said: list[str] = []
    monkeypatch.setattr(native, "decoder", missing)
    assert choose_plan(Converted(model), replace(SETTINGS, batch=16), said.append).engine == "ctranslate2"
    assert said[0] == "There is no C compiler. Sampling with CTranslate2 instead."
    with pytest.raises(DeepproverbsError, match="no C compiler"):
        choose_plan(Converted(model), replace(SETTINGS, engine="native"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"engine": "gpt-2-simple", "top_k": 5, "top_p": 0.5}, "^gpt-2-simple's sampler .* top_k or top_p, not both"),
        ({"engine": "gpt-2-simple"}, "checkpoint of this model, .* there any more; gpt-2-simple samples from it"),
        (
            {"engine": "ctranslate2", "workers": 1, "batch": 8, "max_tokens": 1023, "prefixes": ("he that",)},
            "do not fit",
        ),
        ({"device": "cuda"}, "CTranslate2 sees no GPU"),
        ({"device": "cuda", "engine": "native"}, "CTranslate2 sees no GPU"),
        ({"compute_type": "int4"}, "cannot compute in 'int4' here; .* compute_type: float32, int8, int8_float32"),
        ({"compute_type": "int4", "engine": "native"}, "cannot compute in 'int4' here"),
    ],
)
def test_what_is_not_there_is_told(model: Path, settings: dict[str, Any], message: str) -> None:
    asked, converted = replace(SETTINGS, **settings), Converted(model)
    with pytest.raises(WrongUse, match=message):
        make_engine(choose_plan(converted, asked), converted, asked, None, model)


def test_a_gpu_is_used_where_there_is_one(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which plans would be tried; no GPU runs here."""
    converted = Converted(model)
    monkeypatch.setattr(ctranslate2, "gpu", lambda: True)
    monkeypatch.setattr(ctranslate2, "supported", lambda _: ["float16", "float32", "int8_float16"])
    plans = plan.open_plans(SETTINGS, converted, print)
    assert {(p.engine, p.device) for p in plans} == {("ctranslate2", "cuda")}
    assert {p.compute_type for p in plans} == {"float16", "int8_float16"} and len(plans) == 8
    assert {p.engine for p in plan.open_plans(replace(SETTINGS, engine="native"), converted, print)} == {"native"}
    with pytest.raises(WrongUse, match=r"runs on processors; set .* to ctranslate2"):
        plan.open_plans(replace(SETTINGS, device="cuda", engine="native"), converted, print)


def test_with_a_slow_kernel_both_engines_are_tried(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "FAST", [])
    assert [p.engine for p in plan.open_plans(replace(SETTINGS, workers=1, batch=9), Converted(model), print)] == [
        "native",
        "ctranslate2",
        "ctranslate2",
    ]


def test_plans_that_do_not_fit_the_memory_are_not_tried(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plans = [Plan("native", workers=2, batch=batch) for batch in (96, 48, 24)]
    # 24 places of 2 layers x 2 x 64 x 2 bytes and 257 logits of 4 are 13,316 bytes a text; 96 of them twice 2.56 MB.
    monkeypatch.setattr(native, "BEGINNINGS", 0)
    for free, left in ((2.6e6 * 2, [96, 48, 24]), (2.5e6 * 2, [48, 24]), (1000, [24])):
        monkeypatch.setattr(plan, "free_memory", lambda free=free: free)
        assert [p.batch for p in plan._fitting(plans, Converted(small), SETTINGS)] == left


def test_a_trimmed_model_is_not_sampled_hotter_than_it_was_trimmed_for(tmp_path: Path) -> None:
    write_model(tiny.arrays(), tiny.source(tmp_path / "source"), tmp_path / "model", [*range(100), tiny.END], 0.9)
    converted = Converted(tmp_path / "model")
    make_engine(NATIVE, converted, SETTINGS, None, tmp_path)
    with pytest.raises(WrongUse, match=r"up to 0.9; run `deepproverbs convert` again with --temperature 1.5"):
        make_engine(NATIVE, converted, replace(SETTINGS, temperatures=(0.9, 1.5)), None, tmp_path)


def test_the_setting_has_the_names_of_the_engines() -> None:
    assert get_args(get_type_hints(SampleSettings)["engine"]) == ("auto", *ENGINES)


def test_an_engine_is_added_in_one_file(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ENGINES, "toy", toy_engine.KIND)
    converted, wish = Converted(small), replace(SETTINGS, compute_type="roman")
    chosen = choose_plan(converted, wish)
    assert chosen == Plan("toy", compute_type="roman", batch=3)
    found = some(small, chosen, replace(wish, prefixes=("hi", "")), 5, first=10)
    assert texts(found) == ["hik", "l", "him", "n", "hio"]
    with pytest.raises(WrongUse, match=r"^The toy's sampler knows top_k or top_p, not both"):
        make_engine(chosen, converted, replace(wish, top_k=2, top_p=0.5), None, small)
