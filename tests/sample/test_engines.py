"""Sampling through every engine: order, seeds, distribution, batches that stay full."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np
import pytest

from tests.helpers import tiny
from tests.helpers.sampling import CT2, NATIVE, PLANS, SETTINGS, some, texts
from tests.sample.test_native import CASES, CHANCE, chi_square, joint
from training.common.errors import DeepproverbsError
from training.common.text import END_OF_TEXT
from training.model.converted import Converted
from training.sample.draw import sample
from training.sample.engine import Drawn, Plan
from training.sample.engines.ctranslate2 import Batch, CTranslate2Engine, Replica
from training.sample.plan import make_engine
from training.settings import SampleSettings


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.engine)
def test_a_seed_repeats_a_run_and_another_does_not(model: Path, plan: Plan) -> None:
    one = texts(some(model, plan, SETTINGS, 240))
    assert one == texts(some(model, plan, SETTINGS, 240))
    assert one != texts(some(model, plan, replace(SETTINGS, seed=2), 240))
    assert len(set(one)) > 200, "two workers must not share a random stream"


def test_a_resumed_native_run_goes_on_exactly(model: Path) -> None:
    one = some(model, NATIVE, SETTINGS, 600)
    assert some(model, Plan("native", workers=1, batch=5), SETTINGS, 300, first=300) == one[300:]


def test_a_resumed_ctranslate2_run_draws_anew(model: Path) -> None:
    one = texts(some(model, CT2, SETTINGS, 600))
    again = [text for text in texts(some(model, CT2, SETTINGS, 300, first=300)) if text in one]
    assert len(again) < 15, "a formula of the Bible may well come twice, a random stream may not"


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.engine)
def test_temperatures_and_prefixes_take_turns(model: Path, plan: Plan) -> None:
    prefixes = ("thou shall not", "", "he that")
    found = some(model, plan, replace(SETTINGS, temperatures=(0.5, 1.0), prefixes=prefixes), 120)
    for n, candidate in enumerate(found):
        assert candidate.temperature == (0.5, 1.0)[n // 3 % 2]
        assert candidate.text.startswith(prefixes[n % 3])


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.engine)
def test_finished_means_that_the_end_token_came(model: Path, plan: Plan) -> None:
    found = some(model, plan, SETTINGS, 400)
    assert {c.finished for c in found} == {True, False}
    assert all(c.tokens == SETTINGS.max_tokens for c in found if not c.finished)
    assert all(END_OF_TEXT not in c.text and c.tokens <= SETTINGS.max_tokens for c in found)


def test_log_probabilities_are_ctranslate2s_own(model: Path) -> None:
    """Scored once more, in float32, by another library."""
    found = [c for c in some(model, NATIVE, SETTINGS, 200) if c.finished and c.text]
    converted = Converted(model)
    rows = [[END_OF_TEXT, *converted.tokenizer.encode(c.text).tokens, END_OF_TEXT] for c in found]
    same = [(c, row) for c, row in zip(found, rows, strict=True) if len(row) == c.tokens + 1]
    assert len(same) > len(found) / 2, "the others were sampled in pieces that the encoder would not choose"
    scores = ctranslate2.Generator(str(model), compute_type="float32").score_batch([row for _, row in same])
    differences = [c.logprob - np.mean(s.log_probs) for (c, _), s in zip(same, scores, strict=True)]
    assert abs(np.mean(differences)) < 0.01 and np.abs(differences).mean() < 0.05


def exact_logits(tokens: list[int]) -> Any:
    return tiny.logits(tiny.arrays(), tokens)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_ctranslate2s_frequencies_are_the_exact_probabilities(small: Path, name: str) -> None:
    case, total = CASES[name], 60_000
    settings = SampleSettings(
        max_tokens=2,
        temperatures=(case.get("temperature", 1.0),),
        top_k=case.get("top_k", 0),
        top_p=case.get("top_p", 1.0),
    )
    engine = make_engine(replace(CT2, batch=500), Converted(small), settings, None, small)
    with closing(engine.draw(0)) as batches:
        counts = Counter(tuple(d.rows) for batch in islice(batches, total // 2000) for d in batch)
    exact = joint(exact_logits, [tiny.END], tiny.END, **case)
    assert chi_square(counts, exact, counts.total()) > CHANCE


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_stages_of_a_call_change_no_distribution(small: Path, workers: int) -> None:
    """As on a GPU: a call takes texts one step further and they wait for the next; both tokens of 60,000 texts. Every
    number comes once, with its prefix and temperature."""
    settings = SampleSettings(max_tokens=2, temperatures=(0.8, 1.2), top_p=1.0, prefixes=("hi", ""))
    converted = Converted(small)
    engine = make_engine(replace(CT2, batch=500, workers=workers), converted, settings, None, small)
    assert isinstance(engine, CTranslate2Engine)
    engine.steps = 1
    drawn: list[Drawn] = []
    with closing(engine.draw(0)) as batches:
        while len(drawn) < 60_000:
            drawn += next(batches)
    numbers = [d.number for d in drawn]
    assert len(set(numbers)) == len(numbers) and max(numbers) < len(numbers) + 12_000
    for n, (prefix, temperature) in enumerate([("hi", 0.8), ("", 0.8), ("hi", 1.2), ("", 1.2)]):
        counts = Counter(tuple(d.rows) for d in drawn if d.number % 4 == n and d.number < 40_000)
        exact = joint(exact_logits, converted.prompt(prefix), tiny.END, temperature=temperature)
        assert chi_square(counts, exact, counts.total()) > CHANCE


@pytest.mark.slow
def test_stages_keep_batches_full_and_nobody_waits_for_ever(model: Path) -> None:
    """Real texts of nano, by stages of 8 steps as a GPU would have them and in one go: how many of the seats of a
    step are taken, and the log-probabilities, which are summed up over the stages."""
    settings, shares = replace(SETTINGS, max_tokens=60), {}
    for steps in (8, 60):
        engine = make_engine(replace(CT2, batch=32), Converted(model), settings, None, model)
        assert isinstance(engine, CTranslate2Engine)
        engine.steps = steps
        calls: list[tuple[int, int]] = []
        extend = Replica.extend

        def watched(self: Replica, batch: Batch, *rest: Any) -> None:
            before = [len(text.rows) for text in batch.texts]
            extend(self, batch, *rest)  # noqa: B023
            grown = [len(text.rows) - old for text, old in zip(batch.texts, before, strict=True)]
            calls.append((sum(grown), max(grown) * engine.plan.batch))  # noqa: B023

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Replica, "extend", watched)
            patch.setattr("training.sample.engines.ctranslate2.LAG", 12)
            with closing(sample(engine, Converted(model), settings)) as batches:
                found = []
                while len(found) < 500:
                    found += next(batches)
        late = len(calls) // 2  # the first calls only fill the stages
        shares[steps] = sum(done for done, _ in calls[late:]) / sum(seats for _, seats in calls[late:])
        assert found
    assert shares[8] > 0.75 > 0.65 > shares[60]
    rows = [[END_OF_TEXT, *Converted(model).tokenizer.encode(c.text).tokens, END_OF_TEXT] for c in found]
    same = [(c, row) for c, row in zip(found, rows, strict=True) if c.finished and len(row) == c.tokens + 1]
    scores = ctranslate2.Generator(str(model), compute_type="float32").score_batch([row for _, row in same])
    close = np.isclose([c.logprob for c, _ in same], [np.mean(s.log_probs) for s in scores], atol=1e-3)
    assert len(close) > 100 and close.mean() > 0.95, "some were sampled in other pieces than the encoder's, as many"


class Scripted:
    """An engine that hands out its texts in a bad order."""

    about = "scripted"

    def __init__(self, order: list[list[int]]) -> None:
        self.order, self.closed = order, False

    def draw(self, first: int) -> Any:
        try:
            for numbers in self.order:
                yield [Drawn(n, [104 + n, tiny.END], -1.0, "finished") for n in numbers]
        finally:
            self.closed = True


def test_texts_come_in_the_order_of_their_numbers(small: Path) -> None:
    engine = Scripted([[3, 1], [4], [0], [2, 6], [5]])
    batches = list(sample(engine, Converted(small), SETTINGS))
    assert [texts(batch) for batch in batches] == [["h", "i"], ["j", "k", "l"], ["m", "n"]] and engine.closed


def test_an_error_in_a_worker_reaches_the_caller(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from training.sample.native.sampler import Sampler

    def broken(*_: object) -> object:
        raise DeepproverbsError("broken")

    monkeypatch.setattr(Sampler, "run", broken)
    with pytest.raises(DeepproverbsError, match="broken"):
        some(model, NATIVE, SETTINGS, 10)


def test_more_top_k_than_tokens_are_all_tokens(small: Path) -> None:
    for plan in PLANS:
        assert len(some(small, plan, replace(SETTINGS, top_k=100_000), 20)) == 20
