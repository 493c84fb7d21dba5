"""The slots of a bot in an account on loopback: its function called as the schedule calls it, and what alarms see."""

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
    """The bot's function with the clock of the slots; afterwards no fault is left, and no message of one."""
    with deployed(bot.aws, STACK, folder, bot.x.url, clocked=True) as service:
        bot.x.answers.clear()
        yield service
        bot.aws.removed.clear()
        bot.aws.throttled = False
        bot.pool.resume()
        for name in ("FailureQueueUrl", "ScheduleQueueUrl"):
            emptied(bot.aws, bot.outputs[name])


def after_all_posts(bot: Bot) -> datetime:
    """Some time after every post so far: the slots of a test lie after those of the one before. On the hour, so that no
    quarter of an hour, which an alarm counts in, ends between the tries of a slot."""
    last = max((datetime.fromisoformat(entry.time) for entry in bot.pool.load()[0].recent), default=datetime.now(UTC))
    return last.replace(minute=0, second=0, microsecond=0) + timedelta(days=2)


def post(bot: Bot, service: Lambda, at: datetime) -> None:
    """The slot at `at`, with every further try that it takes."""
    bot.x.time = f"{at + timedelta(seconds=20):%Y-%m-%dT%H:%M:%S}.000Z"
    slot(bot.aws, service, at)
    service.run_pending()


def queue_points(bot: Bot, service: Lambda, now: datetime) -> list[Point]:
    """All metrics so far, and what SQS itself reports of the queues."""
    counts = {url.rsplit("/", 1)[-1]: waiting(bot.aws, url) for name, url in bot.outputs.items() if "QueueUrl" in name}
    return [
        *service.metrics.points,
        *(
            Point("AWS/SQS", "ApproximateNumberOfMessagesVisible", (("QueueName", name),), now, float(count))
            for name, count in counts.items()
        ),
    ]
