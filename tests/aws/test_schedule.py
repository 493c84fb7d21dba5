"""Schedules: their moments by EventBridge's own words and by a clock that is watched minute by minute, and the silence
after which the alarm of missed posts rings."""

from __future__ import annotations

import functools
import itertools
import re
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.cloud import deploy
from infra.cloud.schedule import meanwhile, moments, silence_hours
from training.common.errors import WrongUse

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


def first(expression: str, zone: str = "UTC", count: int = 3, after: datetime = NOW) -> list[str]:
    return [f"{m:%Y-%m-%d %H:%M}" for m in itertools.islice(moments(expression, zone, after), count)]


def test_moments_of_schedules() -> None:
    """Against the examples in EventBridge's own words, worked out by hand."""
    assert first("cron(0 9 * * ? *)") == ["2026-11-26 09:00", "2026-11-27 09:00", "2026-11-28 09:00"]
    assert first("cron(0 9 * * ? *)", "America/New_York") == [
        "2026-11-25 14:00",
        "2026-11-26 14:00",
        "2026-11-27 14:00",
    ]
    assert first("cron(15 10 ? * 6L 2026-2027)") == ["2026-11-27 10:15", "2026-12-25 10:15", "2027-01-29 10:15"]
    assert first("cron(0/20 8-9 ? * MON-FRI *)", count=4)[:4] == [
        "2026-11-26 08:00",
        "2026-11-26 08:20",
        "2026-11-26 08:40",
        "2026-11-26 09:00",
    ]
    assert first("rate(12 hours)", count=2) == ["2026-11-26 00:00", "2026-11-26 12:00"]
    assert first("at(2026-12-24T18:00:00)", "Europe/Zurich") == ["2026-12-24 17:00"]
    assert first("at(2020-12-24T18:00:00)") == []


def test_the_hour_that_is_skipped_has_no_moment_and_the_one_that_comes_twice_has_one() -> None:
    """02:30 does not exist on the last Sunday of March and comes twice on the last of October. AWS: "If a cron
    expression falls on a non-existent date and time, your schedule invocation is skipped", and in the autumn it "runs
    only once"."""
    assert first("cron(30 2 * * ? *)", "Europe/Zurich", after=datetime(2027, 3, 26, 12, tzinfo=UTC)) == [
        "2027-03-27 01:30",
        "2027-03-29 00:30",
        "2027-03-30 00:30",
    ]
    assert first("cron(30 2 * * ? *)", "Europe/Zurich", after=datetime(2027, 10, 29, 12, tzinfo=UTC)) == [
        "2027-10-30 00:30",
        "2027-10-31 00:30",
        "2027-11-01 01:30",
    ]
    # Days of a rate have 24 hours.
    assert first("rate(1 day)", "Europe/Zurich", 2, datetime(2027, 3, 27, 12, tzinfo=UTC)) == [
        "2027-03-28 12:00",
        "2027-03-29 12:00",
    ]
    assert first("at(2027-10-31T02:30:00)", "Europe/Zurich") == ["2027-10-31 00:30"]
    with pytest.raises(WrongUse, match=r"^at\(2027-03-28T02:30:00\) never comes: the clocks of Europe/Zurich skip it"):
        first("at(2027-03-28T02:30:00)", "Europe/Zurich")


def test_a_minute_is_not_lost_between_two_calls_of_moments() -> None:
    """`next slot` right at a slot is the following one."""
    at = datetime(2026, 11, 26, 9, 0, tzinfo=UTC)
    assert next(moments("cron(0 9 * * ? *)", "UTC", at)) == at + timedelta(days=1)
    assert next(moments("cron(0 9 * * ? *)", "UTC", at - timedelta(seconds=1))) == at


