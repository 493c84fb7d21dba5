"""A pool at a glance: what was posted when, what comes next, how long it lasts, a calendar, and what is wrong.

`deepproverbs pool status`, once or with --watch again and again.
"""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.cli.console import clear_screen, warn
from training.common.errors import DeepproverbsError
from training.common.terminal import one_line

if TYPE_CHECKING:
    from post_tweet.pool import Pool
    from post_tweet.state import State

LATEST, COMING = 5, 3
"""Texts that are shown, posted and to come."""
WEEKS = 5
WIDTH = 72
"""Characters of a text that are shown."""
LINK = "https://x.com/i/status/"
LATE = 3
"""Waits, as long as the usual one, after which a post is missed."""


def look(pool: Pool, now: datetime, bot: str, file: Path) -> dict[str, Any]:
    """`Pool.status`, JSON-ready, and beside it (`bot` and `file`: of the bot that the command line names):

    posted   the latest posts, the newest first: time, slot, index, tweet_id, link, text
    coming   the next texts: index, text
    days     day, UTC → posts, of the weeks that the pool remembers
    alarms   what a person should look after, a sentence each
    aws      of the bot in AWS that posts from this pool, what `in_aws` finds; null: the pool is not in S3
    """
    status = pool.status()
    if status["damage"]:
        return {**status, "posted": [], "coming": [], "days": {}, "alarms": [], "aws": None}
    state = pool.load()[0]
    posts = [entry for entry in state.recent if entry.outcome == "posted"]
    posted = [
        {
            "time": entry.time,
            "slot": entry.slot,
            "index": entry.index,
            "tweet_id": entry.tweet_id,
            "link": LINK + entry.tweet_id if entry.tweet_id else None,
            "text": pool.record(state, entry.index)["text"],
        }
        for entry in posts[: -LATEST - 1 : -1]
    ]
    following: list[dict[str, Any]] = []
    index = state.withdrawn.after(state.next)
    while index < state.total and len(following) < COMING:
        following.append({"index": index, "text": pool.record(state, index)["text"]})
        index = state.withdrawn.after(index + 1)
    days = Counter(entry.time[:10] for entry in posts)
    looked = {"posted": posted, "coming": following, "days": dict(days), "alarms": alarms(state, now)}
    return {**status, **looked, "aws": in_aws(pool.store.url, bot, file)}


def in_aws(url: str, bot: str, file: Path) -> dict[str, Any] | None:
    """The alarms of the bot's stack and what waits to be read there, as infra/cloud/alarms.py has it; where that cannot
    be said, `unknown` says why: a pool in S3 needs no stack. None: the pool is not in S3."""
    from post_tweet.address import scheme_of
    from post_tweet.errors import PostError

    if scheme_of(url) != "s3":
        return None
    try:
        from infra.cloud.alarms import of_pool

        return of_pool(url, bot, file)
    except (DeepproverbsError, PostError) as error:
        why = str(error)
    except ModuleNotFoundError:
        why = "infra/ is missing here, as in the GPU image."
    return {"alarms": {}, "ringing": "", "to_read": "", "unknown": why}


def alarms(state: State, now: datetime) -> list[str]:
    """What a person should look after."""
    from post_tweet.state import when

    found = []
    times = [when(entry.time) for entry in state.recent if entry.outcome == "posted"]
    waits = [later - earlier for earlier, later in itertools.pairwise(times)]
    usual = sorted(waits)[len(waits) // 2] if len(waits) >= 2 else None
    if usual and not state.paused and state.remaining and now - times[-1] > max(LATE * usual, timedelta(hours=1)):
        found.append(f"Nothing was posted for {span(now - times[-1])}, where {span(usual)} is usual.")
    if state.claim and now - when(state.claim.since) > timedelta(hours=1):
        found.append(
            f"Text {state.claim.index} is claimed since {state.claim.since[:16]}: a post began and nothing has settled "
            "it; the next post does."
        )
    for outcome, what in (("abandoned", "may have been posted and was given up"), ("refused", "was refused")):
        if some := [entry for entry in state.recent if entry.outcome == outcome and entry.reason != "withdrawn"]:
            last = some[-1]
            more = f", and {len(some) - 1} before it" if len(some) > 1 else ""
            found.append(
                f"Text {last.index} {what} on {last.time[:10]}{f' ({last.reason})' if last.reason else ''}{more}."
            )
    return found


def span(time: timedelta) -> str:
    """In the unit that people would say: 3 days, 5 hours, 20 minutes."""
    seconds = time.total_seconds()
    unit, length = next((u for u in (("day", 86400), ("hour", 3600)) if seconds > 0.95 * u[1]), ("minute", 60))
    number = round(seconds / length)
    return f"{number} {unit}{'s' * (number != 1)}"


def text(found: dict[str, Any], today: date) -> str:
    """What `look` has found, for people, below the status."""
    parts = []
    if found["posted"]:
        rows = [
            f"  {p['time'][:16].replace('T', ' ')}  {short(p['text'])}\n{'':20}{p['link'] or 'id unknown'}"
            for p in found["posted"]
        ]
        parts.append("\n".join(["posted, the latest first (UTC):", *rows]))
        parts.append(calendar(found["days"], today))
    if found["coming"]:
        rows = [f"  {one['index']:>8}  {short(one['text'])}" for one in found["coming"]]
        parts.append("\n".join(["next:", *rows]))
    if found["alarms"]:
        parts.append("\n".join(["to look after:", *(f"  {one_line(alarm)}" for alarm in found["alarms"])]))
    if aws := found["aws"]:
        parts.append(one_line(f"alarms in AWS: {aws['ringing'] or 'not known. ' + aws['unknown']}"))
        parts += [one_line(aws["to_read"])] if aws["to_read"] else []
    return "\n".join(parts)


def short(text: str) -> str:
    """In one line, cut where it is too long."""
    text = one_line(" / ".join(text.splitlines()))
    return text if len(text) <= WIDTH else f"{text[: WIDTH - 2].rstrip()} …"


def calendar(days: dict[str, int], today: date) -> str:
    """Posts of each day of the last weeks, a week a line; a dot for a day without, nothing before the first that is
    remembered."""
    first, start = date.fromisoformat(min(days)), today - timedelta(days=today.weekday() + 7 * (WEEKS - 1))

    def cell(day: date) -> str:
        if day > today or day < first:
            return "    "
        count = days.get(day.isoformat(), 0)
        return f"{count or '·':>4}"

    lines = [f"{'posts a day':>12}" + "".join(f"{name:>4}" for name in ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su"))]
    for week in range(WEEKS):
        monday = start + timedelta(days=7 * week)
        if monday + timedelta(days=6) >= first:
            cells = "".join(cell(monday + timedelta(days=n)) for n in range(7))
            lines.append(f"{monday.isoformat():>12}{cells}".rstrip())
    return "\n".join(lines)


def watch(show: Callable[[], None], every: float, sleep: Callable[[float], None] = time.sleep) -> None:
    """Call `show` again and again until Ctrl-C, on a clean screen where it is one."""
    while True:
        clear_screen()
        show()
        warn(f"\n{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC, again every {every:g} s; Ctrl-C ends it.")
        sleep(every)
