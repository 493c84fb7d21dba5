"""What the state remembers of past posts, so that no slot posts twice however late it comes. Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from post_tweet.place import CLOCK_TOLERANCE
from post_tweet.state import RECENT, Settled, State, due, when

MAY_HAVE_POSTED = ("posted", "abandoned")
"""Outcomes after which a slot must not post again."""
UNPOSTED = 16
"""How many unposted texts the state remembers beside the posted ones."""


def outcome_of_slot(state: State, slot: str) -> Settled | None:
    """What the slot has posted, or may have; None if nothing is remembered."""
    return next((entry for entry in state.recent if entry.outcome in MAY_HAVE_POSTED and slot in entry.slots), None)


def remember(state: State, entry: Settled) -> State:
    """Add `entry` to the state's memory of posted texts and, counted apart, a few others: a pool full of unfit texts
    must not push posts out. Of the posts that are dropped, the latest due time is kept."""
    entries = (*state.recent, entry)
    dropped = [e for e in entries if e.outcome in MAY_HAVE_POSTED][:-RECENT]
    unposted = [e for e in entries if e.outcome not in MAY_HAVE_POSTED][:-UNPOSTED]
    times = [slot_time(slot, when(e.time)) for e in dropped for slot in e.slots]
    if (entry.outcome, entry.reason) == ("abandoned", "duplicate"):
        times.append(when(entry.time))  # any slot before may have posted it, in a claim that was lost
    limit = max([*times, *filter(None, [forgotten_until(state)])], default=None)
    return replace(
        state,
        recent=tuple(e for e in entries if e not in dropped and e not in unposted),
        # Not cut to milliseconds: that would be earlier than a slot whose name has more digits.
        forgotten=limit.isoformat() if limit else None,
    )


def slot_time(slot: str, posted: datetime) -> datetime:
    """When a slot was due; or when it was posted, if its name has no time or a later one."""
    at = due(slot)
    return at if at is not None and at <= posted + CLOCK_TOLERANCE else posted


def forgotten_until(state: State) -> datetime | None:
    """A slot due later than this has no forgotten post, unless it was posted before it was due. None: nothing is
    forgotten."""
    if state.forgotten:
        return when(state.forgotten)
    posts = [when(e.time) for e in state.recent if e.outcome in MAY_HAVE_POSTED]
    if len(state.recent) < RECENT or state.next <= len(state.recent):
        return None
    # An older version dropped its oldest entries, posts or not, without noting it.
    return min(posts or [when(e.time) for e in state.recent]) + CLOCK_TOLERANCE
