"""One bot in an AWS account on loopback, from `make deploy` to `make destroy`: the README's walk with the real sam,
then a month of slots through the deployed artefact, every alarm under its fault, and every grant taken away in turn.

Only AWS's side is not the real one (tests/aws): moto, IAM's logic at its door, Lambda and the scheduler around the
runtime's own client, CloudWatch's evaluation of alarms.
"""

from __future__ import annotations

import itertools
import json
import re
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from scripts.cloud import deploy
from scripts.cloud.__main__ import main
from scripts.cloud.schedule import moments
from scripts.cloud.stack import Owner
from tests.aws import alarms
from tests.aws.bot import STACK, TEXTS, Bot
from tests.aws.cloudformation import Skipped
from tests.aws.door import account
from tests.aws.function import Lambda, Point, deployed, emptied, slot, waiting
from tests.aws.walk import readme_commands, walk
from tests.loopback_x import loopback_x

UNAUTHORIZED = json.dumps({"title": "Unauthorized", "status": 401, "detail": "Unauthorized"})


@pytest.fixture(scope="module")
def bot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bot]:
    """Deployed and switched on by the README's commands; destroyed by them at the end."""
    with account() as aws, loopback_x() as x:
        bot = Bot(aws, x, tmp_path_factory.mktemp("bot"))
        (bot.folder / "twitter.json").write_text(x.twitter_json)
        assert "`make deploy` makes it" in bot.make("status", code=2)
        assert "`make deploy` without ENABLE" in bot.make("deploy", "ENABLE=yes", code=2)
        for command, said in walk(bot):
            assert re.search(r"Next: |filled by the test", said), command
        yield bot


@pytest.fixture
def service(bot: Bot, tmp_path: Path) -> Iterator[Lambda]:
    with deployed(bot.aws, STACK, tmp_path, bot.x.url, clocked=True) as service:
        bot.x.answers.clear()
        yield service
        bot.aws.removed.clear()
        bot.aws.throttled = False
        bot.pool.resume()
        for name in ("FailureQueueUrl", "ScheduleQueueUrl"):
            emptied(bot.aws, bot.outputs[name])


@pytest.fixture
def start(bot: Bot) -> datetime:
    """Some time after every post so far: the slots of a test lie after those of the one before. On the hour, so that no
    quarter of an hour, which an alarm counts in, ends between the tries of a slot."""
    last = max((datetime.fromisoformat(entry.time) for entry in bot.pool.load()[0].recent), default=datetime.now(UTC))
    return last.replace(minute=0, second=0, microsecond=0) + timedelta(days=2)


def test_every_command_says_what_it_does_and_what_comes_next(bot: Bot) -> None:
    first, *_ = readme_commands()
    deploy = bot.said[" ".join(first[1:])]
    assert "Making the stack deepproverbs-proverbs" in deploy and "confirm it, or no alarm will arrive" in deploy
    assert deploy.splitlines()[-1] == "Next: make secrets TWITTER_CREDS=twitter.json"
    secrets = bot.said[f"secrets TWITTER_CREDS={bot.folder / 'twitter.json'}"]
    assert secrets.splitlines()[-1].startswith("Next: make train-and-fill POOL=s3://")
    dry, real = bot.said["post-now DRY_RUN=1"], bot.said["post-now"]
    assert TEXTS[0] in dry and TEXTS[0] in real and bot.x.published[0] == TEXTS[0]
    assert "59 texts left" in real and real.splitlines()[-1] == "Next: make status"
    assert "The schedule is now on." in bot.said["deploy ENABLE=yes"]
    secret = json.loads(bot.x.twitter_json)["consumer_secret"]
    assert not [command for command, said in bot.said.items() if secret in said]
    for command, said in bot.said.items():
        assert re.search(r"Next: |`make ", said), command