REFUSED = """
    cron(0 9 * * * *)       cron(0 9 ? * ? *)       cron(0 9 * * ?)         cron(0 9 * * ? * *)     cron()
    cron(nonsense)          cron(60 9 * * ? *)      cron(-1 9 * * ? *)      cron(0 24 * * ? *)      cron(0 9 0 * ? *)
    cron(0 9 32 * ? *)      cron(0 9 1 0 ? *)       cron(0 9 1 13 ? *)      cron(0 9 ? * 0 *)       cron(0 9 ? * 8 *)
    cron(0 9 * * ? 1969)    cron(0 9 * * ? 2200)    cron(? 9 * * ? *)       cron(0 ? * * ? *)       cron(0 9 * ? ? *)
    cron(0 9 * * ? ?)       cron(0/0 9 * * ? *)     cron(*/0 9 * * ? *)     cron(0/ 9 * * ? *)      cron(/5 9 * * ? *)
    cron(0/-1 9 * * ? *)    cron(0/x 9 * * ? *)     cron(0, 9 * * ? *)      cron(,0 9 * * ? *)
    cron(0-5-9 9 * * ? *)
    cron(0- 9 * * ? *)      cron(*,5 9 * * ? *)     cron(L 9 * * ? *)       cron(0 9 3L * ? *)      cron(0 9 W * ? *)
    cron(0 9 0W * ? *)      cron(0 9 32W * ? *)     cron(0 9 1-5W * ? *)    cron(0 9 1,15W * ? *)   cron(0 9 WL * ? *)
    cron(0 9 L-31 * ? *)    cron(0 9 L-0 * ? *)     cron(0 9 L-x * ? *)     cron(0 9 L,15 * ? *)    cron(0 9 ?,1 * ? *)
    cron(0 9 ? * 2#0 *)     cron(0 9 ? * 2#6 *)     cron(0 9 ? * 8#1 *)     cron(0 9 ? * #1 *)      cron(0 9 ? * 2# *)
    cron(0 9 ? * 2#1,3#2 *) cron(0 9 ? * 2#1-3 *)   cron(0 9 ? * 2-6/2 *)   cron(0 9 ? * */2 *)     cron(0 9 ? * MO *)
    cron(0 9 ? * MONDAY *)  cron(0 9 ? * LW *)      cron(0 9 ? * 3W *)      cron(0 9 ? * 8L *)
    cron(0 9 ? * MON,L *)
    cron(0 9 1 JANUARY ? *) cron(0 9 MON * ? *)     cron(0 9 ? MON 2 *)     cron(0 9 * * ? 2030-2028)
    cron(0 9 * * ? 26)      cron(001 9 * * ? *)     cron(\u0661 9 * * ? *) cron(0 9 ? * 1.5 *)     cron(0 9 * * ? *))
    CRON(0 9 * * ? *)       cron (0 9 * * ? *)      cron 0 9 * * ? *        0 9 * * *               every day
    rate(5 fortnights)      rate(0 days)            rate(-1 days)           rate(1.5 hours)         rate(days)
    rate(99999999 days)     rate(1  day)            rate(5 seconds)         rate(\u0661 day)       rate(1 day) and more
    at(noon)                at(2027-01-01)          at(2027-01-01T09:00)    at(2027-01-01T09:00:00Z)
    at(2027-02-29T09:00:00) at(2027-01-01T24:00:00) at(2027-01-01T09:00:00+01:00)
    at(2027-01-01 09:00:00) at(2027-1-1T09:00:00)   at(0001-01-01T00:00:00) at(2027-01-01t09:00:00)
"""


@pytest.mark.parametrize("expression", re.split(r"\s{2,}(?!day\))", REFUSED.strip()))
def test_what_is_no_schedule_is_one_sentence(expression: str) -> None:
    with pytest.raises(WrongUse, match=r"^[^\n]+$") as told:
        next(moments(expression, "UTC", NOW), None)
    assert "rite" in str(told.value), "what to write"


@pytest.mark.parametrize("zone", ["Mars/Olympus", "Europe", "../UTC", "", "Europe/Zurich\0"])
def test_no_time_zone_is_one_sentence(zone: str) -> None:
    for expression in ("cron(0 9 * * ? *)", "rate(1 day)", "at(2027-01-01T00:00:00)"):
        with pytest.raises(WrongUse, match="Europe/Zurich"):
            next(moments(expression, zone, NOW), None)


MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
WEEKDAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]


def holds(field: str, value: int, lowest: int, highest: int, names: list[str] | None = None) -> bool:
    """Whether a value is among those of `*`, or of a list of values, ranges and steps. By arithmetic on the value,
    where the program makes the list."""

    def number(text: str) -> int:
        return (names or []).index(text.upper()) + lowest if text.upper() in (names or []) else int(text)

    size = highest - lowest + 1
    for part in field.split(","):
        what, _, step = part.partition("/")
        begin, _, end = ("-".join((str(lowest), str(highest))) if what == "*" else what).partition("-")
        start = number(begin)
        stop = number(end) if end else highest if step else start
        if (value - start) % size <= (stop - start) % size and (value - start) % size % int(step or 1) == 0:
            return True
    return False


