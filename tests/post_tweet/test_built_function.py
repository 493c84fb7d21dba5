"""What `sam build` makes, under AWS's runtime client: real S3 and SSM calls to moto, real posts to X on loopback; and
how big and how slow to load it is."""

from __future__ import annotations

import io
import json
import os
import statistics
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from post_tweet.pool import Pool
from post_tweet.store import S3Store

from tests.helpers.fakes import records
from tests.helpers.invoking import a_minute_passes
from tests.helpers.loopback_aws import BUCKET, LoopbackAws, loopback_aws
from tests.helpers.loopback_runtime import Function, runtime
from tests.helpers.loopback_x import KEYS, LoopbackX, loopback_x

ARN = "arn:aws:scheduler:eu-central-1:1:schedule/default/s"


@dataclass
class Bot:
    """The function, its bucket and its X."""

    function: Function
    aws: LoopbackAws
    x: LoopbackX
    folder: Path
    slots: int = 0
    environment: dict[str, str] = field(default_factory=dict)

    def event(self) -> dict[str, str]:
        """The next slot, as the schedule sends it."""
        self.slots += 1
        due = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=self.slots)
        return {"schedule_arn": ARN, "scheduled_time": f"{due:%Y-%m-%dT%H:%M:%SZ}"}

    @property
    def pool(self) -> Pool:
        return Pool(S3Store(BUCKET, "bot", self.aws.client("s3")))


@pytest.fixture(scope="module")
def bot(built: Path) -> Iterator[Bot]:
    with loopback_aws() as aws, loopback_x() as x:
        aws.client("ssm").put_parameter(Name="/bot/x", Type="SecureString", Value=x.twitter_json)
        environment = {
            **aws.environment,
            "POOL_URL": f"s3://{BUCKET}/bot",
            "X_CREDENTIALS_PARAMETER": "/bot/x",
            "X_API_URL": x.url,
            "BOT_NAME": "bot",
            "METRICS_NAMESPACE": "deepproverbs",
            # As an operator would who looks for a fault: not even then may a key be in the log.
            "AWS_LAMBDA_LOG_LEVEL": "DEBUG",
            "AWS_LAMBDA_LOG_FORMAT": "JSON",
        }
        with runtime(built, environment) as function:
            running = Bot(function, aws, x, built, environment=environment)
            running.pool.append(records(60), "test")
            yield running


def test_a_slot_posts_once_though_lambda_repeats_it(bot: Bot) -> None:
    event, before = bot.event(), len(bot.x.published)
    kind, first = bot.function.invoke(event, "request-1")
    assert (kind, first.get("outcome")) == ("response", "posted"), first
    kind, again = bot.function.invoke(event, "request-1")
    assert (kind, again["outcome"], again["tweet_id"]) == ("response", "already-settled", first["tweet_id"])
    assert len(bot.x.published) == before + 1


@pytest.mark.parametrize("published", [True, False])
def test_a_lost_answer_is_settled_by_lambda_s_retry(bot: Bot, published: bool) -> None:
    event, before = bot.event(), len(bot.x.published)
    bot.x.script(drop=True, publish=published)
    kind, error = bot.function.invoke(event, "request-2")
    assert (kind, error["errorType"]) == ("error", "Undecided")
    kind, error = bot.function.invoke(event, "request-2")
    assert (kind, error["errorType"]) == ("error", "Busy"), "too early: the post may be on its way"
    a_minute_passes(bot.pool)
    kind, result = bot.function.invoke(event, "request-2")
    assert (kind, result["outcome"]) == ("response", "posted")
    assert len(bot.x.published) == before + 1


