"""The rules that a text can break for good before it is finished, as an engine can follow them byte by byte.

A text only grows: a forbidden character stays, a known-bad word stays once the next one has begun. Whatever is
stopped for these, the screen would have rejected; so the kept texts are the same, and come sooner.
"""

from __future__ import annotations

from training.judge.judge import Screen
from training.sample.stop_rules import StopRules

MARKS = {"mention": "@", "hashtag": "#", "cashtag": "$", "digits": "0123456789"}


def stop_rules(screen: Screen) -> StopRules:
    """The part of the filters that bytes tell."""
    settings, asked = screen.settings, set(screen.names) - screen.skip
    allowed = settings.characters if "characters" in asked else ""
    plain = bool(allowed) and allowed.isascii()
    if allowed:
        # Beyond ASCII a character is several bytes: any of them may pass here, the screen looks closer.
        inside = {b for b in range(256) if (b > 127 and not plain) or (b < 128 and chr(b) in allowed)}
    else:
        inside = set(range(256)) - (set(range(32)) | {127} if "characters" in asked else set())
        inside -= {ord(mark) for name, marks in MARKS.items() if name in asked for mark in marks}
    vocabulary = "vocabulary" in asked and settings.closed_vocabulary and plain
    known = screen.originals.texts
    if vocabulary:
        # A line of one word adds that word, and no run.
        known = [*known, *sorted(screen.context.common)]
    return StopRules(
        allowed=bytes(sorted(inside)),
        # A character of several bytes may weigh as little as 1.
        longest=settings.max_length if plain and "length" in asked else 0,
        # The normal form folds letters beyond ASCII, which bytes do not show.
        vocabulary=vocabulary,
        run=settings.copy_run if settings.copy_run <= 64 and "copied-run" in asked else 0,
        originals=tuple(known),
    )
