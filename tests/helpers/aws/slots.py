"""Slots of a bot on loopback: call its function as the schedule does, and collect what alarms see."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.helpers.aws.bot import STACK, Bot
from tests.helpers.aws.function import Lambda, Point, deployed, emptied, slot, waiting

UNAUTHORIZED = json.dumps({"title": "Unauthorized", "status": 401, "detail": "Unauthorized"})


@contextmanager
def serving(bot: Bot, folder: Path) -> Iterator[Lambda]:
    """The bot's function on the clock of the slots; afterwards faults and the messages of failures are cleared."""
    with deployed(bot.aws, STACK, folder, bot.x.url, clocked=True) as service:
        bot.x.answers.clear()
        yield service
        bot.aws.removed.clear()
        bot.aws.throttled = False
        bot.pool.resume()
        for name in ("FailureQueueUrl", "ScheduleQueueUrl"):
            emptied(bot.aws, bot.outputs[name])


def after_all_posts(bot: Bot) -> datetime:
    """Two days after the last post, so that a test's slots come after those of the test before. On the hour, so that no
    alarm period, a quarter of an hour, ends between the attempts of a slot."""
    last = max((datetime.fromisoformat(entry.time) for entry in bot.pool.load()[0].recent), default=datetime.now(UTC))
    return last.replace(minute=0, second=0, microsecond=0) + timedelta(days=2)


def post(bot: Bot, service: Lambda, at: datetime) -> None:
    """Run the slot at `at`, with its retries."""
    bot.x.time = f"{at + timedelta(seconds=20):%Y-%m-%dT%H:%M:%S}.000Z"
    slot(bot.aws, service, at)
    service.run_pending()


def queue_points(bot: Bot, service: Lambda, now: datetime) -> list[Point]:
    """All metrics so far, and the queue lengths that SQS reports."""
    counts = {url.rsplit("/", 1)[-1]: waiting(bot.aws, url) for name, url in bot.outputs.items() if "QueueUrl" in name}
    return [
        *service.metrics.points,
        *(
            Point("AWS/SQS", "ApproximateNumberOfMessagesVisible", (("QueueName", name),), now, float(count))
            for name, count in counts.items()
        ),
    ]
