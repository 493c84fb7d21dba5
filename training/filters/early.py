"""The rules that a text can break for good before it is finished, as an engine can follow them byte by byte.

A text only grows: a forbidden character stays, a known-bad word stays once the next one has begun. Whatever is
stopped for these, the judge would have rejected; so the kept texts are the same, and come sooner.
"""

from __future__ import annotations

from collections.abc import Iterable

from training.config import FilterSettings
from training.engines import StopRules
from training.filters.rules import RISKY
from training.text import normal_form


def stop_rules(settings: FilterSettings, originals: Iterable[str]) -> StopRules:
    """The part of the filters that bytes tell. `originals`: corpus and references."""
    allowed = settings.characters
    plain = bool(allowed) and allowed.isascii()
    if allowed:
        # Beyond ASCII a character is several bytes: any of them may pass here, the judge looks closer.
        inside = {b for b in range(256) if (b > 127 and not plain) or (b < 128 and chr(b) in allowed)}
    else:
        inside = {b for b in range(256) if b > 127 or not (chr(b) in RISKY or chr(b).isdigit() or b < 32 or b == 127)}
    return StopRules(
        allowed=bytes(sorted(inside)),
        # A character of several bytes may weigh as little as 1.
        longest=settings.max_length if plain else 0,
        # The normal form folds letters beyond ASCII, which bytes do not show.
        vocabulary=settings.closed_vocabulary and plain,
        run=settings.copy_run if settings.copy_run <= 64 else 0,
        originals=tuple(normal_form(text) for text in originals),
    )