def test_the_daily_commands(bot: Bot, tmp_path: Path) -> None:
    with deployed(bot.aws, STACK, tmp_path, bot.x.url) as service:
        paused = bot.make("pause")
        assert "Paused" in paused and paused.endswith("Next: make resume\n")
        assert "`make resume` opens it again" in bot.make("post-now", code=2)
        status = bot.make("status")
        assert "but the pool is paused since" in status and status.endswith("Next: make resume\n")
        assert bot.make("resume").endswith("Next: make status\n")
        slot(bot.aws, service, datetime.now(UTC))
        service.run_pending()
    status = bot.make("status")
    assert re.search(r"last post +\d{4}-\d\d-\d\d \d\d:\d\d UTC, text 1, https://x.com/i/status/1002", status)
    assert re.search(r"next slot +\d{4}-\d\d-\d\d 0[78]:00 UTC \(cron\(0 9 \* \* \? \*\), Europe/Zurich\)", status)
    assert re.search(r"pool +58 of 60 texts left, \d+ days", status)
    assert re.search(r"alarms +none of 6", status) and re.search(r"queues +0 undelivered, 0 given up", status)
    assert re.search(r"this month +2 posts: \$0\.03 at X", status)
    log = bot.make("logs")
    assert "publish" in log and "outcome=paused" in log and "_aws" not in log


def test_a_month_of_slots_posts_each_once(bot: Bot, service: Lambda, start: datetime) -> None:
    """31 slots with lost answers, double deliveries and cold starts: a post a slot, no text twice, no mail."""
    slots = list(itertools.islice(moments("cron(0 9 * * ? *)", "Europe/Zurich", start), 31))
    before = len(bot.x.published)
    for day, at in enumerate(slots):
        bot.x.time = f"{at + timedelta(seconds=20):%Y-%m-%dT%H:%M:%S}.000Z"
        match day % 7:
            case 1:
                bot.x.script(status=503, body="{}")  # not published, nobody knows
            case 3:
                bot.x.script(publish=True, drop=True)  # published, the answer is lost
            case 5:
                service.restart()
        slot(bot.aws, service, at)
        if day % 5 == 2:
            slot(bot.aws, service, at)
        service.run_pending()
        assert len(bot.x.published) == before + day + 1, (day, at)
        for name in ("ErrorAlarm", "MissedPostAlarm", "GivenUpAlarm", "DeliveryAlarm", "PoolEmptyAlarm"):
            later = service.now + timedelta(minutes=20)
            assert alarms.state(bot.alarm(name), queue_points(bot, service, later), later, "OK") == "OK", (name, day)
    assert len(set(bot.x.published)) == len(bot.x.published)
    posted = [p for p in service.metrics.points if p.name == "Posted" and p.value]
    # Nine lost answers; on two of those days the event came twice, and may have met the claim that waits.
    assert len(posted) == 31 and 9 <= sum(bool(call.error) for call in service.calls) <= 11
    assert waiting(bot.aws, bot.outputs["FailureQueueUrl"]) == waiting(bot.aws, bot.outputs["ScheduleQueueUrl"]) == 0


def queue_points(bot: Bot, service: Lambda, now: datetime) -> list[Point]:
    """All metrics so far, and what SQS itself reports of the queues."""
    counts = {url.rsplit("/", 1)[-1]: waiting(bot.aws, url) for name, url in bot.outputs.items() if "QueueUrl" in name}
    return [
        *service.metrics.points,
        *(
            Point("AWS/SQS", "ApproximateNumberOfMessagesVisible", (("QueueName", name),), now, float(count))
            for name, count in counts.items()
        ),
    ]


def ringing(bot: Bot, service: Lambda, now: datetime) -> set[str]:
    names = ("ErrorAlarm", "MissedPostAlarm", "PoolLowAlarm", "PoolEmptyAlarm", "DeliveryAlarm", "GivenUpAlarm")
    points = queue_points(bot, service, now)
    return {name for name in names if alarms.state(bot.alarm(name), points, now, "OK") == "ALARM"}


def post(bot: Bot, service: Lambda, at: datetime) -> None:
    bot.x.time = f"{at + timedelta(seconds=20):%Y-%m-%dT%H:%M:%S}.000Z"
    slot(bot.aws, service, at)
    service.run_pending()


