"""`make pause`, `resume`, `post-now`, `logs`: the daily handles of a bot in AWS."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from post_tweet.pool import Pool
from post_tweet.store import open_store

from infra.cloud.make import make
from infra.cloud.stack import Owner, Stack, aws_errors
from training.common.errors import DeepproverbsError
from training.common.progress import Say
from training.common.text import indented


def pause(bot: str, say: Say) -> None:
    """The pause lies in the pool: the schedule goes on calling, and the function posts nothing."""
    url = Stack.of(Owner.present(), bot).outputs["PoolUrl"]
    say(f"Pausing {url}: its next texts wait.")
    new = Pool(open_store(url)).pause(datetime.now(UTC))
    say(f"{'Paused' if new else 'It was already paused'}; nothing is posted, not even by hand. Next: {make('resume')}")


def resume(bot: str, say: Say) -> None:
    stack = Stack.of(Owner.present(), bot)
    url = stack.outputs["PoolUrl"]
    say(f"Opening {url} again.")
    new = Pool(open_store(url)).resume()
    said = "The pool is open again" if new else "The pool was not paused"
    if stack.is_on:
        say(f"{said}; the next slot posts. Next: {make('status')}")
    else:
        say(f"{said}, but the schedule is off. Next: {make('deploy ENABLE=yes')}")


CLAIMLESS = ("Abandoned", "TooLate", "WrongClock", "Account", "EmptyPool", "PoolBroken", "BadInput")
"""Errors of the function after which a call by hand need not be repeated under the same name."""


def post_now(bot: str, dry_run: bool, slot: str | None, say: Say) -> None:
    """Call the function as the schedule does, with a slot of its own or one that is given: a slot posts once.

    Raises:
        DeepproverbsError: what the function raised; its message says what to do.
    """
    owner = Owner.present()
    stack = Stack.of(owner, bot)
    name = stack.outputs["FunctionName"]
    slot = slot or f"by hand {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    say(f"Calling {name} for the slot {slot!r}{', dry: nothing is posted' if dry_run else ''}.")
    with aws_errors("call the function"):
        answer = owner.client("lambda").invoke(
            FunctionName=name, Payload=json.dumps({"slot": slot, "dry_run": dry_run}).encode()
        )
    result: dict[str, Any] = json.loads(answer["Payload"].read())
    if answer.get("FunctionError"):
        why = result.get("errorMessage", result)
        if not dry_run and result.get("errorType") not in CLAIMLESS:
            # Its claim may stay in the pool. Another slot would settle it and then post a text of its own.
            again = make(f"post-now SLOT={shlex.quote(slot)}")
            why = f"{why} To repeat this post and not post another, wait a minute and give `{again}`."
        raise DeepproverbsError(f"The function did not post: {why}")
    if result["outcome"] == "paused":
        raise DeepproverbsError(f"The pool is paused; `{make('resume')}` opens it again.")
    if dry_run:
        say(f"It would post text {result['index']}:\n  {indented(result['text'], 2)}")
        say(f"Next: {make('post-now')}, or {make('deploy ENABLE=yes')}")
    elif result["outcome"] == "already-settled":
        say(f"The slot {slot!r} has posted text {result['index']}; nothing more is posted for it.")
    else:
        where = f" as https://x.com/i/status/{result['tweet_id']}" if result.get("tweet_id") else ""
        say(f"Posted{where}, {result['remaining']:,} texts left:\n  {indented(result['text'], 2)}")
        say(f"Next: {make('status')}")


def logs(bot: str, hours: float, say: Say) -> None:
    owner = Owner.present()
    outputs = Stack.of(owner, bot).outputs
    say(f"What {outputs['FunctionName']} wrote in the last {hours:g} hours:")
    count = 0
    for moment, text in lines(owner, outputs["LogGroupName"], time.time() - 3600 * hours):
        count += 1
        say(f"{moment:%Y-%m-%d %H:%M:%S}  {indented(text, 21)}")
    if not count:
        say("Nothing: it was not called.")
    further = f", or {make(f'logs HOURS={24 * max(2, round(hours / 12)):g}')}"
    say(f"Next: {make('status')}{'' if count else further}")


def lines(owner: Owner, group: str, since: float) -> Iterator[tuple[datetime, str]]:
    """(moment in UTC, a line for people), oldest first."""
    with aws_errors("read the log"):
        pages = (
            owner.client("logs")
            .get_paginator("filter_log_events")
            .paginate(logGroupName=group, startTime=int(1000 * since))
        )
        for page in pages:
            for event in page["events"]:
                if text := readable(event["message"]):
                    yield datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=event["timestamp"]), text


def readable(message: str) -> str:
    """A line of the log without what only machines read; "" for lines of no news."""
    try:
        record = json.loads(message)
    except ValueError:
        return message.strip()
    if not isinstance(record, dict):
        return message.strip()
    inner = record.get("message")
    if isinstance(inner, str) and inner.startswith("{"):  # Lambda wraps what a line on standard error says
        return readable(inner)
    if record.get("event") == "metrics" or str(record.get("type", "")).startswith("platform."):
        return ""
    event = record.pop("event", record.pop("level", ""))
    facts = (f"{key}={value}" for key, value in record.items() if value not in (None, "") and not key.startswith("_"))
    return f"{event:<8} {' '.join(facts)}".rstrip()
