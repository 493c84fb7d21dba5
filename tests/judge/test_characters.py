"""Rules that take from the corpus which characters a text may hold, begin with and end on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from training.judge.judge import Judge, Reference
from training.judge.rules import PASSED, edges_of
from training.sample.candidates import Candidate
from training.settings import FilterSettings


def test_texts_begin_and_end_as_the_corpus_does() -> None:
    """Kinds of characters, counted by hand; one text in two hundred may be odd."""
    own = [f"Text {n} is here." for n in range(197)] + ["And this one?", "What is it?", "small and without an end"]
    judge = Judge(replace(FilterSettings(), skip=("digits", "too-short", "copy", "copied-run")), Reference(own))
    asked = [
        "A new one here.",
        "Is it a new one?",
        "a new one here.",
        "'A new one here.",
        "A new one here",
        "7 new ones here.",
    ]
    found = [verdict.verdict for verdict in judge.verdicts([Candidate(text, 0, 0.0, True, 1.0) for text in asked])]
    assert found == [PASSED, PASSED, *["edges"] * 4]
    hindi = [f"{word} पानी दिन राज की" for word in ("कि", "की", "को", "का", "पा")] * 4
    assert edges_of(hindi)[1] == {"a letter"} and edges_of([*hindi, "नमस्ते 🐈"])[1] == {"a letter", "a symbol"}
    assert edges_of(own[:19]) == (frozenset(), frozenset())


def with_emoji(*endings: str) -> list[str]:
    """Thirty texts, the first of which end so."""
    return [f"text number {n} of many{f' {endings[n]}' if n < len(endings) else ''}" for n in range(30)]


@pytest.mark.parametrize(
    ("corpus", "text", "verdict"),
    [
        (with_emoji(), "a new one \U0001f600", "characters"),
        (with_emoji(), "a star \u2605 in it", "characters"),
        (with_emoji(), "é, „quotes“ – dashes … and 日本 are no emoji", PASSED),
        (with_emoji("\U0001f600", "\U0001f600"), "a new one \U0001f600", PASSED),
        (with_emoji("\U0001f44d", "\U0001f44d\U0001f3fd"), "in another skin \U0001f44d\U0001f3ff", PASSED),
        (with_emoji("\U0001f600", "\U0001f600"), "a new one \U0001f600 and \U0001f680", "characters"),
        (with_emoji(*["\U0001f1e9\U0001f1ea \U0001f1fa\U0001f1f8"] * 2), "ours \U0001f1e9\U0001f1ea", PASSED),
        (with_emoji(*["\U0001f1e9\U0001f1ea \U0001f1fa\U0001f1f8"] * 2), "not \U0001f1fa\U0001f1ea", "characters"),
        # Where each text brings its own, the next may, too.
        (with_emoji("\U0001f600", "\U0001f601", "\U0001f602"), "a new one \U0001f680", PASSED),
        (with_emoji()[:10], "of ten texts nobody can tell \U0001f680", PASSED),
    ],
)
def test_emoji_that_the_corpus_never_has_do_not_pass(corpus: list[str], text: str, verdict: str) -> None:
    settings = FilterSettings(skip=("vocabulary", "edges", "copied-run", "copy", "too-short"))
    (found,) = Judge(settings, Reference(corpus)).verdicts([Candidate(text, 9, -1.0, True, 1.0)])
    assert (found.verdict, "which no text of the corpus holds" in found.detail) == (verdict, verdict != PASSED)
