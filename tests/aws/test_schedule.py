"""Schedules: their moments by EventBridge's own words, and the silence after which the alarm of missed posts rings."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import pytest

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


def test_a_day_has_one_moment_when_the_clocks_change() -> None:
    """02:30 does not exist on the last Sunday of March and comes twice on the last of October."""
    for month, last in ((3, 28), (10, 31)):
        start = datetime(2027, month, last - 2, 12, 0, tzinfo=UTC)
        days = list(itertools.islice(moments("cron(30 2 * * ? *)", "Europe/Zurich", start), 4))
        assert len({f"{m:%j}" for m in days}) == 4 and days == sorted(days)


def test_a_minute_is_not_lost_between_two_calls_of_moments() -> None:
    """`next slot` right at a slot is the following one."""
    at = datetime(2026, 11, 26, 9, 0, tzinfo=UTC)
    assert next(moments("cron(0 9 * * ? *)", "UTC", at)) == at + timedelta(days=1)
    assert next(moments("cron(0 9 * * ? *)", "UTC", at - timedelta(seconds=1))) == at


@pytest.mark.parametrize(
    "expression", ["cron(0 9 * * * *)", "cron(nonsense)", "rate(5 fortnights)", "at(noon)", "every day"]
)
def test_no_schedule_is_one_sentence(expression: str) -> None:
    with pytest.raises(WrongUse):
        next(moments(expression, "UTC", NOW), None)
    with pytest.raises(WrongUse, match="Europe/Zurich"):
        next(moments("cron(0 9 * * ? *)", "Mars/Olympus", NOW), None)


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
