"""The indexes against brute force."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rapidfuzz import fuzz

from tests.helpers import labelled
from training.common.text import normal_form
from training.judge.likeness import COMMON, FEW, LikenessIndex, WordRunIndex, word_runs

WORDS = st.text(alphabet="ab' ", max_size=30).map(normal_form)


@pytest.fixture(scope="module")
def verses() -> list[str]:
    """2,000 different verses in normal form."""
    return list(dict.fromkeys(map(normal_form, [*labelled.proverbs(), *labelled.book(labelled.Book.PSALMS)])))[:2000]


@given(st.lists(WORDS, max_size=12), st.integers(1, 9))
def test_runs_are_those_of_the_words(normals: list[str], length: int) -> None:
    hashes, owners = word_runs(normals, length)
    plain = [
        (" ".join(words[i : i + length]), number)
        for number, words in enumerate(normal.split() for normal in normals)
        for i in range(len(words) - length + 1)
    ]
    assert owners.tolist() == [number for _, number in plain]
    # The same run has the same hash wherever it stands, another run another one.
    assert len({(run, h) for (run, _), h in zip(plain, hashes.tolist(), strict=True)}) == len({run for run, _ in plain})
    assert len(set(hashes.tolist())) == len({run for run, _ in plain})


def test_short_texts_count_as_one_run() -> None:
    hashes, owners = word_runs(["a b", "", "a b c d", "a b"], 3, pad=True)
    assert owners.tolist() == [0, 1, 2, 2, 3] and hashes[0] == hashes[4] != hashes[1]


@given(st.lists(WORDS, max_size=20), st.lists(WORDS, max_size=8), st.integers(1, 6))
def test_shared_runs(originals: list[str], texts: list[str], length: int) -> None:
    known = {
        tuple(words[i : i + length])
        for words in map(str.split, originals)
        for i in range(len(words) - length + 1)
    }  # fmt: skip
    for text, shared in zip(texts, WordRunIndex(originals, length).shared(texts), strict=True):
        words = text.split()
        runs = [words[i : i + length] for i in range(len(words) - length + 1)]
        assert shared == next((" ".join(run) for run in runs if tuple(run) in known), "")


@settings(max_examples=50)
@given(st.lists(WORDS, max_size=30), st.lists(WORDS, max_size=10), st.sampled_from([40.0, 75.0, 90.0]))
def test_a_small_index_is_exact(texts: list[str], asked: list[str], ratio: float) -> None:
    index = LikenessIndex()
    for at in range(0, len(texts), 7):
        index.add(texts[at : at + 7])
    for text, relative in zip(asked, index.nearest(asked, ratio), strict=True):
        best = max((fuzz.ratio(text, other) for other in texts), default=0)
        assert (relative is None) == (best < ratio)
        assert relative is None or abs(relative.ratio - best) < 0.06


def test_nothing_is_alike_above_a_hundred(verses: list[str]) -> None:
    index = LikenessIndex.of(verses)
    assert index.nearest(verses[:5], 101) == [None] * 5
    assert [r.ratio for r in index.nearest(verses[:5], 100) if r] == [100] * 5
    assert LikenessIndex().nearest(["a b c"], 1) == [None] and index.nearest([], 75) == []


def test_batches_make_the_same_index(verses: list[str]) -> None:
    """However the texts are added, the same pairs are found; and there are few levels."""
    rng, whole, parts = random.Random(1), LikenessIndex.of(verses), LikenessIndex()
    at = 0
    while at < len(verses):
        size = rng.choice([1, 10, 100, 300])
        parts.add(verses[at : at + size])
        at += size
    asked = [labelled.changed(verse, 2, rng, verses[0].split()) for verse in verses[::10] if len(verse.split()) > 4]
    asked = list(map(normal_form, asked))
    for one, other in zip(whole.relatives(asked), parts.relatives(asked), strict=True):
        assert np.array_equal(one, other)
    assert len(parts.levels) <= 6 < len(parts.texts) / FEW


def test_recall_against_brute_force(verses: list[str]) -> None:
    """At least 98.5 % of the texts with a relative of 75 or more among 2,000 verses are found, and no others."""
    rng = random.Random(2)
    index = LikenessIndex.of(verses)
    words = sorted({word for verse in verses[:200] for word in verse.split()})
    asked = []
    for verse in rng.sample([v for v in verses if len(v.split()) > 9], 400):
        asked.append(normal_form(labelled.changed(verse, rng.randint(1, max(1, len(verse.split()) // 4)), rng, words)))
    true = found = 0
    for text, relative in zip(asked, index.nearest(asked, 75), strict=True):
        best = max(fuzz.ratio(text, other) for other in verses)
        assert relative is None or relative.ratio <= best + 0.06
        true += best >= 75
        found += relative is not None
    assert true >= 250 and found >= 0.985 * true, (found, true)


def test_common_runs_say_nothing() -> None:
    texts = [f"and the lord spake {n} {n} {n}" for n in range(FEW + COMMON)]
    index = LikenessIndex.of(texts)
    places, _ = index.relatives(["and the lord spake unto them"])
    assert not len(places)
    places, numbers = index.relatives(["7 7 7 and the lord"])
    assert numbers.tolist() == [7]
