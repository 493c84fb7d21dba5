"""What the roles of a bot in AWS may do: every grant taken away in turn, and nothing without TLS."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.helpers.aws.bot import STACK, Bot
from tests.helpers.aws.cloudformation import Skipped
from tests.helpers.aws.function import Lambda, emptied, waiting
from tests.helpers.aws.iam import Need, allowed
from tests.helpers.aws.slots import UNAUTHORIZED, post
from tests.helpers.aws.walk import switched_on


@pytest.fixture(scope="module")
def bot(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bot]:
    with switched_on(tmp_path_factory.mktemp("bot"), built) as bot:
        yield bot


def whole_run(bot: Bot, service: Lambda, at: datetime) -> dict[str, bool]:
    """Everything that either role does in its life, and what came of it."""
    state = f"{bot.pool.store.url.rsplit('/', 1)[-1]}/state.json"
    s3, bucket = bot.aws.client("s3"), bot.outputs["BucketName"]
    seen: dict[str, bool] = {}
    before, points = len(bot.x.published), len(service.metrics.points)
    post(bot, service, at)
    seen["posts"] = len(bot.x.published) == before + 1
    seen["log and metrics"] = any(p.name == "Posted" for p in service.metrics.points[points:])
    for _ in range(3):
        bot.x.script(status=401, body=UNAUTHORIZED)
    post(bot, service, at + timedelta(days=1))
    bot.x.answers.clear()
    seen["failed event kept"] = waiting(bot.aws, bot.outputs["FailureQueueUrl"]) > 0
    bot.aws.throttled = True
    post(bot, service, at + timedelta(days=2))
    bot.aws.throttled = False
    seen["undelivered event kept"] = waiting(bot.aws, bot.outputs["ScheduleQueueUrl"]) > 0
    kept = s3.get_object(Bucket=bucket, Key=state)["Body"].read()
    s3.delete_object(Bucket=bucket, Key=state)
    called = service.call("missing", json.dumps({"slot": f"missing {at}"}).encode())
    seen["tells an empty pool"] = "holds no unused text" in called.error
    s3.put_object(Bucket=bucket, Key=state, Body=kept)
    for name in ("FailureQueueUrl", "ScheduleQueueUrl"):
        emptied(bot.aws, bot.outputs[name])
    return seen


TABLE = {
    ("Pool", "s3:GetObject"): {"posts", "tells an empty pool"},
    ("Pool", "s3:PutObject"): {"posts"},
    ("TellMissingFromForbidden", "s3:ListBucket"): {"tells an empty pool"},
    ("Credentials", "ssm:GetParameter"): {"posts"},
    ("Logs", "logs:CreateLogStream"): {"log and metrics"},
    ("Logs", "logs:PutLogEvents"): {"log and metrics"},
    ("Failures", "sqs:SendMessage"): {"failed event kept"},
    ("Call", "lambda:InvokeFunction"): {"posts", "log and metrics", "failed event kept"},
    ("Undelivered", "sqs:SendMessage"): {"undelivered event kept"},
}
"""A grant → what no longer works without it."""


def test_each_grant_is_needed_and_all_are_enough(bot: Bot, service: Lambda, start: datetime) -> None:
    bot.fill(60)
    made = (role["RoleName"] for role in bot.aws.client("iam").list_roles()["Roles"])
    roles = {name for name in made if name.startswith(f"{STACK}-")}
    granted = {
        (statement["Sid"], action)
        for role in roles
        for statement in bot.aws.statements(role)
        for action in statement["Action"]
    }
    assert granted == set(TABLE)
    at = start
    for removed in [None, *TABLE]:
        bot.aws.removed = {removed} if removed else set()
        service.restart()  # a warm function has read the keys already
        bot.aws.denied.clear()
        lost = {what for what, works in whole_run(bot, service, at).items() if not works}
        assert lost == (TABLE[removed] if removed else set()), removed
        assert bool(bot.aws.denied) == bool(removed), bot.aws.denied
        at += timedelta(days=4)


def test_nothing_goes_in_without_tls(bot: Bot) -> None:
    (policy,) = [
        r["Properties"] for n, r in Skipped.made.items() if r["Type"] == "AWS::S3::BucketPolicy" and n.startswith(STACK)
    ]
    (deny,) = policy["PolicyDocument"]["Statement"]
    assert (deny["Effect"], deny["Principal"], deny["Action"]) == ("Deny", "*", "s3:*")
    key = f"arn:aws:s3:::{bot.outputs['BucketName']}/proverbs/state.json"
    everything = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    for tls, result in (("true", True), ("false", False)):
        need = Need("s3:GetObject", key, {"aws:SecureTransport": tls})
        assert allowed(need, [deny, everything]) is result
