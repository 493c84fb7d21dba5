"""The band: how far from real texts a candidate may be, on which side, and which are the best."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from tests.helpers.sampling import bot
from training.common.paths import NANO
from training.judge.band import FEW, LEARNT, Band, Spread, deviations, measure
from training.judge.blocks import Tally, judge_some
from training.judge.judge import Judge, Reference
from training.judge.rates import people
from training.model.score import of_held_out, of_training, text_scores
from training.runs import stages
from training.sample.candidates import Candidate
from training.settings import FilterSettings

SETTINGS = FilterSettings()


@pytest.mark.parametrize("width", [0.1, 1.0, 2.0, 3.0, 5.0])
@pytest.mark.parametrize("count", [2, 3, 4, 5, 10, 20, 91, 1000])
def test_a_prediction_interval_of_student_s_t(width: float, count: int) -> None:
    expected = stats.t.isf(stats.norm.sf(width), count - 1) * math.sqrt(1 + 1 / count)
    assert deviations(width, count) == pytest.approx(expected, rel=1e-6)


def test_many_texts_make_it_the_width_and_one_makes_it_endless() -> None:
    for width in (0.1, 3.0, 100.0, 1000.0):
        found = [deviations(width, count) for count in (2, 3, 5, 20, 100, 2000)]
        assert found == sorted(found, reverse=True) and found[-1] == pytest.approx(width, rel=0.01)
        assert deviations(width, 0) == width and deviations(width, 1) == math.inf
    assert deviations(7.0, 10) > deviations(5.0, 10), "where the tails can no longer be told apart"


@pytest.mark.parametrize("count", [3, 5, 10, 40])
@pytest.mark.parametrize("width", [2.0, 3.0])
def test_real_texts_are_rejected_as_often_as_the_width_says(count: int, width: float) -> None:
    """Leave one out, whatever the number of texts: 4.6 % at 2, 0.27 % at 3. As many deviations as for thousands of
    texts would reject 35 % and 25 % of three."""
    rng, settings = np.random.default_rng(1), replace(SETTINGS, band=width)
    sets, share = 12_000 // count, 2 * stats.norm.sf(width)
    hits = [Band.of(settings, some).leave_one_out(some) for some in rng.normal(-3.0, 0.5, (sets, count))]
    # Those of one set are not independent: at most as if it were one.
    assert np.mean(hits) == pytest.approx(share, abs=4 * math.sqrt(share / sets) if count < 10 else 0.4 * share + 0.002)
    assert np.mean(hits) > 0


def test_a_person_s_share_is_of_texts_that_the_band_does_not_know() -> None:
    """A stray text among ten widens their own band so that it lies in it, but not that of the other nine."""
    held_out = [-3.0, -3.1, -2.9, -3.05, -2.95, -3.0, -3.1, -2.9, -3.0, -5.0]
    band = Band.of(SETTINGS, np.array(held_out))
    assert not any(map(band.objection, held_out))
    assert people(Judge(SETTINGS, Reference(["a wise son"]), band=band), ["a wise son"], held_out).shares["band"] == 0.1
    assert Band.of(SETTINGS, np.array([-3.0])).leave_one_out(np.array([-3.0])) == [False]


def test_upwards_real_texts_are_those_that_were_learnt_too() -> None:
    held_out, learnt = np.linspace(-4.5, -3.5, 50), np.linspace(-3.0, -2.0, 100)
    alone, band = Band.of(SETTINGS, held_out), Band.of(SETTINGS, held_out, learnt=learnt)
    assert band.edges[0] == alone.edges[0] and alone.edges[1] < -3.0 < -2.0 < band.edges[1]
    assert band.edges[1] == pytest.approx(learnt.mean() + deviations(3.0, 100) * learnt.std(ddof=1))
    assert band.objection(-2.2) is None and band.objection(-1.0) == (
        f"too probable: -1.00 nats a token, real texts reach up to {band.edges[1]:.2f}"
    )
    assert str(alone.objection(-2.2)).startswith("too probable") and band.objection(math.nan) is None
    # The best are as probable as the learnt ones in the middle, where the held-out ones are less so.
    assert alone.aim < -3.5 < band.aim == np.median(learnt)
    assert Band.of(SETTINGS, learnt, learnt=held_out).aim == Band.of(SETTINGS, learnt).aim
    assert Band.of(SETTINGS, learnt, learnt=held_out).edges == Band.of(SETTINGS, learnt).edges


def test_few_held_out_texts_say_nothing_of_the_deviation() -> None:
    learnt = np.linspace(-3.0, -2.0, 36)
    for count in (1, 2, FEW - 1):
        held_out = np.linspace(-4.0, -3.999, count)
        band = Band.of(SETTINGS, held_out, learnt=learnt)
        assert band.distance(np.array([band.aim - 1]))[0] == pytest.approx(1 / learnt.std(ddof=1))
    assert Band.of(SETTINGS, np.array([-4.0])).edges == (-math.inf, math.inf), "of one nobody knows anything"
    many = Band.of(SETTINGS, np.linspace(-4.0, -3.0, FEW), learnt=learnt)
    assert many.distance(np.array([many.aim - 1]))[0] == pytest.approx(1 / many.logprob.deviation)


def test_the_ratio_s_deviation_is_hardly_known_either() -> None:
    held_out = np.array([-3.0, -3.2, -2.8])
    ours, base = np.full(2, -3.0), np.array([-3.9, -8.0])
    assert Band.of(SETTINGS, held_out, held_out - [0.9, 1.0, 1.1]).out_of_style(ours, base).tolist() == [False, True]
    certain = Band(Spread(-3.0, 0.2), -2.8, 3.0, Spread(1.0, 0.1))
    assert certain.out_of_style(ours, np.array([-4.29, -4.31])).tolist() == [False, True]


def test_how_many_lie_on_which_side_is_counted() -> None:
    text = "the house of the diligent standeth upon a rock of counsel"
    some = [Candidate(f"{text} {n}.", 9, value, True, 0.8) for n, value in enumerate([-5.0, -1.0, -1.1, -3.0])]
    settings = replace(SETTINGS, skip=("digits", "edges"))
    tally = Tally()
    for _ in range(2):
        tally.add(judge_some(Judge(settings, band=Band(Spread(-3.0, 0.5), -2.0, 3.0)), "", some, [0, 1, 2, 3]))
    assert tally.sides == {"too probable": 4, "too improbable": 2} and tally.count_passed == 2


def test_the_band_of_a_run(model: Path, tmp_path: Path) -> None:
    """Training texts are taken from all of the corpus: a book's chapters differ."""
    texts = [f"a wise son hath {n} sheep, and the fool hath none." for n in range(200)]
    made = bot(tmp_path, model="nano")
    (tmp_path / "corpus.txt").write_text("\n==========\n".join(texts) + "\n")
    stages.build_corpus(made, [tmp_path / "corpus.txt"], tmp_path, NANO, lambda _: None)
    corpus = tmp_path / "corpus.npz"
    held_out, learnt = of_held_out(model, corpus), of_training(model, corpus, LEARNT)
    band = measure(SETTINGS, model, corpus)
    assert band == Band.of(SETTINGS, held_out, learnt=learnt)
    assert band and band.learnt and (band.logprob.count, band.learnt.count) == (len(held_out), LEARNT)
    every = of_training(model, corpus, 1000)
    assert len(every) == 200 - len(held_out)
    three = of_training(model, corpus, 3)
    assert three == pytest.approx(every[[0, round((len(every) - 1) / 2), -1]], abs=1e-3)
    assert set(np.round(three, 3)) <= set(np.round(text_scores(model, texts), 3))
    assert measure(replace(SETTINGS, skip=("band",)), model, corpus) is None