@pytest.fixture
def steady(bot: Bot, service: Lambda, start: datetime) -> datetime:
    """Two weeks of daily posts with a pool that lasts: no alarm. Returns the next slot."""
    bot.fill(100)
    for day in range(2):
        post(bot, service, start + timedelta(days=day))
    assert ringing(bot, service, service.now) == set()
    return start + timedelta(days=2)


def test_the_alarms_of_errors_and_given_up_posts(bot: Bot, service: Lambda, steady: datetime) -> None:
    bot.x.script(status=503, body="{}")
    post(bot, service, steady)
    assert ringing(bot, service, service.now) == set(), "a lost answer that the retry mends is no news"
    at = steady + timedelta(days=1)
    for _ in range(3):
        bot.x.script(status=401, body=UNAUTHORIZED)
    post(bot, service, at)
    assert ringing(bot, service, service.now) == {"ErrorAlarm", "GivenUpAlarm"}
    reason = rf"given up: {at:%Y-%m-%dT%H:%M:%SZ}: .*(make secrets|token)"
    for _ in range(2):  # looking leaves the message where it is
        status = bot.make("status")
        assert re.search(reason, status) and "0 undelivered, 1 given up" in status and "make clear-queues" in status
    assert waiting(bot.aws, bot.outputs["FailureQueueUrl"]) == 1
    cleared = bot.make("clear-queues")
    assert re.search(reason, cleared) and "1 deleted" in cleared
    assert waiting(bot.aws, bot.outputs["FailureQueueUrl"]) == 0 and "make clear-queues" not in bot.make("status")
    assert ringing(bot, service, service.now + timedelta(minutes=20)) == set()


def test_the_alarm_of_a_missed_post(bot: Bot, service: Lambda, steady: datetime) -> None:
    last = service.now
    assert int(bot.alarm("MissedPostAlarm")["EvaluationPeriods"]) == 27, "25 hours when summer time ends, and two"
    assert ringing(bot, service, last + timedelta(hours=25)) == set()
    assert ringing(bot, service, last + timedelta(hours=28)) == {"MissedPostAlarm"}
    bot.pool.pause(last)
    for day in range(3):
        post(bot, service, steady + timedelta(days=day))
        assert ringing(bot, service, service.now + timedelta(hours=2)) == set(), "the owner's pause is no fault"
    bot.pool.resume()


def reported(bot: Bot, name: str, of: str) -> list[float]:
    """What CloudWatch has of a metric."""
    now = datetime.now(UTC)
    found = bot.aws.client("cloudwatch").get_metric_statistics(
        Namespace="deepproverbs",
        MetricName=name,
        Dimensions=[{"Name": "Bot", "Value": of}],
        StartTime=now - timedelta(hours=2),
        EndTime=now + timedelta(minutes=1),
        Period=3600,
        Statistics=["Sum"],
    )
    return [point["Sum"] for point in found["Datapoints"]]


