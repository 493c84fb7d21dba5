"""Which engine and settings sample: tried, remembered, set by hand, refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import tiny
from tests.helpers.sampling import NATIVE, SETTINGS
from training.common.errors import DeepproverbsError, WrongUse
from training.model.convert import write_model
from training.model.converted import Converted
from training.sample import plan
from training.sample.native.sampler import decoder
from training.sample.plan import Plan


def test_calibration_chooses_remembers_and_says(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The native engine's settings alone are tried, as where its kernel is a fast one, and all fit the memory.
    monkeypatch.setattr(plan, "FAST", [decoder().kernel().decode()])
    monkeypatch.setattr(plan, "free_memory", lambda: float("inf"))
    said: list[str] = []
    converted = Converted(model)
    first = plan.choose(converted, SETTINGS, said.append)
    assert first.engine == "native" and first.speed > 0 and "settings" in said[0] and "tokens/s" in said[0]
    assert plan.choose(converted, SETTINGS, said.append) == first and len(said) == 1
    plan.choose(converted, replace(SETTINGS, max_tokens=20), said.append)
    assert len(said) == 2
    (model / "calibration.json").write_text("{broken")
    plan.choose(converted, SETTINGS, said.append)
    assert len(said) == 3


def test_what_is_set_by_hand_is_not_tried(model: Path) -> None:
    by_hand = replace(SETTINGS, engine="ctranslate2", compute_type="int8", workers=3, threads=2, batch=9)
    assert plan.choose(Converted(model), by_hand, print) == Plan("ctranslate2", "cpu", "int8", 3, 2, 9)
    assert plan.choose(Converted(model), replace(SETTINGS, batch=9, workers=1)).batch == 9
    exact = replace(SETTINGS, compute_type="float32", workers=1, batch=8)
    assert plan.choose(Converted(model), exact).engine == "ctranslate2", "the native engine has int8 alone"


def test_without_a_compiler_ctranslate2_takes_over(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from training.sample.native.build import NoCompiler

    def missing() -> object:
        raise NoCompiler("There is no C compiler.")

    said: list[str] = []
    monkeypatch.setattr(plan, "decoder", missing)
    assert plan.choose(Converted(model), replace(SETTINGS, batch=16), said.append).engine == "ctranslate2"
    assert "no C compiler" in said[0] and "CTranslate2 instead" in said[0]
    with pytest.raises(DeepproverbsError, match="no C compiler"):
        plan.choose(Converted(model), replace(SETTINGS, engine="native"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"engine": "gpt-2-simple", "top_k": 5, "top_p": 0.5}, "top_k or top_p, not both"),
        ({"engine": "gpt-2-simple"}, "checkpoint of this model, .* is not there any more"),
        (
            {"engine": "ctranslate2", "workers": 1, "batch": 8, "max_tokens": 1023, "prefixes": ("he that",)},
            "do not fit",
        ),
        ({"device": "cuda"}, "no GPU"),
        ({"device": "cuda", "engine": "native"}, "no GPU|runs on processors"),
        ({"compute_type": "int4"}, "cannot compute in 'int4' here; .* compute_type: float32, int8, "),
    ],
)
def test_what_is_not_there_is_told(
    model: Path, settings: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a machine without a GPU, whose CTranslate2 computes in three types: each processor has others."""
    monkeypatch.setattr(plan.ctranslate2, "gpu", lambda: False)
    monkeypatch.setattr(plan.ctranslate2, "supported", lambda _: ["float32", "int8", "int8_float32"])
    asked, converted = replace(SETTINGS, **settings), Converted(model)
    with pytest.raises(WrongUse, match=message):
        plan.make(plan.choose(converted, asked), converted, asked, None, model)


def test_a_gpu_is_used_where_there_is_one(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which plans would be tried; no GPU runs here."""
    monkeypatch.setattr(plan.ctranslate2, "gpu", lambda: True)
    monkeypatch.setattr(plan.ctranslate2, "supported", lambda _: ["float16", "float32", "int8_float16"])
    plans = list(plan._open_plans(SETTINGS, print))
    assert {(p.engine, p.device) for p in plans} == {("ctranslate2", "cuda")}
    assert {p.compute_type for p in plans} == {"float16", "int8_float16"} and len(plans) == 8


def test_plans_that_do_not_fit_the_memory_are_not_tried(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plans = [Plan("native", workers=2, batch=batch) for batch in (96, 48, 24)]
    # 24 places of 2 layers x 2 x 64 x 2 bytes and 257 logits of 4 are 13,316 bytes a text; 96 of them twice 2.56 MB.
    monkeypatch.setattr(plan, "REMEMBERED", 0)
    for free, left in ((2.6e6 * 2, [96, 48, 24]), (2.5e6 * 2, [48, 24]), (1000, [24])):
        monkeypatch.setattr(plan, "free_memory", lambda free=free: free)
        assert [p.batch for p in plan._that_fit(plans, Converted(small), SETTINGS)] == left


def test_a_trimmed_model_is_not_sampled_hotter_than_it_was_trimmed_for(tmp_path: Path) -> None:
    write_model(tiny.arrays(), tiny.source(tmp_path / "source"), tmp_path / "model", [*range(100), tiny.END], 0.9)
    converted = Converted(tmp_path / "model")
    plan.make(NATIVE, converted, SETTINGS, None, tmp_path)
    with pytest.raises(WrongUse, match=r"up to 0.9; run `deepproverbs convert` again with --temperature 1.5"):
        plan.make(NATIVE, converted, replace(SETTINGS, temperatures=(0.9, 1.5)), None, tmp_path)
