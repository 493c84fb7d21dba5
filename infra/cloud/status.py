"""`deepproverbs cloud status`: last post, next slot, texts and days left, alarms, queues, the month's cost."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from post_tweet.pool import Pool
from post_tweet.store import open_store

from infra.cloud import alarms, costs, queues, refill
from infra.cloud.make import make
from infra.cloud.ready import next_step
from infra.cloud.schedule import moments
from infra.cloud.stack import NAMESPACE, Owner, Stack, aws_errors
from training.common.errors import WrongUse
from training.common.terminal import one_line


@dataclass(frozen=True)
class Status:
    """What an owner wants to know."""

    bot: str
    region: str
    stack: str
    schedule: str
    time_zone: str
    on: bool
    next_slot: datetime | None
    """UTC; None: never again."""
    pool: dict[str, Any]
    """As `Pool.status` has it."""
    alarms: dict[str, str]
    """Alarms of the stack → their state."""
    to_read: str
    """Texts of the jobs that wait for a person, for people; empty: there are none."""
    queues: dict[str, int]
    """What the messages are → how many."""
    messages: list[str]
    posts: int
    """Of this month."""
    lines: list[tuple[str, str]]
    next_step: str

    def facts(self) -> dict[str, Any]:
        """JSON-ready; what is worded for people is left out."""
        return {k: v for k, v in dataclasses.asdict(self).items() if k not in ("lines", "next_step")}

    def text(self) -> str:
        """For people."""
        shown = [f"{self.bot} in {self.region}, stack {self.stack}:"]
        shown += [one_line(f"  {name:<10}  {text}") for name, text in self.lines]
        if self.messages:
            shown.append(f"When their causes are fixed: {make('clear-queues')}, which ends the queues' alarms")
        return "\n".join([*shown, f"Next: {self.next_step}"])


def look(bot: str, now: datetime) -> Status:
    """Raises NotDeployed."""
    owner = Owner.present()
    stack = Stack.of(owner, bot)
    outputs, parameters = stack.outputs, stack.parameters
    expression, zone = parameters["ScheduleExpression"], parameters["ScheduleTimeZone"]
    pool = Pool(open_store(outputs["PoolUrl"])).status()
    messages, counts = queues.look(owner, outputs), queues.count(owner, outputs)
    try:
        following, unread = next(moments(expression, zone, now), None), ""
    except WrongUse as error:  # it was changed in AWS's console
        following, unread = None, f"not known here: {error}"
    states, posts = alarms.states_of(owner, stack), posts_of_month(owner, bot, now)
    to_read = refill.to_read(owner, bot)
    bill = costs.month(posts, (now - month_of(now)) / timedelta(hours=costs.HOURS))
    left = f"{pool['remaining']:,} of {pool['texts']:,} texts left, {pool['days_left']:,.0f} days at this pace"
    lines = [
        ("last post", last_post(pool)),
        ("next slot", unread or next_slot(parameters, following, pool["paused"], now)),
        ("pool", left),
        ("pool at", outputs["PoolUrl"]),
        *(("damage", text) for text in pool["damage"]),
        ("alarms", alarms.ringing(stack, states)),
        *((("to read", to_read),) if to_read else ()),
        ("queues", ", ".join(f"{number} {what}" for what, number in counts.items())),
        *(("", text) for text in messages),
        ("mail", mail(owner, stack, parameters["AlarmEmail"])),
        (
            "this month",
            f"{posts} posts: ${bill.x:.2f} at X, at most ${bill.aws:.2f} at AWS (nothing within its free tier)",
        ),
    ]
    return Status(
        bot,
        owner.region,
        stack.name,
        expression,
        zone,
        stack.is_on,
        following if stack.is_on else None,
        pool,
        states,
        to_read,
        counts,
        messages,
        posts,
        lines,
        next_step(owner, stack, bot, make("logs")),
    )


def last_post(pool: dict[str, Any]) -> str:
    last = pool["last_post"]
    if not last:
        return "none yet"
    where = f"https://x.com/i/status/{last['tweet_id']}" if last["tweet_id"] else "id unknown"
    return f"{last['time'][:16].replace('T', ' ')} UTC, text {last['index']}, {where}"


def next_slot(parameters: dict[str, str], following: datetime | None, paused: str | None, now: datetime) -> str:
    expression, zone = parameters["ScheduleExpression"], parameters["ScheduleTimeZone"]
    if parameters["ScheduleState"] != "ENABLED":
        return f"none, the schedule {expression} is off"
    if following is None:
        return f"none, {expression} is over"
    if expression.startswith("rate"):
        text = f"within {following - now} ({expression})"
    else:
        text = f"{following:%Y-%m-%d %H:%M} UTC ({expression}, {zone})"
    return text + (f", but the pool is paused since {paused}" if paused else "")


def mail(owner: Owner, stack: Stack, address: str) -> str:
    if not address:
        return f"no address; {make('deploy EMAIL=you@example.org')}"
    with aws_errors("look for the mail's confirmation"):
        for topic in stack.resources("AWS::SNS::Topic").values():
            for one in owner.client("sns").list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]:
                if one["SubscriptionArn"] == "PendingConfirmation":
                    return f"{address} has not confirmed AWS's mail yet: no alarm arrives"
    return address


def month_of(now: datetime) -> datetime:
    return now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def posts_of_month(owner: Owner, bot: str, now: datetime) -> int:
    """Posts that CloudWatch counted; asking AWS's Cost Explorer would cost a cent by itself."""
    with aws_errors("read the metrics"):
        points = owner.client("cloudwatch").get_metric_statistics(
            Namespace=NAMESPACE,
            MetricName="Posted",
            Dimensions=[{"Name": "Bot", "Value": bot}],
            StartTime=month_of(now),
            EndTime=now + timedelta(minutes=1),  # this minute's posts, too
            Period=86400,
            Statistics=["Sum"],
        )["Datapoints"]
    return round(sum(float(point["Sum"]) for point in points))
