"""What the state remembers of past posts, so that no slot posts twice however late it comes. Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from post_tweet.place import CLOCK_TOLERANCE
from post_tweet.state import RECENT, Settled, State, due, when

MAY_HAVE_POSTED = ("posted", "abandoned")
"""Outcomes after which a slot must not post again."""
UNPOSTED = 16
"""Texts not posted that the state remembers beside the posted ones."""


def outcome_of_slot(state: State, slot: str) -> Settled | None:
    """The text that a slot has posted, or may have; None: there is none, or it is forgotten."""
    return next((entry for entry in state.recent if entry.outcome in MAY_HAVE_POSTED and slot in entry.slots), None)


def remember(state: State, entry: Settled) -> State:
    """The state with `entry` in its memory of the last texts posted and a few of the others: a pool full of unfit texts
    must not push posts out. For the posts that it drops it keeps the time until which their slots were due."""
    entries = (*state.recent, entry)
    dropped = [e for e in entries if e.outcome in MAY_HAVE_POSTED][:-RECENT]
    unposted = [e for e in entries if e.outcome not in MAY_HAVE_POSTED][:-UNPOSTED]
    times = [slot_time(slot, when(e.time)) for e in dropped for slot in e.slots]
    limit = max([*times, *filter(None, [forgotten_until(state)])], default=None)
    return replace(
        state,
        recent=tuple(e for e in entries if e not in dropped and e not in unposted),
        # In full: cut to milliseconds it would be earlier than a slot whose name has more digits.
        forgotten=limit.isoformat() if limit else None,
    )


def slot_time(slot: str, posted: datetime) -> datetime:
    """When a slot was due; or when it was posted, if its name has no time, or one that was still to come then."""
    at = due(slot)
    return at if at is not None and at <= posted + CLOCK_TOLERANCE else posted


def forgotten_until(state: State) -> datetime | None:
    """No slot due later than this can have a forgotten post, unless its name's time was still to come at its post.
    None: nothing is forgotten."""
    if state.forgotten:
        return when(state.forgotten)
    posts = [when(e.time) for e in state.recent if e.outcome in MAY_HAVE_POSTED]
    if len(state.recent) < RECENT or state.next <= len(state.recent):
        return None
    # Written by a version that dropped the oldest entries, posts or not, without saying so.
    return min(posts or [when(e.time) for e in state.recent]) + CLOCK_TOLERANCE
