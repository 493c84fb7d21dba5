"""infra/template.yaml: SAM's own gates, cfn-lint on what the transform makes of it, and what must hold there.

moto's CloudFormation skips most of these resources silently, so the transformed template is what is asserted on.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from post_tweet import app
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

ROOT = Path(__file__).resolve().parent.parent
TEMPLATE = ROOT / "infra" / "template.yaml"
SAM = ROOT / ".venvs" / "sam" / "bin" / "sam"
REGION = "eu-central-1"


def run(*command: str | Path, cwd: Path = ROOT, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command], cwd=cwd, capture_output=True, text=True, timeout=300, env={**os.environ, **env}
    )


class NoManagedPolicies:
    """The template names none; the real loader would ask AWS."""

    def load(self) -> dict[str, str]:
        return {}


@pytest.fixture(scope="module")
def template() -> dict[str, Any]:
    """The template as CloudFormation will see it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_DEFAULT_REGION", REGION)
        parsed = yaml_parse(TEMPLATE.read_text())
        parsed["Resources"]["Function"]["Properties"]["CodeUri"] = "s3://artefacts/function.zip"
        result: dict[str, Any] = transform(parsed, {}, NoManagedPolicies())
    return result


def only(template: dict[str, Any], kind: str) -> dict[str, Any]:
    (found,) = [resource for resource in template["Resources"].values() if resource["Type"] == kind]
    properties: dict[str, Any] = found["Properties"]
    return properties


