"""What a bot's owner should look after in AWS: its stack's alarms, and texts of its jobs that wait to be read. Both
`make status` and `deepproverbs pool status` show it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from post_tweet.address import place_in_s3

from infra.cloud import refill
from infra.cloud.make import make, speak_of
from infra.cloud.stack import Owner, Stack, aws_errors
from training.common.errors import DeepproverbsError

ALARMS = {
    "ErrorAlarm": ("the function fails", "logs"),
    "MissedPostAlarm": ("no post for too long", ""),
    "PoolLowAlarm": ("the pool runs low", "train-and-fill POOL="),
    "PoolEmptyAlarm": ("the pool is empty", "train-and-fill POOL="),
    "DeliveryAlarm": ("events could not be delivered to the function", ""),
    "GivenUpAlarm": ("posts were given up after all tries", "logs"),
}
"""Alarm → what it means, and the command that helps."""


def states_of(owner: Owner, stack: Stack) -> dict[str, str]:
    """Logical names of the stack's alarms → their states, as far as CloudWatch knows them."""
    names = stack.resources("AWS::CloudWatch::Alarm")
    with aws_errors("read the alarms"):
        found = owner.client("cloudwatch").describe_alarms(AlarmNames=list(names.values()))["MetricAlarms"]
    states = {alarm["AlarmName"]: str(alarm["StateValue"]) for alarm in found}
    return {logical: states.get(name, "") for logical, name in names.items()}


def ringing(stack: Stack, states: dict[str, str]) -> str:
    """Which of them ring, and the commands that help."""
    loud = [logical for logical, state in states.items() if state == "ALARM"]
    if not loud:
        return f"none of {len(states)}"
    said = []
    for logical in loud:
        what, command = ALARMS.get(logical, (logical, ""))
        command += stack.outputs["PoolUrl"] if command.endswith("POOL=") else ""
        said.append(f"{what} ({make(command)})" if command else what)
    return "; ".join(said)


def of_pool(url: str, bot: str, file: Path) -> dict[str, Any]:
    """Of the bot in AWS that posts from this pool in S3, JSON-ready:

    alarms   the stack's alarms → their states
    ringing  those that ring, for people
    to_read  the texts that wait to be read, for people; empty: none

    `bot` and `file`: the bot that the command line names, which need not be the pool's.

    Raises:
        DeepproverbsError: it has no such stack, or these keys may not ask; in seconds also where AWS does not answer.
    """
    name = place_in_s3(url)[1]
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,40}", name):
        raise DeepproverbsError(f"No bot in AWS has its pool at {url}.")
    speak_of(file if name == bot else Path("data") / name / "bot.toml")  # where `new` puts it
    owner = Owner.present(hurried=True)
    stack = Stack.of(owner, name)
    if stack.outputs["PoolUrl"] != url.rstrip("/"):
        raise DeepproverbsError(f"The stack {stack.name} posts from {stack.outputs['PoolUrl']}.")
    states = states_of(owner, stack)
    return {"alarms": states, "ringing": ringing(stack, states), "to_read": refill.to_read(owner, name)}
