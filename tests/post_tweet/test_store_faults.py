"""S3 over real HTTP with faults on the wire, at every request of a post: one post in the end, and one sentence on
the way when the call itself fails."""

from __future__ import annotations

import functools
import itertools
import logging
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import botocore.endpoint
import pytest
from post_tweet import app, runtime, store
from post_tweet.effects import Outcome
from post_tweet.errors import PostError
from post_tweet.pool import Pool
from post_tweet.store import open_store
from post_tweet.x import Credentials

from tests.helpers.fakes import MemoryX, records
from tests.helpers.loopback_aws import BUCKET, LoopbackAws, loopback_aws
from tests.helpers.loopback_x import KEYS

URL = f"s3://{BUCKET}/bot"
REQUESTS = [("GET", "state.json"), ("GET", "batches/"), ("PUT", "state.json"), ("PUT", "posts/")]
HEALED = {"500", "503", "409", "412", "reset"}
"""What a single time is mended within the call: by botocore's second try, or by reading again."""


make_once = functools.cache(store.aws)


@pytest.fixture(scope="module")
def server() -> Iterator[LoopbackAws]:
    with loopback_aws() as running:
        yield running


@pytest.fixture
def aws(server: LoopbackAws, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackAws]:
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(store, "TIMEOUTS", (30.0, 2.0))
    monkeypatch.setattr(store, "aws", make_once)  # a client takes 50 ms to make
    monkeypatch.setattr(app, "aws", make_once)
    # botocore waits up to some seconds before it tries again; nothing is learnt from that here.
    monkeypatch.setattr(botocore.endpoint, "time", SimpleNamespace(sleep=lambda _: None, time=time.time))
    server.faults.clear()
    s3 = server.client("s3")
    for item in s3.list_objects_v2(Bucket=BUCKET).get("Contents", []):
        s3.delete_object(Bucket=BUCKET, Key=item["Key"])
    Pool(open_store(URL)).append(records(5), "test")
    yield server


class Clock:
    """The protocol's clock: a minute passes between two calls."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        monkeypatch.setattr(runtime, "clock", lambda: self.now)

    def minute(self) -> None:
        self.now += timedelta(minutes=1)


def until_posted(x: MemoryX, clock: Clock) -> tuple[list[str], Outcome]:
    """Calls like Lambda's: the errors of the first tries, and the outcome."""
    errors: list[str] = []
    for _ in range(4):
        try:
            return errors, app.run({"slot": "monday"}, URL, x)
        except PostError as error:
            errors.append(str(error))
            clock.minute()
    raise AssertionError(errors)


CASES = [
    (method, key, how, after)
    for (method, key), how, after in itertools.product(
        REQUESTS, ["500", "503", "409", "412", "reset", "slow", "truncated"], [False, True]
    )
    if (method == "PUT" or how not in ("409", "412"))
    and (how != "truncated" or (method == "GET" and after))
    and (how != "slow" or after)
]


@pytest.mark.parametrize(("method", "key", "how", "after"), CASES)
def test_one_fault_at_one_request(
    aws: LoopbackAws, monkeypatch: pytest.MonkeyPatch, method: str, key: str, how: str, after: bool
) -> None:
    x, clock = MemoryX(), Clock(monkeypatch)
    aws.fault(method, key, how, after)
    errors, result = until_posted(x, clock)
    assert not any(f.times for f in aws.faults), "the fault did happen"
    assert len(x.published) == 1 and result.outcome == "posted" and result.index == 0
    if how in HEALED and (key, how) not in {("posts/", "409"), ("posts/", "412")}:
        assert errors == []
    state = Pool(open_store(URL)).load()[0]
    assert (state.next, state.claim) == (1, None) and Pool(open_store(URL)).verify() == []
    assert app.run({"slot": "monday"}, URL, x).outcome == "already-settled"


@pytest.mark.parametrize("how", ["500", "503", "reset"])
@pytest.mark.parametrize(("method", "key"), REQUESTS)
def test_an_outage_is_one_sentence_and_the_next_call_goes_on(
    aws: LoopbackAws, monkeypatch: pytest.MonkeyPatch, method: str, key: str, how: str
) -> None:
    """More tries than botocore has; at the state's writing the claim may have been made."""
    x, clock = MemoryX(), Clock(monkeypatch)
    aws.fault(method, key, how, after=True, times=3)
    errors, result = until_posted(x, clock)
    assert len(errors) == 1 and "\n" not in errors[0] and "s3://bot-pool/bot" in errors[0]
    assert len(x.published) == 1 and result.outcome == "posted"


def test_at_debug_nobody_logs_the_keys(
    aws: LoopbackAws, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever turns on DEBUG for everything still finds no key in the log: botocore would write SSM's answer."""
    import json

    caplog.set_level(logging.DEBUG)
    # As the store leaves it; a command line quiets it further, for as long as the process lives.
    caplog.set_level(logging.INFO, "botocore")
    logging.getLogger("botocore.parsers").info("still here")
    aws.client("ssm").put_parameter(Name="/bot/x", Type="SecureString", Value=json.dumps(KEYS))
    app.secret.cache_clear()
    credentials = Credentials.parse(app.secret("/bot/x"))
    app.secret.cache_clear()
    assert credentials.access_token_secret == KEYS["access_token_secret"] and "still here" in caplog.text
    for value in KEYS.values():
        assert value not in caplog.text + repr(credentials) + str(credentials)
    assert "Authorization" not in caplog.text
