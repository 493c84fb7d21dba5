"""How far every way of sampling that may be chosen is from float32, and that what is too far off is not chosen.

The float32 that all are measured by is itself compared with transformers and TensorFlow in tests/model/test_torch.py.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.helpers import hf_llama, llama, nano
from tests.helpers.once import once
from training.common.errors import DeepproverbsError, WrongUse
from training.corpus import build as corpus
from training.corpus.tokenizer import load_tokenizer
from training.model import convert
from training.model.converted import Converted
from training.runs import stages
from training.sample import precision
from training.sample.engine import Plan
from training.sample.engines import ENGINES, native
from training.sample.engines.ctranslate2 import forward
from training.sample.plan import choose_plan, open_plans
from training.sample.precision import FIRST, MEAN, Precision, divergence, key_of_plan, measure, measured
from training.settings import Bot, CorpusSettings, SampleSettings

SETTINGS = SampleSettings(max_tokens=16, workers=1, batch=8)
AUTOMATIC = [kind.name for kind in ENGINES.values() if kind.automatic]
VERSES = Path(__file__).parents[1] / "corpora" / "sayings.txt"


def with_corpus(run: Path) -> Path:
    """A corpus.npz of sayings, by nano's tokenizer, as all these models have."""
    corpus.build([VERSES], run, CorpusSettings(hold_out=0.5), load_tokenizer(nano.NANO), "<|endoftext|>")
    return run


@pytest.fixture
def gpt2(tmp_path: Path) -> Path:
    nano.model(with_corpus(tmp_path / "gpt2"))
    return tmp_path / "gpt2"


