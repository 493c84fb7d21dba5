"""The Lambda function: event in, outcome out; raises what a person or a retry must see.

Event: {"schedule_arn", "scheduled_time"} from the schedule, or {"slot": NAME} by hand;
"dry_run": true does everything but the claim and the post. Environment: POOL_URL,
X_CREDENTIALS_PARAMETER (or X_CREDENTIALS_FILE, away from AWS), X_API_URL, LEASE_SECONDS,
METRICS_NAMESPACE, BOT_NAME.
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

from post_tweet import protocol, telemetry
from post_tweet.effects import Call
from post_tweet.errors import Account, BadInput, Busy, PostError, Undecided
from post_tweet.pool import Pool
from post_tweet.runtime import Performer, perform
from post_tweet.state import due
from post_tweet.store import aws, open_store
from post_tweet.x import API, Credentials, Poster, XPoster

LEASE = 55
"""Seconds: longer than the function's time-out (45), shorter than Lambda's wait before the first retry
(60), so that a retry never finds a live claim of the call that it repeats."""


def handler(event: Any, context: Any) -> dict[str, Any]:
    """Entry point of the function."""
    request = getattr(context, "aws_request_id", "local")
    left = getattr(context, "get_remaining_time_in_millis", None)
    until = datetime.now(UTC) + timedelta(milliseconds=left()) if left else None
    try:
        return run(event, setting("POOL_URL"), lambda: XPoster(credentials(), api()), request, until)
    except Account as error:
        if error.reason in ("keys", "permissions"):
            secret.cache_clear()  # the operator will store new keys: a warm function must read them
        raise


def credentials() -> Credentials:
    """From the SSM parameter, or from a file where there is none."""
    if not os.environ.get("X_CREDENTIALS_PARAMETER") and (file := os.environ.get("X_CREDENTIALS_FILE")):
        return from_file(Path(file))
    return secret(setting("X_CREDENTIALS_PARAMETER"))


def run(
    event: Any, pool_url: str, poster: Callable[[], Poster], request: str = "local", until: datetime | None = None
) -> dict[str, Any]:
    """Post one text for the event's slot. The command line calls this too.

    `poster` is made only when X is needed: a dry run wants no credentials. `until`: when Lambda ends this call.
    """
    started = time.monotonic()
    metrics = telemetry.Metrics()
    facts: dict[str, Any] = {"slot": None, "index": None, "outcome": "crashed"}
    store = None
    try:
        slot, dry_run = read_event(event)
        facts["slot"] = slot
        call = Call(slot, f"{request}/{uuid.uuid4().hex[:8]}", lease(), dry_run, until)
        store = open_store(pool_url)
        result = perform(protocol.posting(call), Performer(Pool(store), poster, metrics), slot)
        facts |= {"outcome": result["outcome"], "index": result["index"]}
        metrics.count("Posted", result["outcome"] == "posted")
        metrics.count("Paused", result["outcome"] == "paused")
        return result
    except Busy as error:
        facts |= {"outcome": "busy", "message": str(error)}
        raise
    except PostError as error:
        metrics.count({Account: "Refused", Undecided: "Unknown"}.get(type(error), "Failed"))
        facts |= {"outcome": type(error).__name__.lower(), "message": str(error)}
        raise
    except BaseException:
        metrics.count("Failed")
        raise
    finally:
        requests = store.requests if store else 0
        metrics.count("S3Requests", requests)
        if namespace := os.environ.get("METRICS_NAMESPACE"):
            metrics.emit(namespace, os.environ.get("BOT_NAME", "bot"))
        telemetry.log("end", **facts, requests=requests, ms=round(1000 * (time.monotonic() - started), 1))


def lease() -> timedelta:
    """How long a claim holds."""
    text = os.environ.get("LEASE_SECONDS", str(LEASE))
    try:
        seconds = float(text)
        if not 0 < seconds < 1e6:
            raise ValueError
    except ValueError:
        raise BadInput(f"LEASE_SECONDS is {text!r}; make it a number of seconds such as {LEASE}.") from None
    return timedelta(seconds=seconds)


def read_event(event: Any) -> tuple[str, bool]:
    """(slot, dry run). Names that the scheduler did not fill in would be one slot for ever, and a time that is none
    could never be told from one long past: refused."""
    if isinstance(event, dict):
        dry = event.get("dry_run", False)
        arn, at, slot = event.get("schedule_arn"), event.get("scheduled_time"), event.get("slot")
        if isinstance(dry, bool):
            if arn and at and isinstance(arn, str) and isinstance(at, str) and "<aws.scheduler." not in arn + at:
                if due(name := f"{arn} {at}") is None:
                    raise BadInput(
                        f'"scheduled_time" is {at!r}; make it a time such as 2026-01-31T08:00:00Z, or give a "slot".'
                    )
                return name, dry
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
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        answer = aws("ssm").get_parameter(Name=parameter, WithDecryption=True)
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
