"""Slots by the time of day, for schedules other than EventBridge's. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta


def time_of_day(text: str) -> time:
    """`9:00` or `09:00`.

    Raises:
        ValueError: it is no time of day.
    """
    found = re.fullmatch(r"([0-9]{1,2}):([0-9]{2})", text)
    if not found or int(found[1]) > 23 or int(found[2]) > 59:
        raise ValueError(f"{text!r} is not a time of day; write one such as 09:00")
    return time(int(found[1]), int(found[2]))


def latest_slot(times: Sequence[time], now: datetime) -> str:
    """The slot of the latest of these times of day that has come: `daily 2026-11-26T08:00:00Z`. They are those of this
    machine's clock, on each day as it stood on that day: the clock may have been changed since."""
    today = now.astimezone().date()
    due = (datetime.combine(today - timedelta(days=back), at).astimezone(UTC) for back in (0, 1) for at in times)
    return f"daily {max(moment for moment in due if moment <= now):%Y-%m-%dT%H:%M:%SZ}"
