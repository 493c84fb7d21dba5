"""When a schedule of EventBridge comes: cron(...), rate(...) or at(...) → moments in UTC.

EventBridge itself does not tell the next moment. A cron expression runs on the clock of its time zone: what falls into
the hour that spring skips is left out, and what falls into the hour that autumn repeats comes once. A rate counts
hours, whatever the clocks do.
"""

from __future__ import annotations

import itertools
import re
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from infra.cloud import cron
from training.common.errors import WrongUse

DAY = timedelta(days=1)
UNITS = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": DAY}
SLACK = 2
"""Hours that a post may be late before anybody is told: Lambda and the schedule try for an hour, and CloudWatch counts
in whole hours."""
LONGEST = 168
"""Hours that CloudWatch can look back."""


def moments(expression: str, zone: str, after: datetime) -> Iterator[datetime]:
    """The schedule's moments after `after`, in UTC and in order. A rate counts from the deployment, which is not known
    here: it counts from `after`.

    Raises:
        WrongUse: no such expression or time zone.
    """
    found = re.fullmatch(r"(cron|rate|at)\(([^()]+)\)", expression)
    if not found:
        raise WrongUse(f"{expression!r} is not a schedule; write for example cron(0 9 * * ? *) or rate(12 hours).")
    kind, inner = found.groups()
    try:
        tz = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:  # a folder of zones, such as Europe, is an OSError
        raise WrongUse(f"There is no time zone {zone!r}; give one such as Europe/Zurich.") from error
    if kind == "rate":
        yield from _every(rate(inner), after)
        return
    # Of the hour that autumn repeats the first is meant.
    clocks = [at(inner)] if kind == "at" else cron.times(inner, after.astimezone(tz).replace(tzinfo=None) - DAY)
    for clock in clocks:
        moment = clock.replace(tzinfo=tz).astimezone(UTC)
        exists = moment.astimezone(tz).replace(tzinfo=None) == clock
        if kind == "at" and not exists:
            raise WrongUse(f"{expression} never comes: the clocks of {zone} skip it; write another time.")
        if exists and moment > after:
            yield moment


def _every(pace: timedelta, after: datetime) -> Iterator[datetime]:
    for n in itertools.count(1):
        try:
            yield after + n * pace
        except OverflowError:  # beyond the calendar
            return


def rate(text: str) -> timedelta:
    """`12 hours` → 12 hours."""
    found = re.fullmatch(r"(\d{1,6}) (minute|hour|day)s?", text, re.ASCII)
    if not found or not int(found[1]):
        raise WrongUse(f"rate({text}) is not a schedule; write for example rate(12 hours).")
    return int(found[1]) * UNITS[found[2]]


def at(text: str) -> datetime:
    """`2030-01-31T09:00:00` → that time on a clock."""
    try:
        if not re.fullmatch(r"(19[7-9]|20[0-9]|21[0-9])[0-9](-[0-9]{2}){2}T[0-9]{2}(:[0-9]{2}){2}", text):
            raise ValueError(text)
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise WrongUse(f"at({text}) names no moment; write at(2030-01-31T09:00:00), without a time zone.") from error


def silence_hours(expression: str, zone: str, now: datetime, flexible: int = 0) -> int:
    """Hours without a post from which something must be wrong: the longest gap of the next 13 months, and slack.
    0 where CloudWatch cannot look back so far, or the schedule comes only once."""
    until = now + timedelta(days=396)
    coming = itertools.takewhile(lambda m: m < until, moments(expression, zone, now))
    longest = max((later - earlier for earlier, later in itertools.pairwise(coming)), default=None)
    if longest is None:
        return 0
    hours = -(-(longest + timedelta(minutes=flexible)) // timedelta(hours=1)) + SLACK
    return hours if hours <= LONGEST else 0


def meanwhile(expression: str, zone: str, now: datetime, minutes: int) -> int:
    """The most slots that come within so many minutes after another one, in the next 13 months."""
    until, most, waiting = now + timedelta(days=396), 0, deque[datetime]()
    for moment in itertools.takewhile(lambda m: m < until, moments(expression, zone, now)):
        while waiting and moment - waiting[0] > timedelta(minutes=minutes):
            waiting.popleft()
        most = max(most, len(waiting))
        waiting.append(moment)
    return most


def a_month(expression: str, zone: str, now: datetime) -> int:
    """Posts in the next 30 days."""
    until = now + timedelta(days=30)
    return sum(1 for _ in itertools.takewhile(lambda m: m < until, moments(expression, zone, now)))