def test_switching_on_does_not_ring(bot: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    """`make deploy ENABLE=yes` and no call of the function since: the hours of silence count from there."""
    assert sum(reported(bot, "Paused", "proverbs")) >= 1
    bot.aws.act_as_owner(monkeypatch)
    deploy.note_silence(Owner(), "fresh")
    now, alarm = datetime.now(UTC), bot.alarm("MissedPostAlarm")
    points = [
        Point("deepproverbs", name, (("Bot", "proverbs"),), now, value)
        for name in ("Posted", "Paused")
        for value in reported(bot, name, "fresh")
    ]
    assert alarms.state(alarm, points, now) == "OK"
    assert alarms.state(alarm, [p for p in points if p.name == "Paused"], now) == "ALARM", "FILL has nothing to fill"
    assert alarms.state(alarm, [], now) == "ALARM"


def test_the_alarms_of_a_pool_that_runs_low_and_dry(bot: Bot, service: Lambda, steady: datetime) -> None:
    bot.drain(21)
    post(bot, service, steady)
    assert ringing(bot, service, service.now) == {"PoolLowAlarm"}
    bot.drain(1)
    post(bot, service, steady + timedelta(days=1))
    assert ringing(bot, service, service.now) == {"PoolLowAlarm", "PoolEmptyAlarm"}
    post(bot, service, steady + timedelta(days=2))
    assert {"PoolEmptyAlarm", "ErrorAlarm", "GivenUpAlarm"} <= ringing(bot, service, service.now)


def test_the_alarm_of_events_that_cannot_be_delivered(bot: Bot, service: Lambda, steady: datetime) -> None:
    bot.aws.throttled = True
    post(bot, service, steady)
    assert ringing(bot, service, service.now) == {"DeliveryAlarm"}
    assert re.search(rf"undelivered: {steady:%Y-%m-%dT%H:%M:%SZ}: TooManyRequests", bot.make("status"))


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
    roles = {name for name in bot.aws.roles.values()}
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
    from tests.aws.iam import Need, allowed

    (deny,) = policy["PolicyDocument"]["Statement"]
    assert (deny["Effect"], deny["Principal"], deny["Action"]) == ("Deny", "*", "s3:*")
    key = f"arn:aws:s3:::{bot.outputs['BucketName']}/proverbs/state.json"
    everything = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    for tls, result in (("true", True), ("false", False)):
        need = Need("s3:GetObject", key, {"aws:SecureTransport": tls})
        assert allowed(need, [deny, everything]) is result


def test_what_a_second_bot_is_told_acts_on_that_bot(
    bot: Bot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every command that is named carries BOT=; pasted as it stands, it leaves the first bot alone."""
    (tmp_path / "bot.toml").write_text('name = "mybot"\n')
    words = f"BOT={tmp_path / 'bot.toml'}"
    bot.aws.act_as_owner(monkeypatch)

    def command(*arguments: str, code: int = 0) -> str:
        assert main([*arguments, "--bot", str(tmp_path / "bot.toml")]) == code
        return "".join(capsys.readouterr())

    said = [command("deploy")]
    following = said[-1].splitlines()[-1]
    assert following == f"Next: make secrets TWITTER_CREDS=twitter.json {words}"
    told = shlex.split(following.removeprefix("Next: make ").replace("twitter.json", f"{bot.folder / 'twitter.json'}"))
    said += [bot.make(*told), command("status"), command("pause"), command("logs"), command("resume")]
    said += [command("deploy", "--enable", "yes", code=1), command("destroy")]
    told = shlex.split(said[-1].splitlines()[-1].partition("Next: make ")[2])
    said += [bot.make(*told), command("status", code=1)]
    for text in said:
        named = re.findall(r"\bmake ([a-z-]+(?: [A-Z_]+=\S+?)*)(?=[`,;\s]|$)", text.partition("make: ***")[0])
        assert not [one for one in named if words not in one], text
    stacks = {stack["StackName"] for stack in bot.aws.client("cloudformation").describe_stacks()["Stacks"]}
    assert STACK in stacks and "deepproverbs-mybot" not in stacks
    keys = [p["Name"] for p in bot.aws.client("ssm").describe_parameters()["Parameters"]]
    assert keys == ["/deepproverbs/proverbs/twitter"]


def test_destroying_keeps_the_pool(bot: Bot) -> None:
    """Last in this file: the bot is gone afterwards."""
    bucket = bot.outputs["BucketName"]
    assert "Nothing was done. Next: make destroy YES=1" in bot.make("destroy")
    said = bot.make("destroy", "YES=1")
    assert "Deleted. The pool is still at s3://" in said and f"aws s3 sync s3://{bucket}/proverbs " in said
    assert "`make deploy` makes it" in bot.make("status", code=2)
    assert bot.aws.client("s3").get_object(Bucket=bucket, Key="proverbs/state.json")
    assert bot.aws.client("ssm").describe_parameters()["Parameters"] == []
    assert not bot.aws.client("cloudwatch").describe_alarms()["MetricAlarms"]
