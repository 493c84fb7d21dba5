"""The Lambda function: event in, outcome out; raises what a person or a retry must see.

Event: {"schedule_arn", "scheduled_time"} from the schedule, or {"slot": NAME} by hand;
"dry_run": true does everything but the claim and the post. Environment: POOL_URL,
X_CREDENTIALS_PARAMETER, X_API_URL, LEASE_SECONDS, METRICS_NAMESPACE, BOT_NAME.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from post_tweet import post, telemetry
from post_tweet.errors import Account, BadInput, EmptyPool, PostError, Undecided
from post_tweet.pool import Pool
from post_tweet.store import open_store
from post_tweet.x import API, Credentials, Poster, XPoster

LEASE = 55
"""Seconds: longer than the function's time-out (45), shorter than Lambda's wait before the first retry
(60), so that a retry never finds a live claim of the call that it repeats."""


def handler(event: Any, context: Any) -> dict[str, Any]:
    """Entry point of the function."""
    request = getattr(context, "aws_request_id", "local")
    return run(event, setting("POOL_URL"), lambda: XPoster(secret(setting("X_CREDENTIALS_PARAMETER")), api()), request)


def run(event: Any, pool_url: str, poster: Callable[[], Poster], request: str = "local") -> dict[str, Any]:
    """Post one text for the event's slot. The command line calls this too.

    `poster` is made only when X is needed: a dry run wants no credentials.
    """
    started = time.monotonic()
    slot, dry_run = read_event(event)
    pool = Pool(open_store(pool_url))
    call = post.Call(
        slot,
        f"{request}/{uuid.uuid4().hex[:8]}",
        timedelta(seconds=float(os.environ.get("LEASE_SECONDS", LEASE))),
        dry_run,
    )
    values: dict[str, float] = {}
    try:
        result = perform(post.posting(call), pool, poster, slot)
        values = {"Posted": float(result["outcome"] == "posted"), "PoolRemaining": float(result["remaining"])}
        return result
    except PostError as error:
        kind = {Account: "Refused", Undecided: "Unknown"}.get(type(error), "Failed")
        values = {kind: 1.0, **({"PoolRemaining": 0.0} if isinstance(error, EmptyPool) else {})}
        telemetry.log("failed", slot=slot, error=type(error).__name__, message=str(error))
        raise
    except BaseException:
        values = {"Failed": 1.0}
        raise
    finally:
        if namespace := os.environ.get("METRICS_NAMESPACE"):
            telemetry.metrics(
                namespace, os.environ.get("BOT_NAME", "bot"), {**values, "S3Requests": float(pool.store.requests)}
            )
        telemetry.log("end", slot=slot, requests=pool.store.requests, ms=round(1000 * (time.monotonic() - started)))


def perform(steps: post.Steps, pool: Pool, poster: Callable[[], Poster], slot: str) -> dict[str, Any]:
    """Do what the protocol asks for, step by step, until it returns."""
    made: list[Poster] = []
    etag: str | None = None
    state = None
    answer: Any = None

    def x() -> Poster:
        if not made:
            made.append(poster())
        return made[0]

    while True:
        try:
            request = steps.send(answer)
        except StopIteration as end:
            result: dict[str, Any] = end.value
            return result
        started = time.monotonic()
        match request:
            case post.Load():
                state, etag = pool.load()
                answer = state
            case post.Save(new):
                if new.claim is not None:
                    x()  # credentials that cannot be read must stop us before a text is claimed
                saved = pool.save(new, etag)
                answer = saved is not None
                if saved is not None:
                    state, etag = new, saved
            case post.Read(index):
                assert state is not None
                answer = pool.record(state, index)
            case post.Publish(text):
                answer = x().post(text)
            case post.Ask(text):
                answer = x().did_post(text)
            case post.Note(index, record):
                pool.note(index, record)
                answer = None
            case post.Warn(message):
                telemetry.log("warning", slot=slot, message=message)
                answer = None
            case post.Now():
                answer = datetime.now(UTC)
                continue
        telemetry.log(
            type(request).__name__.lower(),
            slot=slot,
            answer=type(answer).__name__,
            ms=round(1000 * (time.monotonic() - started)),
        )


def read_event(event: Any) -> tuple[str, bool]:
    """(slot, dry run)."""
    if isinstance(event, dict):
        dry = event.get("dry_run", False)
        arn, at, slot = event.get("schedule_arn"), event.get("scheduled_time"), event.get("slot")
        if isinstance(dry, bool):
            if arn and at and isinstance(arn, str) and isinstance(at, str):
                return f"{arn} {at}", dry
            if slot and isinstance(slot, str):
                return slot, dry
    raise BadInput(
        'The event must hold "schedule_arn" and "scheduled_time", or "slot", as texts; "dry_run" is true or false.'
    )


def setting(name: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        raise BadInput(f"The function's environment lacks {name}; deploy the template again.")
    return value


def api() -> str:
    return os.environ.get("X_API_URL") or API


@cache
def secret(parameter: str) -> Credentials:
    """The credentials in SSM; read once in the life of a warm function.

    Raises:
        Account: the parameter is missing, not allowed or malformed.
    """
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        answer = boto3.client("ssm").get_parameter(Name=parameter, WithDecryption=True)
    except (ClientError, BotoCoreError) as error:
        code = error.response["Error"]["Code"] if isinstance(error, ClientError) else type(error).__name__
        raise Account(
            f"Cannot read the X keys in the SSM parameter {parameter} ({code}); store them with `make secrets`."
        ) from None
    return Credentials.parse(answer["Parameter"]["Value"], f"The SSM parameter {parameter}")


def from_file(path: Path) -> Credentials:
    """The credentials in a twitter.json."""
    try:
        return Credentials.parse(path.read_text(encoding="utf-8-sig"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(
            f"Cannot read {path}: {getattr(error, 'strerror', None) or error}; name your twitter.json."
        ) from None
