"""The rules that look at one text alone. Each returns None, or why the text must go.

To add a rule: write a function here and name it in RULES at its place by cost.
"""

from __future__ import annotations

from collections.abc import Callable, Set
from dataclasses import dataclass, field

from post_tweet.xtext import problems, weighted_length

from training.config import FilterSettings
from training.text import normal_form

RISKY = set("@＠#＃$＄")
"""Mentions, hashtags and cashtags, in both widths."""


@dataclass(frozen=True)
class Context:
    """What the rules may know besides the text."""

    settings: FilterSettings
    vocabulary: Set[str] = field(default_factory=frozenset)
    """Words of the corpus and its references, in normal form."""


Rule = Callable[[str, Context], str | None]


def characters(text: str, context: Context) -> str | None:
    """Plain characters: those of the style, or anything printable but @ # $ and digits."""
    allowed = context.settings.characters
    for c in text:
        if (c not in allowed) if allowed else (c in RISKY or c.isdigit() or not c.isprintable()):
            return f"holds {c!r}"
    return None


def link(text: str, context: Context) -> str | None:
    """Nothing that X would read as a link (it bills one at 13 times a post) or would not take."""
    return problems(text)


def length(text: str, context: Context) -> str | None:
    """X's weighted length."""
    weight = weighted_length(text)
    return f"weighs {weight}" if weight > context.settings.max_length else None


def too_short(text: str, context: Context) -> str | None:
    words = len(text.split())
    return f"{words} words" if words < context.settings.min_words else None


def vocabulary(text: str, context: Context) -> str | None:
    """A word that neither the corpus nor its references know: gibberish, and every modern slur."""
    if context.settings.closed_vocabulary:
        for word in normal_form(text).split():
            if word not in context.vocabulary:
                return word
    return None


RULES: list[tuple[str, Rule]] = [
    ("characters", characters),
    ("too-short", too_short),
    ("length", length),
    ("link", link),
    ("vocabulary", vocabulary),
]
