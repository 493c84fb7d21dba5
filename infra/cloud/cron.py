"""EventBridge Scheduler's cron: minute, hour, day of the month, month, day of the week, year → times on a clock.

    times("0 9 ? * 2#1 *", datetime(2026, 11, 26)) → 2026-12-07 09:00, 2027-01-04 09:00, …

AWS documents `,` `-` `*` `/`, `?`, `L`, `W` and `#`; it also takes names in small letters, `LW`, and ranges that go
round, such as FRI-MON. What neither says is refused here: a guess would have alarms ring at the wrong time.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time

from training.common.errors import WrongUse

Days = Callable[[int, int], list[int]]
"""(year, month) → days."""


@dataclass(frozen=True)
class Field:
    name: str
    lowest: int
    highest: int
    names: tuple[str, ...] = ()
    """Of the numbers from `lowest` on."""
    steps: bool = True
    round: bool = True
    """May a range go from high to low?"""


MINUTE = Field("minute", 0, 59)
HOUR = Field("hour", 0, 23)
DAY = Field("day of the month", 1, 31)
MONTH = Field("month", 1, 12, ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"))
WEEKDAY = Field("day of the week", 1, 7, ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"), steps=False)
YEAR = Field("year", 1970, 2199, round=False)
SATURDAY = 7


def times(expression: str, start: datetime) -> Iterator[datetime]:
    """The times from `start` on, in order; neither has a time zone.

    Raises:
        WrongUse: AWS would not take the expression. It is read before the first time is asked for.
    """
    fields = expression.upper().split()
    if len(fields) != 6:
        raise WrongUse(
            f"cron({expression}) has {len(fields)} fields, not 6: minute, hour, day of the month, month, day of the "
            "week, year; write for example cron(0 9 * * ? *)."
        )
    if (fields[2] == "?") is (fields[4] == "?"):
        raise WrongUse(
            f"cron({expression}) needs a ? in one of its third and fifth fields, the days of the month and of the "
            "week; write for example cron(0 9 * * ? *)."
        )
    hours, minutes = _values(fields[1], HOUR), _values(fields[0], MINUTE)
    days = _month_days(fields[2]) if fields[4] == "?" else _weekdays(fields[4])
    months, years = _values(fields[3], MONTH), _values(fields[5], YEAR)
    return _times(years, months, days, [time(hour, minute) for hour in hours for minute in minutes], start)


def _times(years: list[int], months: list[int], days: Days, clock: list[time], start: datetime) -> Iterator[datetime]:
    for year in years:
        for month in months:
            if (year, month) < (start.year, start.month):
                continue
            for day in days(year, month):
                for moment in clock:
                    if (found := datetime.combine(date(year, month, day), moment)) >= start:
                        yield found


def _wrong(text: str, field: Field) -> WrongUse:
    names = f" or {field.names[0]} to {field.names[-1]}" if field.names else ""
    return WrongUse(
        f"{text!r} is not a {field.name} of a schedule (numbers {field.lowest} to {field.highest}{names}, and what "
        "EventBridge's cron makes of them); write for example cron(0 9 * * ? *)."
    )


def _number(text: str, field: Field) -> int:
    """The number of a value or a name. Raises ValueError."""
    if text in field.names:
        return field.names.index(text) + field.lowest
    longest = len(str(field.highest))
    if re.fullmatch(rf"[0-9]{{1,{longest}}}", text) and field.lowest <= int(text) <= field.highest:
        return int(text)
    raise ValueError(text)


def _values(text: str, field: Field) -> list[int]:
    """`*`, or a list of values and ranges, each with a step or without."""
    found: set[int] = set()
    try:
        for part in text.split(","):
            what, slash, step = part.partition("/")
            if slash and not (field.steps and re.fullmatch(r"0*[1-9][0-9]{0,3}", step)):
                raise ValueError(step)
            if what == "*" and (slash or part == text):
                first, last = field.lowest, field.highest
            else:
                first_text, hyphen, last_text = what.partition("-")
                first = _number(first_text, field)
                last = _number(last_text, field) if hyphen else field.highest if slash else first
            size = field.highest - field.lowest + 1
            if last < first and not field.round:
                raise ValueError(part)
            steps = range(0, (last - first) % size + 1, int(step or 1))
            found |= {(first - field.lowest + n) % size + field.lowest for n in steps}
    except ValueError:
        raise _wrong(text, field) from None
    return sorted(found)


def _last(year: int, month: int) -> int:
    return monthrange(year, month)[1]


def _nearest_weekday(year: int, month: int, day: int) -> int:
    """The day from Monday to Friday of this month that is nearest to the day."""
    match date(year, month, day).isoweekday():
        case 6:
            return day - 1 if day > 1 else day + 2
        case 7:
            return day + 1 if day < _last(year, month) else day - 2
    return day


def _month_days(text: str) -> Days:
    """Which days of a month; a month that has no such day has none."""
    if text == "L":
        return lambda year, month: [_last(year, month)]
    if text == "LW":
        return lambda year, month: [_nearest_weekday(year, month, _last(year, month))]
    if found := re.fullmatch(r"L-([1-9]|[12][0-9]|30)", text):
        before = int(found[1])
        return lambda year, month: [day for day in [_last(year, month) - before] if day > 0]
    if text.endswith("W"):
        try:
            day = _number(text[:-1], DAY)
        except ValueError:
            raise _wrong(text, DAY) from None
        return lambda year, month: [_nearest_weekday(year, month, day)] if day <= _last(year, month) else []
    values = _values(text, DAY)
    return lambda year, month: [day for day in values if day <= _last(year, month)]


def _weekdays(text: str) -> Days:
    """Which days of a month have such a weekday; L alone is the last day of the week, a Saturday."""
    if text == "L":
        return _that_are({SATURDAY}, lambda day, last: True)
    found = re.fullmatch(r"([^#]+)(L|#[1-5])", text)
    if not found:
        return _that_are(set(_values(text, WEEKDAY)), lambda day, last: True)
    try:
        weekday = {_number(found[1], WEEKDAY)}
    except ValueError:
        raise _wrong(text, WEEKDAY) from None
    if found[2] == "L":
        return _that_are(weekday, lambda day, last: day + 7 > last)
    week = int(found[2][1:])
    return _that_are(weekday, lambda day, last: (day - 1) // 7 + 1 == week)


def _that_are(weekdays: set[int], serves: Callable[[int, int], bool]) -> Days:
    """The days with one of the weekdays, of which `serves(day, the month's last)` holds."""

    def days(year: int, month: int) -> list[int]:
        last, first = _last(year, month), date(year, month, 1).isoweekday() % 7
        return [day for day in range(1, last + 1) if (first + day - 1) % 7 + 1 in weekdays and serves(day, last)]

    return days
