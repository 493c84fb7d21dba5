"""The handler with moto's S3 and SSM, real tweepy, and X on loopback."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from post_tweet import app, telemetry
from post_tweet.errors import Account, BadInput, Busy, PoolBroken, PostError, Undecided, Unreachable
from post_tweet.pool import Pool
from post_tweet.state import Claim
from post_tweet.store import open_store

from tests.helpers.fakes import records
from tests.helpers.invoking import a_minute_passes
from tests.helpers.locked_moto import BUCKET, locked_moto
from tests.helpers.loopback_x import KEYS, LoopbackX, loopback_x

EVENT = {
    "schedule_arn": "arn:aws:scheduler:eu-central-1:1:schedule/default/s",
    "scheduled_time": "2026-01-01T09:00:00Z",
}
CONTEXT = SimpleNamespace(aws_request_id="request-1")


@pytest.fixture
def x(monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackX]:
    with locked_moto(), loopback_x() as server:
        boto3.client("ssm").put_parameter(Name="/bot/x", Type="SecureString", Value=server.twitter_json)
        for name, value in {
            "POOL_URL": f"s3://{BUCKET}/bot",
            "X_CREDENTIALS_PARAMETER": "/bot/x",
            "BOT_NAME": "bot",
            "X_API_URL": server.url,
            "METRICS_NAMESPACE": "Deepproverbs",
        }.items():
            monkeypatch.setenv(name, value)
        app.secret.cache_clear()
        Pool(open_store(f"s3://{BUCKET}/bot")).append(records(3), "test")
        yield server


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def metrics(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    (line,) = [line for line in lines(capsys) if line["event"] == "metrics"]
    return line


def test_a_slot_posts_once(x: LoopbackX) -> None:
    slot, text = " ".join(EVENT.values()), records(1)[0]["text"]
    assert json.dumps(app.handler(EVENT, CONTEXT)) == (
        f'{{"outcome": "posted", "slot": "{slot}", "index": 0, "tweet_id": "1001", "text": "{text}", "remaining": 2}}'
    )
    assert app.handler(EVENT, CONTEXT)["outcome"] == "already-settled"
    assert x.published == [text]
    note = json.loads(open_store(f"s3://{BUCKET}/bot").get(f"posts/{datetime.now(UTC).year}/0.json")[0])
    assert note["tweet_id"] == "1001" and note["text"] == x.published[0]


def test_a_dry_run_needs_no_credentials(x: LoopbackX, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("X_CREDENTIALS_PARAMETER")
    assert app.handler({**EVENT, "dry_run": True}, CONTEXT)["outcome"] == "dry-run"
    assert x.requests == []


def test_a_lost_answer_raises_and_the_retry_settles_it(x: LoopbackX) -> None:
    x.script(drop=True, publish=True)
    with pytest.raises(Undecided):
        app.handler(EVENT, CONTEXT)
    with pytest.raises(Busy):
        app.handler(EVENT, CONTEXT)
    a_minute_passes(Pool(open_store(f"s3://{BUCKET}/bot")))
    assert app.handler(EVENT, CONTEXT)["tweet_id"] == "1001"
    assert len(x.published) == 1


@pytest.mark.parametrize("value", [None, "{}", "no json", json.dumps({**KEYS, "consumer_key": ""})])
def test_missing_or_broken_keys_stop_before_a_claim(x: LoopbackX, value: str | None) -> None:
    ssm = boto3.client("ssm")
    ssm.delete_parameter(Name="/bot/x")
    if value is not None:
        ssm.put_parameter(Name="/bot/x", Type="SecureString", Value=value)
    with pytest.raises(PostError, match=r"make secrets|lacks consumer_key|not a JSON object"):
        app.handler(EVENT, CONTEXT)
    assert Pool(open_store(f"s3://{BUCKET}/bot")).load()[0].claim is None and x.requests == []


NOT_FILLED_IN = {"schedule_arn": "<aws.scheduler.schedule-arn>", "scheduled_time": "<aws.scheduler.scheduled-time>"}


@pytest.mark.parametrize(
    "event",
    [None, {}, [], {"slot": ""}, {"slot": 5}, {"schedule_arn": "a"}, {"slot": "x", "dry_run": "yes"}, NOT_FILLED_IN,
     {"slot": "\ud800"}, {"slot": "x" * 1001}, {**EVENT, "schedule_arn": "a\udfff"}],
)  # fmt: skip
def test_a_wrong_event_is_counted_as_a_failure(x: LoopbackX, capsys: pytest.CaptureFixture[str], event: Any) -> None:
    with pytest.raises(BadInput, match="The event must hold"):
        app.handler(event, CONTEXT)
    assert (metrics(capsys)["Failed"], x.requests) == (1, [])


@pytest.mark.parametrize("name", ["POOL_URL", "X_CREDENTIALS_PARAMETER"])
def test_a_missing_setting_is_named(x: LoopbackX, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.delenv(name)
    with pytest.raises(BadInput, match=name):
        app.handler(EVENT, CONTEXT)


def test_secrets_are_in_no_output(x: LoopbackX, capsys: pytest.CaptureFixture[str]) -> None:
    x.script(status=500, body="oops")
    with pytest.raises(Undecided) as error:
        app.handler(EVENT, CONTEXT)
    a_minute_passes(Pool(open_store(f"s3://{BUCKET}/bot")))
    app.handler(EVENT, CONTEXT)
    written = capsys.readouterr()
    for secret in (KEYS["consumer_secret"], KEYS["access_token_secret"], KEYS["access_token"]):
        assert secret not in written.out + written.err + str(error.value)


def test_a_directory_pool_and_a_file_with_keys(x: LoopbackX, tmp_path: Path) -> None:
    (tmp_path / "twitter.json").write_text(x.twitter_json)
    Pool(open_store(str(tmp_path / "pool"))).append(records(1), "test")
    from training.cli import post

    assert post.post_once(str(tmp_path / "pool"), tmp_path / "twitter.json", "one")["outcome"] == "posted"
    assert post.post_once(str(tmp_path / "pool"), tmp_path / "twitter.json", "one")["outcome"] == "already-settled"


@pytest.mark.parametrize("time", ["tomorrow", "2026-01-01", "2026-01-01T09:00:00Z#1"])
def test_a_slot_of_the_schedule_has_a_time(x: LoopbackX, time: str) -> None:
    """Without, nobody could tell later that it is long past."""
    with pytest.raises(BadInput, match="make it a time such as"):
        app.handler({**EVENT, "scheduled_time": time}, CONTEXT)
    assert x.requests == []


def test_lambdas_own_deadline_is_kept(x: LoopbackX) -> None:
    context = SimpleNamespace(aws_request_id="request-1", get_remaining_time_in_millis=lambda: 9_000)
    with pytest.raises(Unreachable, match=r"\b\d s are left, too little for a post"):
        app.handler(EVENT, context)
    assert x.requests == []
    context.get_remaining_time_in_millis = lambda: 45_000
    assert app.handler(EVENT, context)["outcome"] == "posted"


def test_a_refused_text_is_counted_beside_the_post(x: LoopbackX, capsys: pytest.CaptureFixture[str]) -> None:
    x.script(status=403, body=json.dumps({"detail": "Your Tweet text is too long.", "status": 403}))
    assert app.handler(EVENT, CONTEXT)["index"] == 1
    line = metrics(capsys)
    assert (line["Posted"], line["Refused"], line["Failed"], line["PoolRemaining"]) == (1, 1, 0, 1)


def test_new_keys_are_read_after_the_old_ones_failed(x: LoopbackX) -> None:
    ssm, name = boto3.client("ssm"), "/bot/x"
    wrong = json.dumps({**x.credentials, "access_token_secret": "revoked"})
    ssm.put_parameter(Name=name, Type="SecureString", Value=wrong, Overwrite=True)
    with pytest.raises(Account, match="make secrets"):
        app.handler(EVENT, CONTEXT)
    ssm.put_parameter(Name=name, Type="SecureString", Value=x.twitter_json, Overwrite=True)
    assert app.handler(EVENT, CONTEXT)["outcome"] == "posted"


def test_keys_from_a_file_away_from_aws(x: LoopbackX, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "twitter.json").write_text(x.twitter_json)
    monkeypatch.delenv("X_CREDENTIALS_PARAMETER")
    monkeypatch.setenv("X_CREDENTIALS_FILE", str(tmp_path / "twitter.json"))
    assert app.handler(EVENT, CONTEXT)["outcome"] == "posted"


@pytest.mark.parametrize("value", ["x", "0", "-1", "nan", "inf"])
def test_a_wrong_lease_is_named(x: LoopbackX, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("LEASE_SECONDS", value)
    with pytest.raises(BadInput, match="LEASE_SECONDS"):
        app.handler(EVENT, CONTEXT)


@pytest.mark.parametrize(
    ("url", "here"),
    [("", False), ("https://api.x.com", False), ("http://127.0.0.1.example.com", False), ("http://[", False),
     ("http://localhost@example.com", False), ("127.0.0.1", False), ("http://10.0.0.1", False),
     ("http://127.0.0.1:9", True), ("http://localhost:9/", True), ("http://[::1]:9", True)],
)  # fmt: skip
def test_a_lease_shorter_than_a_post_is_for_tests_alone(monkeypatch: pytest.MonkeyPatch, url: str, here: bool) -> None:
    monkeypatch.setenv("X_API_URL", url)
    for value, allowed in (("0.5", here), ("34.9", here), ("35", True), ("55", True)):
        monkeypatch.setenv("LEASE_SECONDS", value)
        if allowed:
            assert app.lease().total_seconds() == float(value)
        else:
            with pytest.raises(BadInput, match=f"LEASE_SECONDS is '{value}', and a post may take 18 s"):
                app.lease()


def test_importing_the_handler_loads_neither_tweepy_nor_boto3() -> None:
    code = "import sys, post_tweet.app; print(sorted({'tweepy', 'boto3', 'requests'} & set(sys.modules)))"
    folder = Path(app.__file__).parents[1]
    run = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_every_line_of_metrics_holds_what_alarms_need(x: LoopbackX, capsys: pytest.CaptureFixture[str]) -> None:
    pool = Pool(open_store(f"s3://{BUCKET}/bot"))

    def call(day: int) -> dict[str, Any]:
        with suppress(PostError):
            app.handler({**EVENT, "scheduled_time": f"2026-01-{day:02}T09:00:00Z"}, CONTEXT)
        line = metrics(capsys)
        named = {m["Name"] for m in line["_aws"]["CloudWatchMetrics"][0]["Metrics"]}
        assert named == {*telemetry.COUNTS, *telemetry.POOL} and line["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [
            ["Bot"]
        ]
        return {name: line[name] for name in named - {"S3Requests"} if line[name]}

    assert call(1) == {"Posted": 1, "PoolRemaining": 2, "DaysLeft": 2}
    pool.pause(datetime.now(UTC))
    assert call(2) == {"Paused": 1, "PoolRemaining": 2, "DaysLeft": 2} and len(x.published) == 1
    pool.resume()
    x.script(drop=True, publish=True)
    assert call(3) == {"Unknown": 1, "PoolRemaining": 2, "DaysLeft": 2}
    a_minute_passes(pool)
    assert call(3) == {"Posted": 1, "PoolRemaining": 1, "DaysLeft": 1}
    state, etag = pool.load()
    now = datetime.now(UTC).isoformat()
    assert pool.save(replace(state, claim=Claim("s", "o", 2, records(3)[2]["text"], now, now)), etag)
    assert call(4) == {"PoolRemaining": 1, "DaysLeft": 1}, "busy: nothing to count"
    state, etag = pool.load()
    assert pool.save(replace(state, claim=None), etag)
    x.script(status=402, body="{}")
    assert call(4) == {"Refused": 1, "PoolRemaining": 1, "DaysLeft": 1}
    assert call(4) == {"Posted": 1}, "the pool is dry: it and its days are 0"
    assert call(5) == {"Failed": 1}


def test_a_state_that_cannot_be_read_has_no_pool_metrics(x: LoopbackX, capsys: pytest.CaptureFixture[str]) -> None:
    open_store(f"s3://{BUCKET}/bot").put("state.json", b"no json")
    with pytest.raises(PoolBroken):
        app.handler(EVENT, CONTEXT)
    line = metrics(capsys)
    assert line["Failed"] == 1 and not {*telemetry.POOL} & line.keys()


def test_a_line_an_effect_says_what_happened(x: LoopbackX, capsys: pytest.CaptureFixture[str]) -> None:
    app.handler(EVENT, CONTEXT)
    effects = [line for line in lines(capsys) if line["event"] != "metrics" or line["S3Requests"] != 6]
    assert [(line["event"], line["index"], line["outcome"], line["requests"]) for line in effects] == [
        ("load", None, "state", 1),
        ("read", 0, "done", 1),
        ("recorded", 0, "done", 1),
        ("connect", 0, "done", 0),
        ("save", 0, "written", 1),
        ("publish", 0, "posted", 0),
        ("note", 0, "written", 1),
        ("save", 0, "written", 1),
        ("end", 0, "posted", 6),
    ]
    assert all(line["slot"] == " ".join(EVENT.values()) and line["ms"] >= 0 for line in effects)
