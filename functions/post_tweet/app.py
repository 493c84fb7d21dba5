"""The Lambda function: event in, outcome out; raises what a person or a retry must see.

Event: {"schedule_arn", "scheduled_time"} from the schedule, or {"slot": NAME} by hand;
"dry_run": true does everything but the claim and the post. Environment: POOL_URL, PLACE (default: x),
X_CREDENTIALS_PARAMETER (or X_CREDENTIALS_FILE, away from AWS; another place's begin with its own name),
X_API_URL, LEASE_SECONDS, METRICS_NAMESPACE, BOT_NAME.
"""

from __future__ import annotations

import os
import re
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeGuard
from urllib.parse import urlsplit

from post_tweet import protocol, telemetry
from post_tweet.effects import Call, Outcome
from post_tweet.errors import Account, BadInput, PostError
from post_tweet.files import PoolFiles
from post_tweet.place import Place, Secret
from post_tweet.runtime import Runtime, run_protocol
from post_tweet.state import due
from post_tweet.store import aws, open_store
from post_tweet.x import X

LEASE = 55
"""Seconds: longer than the function's time-out (45), shorter than Lambda's wait before the first retry
(60), so that a retry never finds a live claim of the call that it repeats."""
SHORTEST_LEASE = 35
"""Seconds. A post starts within a quarter of it, takes 18.05 s at most (place.py), may be handled 5 s later, and X may
publish it twice if another one comes within 3 s. Shorter ones are for tests, with an X of their own."""
PLACES: dict[str, Callable[[Callable[[], Secret]], Place]] = {"x": X}
"""What PLACE can name. A place is given a function that reads its credentials when it needs them."""


def handler(event: Any, context: Any) -> dict[str, Any]:
    """Entry point of the function."""
    request = getattr(context, "aws_request_id", "local")
    left = getattr(context, "get_remaining_time_in_millis", None)
    until = datetime.now(UTC) + timedelta(milliseconds=left()) if left else None
    try:
        return asdict(run(event, setting("POOL_URL"), open_place(), request, until))
    except (Account, BadInput):
        secret.cache_clear()  # the operator will store new credentials: a warm function must read them
        raise


def open_place(read: Callable[[], Secret] | None = None) -> Place:
    """The place that PLACE names. `read` reads its credentials; by default, those that the environment names."""
    name = os.environ.get("PLACE") or "x"
    if name not in PLACES:
        raise BadInput(f"PLACE is {name!r}; make it one of: {', '.join(PLACES)}.")
    return PLACES[name](read or partial(credentials, name.upper()))


def credentials(place: str) -> Secret:
    """The place's credentials: from the SSM parameter or, without one, from a file."""
    if not os.environ.get(f"{place}_CREDENTIALS_PARAMETER") and (file := os.environ.get(f"{place}_CREDENTIALS_FILE")):
        return from_file(Path(file))
    return secret(setting(f"{place}_CREDENTIALS_PARAMETER"))


def run(event: Any, pool_url: str, place: Place, request: str = "local", until: datetime | None = None) -> Outcome:
    """Post one text for the event's slot. The command line calls this too. `until`: when Lambda ends this call."""
    started = time.monotonic()
    metrics = telemetry.Metrics()
    facts: dict[str, Any] = {"slot": None, "index": None, "outcome": "crashed"}
    store = None
    try:
        asked = Event.parse(event)
        facts["slot"] = asked.slot
        call = Call(asked.slot, f"{request}/{uuid.uuid4().hex[:8]}", lease(), place, asked.dry_run, until)
        store = open_store(pool_url)
        runtime = Runtime(PoolFiles(store, place.name), place, metrics)
        result = run_protocol(protocol.posting(call), runtime, asked.slot)
        facts |= {"outcome": result.outcome, "index": result.index}
        metrics.count("Posted", result.outcome == "posted")
        metrics.count("Paused", result.outcome == "paused")
        return result
    except PostError as error:
        if error.metric:
            metrics.count(error.metric)
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
    if seconds < SHORTEST_LEASE and not is_here(os.environ.get("X_API_URL", "")):
        raise BadInput(
            f"LEASE_SECONDS is {text!r}, and a post may take 18 s and be on its way for 5 more: another call would "
            f"post its text meanwhile; make it {SHORTEST_LEASE} or more."
        )
    return timedelta(seconds=seconds)


def is_here(url: str) -> bool:
    """Is this the address of a server on this machine, as tests have?"""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return False
    return host in ("localhost", "::1") or re.fullmatch(r"127(\.[0-9]{1,3}){3}", host) is not None


@dataclass(frozen=True)
class Event:
    """What a call is asked to do."""

    slot: str
    dry_run: bool

    @classmethod
    def parse(cls, event: Any) -> Event:
        """Check the event. A placeholder that the scheduler did not fill in would name the same slot for ever, and a
        slot whose scheduled time is no time could never be too late.

        Raises:
            BadInput: the event is one of these, or malformed.
        """
        if isinstance(event, dict):
            dry = event.get("dry_run", False)
            arn, at, slot = event.get("schedule_arn"), event.get("scheduled_time"), event.get("slot")
            if isinstance(dry, bool):
                if is_text(arn) and is_text(at) and "<aws.scheduler." not in arn + at:
                    if due(name := f"{arn} {at}") is None:
                        raise BadInput(
                            f'"scheduled_time" is {at!r}; make it a time such as 2026-01-31T08:00:00Z, or give a '
                            '"slot".'
                        )
                    return cls(name, dry)
                if is_text(slot):
                    return cls(slot, dry)
        raise BadInput(
            'The event must hold "schedule_arn" and "scheduled_time", or "slot", as texts; "dry_run" is true or false.'
        )


def is_text(value: Any) -> TypeGuard[str]:
    """Can it be part of a slot's name? The state keeps many of them, in UTF-8, which has no half characters."""
    return isinstance(value, str) and 0 < len(value) <= 1000 and not any("\ud800" <= c <= "\udfff" for c in value)


def setting(name: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        raise BadInput(f"The function's environment lacks {name}; deploy the template again.")
    return value


@cache
def secret(parameter: str) -> Secret:
    """The credentials in SSM, read once per warm function.

    Raises:
        Account: the parameter is missing or not allowed.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        answer = aws("ssm").get_parameter(Name=parameter, WithDecryption=True)
    except (ClientError, BotoCoreError) as error:
        code = error.response["Error"]["Code"] if isinstance(error, ClientError) else type(error).__name__
        raise Account(
            f"Cannot read the keys in the SSM parameter {parameter} ({code}); store them with `make secrets`."
        ) from None
    return Secret(answer["Parameter"]["Value"], f"The SSM parameter {parameter}")


def from_file(path: Path) -> Secret:
    """The credentials in a file such as twitter.json."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        return Secret(text, str(path), f"write it into {path}", "post again then")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(
            f"Cannot read {path}: {getattr(error, 'strerror', None) or error}; name your twitter.json."
        ) from None
