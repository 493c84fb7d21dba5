"""What is chosen: the best, no two alike, in an order that does not matter."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rapidfuzz import fuzz, process

from tests.helpers import labelled
from training.common.text import id_of_normal, normal_form
from training.curate import choose as curate
from training.curate.choose import DUPLICATE, GENERATION, KEPT, NEAR, OPENING, SET_APART, SPARE, Choice
from training.settings import FilterSettings

SETTINGS = FilterSettings(opening_share=1.0)
WORDS = """wisdom folly king fool tongue heart path lips soul house gold silver war peace bread wine sleep
light""".split()  # noqa: SIM905


def choose(
    texts: list[str],
    count: int,
    settings: FilterSettings = SETTINGS,
    distances: list[float] | None = None,
    prefixes: Sequence[str] = (),
) -> Choice:
    """Texts with an exclamation mark are to be set apart."""
    contenders = curate.Contenders(
        np.array([id_of_normal(normal_form(text)) for text in texts], np.uint64),
        np.array(distances or [0.0] * len(texts)),
        np.array(["!" in text for text in texts], bool),
        texts.__getitem__,
    )
    return curate.choose(contenders, settings, count, prefixes)


def made(count: int, seed: int) -> list[str]:
    """Texts made of the halves of verses, some of them alike."""
    rng = random.Random(seed)
    halves = [v.split()[:n] for v in labelled.bible()[:6000] if len(v.split()) > 12 for n in (7, 9)]
    return [" ".join(rng.choice(halves) + rng.choice(halves)) for _ in range(count)]


def texts_of(choice: Choice, texts: list[str], verdict: int = KEPT) -> list[str]:
    return [texts[number] for number in choice.numbers(verdict)]


def test_the_best_are_chosen_and_the_rest_is_spare() -> None:
    texts = [f"{a} and {b} dwell together in the land" for a in WORDS[:6] for b in WORDS[6:9]]
    distances = [float(n % 5) for n in range(len(texts))]
    choice = choose(texts, 7, replace(SETTINGS, near_ratio=101), distances)
    order = sorted(range(len(texts)), key=lambda n: (distances[n], id_of_normal(normal_form(texts[n]))))
    assert choice.numbers(KEPT) == sorted(order[:7]) and choice.numbers(SPARE) == sorted(order[7:])


def test_of_equal_texts_the_best_stays() -> None:
    texts = ["Wisdom is gold.", "wisdom is gold", "WISDOM, is gold", "folly is brass"]
    choice = choose(texts, 4, distances=[2, 1, 3, 9])
    assert choice.numbers(KEPT) == [1, 3] and choice.numbers(DUPLICATE) == [0, 2]
    assert len(choose(texts, 4, replace(SETTINGS, skip=("duplicate", "near-duplicate"))).numbers(KEPT)) == 4


def test_where_every_text_is_to_be_read_those_are_the_wanted_ones() -> None:
    texts = [f"{a} and {b} dwell together in the land!" for a in WORDS[:6] for b in WORDS[6:9]]
    unlisted = replace(SETTINGS, near_ratio=101, language="la")
    choice = choose(texts, 7, unlisted)
    assert len(choice.numbers(SET_APART)) == 7 and len(choice.numbers(SPARE)) == 11
    assert len(choose(texts, 7, replace(unlisted, unlisted="publish")).numbers(SET_APART)) == 18


def test_near_duplicates_go_with_what_they_are_like() -> None:
    texts = ["the way of the wise is above", "the way of the wise is below", "gold and silver and precious stones"]
    choice = choose(texts, 3, distances=[1, 0, 2])
    assert choice.numbers(KEPT) == [1, 2] and choice.numbers(NEAR) == [0]
    assert choice.relatives[0].text == texts[1] and choice.relatives[0].ratio > 75


def test_openings_are_capped() -> None:
    texts = [
        f"he that {a} the {b} shall see {c}" for a in WORDS[:8] for b, c in zip(WORDS[8:13], WORDS[13:], strict=True)
    ]
    texts += [f"{a} {b} is better than {c} of gold" for a, b, c in zip(WORDS, WORDS[4:], WORDS[9:], strict=False)]
    choice = choose(texts, 40, replace(SETTINGS, near_ratio=101, opening_share=0.1))
    openings = Counter(" ".join(text.split()[:2]) for text in texts_of(choice, texts))
    assert max(openings.values()) == openings["he that"] == 4 and choice.numbers(OPENING)


def test_a_prefix_is_no_opening() -> None:
    """Every text begins with it: what comes after is the opening."""
    texts = [f"Thou shall not {a} the {b} of {c}" for a, b, c in zip(WORDS, WORDS[3:], WORDS[7:], strict=False)]
    settings = replace(SETTINGS, near_ratio=101, opening_share=0.1)
    assert len(choose(texts, 10, settings).numbers(KEPT)) == 1
    assert len(choose(texts, 10, settings, prefixes=["thou", "thou shall not", ""]).numbers(KEPT)) == 10


def test_openings_where_no_spaces_are_written() -> None:
    """Two words are four graphemes, after a prefix, too."""
    animals, ends = "猫犬鳥魚馬牛", "が好き をみる にきく"
    texts = [f"今日の空は{animal}{end}" for animal in animals for end in ends.split()]
    settings = replace(SETTINGS, near_ratio=101, opening_share=0.1)
    assert len(choose(texts, 10, settings).numbers(KEPT)) == 1
    assert len(choose(texts, 10, settings, prefixes=["今日の空は"]).numbers(KEPT)) == 10


def test_texts_that_are_set_apart_are_not_counted_but_keep_others_away() -> None:
    texts = ["the king of israel! is wise", "the king of israel is wise", "bread eaten in secret is pleasant"]
    choice = choose(texts, 2, distances=[0, 1, 2])
    assert choice.numbers(SET_APART) == [0] and choice.numbers(KEPT) == [2]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=7).map(" ".join), max_size=40), st.randoms())
def test_properties(texts: list[str], rng: random.Random) -> None:
    """The order does not matter; what was kept is kept again; no two kept texts are alike; each that was not kept
    is like one that was."""
    values = {text: rng.choice([0.0, 1.0, 2.0]) for text in texts}
    shares = replace(SETTINGS, opening_share=0.2)
    choice = choose(texts, 40, shares, [values[text] for text in texts])
    kept = texts_of(choice, texts)
    mixed = rng.sample(texts, len(texts))
    assert set(texts_of(choose(mixed, 40, shares, [values[text] for text in mixed]), mixed)) == set(kept)
    again = choose(kept, 40, shares, [values[text] for text in kept])
    assert texts_of(again, kept) == kept
    for i, one in enumerate(kept):
        assert all(fuzz.ratio(one, other) < 75 for other in kept[:i])
    for text in texts_of(choice, texts, NEAR):
        assert max(fuzz.ratio(text, other) for other in kept) >= 75


@pytest.mark.slow
def test_properties_at_size() -> None:
    """The same over several generations of the index, where brute force is the judge: at most 1.5 % of the kept
    texts are near-duplicates that were missed."""
    texts = list(dict.fromkeys(made(6000, 3)))
    choice = choose(texts, len(texts))
    kept = texts_of(choice, texts)
    assert len(kept) > 3 * GENERATION and len(choice.numbers(NEAR)) > 50
    mixed = random.Random(4).sample(texts, len(texts))
    assert set(texts_of(choose(mixed, len(texts)), mixed)) == set(kept)
    assert texts_of(choose(kept, len(texts)), kept) == kept
    normals = sorted(kept, key=lambda text: id_of_normal(normal_form(text)))
    normals = [normal_form(text) for text in normals]
    missed = 0
    for at in range(0, len(normals), 500):
        ratios = process.cdist(normals[at : at + 500], normals, scorer=fuzz.ratio, processor=None, workers=2)
        earlier = np.arange(len(normals))[None, :] < np.arange(at, at + len(ratios))[:, None]
        missed += int(((ratios >= 75) & earlier).any(axis=1).sum())
    assert missed <= 0.015 * len(kept), missed


def test_a_ratio_above_a_hundred_keeps_all() -> None:
    keeper = curate.NearDuplicates(101)
    assert list(keeper.offer(["a b c", "a b c"])) == [None, None]
