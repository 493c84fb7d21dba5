"""`deepproverbs pool status` of a pool in S3: the alarms of its bot's stack, what waits to be read, and one plain line
where nobody can say."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from post_tweet.pool import Pool
from post_tweet.store import open_store

from tests.helpers.aws.bot import STACK, bot_stack
from tests.helpers.aws.gateway import Account, account
from tests.helpers.aws.iam import REGION
from tests.helpers.fakes import records
from training.cli import glance
from training.cli.main import main
from training.common import jsonl
from training.runs import waiting
from training.runs.workspace import Workspace


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    with account() as aws:
        aws.act_as_owner(monkeypatch)
        yield aws


@pytest.fixture
def url(aws: Account) -> str:
    """The pool of a bot with a stack."""
    bot_stack(aws)
    url = aws.outputs(STACK)["PoolUrl"]
    Pool(open_store(url)).append(records(60), "run")
    return url


@contextmanager
def page_of_a_proxy() -> Iterator[str]:
    class Page(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html><p>Welcome<br></html>")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def status(url: str, capsys: pytest.CaptureFixture[str], *more: str) -> str:
    assert main(["pool", "status", "--pool", url, *more]) == 0
    return capsys.readouterr().out


def line(said: str) -> str:
    (found,) = [line for line in said.splitlines() if line.startswith("alarms in AWS: ")]
    return found.removeprefix("alarms in AWS: ")


def ring(aws: Account, state: str) -> None:
    (alarm,) = aws.client("cloudwatch").describe_alarms()["MetricAlarms"]
    aws.client("cloudwatch").set_alarm_state(AlarmName=alarm["AlarmName"], StateValue=state, StateReason="a test")


def test_the_alarms_of_the_bot_s_stack(
    aws: Account, url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert line(status(url, capsys)) == "none of 1"
    ring(aws, "ALARM")
    assert line(status(url, capsys)) == f"the pool runs low (make train-and-fill POOL={url})"
    assert json.loads(status(url, capsys, "--json"))["aws"]["alarms"] == {"PoolLowAlarm": "ALARM"}
    shown: list[str] = []

    def end(_: float) -> None:
        shown.append(line(capsys.readouterr().out))
        if len(shown) == 2:
            raise KeyboardInterrupt
        ring(aws, "OK")

    monkeypatch.setattr(glance.watch, "__defaults__", (end,))
    assert main(["pool", "status", "--pool", url, "--watch", "60"]) == 130
    assert shown == [f"the pool runs low (make train-and-fill POOL={url})", "none of 1"]


def test_commands_are_those_of_the_pool_s_bot(aws: Account, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """--bot need not be the pool's: a command that is pasted acts on the bot whose alarm rings."""
    ring(aws, "ALARM")
    assert main(["pool", "status", "--pool", url, "--bot", "haiku"]) == 0
    assert line(capsys.readouterr().out).endswith(f"(make train-and-fill POOL={url})")  # data/proverbs, make's own


def test_what_waits_to_be_read(aws: Account, url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    template = {
        "Parameters": {"RefillRun": {"Type": "String", "Default": "proverbs-1"}},
        "Resources": {"WorkBucket": {"Type": "AWS::S3::Bucket"}},
        "Outputs": {"WorkBucketName": {"Value": {"Ref": "WorkBucket"}}},
    }
    aws.client("cloudformation").create_stack(StackName=f"{STACK}-training", TemplateBody=json.dumps(template))
    assert "read" not in status(url, capsys)
    work = Workspace(f"s3://{aws.outputs(f'{STACK}-training')['WorkBucketName']}/runs/proverbs-1")
    texts = tmp_path / "pool.jsonl"
    jsonl.write(texts, [{**record, "score": 0, "nearest": "", "nearest_ratio": 0} for record in records(80)[60:]])
    work.put(texts, "out/k/pool.jsonl")
    work.store.put("out/k/review.jsonl", b"")
    waiting.note(work, "out/k", url, "proverbs", "data/proverbs")
    said = status(url, capsys)
    assert f"20 texts wait in {work.url}/out/k for a person to read: `deepproverbs job review --work {work.url}" in said
    assert main(["fill", str(texts), "--pool", url]) == 0
    capsys.readouterr()
    assert "to read" not in status(url, capsys)


def test_nobody_can_say(
    aws: Account, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No stack, no right, no answer: the rest is shown, and one line says why."""
    bucket = url.split("/")[2]
    for other, why in (
        (f"s3://{bucket}/other", f"No stack deepproverbs-other in {REGION}; `make deploy BOT=data/other/bot.toml`"),
        (f"s3://{bucket}/a/b", f"No bot in AWS has its pool at s3://{bucket}/a/b."),
    ):
        Pool(open_store(other)).append(records(12), "run")
        said = status(other, capsys)
        assert "12 of 12 texts left" in said and line(said).startswith(f"not known. {why}")
        assert json.loads(status(other, capsys, "--json"))["aws"]["unknown"].startswith(why)
    aws.client("s3").create_bucket(Bucket="another", CreateBucketConfiguration={"LocationConstraint": REGION})
    Pool(open_store("s3://another/proverbs")).append(records(12), "run")
    assert line(status("s3://another/proverbs", capsys)) == f"not known. The stack {STACK} posts from {url}."
    # No right but to the pool itself.
    iam = aws.client("iam")
    role = iam.create_role(RoleName="reader", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    allow = [{"Sid": "S", "Effect": "Allow", "Action": ["s3:GetObject", "s3:ListBucket"], "Resource": "*"}]
    iam.put_role_policy(
        RoleName="reader", PolicyName="p", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": allow})
    )
    with monkeypatch.context() as patch:
        for name, value in aws.keys(aws.assume(role)).items():
            patch.setenv(name, value)
        said = status(url, capsys)
    assert "60 of 60 texts left" in said and "your AWS user may not call DescribeStacks" in line(said)
    # No answer: S3 is there, the rest is not.
    monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDFORMATION", "http://127.0.0.1:9")
    started = time.monotonic()
    said = status(url, capsys)
    assert "60 of 60 texts left" in said and "Cannot reach AWS to describe the stack" in line(said)
    assert time.monotonic() - started < 60
    # Somebody else answers, as a proxy or the page of a café's network does.
    with page_of_a_proxy() as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDFORMATION", proxy)
        assert "Cannot reach AWS to describe the stack (ResponseParserError)" in line(status(url, capsys))
    # A folder has no stack.
    Pool(open_store(str(tmp_path / "pool"))).append(records(12), "run")
    assert "in AWS" not in status(str(tmp_path / "pool"), capsys)
    assert json.loads(status(str(tmp_path / "pool"), capsys, "--json"))["aws"] is None