def wait_for(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_function_that_is_killed_while_x_publishes(bot: Bot) -> None:
    event, before = bot.event(), len(bot.x.published)
    bot.x.script(wait=3.0, publish=True)
    bot.function.send(event, "request-3")
    wait_for(lambda: not bot.x.answers)
    bot.function.kill()
    bot.function.start()
    wait_for(lambda: len(bot.x.published) > before)
    a_minute_passes(bot.pool)
    kind, result = bot.function.invoke(event, "request-3")
    assert (kind, result["outcome"]) == ("response", "posted")
    assert len(bot.x.published) == before + 1


def test_two_instances_race_for_one_slot(bot: Bot) -> None:
    duplicates = bot.x.duplicates
    with runtime(bot.folder, bot.environment) as other:
        assert other.invoke({"slot": "warm up", "dry_run": True}, "request-0")[0] == "response"
        for number in range(10):
            event, before = bot.event(), len(bot.x.published)
            bot.function.send(event, f"request-4-{number}")
            other.send(event, f"request-4-{number}")
            answers = [bot.function.receive(), other.receive()]
            assert [a["outcome"] for kind, a in answers if kind == "response"].count("posted") == 1, answers
            assert {a["errorType"] for kind, a in answers if kind == "error"} <= {"Busy"}
            assert len(bot.x.published) == before + 1
    assert bot.x.duplicates == duplicates, "not even a second request for the same text"


ROWS: list[tuple[dict[str, Any], str]] = [
    ({"status": 402, "body": '{"title": "CreditsDepleted"}'}, "buy some in the developer portal"),
    (
        {"status": 403, "body": '{"type": "https://api.x.com/2/problems/spend-cap-reached"}'},
        "raise it in the developer",
    ),
    ({"status": 403, "body": '{"type": "https://api.twitter.com/2/problems/oauth1-permissions"}'}, "Read and write"),
    ({"status": 403, "body": '{"errors": [{"code": 453}]}'}, "enrol it in pay per use"),
    ({"status": 401, "body": "{}"}, "make the access token anew"),
    ({"status": 429, "body": "{}", "headers": {"x-rate-limit-reset": "1800000000"}}, "until 2027-01-15 08:00:00 UTC"),
    ({"status": 400, "body": "{}"}, "look in the developer portal"),
    ({"status": 403, "body": '{"detail": "suspended"}'}, "look at the account"),
]


@pytest.mark.parametrize(("answer", "sentence"), ROWS)
def test_an_account_s_refusal_tells_the_operator_what_to_do(bot: Bot, answer: dict[str, Any], sentence: str) -> None:
    event, before = bot.event(), len(bot.x.published)
    bot.x.script(**answer)
    kind, error = bot.function.invoke(event, "request-5")
    assert (kind, error["errorType"]) == ("error", "Account") and sentence in error["errorMessage"]
    assert bot.pool.load()[0].claim is None
    assert bot.function.invoke(event, "request-5")[1]["outcome"] == "posted"
    assert len(bot.x.published) == before + 1


@pytest.mark.parametrize(
    "answer",
    [
        {"status": 400, "body": '{"detail": "Your Tweet text is too long."}'},
        {"status": 403, "body": '{"detail": "Your Tweet text is too long."}'},
    ],
)
def test_a_refused_text_makes_room_for_the_next(bot: Bot, answer: dict[str, Any]) -> None:
    index = bot.pool.load()[0].next
    bot.x.script(**answer)
    assert bot.function.invoke(bot.event(), "request-6")[1]["index"] == index + 1


@pytest.mark.parametrize(
    "answer",
    [
        {"status": 503, "body": "<html>over capacity</html>"},
        {"status": 500, "body": "[1, 2]"},
        {"status": 201, "body": "not json", "publish": True},
        {"status": 201, "body": '{"errors": [{"message": "x"}]}'},
    ],
)
def test_an_answer_that_says_nothing_is_settled_later(bot: Bot, answer: dict[str, Any]) -> None:
    event, before = bot.event(), len(bot.x.published)
    bot.x.script(**answer)
    assert bot.function.invoke(event, "request-7")[1]["errorType"] == "Undecided"
    a_minute_passes(bot.pool)
    assert bot.function.invoke(event, "request-7")[1]["outcome"] == "posted"
    assert len(bot.x.published) == before + 1


def test_whatever_happened_the_books_are_right_and_no_key_was_logged(bot: Bot) -> None:
    """The last test of this bot."""
    assert bot.pool.verify() == [] and bot.pool.load()[0].claim is None
    assert len(set(bot.x.published)) == len(bot.x.published) > 20
    log = bytes(bot.function.log).decode()
    for value in KEYS.values():
        assert value not in log
    assert "oauth_signature" not in log and "Authorization" not in log
    metrics = [json.loads(line) for line in log.splitlines() if '"event": "metrics"' in line]
    assert len(metrics) > 30 and all(
        line["S3Requests"] <= 6 for line in metrics if line["Posted"] and not line["Refused"]
    )


def test_the_zip_is_under_two_megabytes(built: Path) -> None:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted(built.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                file.write(path, path.relative_to(built))
    size = len(data.getvalue())
    print(f"the function's zip: {size / 1e6:.2f} MB")
    assert size < 2_000_000


def test_loading_costs_little_more_than_an_s3_client(built: Path) -> None:
    """Fresh processes in turn, the median of the ratio of neighbours: a busy machine slows both."""
    client = "import boto3; boto3.client('s3', region_name='eu-central-1')"
    whole = f"import sys; sys.path.insert(0, {str(built)!r}); import post_tweet.app, post_tweet.x, tweepy; {client}"

    # Where bytecode is not to be written, nothing but the function would be compiled anew each time.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}

    def seconds(code: str) -> float:
        timed = f"import time; start = time.process_time(); {code}; print(time.process_time() - start)"
        done = subprocess.run([sys.executable, "-c", timed], capture_output=True, text=True, check=True, env=env)
        return float(done.stdout)

    seconds(whole), seconds(client)  # the files come into memory, and their bytecode is written
    ratios = [seconds(whole) / seconds(client) for _ in range(7)]
    print(f"loading the function: {statistics.median(ratios):.2f} x import boto3 and an s3 client ({sorted(ratios)})")
    assert statistics.median(ratios) < 1.6
