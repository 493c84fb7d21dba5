"""What the roles in AWS may do: every grant of a bot's taken away in turn, calls that must be refused, whom each role
trusts, and nothing without TLS."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.aws.bot import STACK, Bot
from tests.helpers.aws.cloudformation import Skipped, transformed
from tests.helpers.aws.function import Lambda, emptied, waiting
from tests.helpers.aws.iam import ACCOUNT, REGION, Need, allowed, listed, resolve, trusted
from tests.helpers.aws.slots import UNAUTHORIZED, post
from tests.helpers.aws.walk import switched_on
from training.common.paths import ROOT


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
    seen["record"] = len(bot.pool.store.list("posts/")) == len(bot.x.published)
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
    seen["tells missing from forbidden"] = bool(called.error) and "AWS does not allow" not in called.error
    s3.put_object(Bucket=bucket, Key=state, Body=kept)
    for name in ("FailureQueueUrl", "ScheduleQueueUrl"):
        emptied(bot.aws, bot.outputs[name])
    return seen


TABLE = {
    ("Read", "s3:GetObject"): {"posts"},
    ("List", "s3:ListBucket"): {"posts", "tells missing from forbidden"},
    ("State", "s3:PutObject"): {"posts"},
    ("Credentials", "ssm:GetParameter"): {"posts"},
    ("Logs", "logs:CreateLogStream"): {"log and metrics"},
    ("Logs", "logs:PutLogEvents"): {"log and metrics"},
    ("Failures", "sqs:SendMessage"): {"failed event kept"},
    ("Call", "lambda:InvokeFunction"): {"posts", "log and metrics", "failed event kept"},
    ("Undelivered", "sqs:SendMessage"): {"undelivered event kept"},
    # Last: a post without its record stays so until the next post.
    ("Records", "s3:PutObject"): {"record"},
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


def roles_of(template: str, bot: str = "a") -> dict[str, dict[str, Any]]:
    """The roles of a template, deployed for a bot in an account of its own names."""
    resources = transformed((ROOT / "infra" / template).read_text())["Resources"]
    names = {
        "AWS::Partition": "aws",
        "AWS::Region": REGION,
        "AWS::AccountId": ACCOUNT,
        "AWS::URLSuffix": "amazonaws.com",
        "BotName": bot,
        "PoolBucket": "pools",
        "PoolPrefix": bot,
        "Bucket.Arn": "arn:aws:s3:::pools",
        "WorkBucket.Arn": "arn:aws:s3:::work",
        "Function.Arn": arn("lambda", "function:post"),
        "LogGroup.Arn": arn("logs", f"log-group:{template.removesuffix('.yaml')}:*"),
        "Repository.Arn": arn("ecr", "repository/images"),
        "Queue": arn("batch", "job-queue/Queue"),
        "Job": arn("batch", "job-definition/Job:1"),
        **{f"{name}.Arn": arn("sqs", name) for name in ("ScheduleQueue", "FailureQueue")},
    }
    found = {n: r["Properties"] for n, r in resources.items() if r["Type"] == "AWS::IAM::Role"}
    return {name: resolve(role, names) for name, role in found.items()}


def arn(service: str, what: str) -> str:
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{what}"


def need(text: str) -> Need:
    """`s3:GetObject pools/a/state.json`, or `s3:ListBucket pools prefix`; a list without a third word has no prefix."""
    action, resource, *prefix = text.split(" ")
    if action.startswith("s3:"):
        resource = f"arn:aws:s3:::{resource}"
    elif not resource.startswith("*"):
        resource = arn(action.split(":")[0], resource)
    return Need(action, resource, {"s3:prefix": prefix[0]} if prefix else {})


MAY = {
    "FunctionRole": """
        s3:GetObject pools/a/state.json
        s3:GetObject pools/a/state-mastodon.json
        s3:GetObject pools/a/batches/0123456789ab.jsonl
        s3:GetObject pools/a/posts/2026/7.json
        s3:PutObject pools/a/state.json
        s3:PutObject pools/a/state-mastodon.json
        s3:PutObject pools/a/posts/2026/7.json
        s3:PutObject pools/a/posts-mastodon/2026/7.json
        s3:ListBucket pools a/
        s3:ListBucket pools a/batches/
        s3:ListBucket pools a/posts/2026/7.json
        ssm:GetParameter parameter/deepproverbs/a/twitter
        logs:CreateLogStream log-group:template:log-stream:1
        logs:PutLogEvents log-group:template:log-stream:1
        sqs:SendMessage FailureQueue
    """,
    "ScheduleRole": """
        lambda:InvokeFunction function:post
        sqs:SendMessage ScheduleQueue
    """,
    "BuildRole": """
        s3:GetObject work/source/0123.zip
        logs:CreateLogStream log-group:training:log-stream:build
        logs:PutLogEvents log-group:training:log-stream:build
        ecr:GetAuthorizationToken *
        ecr:BatchCheckLayerAvailability repository/images
        ecr:BatchGetImage repository/images
        ecr:InitiateLayerUpload repository/images
        ecr:UploadLayerPart repository/images
        ecr:CompleteLayerUpload repository/images
        ecr:PutImage repository/images
    """,
    "JobRole": """
        s3:GetObject work/runs/a-1/bot/bot.toml
        s3:PutObject work/runs/a-1/run/model/model.bin
        s3:ListBucket work runs/a-1/bot/
        s3:GetObject pools/a/state.json
        s3:GetObject pools/a/batches/0123456789ab.jsonl
        s3:GetObject pools/a/state-mastodon.json
        s3:GetObject pools/a/posts/2026/7.json
        s3:PutObject pools/a/state.json
        s3:PutObject pools/a/state-mastodon.json
        s3:PutObject pools/a/batches/0123456789ab.jsonl
        s3:ListBucket pools a/
        s3:ListBucket pools a/batches/
        s3:ListBucket pools a/posts/2026/7.json
    """,
    "RefillRole": """
        batch:SubmitJob job-queue/Queue
        batch:SubmitJob job-definition/Job:1
    """,
}
"""All that a role does: on the bot `a`, whose pool lies in the bucket `pools`."""
MUST_NOT = """
    s3:ListBucket pools
    s3:ListBucket pools a
    s3:ListBucket pools b/
    s3:ListBucket pools a-b/
    s3:ListBucket pools /a/
    s3:ListBucket pools A/
    s3:ListBucket other a/
    s3:ListBucket work
    s3:ListBucket work source/
    s3:ListBucketVersions pools a/
    s3:ListAllMyBuckets *
    s3:GetObject pools/a
    s3:GetObject pools/a-b/state.json
    s3:GetObject pools/b/a/state.json
    s3:GetObject pools/state.json
    s3:GetObject other/a/state.json
    s3:GetObject work/out.json
    s3:GetObjectVersion pools/a/state.json
    s3:PutObject pools/a-b/state.json
    s3:PutObject pools/b/state.json
    s3:PutObject pools/state.json
    s3:PutObject pools/a/other.json
    s3:PutObject pools/a/x/state.json
    s3:PutObject work/source/0123.zip
    s3:PutObject other/a/state.json
    s3:PutObject a/state.json
    s3:PutObjectAcl pools/a/state.json
    s3:DeleteObject pools/a/state.json
    s3:DeleteObjectVersion pools/a/state.json
    s3:PutBucketPolicy pools
    s3:PutLifecycleConfiguration pools
    ssm:GetParameter parameter/deepproverbs/b/twitter
    ssm:GetParameter parameter/deepproverbs/a-b/twitter
    ssm:GetParameter parameter/deepproverbs/a/twitter/more
    ssm:PutParameter parameter/deepproverbs/a/twitter
    logs:PutLogEvents log-group:others:log-stream:1
    logs:GetLogEvents log-group:template:log-stream:1
    logs:DeleteLogGroup log-group:template:log-stream:1
    sqs:ReceiveMessage FailureQueue
    sqs:SendMessage OthersQueue
    lambda:InvokeFunction function:post-2
    lambda:UpdateFunctionCode function:post
    ecr:PutImage repository/images-2
    ecr:BatchDeleteImage repository/images
    iam:PassRole role/FunctionRole
    sts:AssumeRole role/JobRole
    codebuild:StartBuild project/Build
    batch:SubmitJob job-queue/Queue
    batch:SubmitJob job-queue/Others
    batch:SubmitJob job-definition/Job:2
    batch:SubmitJob job-definition/Others:1
    batch:RegisterJobDefinition job-definition/Job
    batch:TerminateJob job/1
