"""What the commands in AWS say: prices, the log for people, what comes next with its bot, why a stack does not go."""

from __future__ import annotations

import ast
import io
import json
import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from moto.cloudformation.models import CloudFormationBackend

from infra.cloud import costs, deploy, operate
from infra.cloud.make import make, speak_of
from infra.cloud.schedule import a_month
from infra.cloud.stack import Owner, Stack
from tests.helpers.aws.bot import bot_stack
from tests.helpers.aws.gateway import Account, account
from training import settings
from training.common.errors import DeepproverbsError
from training.common.paths import DEFAULT_BOT, ROOT
from training.runs import jobs

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


def test_costs_are_the_arithmetic_of_the_readme() -> None:
    """Every figure of its table, computed again."""
    text = (ROOT / "docs" / "aws.md").read_text()
    bill, count = costs.month(30), 20_000
    candidates = jobs.total(settings.override(settings.load(DEFAULT_BOT), "", count=count))  # what the jobs will draw
    minutes = candidates / costs.TEXTS_A_SECOND / 60
    spent = {n: costs.training(n, candidates).split(":")[0].removeprefix("Costs about ") for n in (1, 4)}
    assert a_month("cron(0 9 * * ? *)", "UTC", NOW) == 30
    for figure in (
        f"${bill.x:.2f}",
        f"${bill.aws_posts:.2f}",
        f"${bill.alarms:.2f}",
        f"${bill.aws:.2f}",
        f"${costs.post():.4f}",
        f"{candidates:,} candidates ({candidates / count:.0f} for a text) at {costs.TEXTS_A_SECOND} a second",
        f"| {minutes:.0f} min | {minutes:.0f} min |",
        f"at ${costs.machine_hour():.2f} an hour",
        f"disk ${costs.DISK_HOUR:.3f}",
        f"address ${costs.ADDRESS_HOUR:.3f}",
        f"| {spent[4]} | {spent[1]} |",
        f"{costs.START_MINUTES} + {minutes:.0f} minutes at ${costs.machine_hour():.2f} an hour, "
        f"${(costs.START_MINUTES + minutes) / 60 * costs.machine_hour():.2f}",
    ):
        assert figure in text, figure
    assert f"some {round(100 * float(spent[4][1:]), -1):.0f} cents" in (ROOT / "README.md").read_text()
    rest = 1 - costs.METRICS * costs.METRIC_MONTH / costs.HOURS / costs.post()
    said = costs.post.__doc__ or ""
    assert f"${costs.post():.4f}" in said and f"all but {100 * rest:.1f} %" in said
    (disk,) = re.findall(r"VolumeSize: (\d+)", (ROOT / "infra" / "training.yaml").read_text())
    assert round(costs.DISK_HOUR * costs.HOURS / 0.08) == int(disk)


def test_the_log_for_people() -> None:
    assert operate.readable('{"event": "publish", "slot": "s", "outcome": "posted", "_aws": {}, "id": null}') == (
        "publish  slot=s outcome=posted"
    )
    assert operate.readable('{"event": "metrics", "Posted": 1}') == ""
    assert operate.readable('{"type": "platform.report", "record": {}}') == ""
    wrapped = json.dumps({"level": "ERROR", "message": json.dumps({"event": "end", "outcome": "account"})})
    assert operate.readable(wrapped) == "end      outcome=account"
    assert operate.readable("Task timed out after 45.00 seconds\n") == "Task timed out after 45.00 seconds"


def test_no_command_is_named_without_its_bot(tmp_path: Path) -> None:
    """What is said names commands through `make` alone, which adds BOT= for any bot but the default one."""
    try:
        assert make("destroy YES=1") == "make destroy YES=1"
        speak_of(Path(os.path.relpath(DEFAULT_BOT)))
        assert make("destroy YES=1") == "make destroy YES=1"
        speak_of(tmp_path / "my bot" / "bot.toml")
        assert make("destroy YES=1") == f"make destroy YES=1 'BOT={tmp_path}/my bot/bot.toml'"
    finally:
        speak_of(DEFAULT_BOT)
    for file in (ROOT / "infra" / "cloud").glob("*.py"):
        tree = ast.parse(file.read_text())
        about = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}  # docstrings
        texts = [n for n in ast.walk(tree) if isinstance(n, ast.Constant) and id(n) not in about]
        assert not [n.value for n in texts if re.search(r"\bmake [a-z]+\b(?! it)", str(n.value))], file


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    with account() as aws:
        aws.act_as_owner(monkeypatch)
        yield aws


def test_a_deletion_that_fails_says_what_holds_the_stack(aws: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    bot_stack(aws)

    def held(backend: CloudFormationBackend, name_or_stack_id: str) -> None:
        stack = backend.get_stack(name_or_stack_id)
        stack.status = "DELETE_FAILED"
        stack.stack_status_reason = "[Queue] failed to delete."  # type: ignore[attr-defined]  # what moto answers with

    monkeypatch.setattr(CloudFormationBackend, "delete_stack", held)
    sentence = r"deepproverbs-proverbs could not be deleted \(DELETE_FAILED\): \[Queue\] failed to delete\."
    with pytest.raises(DeepproverbsError, match=sentence):
        deploy.remove(Owner(), Stack.of(Owner(), "proverbs"))


@pytest.mark.parametrize(
    ("kind", "dry_run", "hint"),
    [
        ("Undecided", False, True),
        ("Sandbox.Timedout", False, True),
        ("Undecided", True, False),
        ("EmptyPool", False, False),
    ],
)
def test_a_call_by_hand_that_may_have_posted_is_repeated_by_its_slot(
    kind: str, dry_run: bool, hint: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The function's answer is made up here: what it is under each fault is tested where the function is."""
    sent: list[dict[str, Any]] = []

    def invoke(FunctionName: str, Payload: bytes) -> dict[str, Any]:
        sent.append(json.loads(Payload))
        body = json.dumps({"errorType": kind, "errorMessage": "It failed."}).encode()
        return {"FunctionError": "Unhandled", "Payload": io.BytesIO(body)}

    owner = SimpleNamespace(client=lambda name: SimpleNamespace(invoke=invoke))
    monkeypatch.setattr(Owner, "present", lambda: owner)
    monkeypatch.setattr(Stack, "of", lambda *_: SimpleNamespace(outputs={"FunctionName": "f"}))
    with pytest.raises(DeepproverbsError, match="The function did not post: It failed") as error:
        operate.post_now("proverbs", dry_run, None, lambda _: None)
    said = re.findall(r"wait a minute and give `make post-now SLOT='(by hand \S+Z)'`", str(error.value))
    assert said == ([sent[0]["slot"]] if hint else [])
    with pytest.raises(DeepproverbsError):
        operate.post_now("proverbs", dry_run, "by hand again", lambda _: None)
    assert sent[1] == {"slot": "by hand again", "dry_run": dry_run}
