"""What the state remembers of the posts of the past, so that no slot posts twice however late it comes. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from post_tweet.state import RECENT, Settled, State, due, when
from post_tweet.x import CLOCKS

MAY_HAVE = ("posted", "abandoned")
"""Outcomes after which a slot must not post again."""
OTHERS = 16
"""Texts not posted that the state remembers beside the posted ones."""


def fate(state: State, slot: str) -> Settled | None:
    """What became of a slot that has posted, or may have; None: it has not, or it is forgotten."""
    return next((entry for entry in state.recent if entry.outcome in MAY_HAVE and slot in entry.slots), None)


def remembering(state: State, entry: Settled) -> dict[str, Any]:
    """The last texts posted, and some of the others: a pool full of unfit texts must not make it forget posts.
    With them the time until which slots were due whose posts are forgotten now."""
    entries = (*state.recent, entry)
    dropped = [e for e in entries if e.outcome in MAY_HAVE][:-RECENT]
    unposted = [e for e in entries if e.outcome not in MAY_HAVE][:-OTHERS]
    dues = [occasion(slot, when(e.time)) for e in dropped for slot in e.slots]
    limit = max([*dues, *filter(None, [forgotten(state)])], default=None)
    return {
        "recent": tuple(e for e in entries if e not in dropped and e not in unposted),
        # Whole: cut to milliseconds it would be earlier than a slot whose name has more.
        "forgotten": limit.isoformat() if limit else None,
    }


def occasion(slot: str, posted: datetime) -> datetime:
    """When a slot was due, or posted if its name does not say so: no time, or one that came long after the post."""
    at = due(slot)
    return at if at is not None and at <= posted + CLOCKS else posted


def forgotten(state: State) -> datetime | None:
    """No slot due later than this, by a name that did not look far ahead, can have a post that the state has
    forgotten. None: it has forgotten none."""
    if state.forgotten:
        return when(state.forgotten)
    posts = [when(e.time) for e in state.recent if e.outcome in MAY_HAVE]
    if len(state.recent) < RECENT or state.next <= len(state.recent):
        return None
    # Written by a version that dropped the oldest entries without a word, posts or not.
    return min(posts or [when(e.time) for e in state.recent]) + CLOCKS
