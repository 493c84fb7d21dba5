"""When a schedule of EventBridge comes: cron(...), rate(...) or at(...) → moments in UTC.

EventBridge itself does not tell the next moment. A cron expression runs on the clock of its time zone; one that falls
into the hour that spring skips comes an hour later, and one of the hour that autumn repeats comes once.
"""

from __future__ import annotations

import itertools
import re
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from aws_croniter import AwsCroniter
from aws_croniter.exceptions import AwsCroniterExpressionError

from training.common.errors import WrongUse

UNITS = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": timedelta(days=1)}
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
    kind, _, inner = expression.rstrip(")").partition("(")
    if kind == "rate":
        pace = rate(inner)
        yield from (after + pace * n for n in itertools.count(1))
        return
    try:
        tz = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise WrongUse(f"There is no time zone {zone!r}; give one such as Europe/Zurich.") from error
    if kind == "at":
        try:
            at = datetime.fromisoformat(inner)
        except ValueError as error:
            raise WrongUse(f"{expression!r} names no moment; write at(2030-01-31T09:00:00).") from error
        yield from (moment for moment in [at.replace(tzinfo=tz).astimezone(UTC)] if moment > after)
        return
    try:
        cron = AwsCroniter(inner)
    except AwsCroniterExpressionError as error:
        raise WrongUse(f"{expression!r} is no schedule: {error} Write for example cron(0 9 * * ? *).") from error
    if kind != "cron":
        raise WrongUse(f"{expression!r} is no schedule; write for example cron(0 9 * * ? *) or rate(12 hours).")
    # The library counts on a clock without zones, which it wants to be called UTC.
    clock, last = after.astimezone(tz).replace(tzinfo=UTC) - timedelta(hours=3), after
    while (clock := cron.get_next(clock, 1)[0]) is not None:
        moment = clock.replace(tzinfo=tz).astimezone(UTC)
        if moment > last:
            yield moment
            last = moment


def rate(text: str) -> timedelta:
    """`12 hours` → 12 hours."""
    found = re.fullmatch(r"(\d+) (minute|hour|day)s?", text)
    if not found or not int(found[1]):
        raise WrongUse(f"rate({text}) is no schedule; write for example rate(12 hours).")
    return int(found[1]) * UNITS[found[2]]


def silence_hours(expression: str, zone: str, now: datetime, flexible: int = 0) -> int:
    """Hours without a post from which something must be wrong: the longest gap of the next 13 months, and slack.
    0 where CloudWatch cannot look back so far, or the schedule comes only once."""
    until = now + timedelta(days=396)
    coming = list(itertools.islice(itertools.takewhile(lambda m: m < until, moments(expression, zone, now)), 20_000))
    gaps = [later - earlier for earlier, later in itertools.pairwise(coming)]
    if not gaps:
        return 0
    hours = -(-(max(gaps) + timedelta(minutes=flexible)) // timedelta(hours=1)) + SLACK
    return hours if hours <= LONGEST else 0


def meanwhile(expression: str, zone: str, now: datetime, minutes: int) -> int:
    """The most slots that come within so many minutes after another one, in the next 13 months."""
    until, most, waiting = now + timedelta(days=396), 0, deque[datetime]()
    for moment in itertools.islice(itertools.takewhile(lambda m: m < until, moments(expression, zone, now)), 20_000):
        while waiting and moment - waiting[0] > timedelta(minutes=minutes):
            waiting.popleft()
        most = max(most, len(waiting))
        waiting.append(moment)
    return most


def a_month(expression: str, zone: str, now: datetime) -> int:
    """Posts in the next 30 days."""
    until = now + timedelta(days=30)
    return sum(1 for _ in itertools.takewhile(lambda m: m < until, moments(expression, zone, now)))