"""
"""What no role may, and beside it whatever only another one may."""


def lines(text: str) -> list[str]:
    return [line.strip() for line in text.strip().splitlines()]


@pytest.mark.parametrize(
    ("template", "role"),
    [
        ("template.yaml", "FunctionRole"),
        ("template.yaml", "ScheduleRole"),
        ("training.yaml", "BuildRole"),
        ("training.yaml", "JobRole"),
        ("training.yaml", "RefillRole"),
    ],
)
def test_a_role_may_what_it_does_and_no_more(template: str, role: str) -> None:
    assert {r for t in ("template.yaml", "training.yaml") for r in roles_of(t)} == {*MAY, "InstanceRole"}
    (policy,) = roles_of(template)[role]["Policies"]
    statements = policy["PolicyDocument"]["Statement"]
    mine, others = lines(MAY[role]), [line for name, text in MAY.items() if name != role for line in lines(text)]
    assert [line for line in mine if not allowed(need(line), statements)] == []
    refused = [line for line in (*lines(MUST_NOT), *others) if line not in mine]
    assert [line for line in refused if allowed(need(line), statements)] == []
    # The least: no statement, action or resource that nothing of this needs.
    for statement in statements:
        assert "NotAction" not in statement and "NotResource" not in statement
        for action, resource in itertools.product(listed(statement["Action"]), listed(statement["Resource"])):
            assert "*" not in action and (resource != "*" or action == "ecr:GetAuthorizationToken")
            one = {**statement, "Action": action, "Resource": resource}
            assert any(allowed(need(line), [one]) for line in mine), f"{role}: nothing needs {one}"


ELSEWHERE = "999999999999"
TRUST = {
    "FunctionRole": ("lambda", ""),
    "ScheduleRole": ("scheduler", arn("scheduler", "schedule-group/default")),
    "BuildRole": ("codebuild", arn("codebuild", "project/Build-1")),
    "JobRole": ("ecs-tasks", arn("ecs", "task/cluster/1")),
    "RefillRole": ("events", arn("events", "rule/Refill-1")),
    "InstanceRole": ("ec2", ""),
}
"""Role → the service that assumes it, and for what; "" where AWS does not say."""


def test_a_role_is_assumed_for_this_account_s_own_work_alone() -> None:
    """Else another account's schedule or build could have its service use these roles."""
    roles = {n: r for t in ("template.yaml", "training.yaml") for n, r in roles_of(t).items()}
    assert roles.keys() == TRUST.keys()
    for name, (service, source) in TRUST.items():
        statements = roles[name]["AssumeRolePolicyDocument"]["Statement"]
        here = {"aws:SourceAccount": ACCOUNT, **({"aws:SourceArn": source} if source else {})}
        assert trusted(f"{service}.amazonaws.com", here, statements)
        assert not any(
            trusted(f"{other}.amazonaws.com", here, statements) for other, _ in TRUST.values() if other != service
        )
        if service == "ec2":  # which sends neither
            assert trusted("ec2.amazonaws.com", {}, statements)
            continue
        assert not trusted(f"{service}.amazonaws.com", {}, statements)
        assert not trusted(f"{service}.amazonaws.com", {**here, "aws:SourceAccount": ELSEWHERE}, statements)
        if source:
            wrong = [
                source.replace(ACCOUNT, ELSEWHERE),
                source.replace(REGION, "us-east-1"),
                arn(service, "other/x"),
                "",
            ]
            for instead in wrong[: 2 if service == "ecs-tasks" else 4]:
                assert not trusted(f"{service}.amazonaws.com", {**here, "aws:SourceArn": instead}, statements), instead
    assert roles["InstanceRole"]["ManagedPolicyArns"] == [
        "arn:aws:iam::aws:policy/service-role/AmazonEC2ContainerServiceforEC2Role"
    ]


def test_the_evaluator_knows_what_iam_knows() -> None:
    """Against the examples of IAM's documentation; what it does not know it refuses."""
    grant = {"Effect": "Allow", "Action": "s3:Get*", "Resource": "arn:aws:s3:::b/a?c/*"}
    assert allowed(Need("s3:getobject", "arn:aws:s3:::b/abc/d/e"), [grant])
    assert not allowed(Need("s3:GetObject", "arn:aws:s3:::b/ac/d"), [grant]), "? is one character"
    assert not allowed(Need("s3:PutObject", "arn:aws:s3:::b/abc/d"), [grant])
    assert not allowed(Need("s3:GetObject", "arn:aws:s3:::b/a[bc]/d"), [grant])
    assert not allowed(Need("s3:GetObject", "x"), []), "what nobody allows is denied"
    for unknown in ({"NotResource": "x"}, {"Condition": {"StringNotLike": {"s3:prefix": "x"}}}):
        with pytest.raises(NotImplementedError):
            allowed(Need("s3:GetObject", "arn:aws:s3:::b/abc/d", {"s3:prefix": "y"}), [{**grant, **unknown}])
