"""Rules and likeness, on texts of our own and on the real Bible."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
import pythonbible
from hypothesis import given, settings
from hypothesis import strategies as st
from rapidfuzz import fuzz

from data.proverbs.prepare import PROVERBS, verses
from training.config import FilterSettings
from training.filters import KEPT, Judge
from training.filters.likeness import COMMON, LikenessIndex
from training.text import normal_form

OPEN = FilterSettings(closed_vocabulary=False)
ORIGINALS = [
    "a soft answer turneth away wrath but grievous words stir up anger.",
    "a wise son maketh a glad father but a foolish son is the heaviness of his mother.",
]


@pytest.fixture(scope="module")
def proverbs() -> list[str]:
    return verses(PROVERBS)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("the righteous shall inherit @king", "characters"),
        ("the 12 righteous shall inherit", "characters"),
        ("the righteous shall\ninherit the land", "characters"),
        ("The righteous shall inherit", "characters"),
        ("the righteous shall inherit. 🙂", "characters"),
        ("go unto him.in the house", "link"),
        ("the righteous " * 30, "length"),
        ("three words only", "too-short"),
        ("", "too-short"),
        ("and a soft answer turneth away wrath but grievous things are many", "copied-run"),
        ("a wise son maketh a glad fathers but one foolish son is the heaviness of his mothers.", "copy"),
    ],
)
def test_each_rule_says_its_name(text: str, rule: str) -> None:
    assert Judge(OPEN, ORIGINALS).judge(text).verdict == rule


def test_unfinished_duplicate_near_duplicate_and_history() -> None:
    judge = Judge(OPEN, ORIGINALS, history=["the lamp of the upright burneth all the night long."])
    good = "the house of the diligent standeth upon a rock of counsel."
    assert judge.judge(good, finished=False).verdict == "unfinished"
    assert judge.judge(good).verdict == KEPT
    assert judge.judge("the house of the diligent, standeth upon a rock of counsel").verdict == "duplicate"
    assert judge.judge("the house of the diligent standeth upon a hill of counsel.").verdict == "near-duplicate"
    assert judge.judge("the lamp of the upright burneth all the night long").verdict == "duplicate"
    assert "near-duplicate" in judge.table() and sum(judge.counts.values()) == 5


def test_open_mode_lets_other_writing_through() -> None:
    judge = Judge(replace(OPEN, characters=""), [])
    assert judge.judge("Größe ist nicht alles — oder? 🙂").verdict == KEPT
    assert judge.judge("see you at $TSLA to the moon").verdict == "characters"


def test_a_closed_vocabulary_stops_words_that_nobody_wrote() -> None:
    judge = Judge(FilterSettings(), ORIGINALS)
    assert judge.judge("a wise mother maketh a glad answer").verdict == KEPT
    assert judge.judge("a wise mother maketh a glad answersome").detail == "answersome"


def test_real_verses_with_changed_words_are_copies(proverbs: list[str]) -> None:
    """At least 99 % of the verses of eight words or more with one to three words replaced."""
    rng, words = random.Random(1), sorted({w for v in proverbs for w in normal_form(v).split()})
    index = LikenessIndex(map(normal_form, proverbs))
    judge = Judge(OPEN, proverbs)
    for changes in (1, 2, 3):
        caught = 0
        sample = rng.sample([v for v in proverbs if len(v.split()) >= 12], 200)
        for verse in sample:
            text = normal_form(verse).split()
            for place in rng.sample(range(len(text)), changes):
                text[place] = rng.choice(words)
            caught += judge.judge(" ".join(text)).verdict in ("copy", "copied-run")
        assert caught >= 198, changes
    assert index.nearest(normal_form(proverbs[10]), 99).ratio == 100


def test_other_books_are_no_copies(proverbs: list[str]) -> None:
    """The human baseline: verses of Ecclesiastes are hardly ever taken for copies of Proverbs."""
    judge = Judge(replace(OPEN, near_ratio=101), proverbs)
    texts = verses(pythonbible.Book.ECCLESIASTES)
    rejected = sum(judge.judge(text).verdict in ("copy", "copied-run") for text in texts)
    assert rejected <= 0.01 * len(texts)


def test_the_index_finds_what_brute_force_finds(proverbs: list[str]) -> None:
    """Recall against every pair of the real Proverbs with a ratio of 75 or more."""
    normals = [normal_form(v) for v in dict.fromkeys(proverbs)][:400]
    index, found, true = LikenessIndex(), 0, 0
    for n, text in enumerate(normals):
        brute = max((fuzz.ratio(text, other) for other in normals[:n]), default=0)
        hit = index.nearest(text, 75)
        true += brute >= 75
        found += hit is not None
        assert hit is None or brute >= hit.ratio - 0.05
        index.add(text)
    assert true >= 5 and found >= 0.9 * true


@settings(max_examples=50)
@given(st.lists(st.text(alphabet="abcd ", min_size=8, max_size=40), max_size=30))
def test_kept_texts_stay_kept_and_apart(texts: list[str]) -> None:
    judge = Judge(replace(OPEN, min_words=1), [])
    kept = [t for t in texts if judge.judge(t).verdict == KEPT]
    again = Judge(replace(OPEN, min_words=1), [])
    assert all(again.judge(t).verdict == KEPT for t in kept)
    assert len({normal_form(t) for t in kept}) == len(kept)


def test_a_copy_made_of_common_words_alone_is_seen() -> None:
    """Every run of three words in it stands in more than COMMON texts, so the index does not know it."""
    originals = ["and the lord spake", *(f"and the lord spake {n} times" for n in range(COMMON + 10))]
    judge = Judge(FilterSettings(characters="", closed_vocabulary=False), originals)
    assert judge.judge("And the Lord spake.").verdict == "copy"