def is_a_day(expression: list[str], day: date) -> bool:
    """Whether AWS's words about the fields of days, months and years hold for a day: by looking at the days of its
    month."""
    month_day, month, week_day, year = expression[2:]
    month_s = [d for n in range(31) if (d := day.replace(day=1) + timedelta(days=n)).month == day.month]
    at_work = [d for d in month_s if d.isoweekday() < 6]
    if not (holds(month, day.month, 1, 12, MONTHS) and holds(year, day.year, 1970, 2199)):
        return False
    if week_day == "?":
        if month_day == "L":
            return day == month_s[-1]
        if month_day == "LW":
            return day == at_work[-1]
        if month_day.startswith("L-"):
            return month_s[-1] - day == timedelta(days=int(month_day[2:]))
        if month_day.endswith("W"):
            wanted = int(month_day[:-1])
            return wanted <= len(month_s) and day == min(at_work, key=lambda d: abs(d.day - wanted))
        return holds(month_day, day.day, 1, 31)
    weekday = day.isoweekday() % 7 + 1
    if week_day == "L":
        return weekday == 7
    same = [d for d in month_s if d.isoweekday() == day.isoweekday()]
    if week_day.endswith("L"):
        return holds(week_day[:-1], weekday, 1, 7, WEEKDAYS) and day == same[-1]
    wanted_day, hash_, number = week_day.partition("#")
    return holds(wanted_day, weekday, 1, 7, WEEKDAYS) and (not hash_ or same[int(number) - 1 : int(number)] == [day])


def by_looking(expression: str, zone: str, after: datetime, count: int, until: datetime) -> list[datetime]:
    """The first moments, found by watching the zone's clock minute by minute, a quarter of an hour at a time: none
    changes within one. What the clock never shows is so left out, and the second of two equal times is, too."""
    minute, hour, *_ = fields = expression[5:-1].split()
    minutes = {n for n in range(60) if holds(minute, n, 0, 59)}
    hours = {n for n in range(24) if holds(hour, n, 0, 23)}
    on = functools.cache(functools.partial(is_a_day, fields))
    tz, found, quarter = ZoneInfo(zone), [], after.replace(minute=0)
    while quarter < until and len(found) < count:
        local = quarter.astimezone(tz)
        if not local.fold and local.hour in hours and on(local.date()):
            found += [
                moment
                for n in range(15)
                if (local.minute + n) in minutes and after < (moment := quarter + timedelta(minutes=n)) <= until
            ]
        quarter += timedelta(minutes=15)
    return found[:count]


def a_field(lowest: int, highest: int, names: list[str] | None = None, steps: bool = True) -> st.SearchStrategy[str]:
    """`*`, values, ranges and steps in any combination that AWS takes."""
    numbers = st.integers(lowest, highest)
    value = (
        numbers.map(str)
        if not names
        else numbers.flatmap(lambda n: st.sampled_from([str(n), (names)[n - lowest], names[n - lowest].lower()]))
    )
    ranges = st.tuples(value, value).map("-".join)
    step = st.integers(1, highest + 5).map(str)
    part = st.one_of(value, value, ranges, st.tuples(st.one_of(value, ranges), step).map("/".join) if steps else ranges)
    listed = st.lists(part, min_size=1, max_size=3).map(",".join)
    return st.one_of(st.just("*"), listed, step.map("*/{}".format) if steps else st.just("*"))