def statements(template: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::IAM::Role":
            assert "ManagedPolicyArns" not in resource["Properties"]
            for policy in resource["Properties"]["Policies"]:
                yield from policy["PolicyDocument"]["Statement"]


@pytest.mark.parametrize("options", [[], ["--lint"]], ids=["validate", "lint"])
def test_sam_validates(options: list[str]) -> None:
    result = run(SAM, "validate", "--template", TEMPLATE, "--region", REGION, *options)
    assert result.returncode == 0, result.stdout + result.stderr


def test_cfn_lint_accepts_the_transformed_template(template: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "transformed.json"
    path.write_text(json.dumps(template))
    result = run(Path(sys.executable).parent / "cfn-lint", "--regions", REGION, "--template", path)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.fixture(scope="module")
def python313() -> Path:
    """The function's Python; its folder goes in front of PATH, where sam looks."""
    result = run("scripts/find-python", "3.13")
    assert result.returncode == 0, result.stderr
    return Path(result.stdout.strip())


def test_sam_builds_a_function_that_imports(tmp_path: Path, python313: Path) -> None:
    result = run(
        SAM,
        "build",
        "--template",
        TEMPLATE,
        "--build-dir",
        tmp_path / "build",
        "--config-file",
        ROOT / "infra" / "samconfig.toml",
        cwd=tmp_path,
        PATH=f"{python313.parent}{os.pathsep}{os.environ['PATH']}",
    )
    assert result.returncode == 0, result.stdout + result.stderr
    built = tmp_path / "build" / "Function"
    # The runtime brings boto3; a second copy would cost 25 MB and half a second at every cold start.
    assert {"boto3", "botocore"}.isdisjoint(path.name for path in built.iterdir())
    assert (built / "tweepy").is_dir()
    # -I -S: nothing but the artefact itself.
    code = f"import sys; sys.path.insert(0, {str(built)!r}); import post_tweet.app; post_tweet.app.handler"
    imported = run(python313, "-I", "-S", "-c", code)
    assert imported.returncode == 0, imported.stderr
    # The packages are those of the function's processor, not of this machine's.
    wheels = "".join(path.read_text() for path in built.glob("*.dist-info/WHEEL"))
    assert set(re.findall(r"(x86_64|aarch64)", wheels)) <= {"aarch64"}


def test_the_schedule_is_off_by_default_and_names_the_slot(template: dict[str, Any]) -> None:
    schedule = only(template, "AWS::Scheduler::Schedule")
    assert schedule["State"] == {"Ref": "ScheduleState"}
    assert template["Parameters"]["ScheduleState"]["Default"] == "DISABLED"
    assert json.loads(schedule["Target"]["Input"]) == {
        "schedule_arn": "<aws.scheduler.schedule-arn>",
        "scheduled_time": "<aws.scheduler.scheduled-time>",
    }
    # What the schedule sends, once it has filled in its own words, is what the handler reads.
    sent = schedule["Target"]["Input"].replace("<aws.scheduler.schedule-arn>", "arn")
    sent = sent.replace("<aws.scheduler.scheduled-time>", "2026-01-01T09:00:00Z")
    assert app.read_event(json.loads(sent))[:2] == ("arn 2026-01-01T09:00:00Z", False)
    assert schedule["ScheduleExpressionTimezone"] == {"Ref": "ScheduleTimeZone"}
    assert schedule["Target"]["DeadLetterConfig"] == {"Arn": {"Fn::GetAtt": ["ScheduleQueue", "Arn"]}}


def test_retries_come_after_the_lease(template: dict[str, Any]) -> None:
    function = only(template, "AWS::Lambda::Function")
    lease = float(function["Environment"]["Variables"]["LEASE_SECONDS"])
    assert lease == app.LEASE
    # Lambda waits one minute before its first retry and two before the second.
    assert function["Timeout"] < lease < 120
    assert only(template, "AWS::Lambda::EventInvokeConfig")["MaximumRetryAttempts"] == 2


def test_the_function_gets_every_setting_it_reads(template: dict[str, Any]) -> None:
    given = set(only(template, "AWS::Lambda::Function")["Environment"]["Variables"])
    package = "".join(path.read_text() for path in (ROOT / "functions" / "post_tweet").glob("*.py"))
    read = set(re.findall(r"""(?:setting\(|environ\.get\(|environ\[)["']([A-Z_]+)["']""", package))
    # X_API_URL points elsewhere in tests alone, X_CREDENTIALS_FILE serves away from AWS; AWS_* are the runtime's.
    assert {name for name in read if not name.startswith("AWS_")} - {"X_API_URL", "X_CREDENTIALS_FILE"} == given


def test_rights_are_written_out(template: dict[str, Any]) -> None:
    granted: dict[str, list[dict[str, Any]]] = {}
    for statement in statements(template):
        assert statement["Effect"] == "Allow"
        assert statement["Resource"] != "*"
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        for action in actions:
            assert "*" not in action
            granted.setdefault(action, []).append(statement)
    assert set(granted) == {
        "s3:GetObject",
        "s3:PutObject",
        "s3:ListBucket",
        "ssm:GetParameter",
        "kms:Decrypt",
        "logs:CreateLogStream",
        "logs:PutLogEvents",
        "sqs:SendMessage",
        "lambda:InvokeFunction",
    }
    for action in ("s3:GetObject", "s3:PutObject"):
        assert [s["Resource"] for s in granted[action]] == [{"Fn::Sub": "${Bucket.Arn}/${BotName}/*"}]
    assert "parameter${CredentialsParameter}" in granted["ssm:GetParameter"][0]["Resource"]["Fn::Sub"]
    assert set(granted["kms:Decrypt"][0]["Condition"]["StringEquals"]) == {
        "kms:ViaService",
        "kms:EncryptionContext:PARAMETER_ARN",
    }


def test_the_bucket_is_private_encrypted_versioned_and_kept(template: dict[str, Any]) -> None:
    bucket = only(template, "AWS::S3::Bucket")
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    assert template["Resources"]["Bucket"]["DeletionPolicy"] == "Retain"
    assert template["Resources"]["Bucket"]["UpdateReplacePolicy"] == "Retain"
    (deny,) = only(template, "AWS::S3::BucketPolicy")["PolicyDocument"]["Statement"]
    assert (deny["Effect"], deny["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})


def test_nothing_has_a_literal_name(template: dict[str, Any]) -> None:
    names = {"Name", "BucketName", "FunctionName", "RoleName", "QueueName", "TopicName", "AlarmName", "LogGroupName"}
    for logical, resource in template["Resources"].items():
        for name in names & resource["Properties"].keys():
            assert isinstance(resource["Properties"][name], dict), f"{logical}.{name} would collide with a second stack"


def test_no_secret_is_a_parameter(template: dict[str, Any]) -> None:
    text = TEMPLATE.read_text().lower()
    assert not re.search(r"consumer_(key|secret)|access_(token|key|secret)|noecho", text)
    assert template["Parameters"]["CredentialsParameter"]["Default"] == "/deepproverbs/proverbs/twitter"


def test_alarms_mail_only_when_there_is_an_address(template: dict[str, Any]) -> None:
    alarms = [r["Properties"] for r in template["Resources"].values() if r["Type"] == "AWS::CloudWatch::Alarm"]
    assert {alarm["MetricName"] for alarm in alarms} == {"Errors", "ApproximateNumberOfMessagesVisible"}
    for alarm in alarms:
        assert alarm["AlarmActions"] == {"Fn::If": ["HasAlarmEmail", [{"Ref": "AlarmTopic"}], {"Ref": "AWS::NoValue"}]}
    assert template["Resources"]["AlarmTopic"]["Condition"] == "HasAlarmEmail"


def test_logs_are_json_and_do_not_stay_for_ever(template: dict[str, Any]) -> None:
    assert only(template, "AWS::Lambda::Function")["LoggingConfig"] == {
        "LogFormat": "JSON",
        "LogGroup": {"Ref": "LogGroup"},
    }
    assert only(template, "AWS::Logs::LogGroup") == {"RetentionInDays": {"Ref": "LogRetentionDays"}}


def test_deploy_finds_the_outputs_it_prints(template: dict[str, Any]) -> None:
    used = set(re.findall(r'out\["(\w+)"\]', (ROOT / "scripts" / "deploy").read_text()))
    assert used
    assert used <= template["Outputs"].keys()


def test_deploy_without_aws_credentials_is_one_sentence(tmp_path: Path) -> None:
    result = run("scripts/deploy", HOME=str(tmp_path))
    assert (result.returncode, result.stdout) == (1, "")
    assert re.fullmatch(r"deploy: No AWS credentials; .*\n", result.stderr)