@pytest.fixture(scope="session")
def converted_llama(torch: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    def make(folder: Path) -> None:
        source = hf_llama.folder(folder / "source", hf_llama.MASSIVE, hf_llama.massive())
        convert.convert(with_corpus(folder / "run"), source, lambda _: None)

    return once(tmp_path_factory, "converted llama", make) / "run"


@pytest.fixture
def massive(converted_llama: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(converted_llama, tmp_path / "massive"))


@pytest.mark.parametrize("engine", AUTOMATIC)
@pytest.mark.parametrize("architecture", ["gpt2", "massive"])
def test_what_auto_may_choose_is_harmless(architecture: str, engine: str, request: pytest.FixtureRequest) -> None:
    """Every compute type that the engine plans for this architecture on a processor."""
    run = request.getfixturevalue(architecture)
    converted, settings = Converted(run / "model"), replace(SETTINGS, engine=engine, device="cpu")
    assert ENGINES[engine].takes(converted) is None
    ways = {key_of_plan(plan): plan for plan in open_plans(settings, converted, print)}
    assert ways
    for way, plan in ways.items():
        found = measure(plan, converted, run / "corpus.npz", run)
        print(way, found)
        assert 0 <= found.mean <= MEAN and 0 <= found.first <= FIRST, way
        if plan.compute_type == "int8":
            assert found.mean > 0  # float32 was not measured against itself


def test_the_float32_that_they_are_compared_with(massive: Path) -> None:
    """Against NumPy."""
    converted = Converted(massive / "model")
    for row in precision.rows_of(converted, massive / "corpus.npz")[:4]:
        exact = llama.logits(hf_llama.MASSIVE, hf_llama.massive(), [int(converted.ids[at]) for at in row])
        (found,) = forward(converted, "cpu", "float32", [row])
        assert np.abs(found - exact).max() < 1e-3


def test_int8_of_the_first_token_is_off_and_not_chosen(massive: Path) -> None:
    """CTranslate2's, of a Llama. It is never planned; measured all the same, it is passed over."""
    converted = Converted(massive / "model")
    off = Plan("ctranslate2", compute_type="int8")
    assert not {plan.compute_type for plan in ENGINES["ctranslate2"].plans(SETTINGS, "cpu", converted)} & {"int8"}
    found = measure(off, converted, massive / "corpus.npz", massive)
    assert found.first > 4 * FIRST and not found.fine
    assert measured(converted.folder) == {"ctranslate2 cpu int8": found}


def bot_of(run: Path, **sample: object) -> Bot:
    return Bot("t", run, sample=replace(SETTINGS, **sample))  # type: ignore[arg-type]


def test_int8_that_the_settings_name_is_told(massive: Path) -> None:
    said: list[str] = []
    bot = bot_of(massive, engine="ctranslate2", compute_type="int8")
    assert stages.exact_plan(bot, massive, massive / "model", said.append).compute_type == "int8"
    assert "Sampling with ctranslate2 in int8: " in said[-2] and "nats a token from float32" in said[-2]
    assert said[-1].startswith(f"That changes what the bot says ({MEAN} and {FIRST} are harmless); set [sample] engine")


def test_what_is_measured_to_be_off_is_passed_over(gpt2: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each engine's int8 in turn; float32 stays. What the settings leave no choice of is taken, and told."""
    monkeypatch.setattr(native, "FAST", [native.decoder().kernel().decode()])
    converted, path = Converted(gpt2 / "model"), gpt2 / "model" / "precision.json"
    off = {"mean": 0.5, "first": 0.5}

    def chosen(**sample: object) -> tuple[str, str]:
        plan = choose_plan(converted, replace(SETTINGS, **sample), lambda _: None)  # type: ignore[arg-type]
        return plan.engine, plan.compute_type

    assert chosen() == ("native", "int8")
    path.write_text(json.dumps({"native cpu int8": off}))
    assert chosen()[0] == "ctranslate2"
    assert chosen(engine="native") == ("native", "int8")
    path.write_text(json.dumps({"native cpu int8": off, "ctranslate2 cpu int8": off}))
    assert chosen() == chosen(engine="ctranslate2") == ("ctranslate2", "float32")
    assert chosen(compute_type="int8")[1] == "int8"
    said: list[str] = []
    stages.exact_plan(bot_of(gpt2, compute_type="int8"), gpt2, gpt2 / "model", said.append)
    assert said[-1].startswith("That changes what the bot says")


@pytest.mark.usefixtures("verbose")
def test_the_run_goes_on_to_the_next_way_when_one_is_off(gpt2: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With limits that no int8 keeps: measured once each, until float32."""
    monkeypatch.setattr(native, "FAST", [native.decoder().kernel().decode()])
    monkeypatch.setattr(precision, "MEAN", 0.0)
    said: list[str] = []
    plan = stages.exact_plan(bot_of(gpt2), gpt2, gpt2 / "model", said.append)
    assert (plan.engine, plan.compute_type) == ("ctranslate2", "float32")
    told = [text.removeprefix("Sampling with ") for text in said if text.startswith("Sampling with ")]
    assert told[0].startswith("native in int8: 0.0")
    assert told[-1] == "ctranslate2 in float32: 0.0000 nats a token from float32, 0.0000 at the first one."
    monkeypatch.setattr(precision, "forward", None)  # nothing is measured again
    assert stages.exact_plan(bot_of(gpt2), gpt2, gpt2 / "model", said.append) == plan


def test_an_engine_that_cannot_is_told_before_it_is_measured(massive: Path, gpt2: Path) -> None:
    with pytest.raises(WrongUse, match=r"^Gpt-2-simple cannot do the architecture llama; set \[sample\] engine"):
        stages.exact_plan(bot_of(massive, engine="gpt-2-simple"), massive, massive / "model")
    with pytest.raises(WrongUse, match=r"^The checkpoint of this model, .*, is not there any more; gpt-2-simple"):
        stages.exact_plan(bot_of(gpt2, engine="gpt-2-simple"), gpt2, gpt2 / "model")


def test_logits_that_are_no_numbers(gpt2: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> list[np.ndarray]:
        return [np.full((len(row), 4096), np.nan) for row in precision.rows_of(Converted(gpt2 / "model"), corpus_file)]

    corpus_file = gpt2 / "corpus.npz"
    monkeypatch.setitem(ENGINES, "native", replace(native.KIND, logits=broken))
    with pytest.raises(DeepproverbsError, match="native cpu int8 gives no numbers for the model"):
        measure(Plan("native"), Converted(gpt2 / "model"), corpus_file, gpt2)


def test_the_divergence_by_hand() -> None:
    p, q = np.array([[0.5, 0.25, 0.25]]), np.array([[0.25, 0.5, 0.25]])
    found = divergence(np.log(p).astype(np.float32) + 3, np.log(q).astype(np.float32) - 1)
    assert found == pytest.approx([0.5 * np.log(2) - 0.25 * np.log(2)], abs=1e-6)
    assert not Precision(0.03, 0.0).fine and not Precision(0.0, 0.06).fine and Precision(0.02, 0.05).fine
