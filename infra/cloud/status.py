"""`make status`: last post, next slot, texts and days left, alarms, what lies in the queues, the month's cost."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from post_tweet.pool import Pool
from post_tweet.store import open_store

from infra.cloud import costs, queues
from infra.cloud.make import make
from infra.cloud.ready import next_step
from infra.cloud.schedule import moments
from infra.cloud.stack import Owner, Stack, clear
from training.common.progress import Say

WHAT = {
    "ErrorAlarm": ("the function fails", "logs"),
    "MissedPostAlarm": ("no post for too long", ""),
    "PoolLowAlarm": ("the pool runs low", "train-and-fill POOL="),
    "PoolEmptyAlarm": ("the pool is empty", "train-and-fill POOL="),
    "DeliveryAlarm": ("events could not be delivered to the function", ""),
    "GivenUpAlarm": ("posts were given up after all tries", "logs"),
}
"""Alarm → what it means, and the command that helps."""


@dataclass(frozen=True)
class Line:
    name: str
    text: str


def status(bot: str, now: datetime, say: Say) -> None:
    """Raises NotDeployed."""
    owner = Owner.present()
    stack = Stack.of(owner, bot)
    outputs, parameters = stack.outputs, stack.parameters
    pool = Pool(open_store(outputs["PoolUrl"])).status()
    lying = queues.look(owner, outputs)
    say(f"{bot} in {owner.region}, stack {stack.name}:")
    lines = [
        Line("last post", last_post(pool)),
        Line("next slot", next_slot(parameters, pool["paused"], now)),
        Line(
            "pool", f"{pool['remaining']:,} of {pool['texts']:,} texts left, {pool['days_left']:,.0f} days at this pace"
        ),
        Line("pool at", outputs["PoolUrl"]),
        Line("alarms", alarms(owner, stack)),
        Line("queues", ", ".join(f"{number} {what}" for what, number in queues.count(owner, outputs).items())),
        *(Line("", text) for text in lying),
        Line("mail", mail(owner, stack, parameters["AlarmEmail"])),
        Line("this month", cost(owner, bot, now)),
    ]
    for line in lines:
        say(f"  {line.name:<10}  {line.text}")
    if lying:
        say(f"When the queues' reasons are mended: {make('clear-queues')}, which ends their alarms")
    say("Next: " + next_step(owner, stack, bot, make("logs")))


def last_post(pool: dict[str, Any]) -> str:
    last = pool["last_post"]
    if not last:
        return "none yet"
    where = f"https://x.com/i/status/{last['tweet_id']}" if last["tweet_id"] else "id unknown"
    return f"{last['time'][:16].replace('T', ' ')} UTC, text {last['index']}, {where}"


def next_slot(parameters: dict[str, str], paused: str | None, now: datetime) -> str:
    expression, zone = parameters["ScheduleExpression"], parameters["ScheduleTimeZone"]
    if parameters["ScheduleState"] != "ENABLED":
        return f"none, the schedule {expression} is off"
    following = next(moments(expression, zone, now), None)
    if following is None:
        return f"none, {expression} is over"
    if expression.startswith("rate"):
        text = f"within {following - now} ({expression})"
    else:
        text = f"{following:%Y-%m-%d %H:%M} UTC ({expression}, {zone})"
    return text + (f", but the pool is paused since {paused}" if paused else "")


def alarms(owner: Owner, stack: Stack) -> str:
    names = stack.resources("AWS::CloudWatch::Alarm")
    with clear("read the alarms"):
        found = owner.client("cloudwatch").describe_alarms(AlarmNames=list(names.values()))["MetricAlarms"]
    states = {alarm["AlarmName"]: alarm["StateValue"] for alarm in found}
    ringing = [logical for logical, name in names.items() if states.get(name) == "ALARM"]
    if not ringing:
        return f"none of {len(names)}"
    said = []
    for logical in ringing:
        what, command = WHAT.get(logical, (logical, ""))
        command += stack.outputs["PoolUrl"] if command.endswith("POOL=") else ""
        said.append(f"{what} ({make(command)})" if command else what)
    return "; ".join(said)


def mail(owner: Owner, stack: Stack, address: str) -> str:
    if not address:
        return f"no address; {make('deploy EMAIL=you@example.org')}"
    with clear("look for the mail's confirmation"):
        for topic in stack.resources("AWS::SNS::Topic").values():
            for one in owner.client("sns").list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]:
                if one["SubscriptionArn"] == "PendingConfirmation":
                    return f"{address} has not confirmed AWS's mail yet: no alarm arrives"
    return address


def cost(owner: Owner, bot: str, now: datetime) -> str:
    """From the posts that CloudWatch counted; asking AWS's Cost Explorer would cost a cent by itself."""
    start = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    with clear("read the metrics"):
        points = owner.client("cloudwatch").get_metric_statistics(
            Namespace="deepproverbs",
            MetricName="Posted",
            Dimensions=[{"Name": "Bot", "Value": bot}],
            StartTime=start,
            EndTime=now + timedelta(minutes=1),  # the post of this second, too
            Period=86400,
            Statistics=["Sum"],
        )["Datapoints"]
    posts = round(sum(point["Sum"] for point in points))
    bill = costs.month(posts, (now - start) / timedelta(hours=costs.HOURS))
    return f"{posts} posts: ${bill.x:.2f} at X, at most ${bill.aws:.2f} at AWS (nothing within its free tier)"