MONTH_DAYS = st.one_of(
    a_field(1, 31),
    st.sampled_from(["L", "LW"]),
    st.integers(1, 31).map("{}W".format),
    st.integers(1, 30).map("L-{}".format),
)
A_WEEKDAY = st.one_of(st.integers(1, 7).map(str), st.sampled_from([*WEEKDAYS, *map(str.lower, WEEKDAYS)]))
WEEK_DAYS = st.one_of(
    a_field(1, 7, WEEKDAYS, steps=False),
    st.just("L"),
    A_WEEKDAY.map("{}L".format),
    st.tuples(A_WEEKDAY, st.sampled_from("12345")).map("#".join),
)
YEARS = st.sampled_from(["*", "2027", "2026-2028", "2026,2028", "2026/2", "*/3", "2027-2199/2", "1970-2026"])
CRONS = st.tuples(
    a_field(0, 59),
    a_field(0, 23),
    st.one_of(MONTH_DAYS.map(lambda d: (d, "?")), WEEK_DAYS.map(lambda d: ("?", d))),
    a_field(1, 12, MONTHS),
    YEARS,
).map(lambda f: f"cron({f[0]} {f[1]} {f[2][0]} {f[3]} {f[2][1]} {f[4]})")
ZONES = st.sampled_from(
    ["UTC", "Europe/Zurich", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Kolkata"]
)
STARTS = st.datetimes(datetime(2026, 1, 1), datetime(2028, 12, 1)).map(
    lambda d: d.replace(second=0, microsecond=0, tzinfo=UTC)
)


@given(CRONS, ZONES, STARTS)
@settings(max_examples=400)
def test_moments_are_those_of_a_clock_that_is_watched(expression: str, zone: str, start: datetime) -> None:
    until = start + timedelta(days=60)
    watched = by_looking(expression, zone, start, 40, until)
    ours = list(
        itertools.islice(itertools.takewhile(lambda m: m <= until, moments(expression, zone, start)), len(watched) + 1)
    )
    assert ours[: len(watched)] == watched
    assert len(watched) == 40 or len(ours) == len(watched)


@given(
    st.one_of(
        st.text(alphabet="0123456789*/,-?LW# MONFRIcronateday()T:", max_size=40),
        st.builds(
            lambda whole, at, instead: whole[: at % len(whole)] + instead + whole[at % len(whole) + 1 :],
            CRONS,
            st.integers(0, 60),
            st.text(alphabet="09*/,-?LW# Jx(\u0663", max_size=2),
        ),
    )
)
@settings(max_examples=500)
def test_whatever_is_given_is_a_schedule_or_one_sentence(expression: str) -> None:
    try:
        list(itertools.islice(moments(expression, "Europe/Zurich", NOW), 3))
    except WrongUse as told:
        assert "\n" not in str(told)


@pytest.mark.parametrize(
    ("expression", "hours"),
    [
        ("cron(0 9 * * ? *)", 26),
        ("cron(0 9,21 * * ? *)", 14),
        ("rate(1 hour)", 3),
        ("cron(0 9 ? * MON-FRI *)", 74),
        ("cron(0 9 ? * MON *)", 0),  # a week and slack is more than CloudWatch looks back
        ("cron(0 9 1 * ? *)", 0),
        ("at(2027-01-01T00:00:00)", 0),
    ],
)
def test_the_silence_that_must_be_a_fault(expression: str, hours: int) -> None:
    assert silence_hours(expression, "UTC", NOW) == hours


def test_summer_time_s_end_and_a_flexible_window_are_no_fault() -> None:
    assert silence_hours("cron(0 9 * * ? *)", "Europe/Zurich", NOW) == 27
    assert silence_hours("cron(0 9 * * ? *)", "UTC", NOW, flexible=90) == 28


def test_a_changed_schedule_is_not_judged_by_its_past() -> None:
    before = {
        "ScheduleState": "ENABLED",
        "ScheduleExpression": "rate(3 days)",
        "ScheduleTimeZone": "UTC",
        "FlexibleMinutes": "0",
        "SilenceHours": "74",
    }
    assert not deploy.schedule_changed(before, {**before, "AlarmEmail": "you@example.org"})
    for name, value in (
        ("ScheduleExpression", "rate(1 day)"),
        ("ScheduleTimeZone", "Europe/Zurich"),
        ("FlexibleMinutes", "30"),
        ("SilenceHours", "26"),
    ):
        assert deploy.schedule_changed(before, {**before, name: value}), name
        assert not deploy.schedule_changed(before, {**before, name: value, "ScheduleState": "DISABLED"})
    assert deploy.schedule_changed({**before, "ScheduleState": "DISABLED"}, before)
    assert deploy.schedule_changed({}, before)


@pytest.mark.parametrize(
    ("expression", "minutes", "most"),
    [
        ("rate(10 minutes)", 1440, 144),
        ("rate(10 minutes)", 60, 6),
        ("rate(10 minutes)", 0, 0),
        ("cron(0 9 * * ? *)", 1439, 0),
        ("cron(0 9,10,11 * * ? *)", 120, 2),
    ],
)
def test_slots_that_pass_a_late_one(expression: str, minutes: int, most: int) -> None:
    assert meanwhile(expression, "UTC", datetime(2026, 1, 1, tzinfo=UTC), minutes) == most
