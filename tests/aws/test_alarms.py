"""Every alarm of a bot in AWS under its fault, and silent without one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.helpers.aws import alarms
from tests.helpers.aws.bot import Bot
from tests.helpers.aws.function import Lambda, waiting
from tests.helpers.aws.slots import UNAUTHORIZED, post, queue_points
from tests.helpers.aws.walk import switched_on


@pytest.fixture(scope="module")
def bot(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bot]:
    with switched_on(tmp_path_factory.mktemp("bot"), built) as bot:
        yield bot


def ringing(bot: Bot, service: Lambda, now: datetime) -> set[str]:
    names = ("ErrorAlarm", "MissedPostAlarm", "PoolLowAlarm", "PoolEmptyAlarm", "DeliveryAlarm", "GivenUpAlarm")
    points = queue_points(bot, service, now)
    return {name for name in names if alarms.state(bot.alarm(name), points, now, "OK") == "ALARM"}


@pytest.fixture
def steady(bot: Bot, service: Lambda, start: datetime) -> datetime:
    """Two daily posts with a pool that lasts: no alarm. Returns the next slot."""
    bot.fill(100)
    for day in range(2):
        post(bot, service, start + timedelta(days=day))
    assert ringing(bot, service, service.now) == set()
    return start + timedelta(days=2)


def test_the_alarms_of_errors_and_given_up_posts(bot: Bot, service: Lambda, steady: datetime) -> None:
    bot.x.script(status=503, body="{}")
    post(bot, service, steady)
    assert ringing(bot, service, service.now) == set(), "a lost answer that the retry mends is no news"
    at = steady + timedelta(days=1)
    for _ in range(3):
        bot.x.script(status=401, body=UNAUTHORIZED)
    post(bot, service, at)
    assert ringing(bot, service, service.now) == {"ErrorAlarm", "GivenUpAlarm"}
    reason = rf"given up: {at:%Y-%m-%dT%H:%M:%SZ}: .*(make secrets|token)"
    for _ in range(2):  # looking leaves the message where it is
        status = bot.make("status")
        assert re.search(reason, status) and "0 undelivered, 1 given up" in status and "make clear-queues" in status
    assert waiting(bot.aws, bot.outputs["FailureQueueUrl"]) == 1
    cleared = bot.make("clear-queues")
    assert re.search(reason, cleared) and "1 deleted" in cleared
    assert waiting(bot.aws, bot.outputs["FailureQueueUrl"]) == 0 and "make clear-queues" not in bot.make("status")
    assert ringing(bot, service, service.now + timedelta(minutes=20)) == set()


def test_the_alarm_of_a_missed_post(bot: Bot, service: Lambda, steady: datetime) -> None:
    last = service.now
    assert int(bot.alarm("MissedPostAlarm")["EvaluationPeriods"]) == 27, "25 hours when summer time ends, and two"
    assert ringing(bot, service, last + timedelta(hours=25)) == set()
    assert ringing(bot, service, last + timedelta(hours=28)) == {"MissedPostAlarm"}
    bot.pool.pause(last)
    for day in range(3):
        post(bot, service, steady + timedelta(days=day))
        assert ringing(bot, service, service.now + timedelta(hours=2)) == set(), "the owner's pause is no fault"
    bot.pool.resume()


def test_the_alarms_of_a_pool_that_runs_low_and_dry(bot: Bot, service: Lambda, steady: datetime) -> None:
    bot.drain(21)
    post(bot, service, steady)
    assert ringing(bot, service, service.now) == {"PoolLowAlarm"}
    bot.drain(1)
    post(bot, service, steady + timedelta(days=1))
    assert ringing(bot, service, service.now) == {"PoolLowAlarm", "PoolEmptyAlarm"}
    post(bot, service, steady + timedelta(days=2))
    assert {"PoolEmptyAlarm", "ErrorAlarm", "GivenUpAlarm"} <= ringing(bot, service, service.now)


def test_the_alarm_of_events_that_cannot_be_delivered(bot: Bot, service: Lambda, steady: datetime) -> None:
    bot.aws.throttled = True
    post(bot, service, steady)
    assert ringing(bot, service, service.now) == {"DeliveryAlarm"}
    assert re.search(rf"undelivered: {steady:%Y-%m-%dT%H:%M:%SZ}: TooManyRequests", bot.make("status"))
