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
from post_tweet import app, telemetry
from post_tweet.state import State

from infra.cloud import costs, deploy
from tests.helpers.aws.cloudformation import transformed
from tests.helpers.aws.iam import ACCOUNT, REGION, resolve
from training.cli.main import main
from training.common.paths import ROOT

TEMPLATE = ROOT / "infra" / "template.yaml"
TRAINING = ROOT / "infra" / "training.yaml"


def run(*command: str | Path, cwd: Path = ROOT, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command], cwd=cwd, capture_output=True, text=True, timeout=300, env={**os.environ, **env}
    )


@pytest.fixture(scope="module")
def template() -> dict[str, Any]:
    """The template as CloudFormation will see it."""
    return transformed(TEMPLATE.read_text())


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
def test_sam_validates(sam: Path, options: list[str]) -> None:
    result = run(sam, "validate", "--template", TEMPLATE, "--region", REGION, *options)
    assert result.returncode == 0, result.stdout + result.stderr


def test_cfn_lint_accepts_the_transformed_templates(tmp_path: Path) -> None:
    for source in (TEMPLATE, TRAINING):
        (tmp_path / f"{source.stem}.json").write_text(json.dumps(transformed(source.read_text())))
    result = run(Path(sys.executable).parent / "cfn-lint", "--regions", REGION, "--template", *tmp_path.iterdir())
    assert result.returncode == 0, result.stdout + result.stderr


def test_cfn_lint_finds_a_mistake_that_only_the_transform_shows(tmp_path: Path) -> None:
    """An event age below a minute: sam's own checks accept it."""
    path = tmp_path / "transformed.json"
    path.write_text(
        json.dumps(
            transformed(TEMPLATE.read_text().replace("MaximumEventAgeInSeconds: 3600", "MaximumEventAgeInSeconds: 30"))
        )
    )
    result = run(Path(sys.executable).parent / "cfn-lint", "--regions", REGION, "--template", path)
    assert result.returncode == 2 and "30 is less than the minimum of 60" in result.stdout


SUPPRESSED = {
    "CKV_AWS_18": "a bucket's access log would be a second bucket; CloudTrail tells who reads, should it matter",
    "CKV_AWS_21": "the workspace holds what can be made anew, for 30 days; the pool's bucket is versioned",
    "CKV_AWS_26": "a mail of an alarm holds no secret, and CloudWatch cannot write to a topic under AWS's own key",
    "CKV_AWS_27": "SQS encrypts with its own key (SqsManagedSseEnabled), which this check does not know",
    "CKV_AWS_115": "reserved concurrency fails to deploy in accounts with a small quota; the protocol needs none",
    "CKV_AWS_116": "the failure queue is EventInvokeConfig's destination, which carries the error, too",
    "CKV_AWS_117": "the function talks to S3, SSM and X alone; in a VPC it would need a NAT gateway for $32 a month",
    "CKV_AWS_136": "the image holds this repository and public packages; ECR encrypts it with S3's key",
    "CKV_AWS_158": "logs hold no secret; a key of one's own costs $1 a month",
    "CKV_AWS_173": "the environment holds names, no secrets",
}
"""A check of checkov that fails → why it may."""


def test_checkov_finds_nothing_but_what_is_explained(checkov: Path) -> None:
    """checkov rather than cfn-guard, which comes to the package index as an engine without rules."""
    files = ["--file", TEMPLATE, TRAINING, "--framework", "cloudformation", "--output", "json", "--quiet", "--compact"]
    found = json.loads(run(checkov, *files).stdout)
    failed = {(c["check_id"], c["check_name"], c["resource"]) for c in found["results"]["failed_checks"]}
    assert not [check for check in failed if check[0] not in SUPPRESSED]
    assert {check[0] for check in failed} == set(SUPPRESSED), "an explanation has outlived its finding"
    assert found["summary"]["passed"] > 60 and found["summary"]["resource_count"] == 33


@pytest.fixture(scope="module")
def python313() -> Path:
    """The function's Python; its folder goes in front of PATH, where sam looks."""
    result = run("scripts/find-python", "3.13")
    assert result.returncode == 0, result.stderr
    return Path(result.stdout.strip())


def test_sam_builds_a_function_that_imports(built: Path, python313: Path) -> None:
    assert not built.is_relative_to(ROOT), "a deployment may be going on there"
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
    assert app.Event.parse(json.loads(sent)) == app.Event("arn 2026-01-01T09:00:00Z", False)
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
    assert re.search(r'setting\(f"{place}_CREDENTIALS_PARAMETER"\)', package), "by default X_CREDENTIALS_PARAMETER"
    read.add("X_CREDENTIALS_PARAMETER")
    # PLACE is x by default, X_API_URL points elsewhere in tests alone; AWS_* are the runtime's.
    assert {name for name in read if not name.startswith("AWS_")} - {"PLACE", "X_API_URL"} == given


def test_rights_are_written_out(template: dict[str, Any]) -> None:
    """What is granted is used: tests/aws/test_grants.py takes each one away. Here: no star stands alone."""
    for statement in statements(template):
        assert statement["Effect"] == "Allow"
        assert statement["Resource"] != "*"
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        assert not [action for action in actions if "*" in action]


def test_alarms_look_at_metrics_that_the_code_emits(template: dict[str, Any]) -> None:
    emitted = {*telemetry.COUNTS, *telemetry.POOL}
    looked: list[tuple[str, str, tuple[str, ...]]] = []
    for logical, resource in template["Resources"].items():
        if resource["Type"] != "AWS::CloudWatch::Alarm":
            continue
        p = resource["Properties"]
        for m in [m["MetricStat"]["Metric"] for m in p.get("Metrics", []) if "MetricStat" in m] or [p]:
            looked.append((m["Namespace"], m["MetricName"], tuple(d["Name"] for d in m["Dimensions"])))
            if m["Namespace"] == "deepproverbs":
                assert m["MetricName"] in emitted, logical
                assert m["Dimensions"] == [{"Name": "Bot", "Value": {"Ref": "BotName"}}]
    variables = only(template, "AWS::Lambda::Function")["Environment"]["Variables"]
    assert variables["METRICS_NAMESPACE"] == "deepproverbs" and variables["BOT_NAME"] == {"Ref": "BotName"}
    assert sorted(looked) == [
        ("AWS/Lambda", "Errors", ("FunctionName",)),
        ("AWS/SQS", "ApproximateNumberOfMessagesVisible", ("QueueName",)),
        ("AWS/SQS", "ApproximateNumberOfMessagesVisible", ("QueueName",)),
        ("deepproverbs", "DaysLeft", ("Bot",)),
        ("deepproverbs", "Paused", ("Bot",)),
        ("deepproverbs", "PoolRemaining", ("Bot",)),
        ("deepproverbs", "Posted", ("Bot",)),
    ]
    assert len(looked) == costs.ALARMS, "what the costs reckon with"


def test_the_dashboard_is_json_on_the_same_metrics(template: dict[str, Any]) -> None:
    body, names = only(template, "AWS::CloudWatch::Dashboard")["DashboardBody"]["Fn::Sub"]
    known = {"BotName", "Function", "AWS::Region", *names}
    text = re.sub(r"\$\{([\w:]+)\}", lambda m: "x" if m[1] in known else f"${{{m[1]}}}", body)
    widgets = json.loads(text)["widgets"]
    assert "${" not in text and len(widgets) == 4
    emitted = {*telemetry.COUNTS, *telemetry.POOL}
    own = [m[1] for w in widgets for m in w["properties"]["metrics"] if m[0] in ("deepproverbs", ".") and len(m) > 2]
    assert {name for name in own if name not in ("Errors", "Duration")} <= emitted


def test_the_bucket_is_private_encrypted_versioned_and_kept(template: dict[str, Any]) -> None:
    bucket = only(template, "AWS::S3::Bucket")
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    assert template["Resources"]["Bucket"]["DeletionPolicy"] == "RetainExceptOnCreate"
    assert template["Resources"]["Bucket"]["UpdateReplacePolicy"] == "Retain"
    (deny,) = only(template, "AWS::S3::BucketPolicy")["PolicyDocument"]["Statement"]
    assert (deny["Effect"], deny["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})


def test_nobody_comes_into_a_training_machine_or_its_bucket() -> None:
    training = transformed(TRAINING.read_text())
    security = only(training, "AWS::EC2::SecurityGroup")
    assert "SecurityGroupIngress" not in security
    assert [(rule["FromPort"], rule["ToPort"]) for rule in security["SecurityGroupEgress"]] == [(443, 443)]
    machine = only(training, "AWS::EC2::LaunchTemplate")["LaunchTemplateData"]
    assert machine["MetadataOptions"]["HttpTokens"] == "required"
    assert all(device["Ebs"]["Encrypted"] for device in machine["BlockDeviceMappings"])
    bucket = only(training, "AWS::S3::Bucket")
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    (deny,) = only(training, "AWS::S3::BucketPolicy")["PolicyDocument"]["Statement"]
    assert (deny["Effect"], deny["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})
    assert only(training, "AWS::ECR::Repository")["ImageTagMutability"] == "IMMUTABLE"


def test_only_the_low_pool_s_alarm_refills_and_only_if_switched_on() -> None:
    training = transformed(TRAINING.read_text())
    assert training["Parameters"]["RefillAlarm"]["Default"] == ""
    assert training["Conditions"]["Refills"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "RefillAlarm"}, ""]}]}
    assert {name for name, r in training["Resources"].items() if r.get("Condition") == "Refills"} == {
        "Refill", "RefillRole",
    }  # fmt: skip
    rule, run = only(training, "AWS::Events::Rule"), "proverbs-0123456789abcdef"
    names = {
        **{"AWS::Partition": "aws", "AWS::Region": REGION, "AWS::AccountId": ACCOUNT},
        **{"RefillAlarm": "low", "WorkBucket": "work", "PoolBucket": "pools", "PoolPrefix": "a", "RefillRun": run},
        **{"Queue": "the-queue", "Job": "the-job:2", "RefillRole.Arn": "the-role"},
        **{"RefillModel": "124M", "RefillCount": "20", "RefillDays": "30"},
    }
    pattern = resolve(rule["EventPattern"], names)
    assert pattern["resources"] == [f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:low"]
    assert pattern["detail"] == {"state": {"value": ["ALARM"]}}
    assert (pattern["source"], pattern["detail-type"]) == (["aws.cloudwatch"], ["CloudWatch Alarm State Change"])
    (target,) = rule["Targets"]
    command = ["job", "refill", "--work", f"s3://work/runs/{run}", "--pool", "s3://pools/a"]
    command += ["--model", "124M", "--count", "20", "--days", "30"]
    assert json.loads(resolve(target.pop("Input"), names)) == {"ContainerOverrides": {"Command": command}}
    assert resolve(target, names) == {
        "Id": "refill",
        "Arn": "the-queue",
        "RoleArn": "the-role",
        "BatchParameters": {"JobDefinition": "the-job:2", "JobName": "a-refill"},
    }
    # Else the model would be gone after a month, and the alarm of a pool that lasts for years find none.
    (rule,) = only(training, "AWS::S3::Bucket")["LifecycleConfiguration"]["Rules"]
    assert rule["ExpirationInDays"] == {"Fn::If": ["Refills", {"Ref": "AWS::NoValue"}, 30]}


def test_nothing_has_a_literal_name(template: dict[str, Any]) -> None:
    names = {"Name", "BucketName", "FunctionName", "RoleName", "QueueName", "TopicName", "AlarmName", "LogGroupName"}
    for logical, resource in template["Resources"].items():
        for name in names & resource["Properties"].keys():
            assert isinstance(resource["Properties"][name], dict), f"{logical}.{name} would collide with a second stack"


def test_no_secret_is_a_parameter() -> None:
    assert not re.search(r"consumer_(key|secret)|access_(token|key|secret)|noecho", TEMPLATE.read_text().lower())


def test_alarms_mail_only_when_there_is_an_address(template: dict[str, Any]) -> None:
    alarms = [r["Properties"] for r in template["Resources"].values() if r["Type"] == "AWS::CloudWatch::Alarm"]
    assert len(alarms) == 6
    for alarm in alarms:
        assert alarm["AlarmActions"] == {"Fn::If": ["HasAlarmEmail", [{"Ref": "AlarmTopic"}], {"Ref": "AWS::NoValue"}]}
    assert template["Resources"]["AlarmTopic"]["Condition"] == "HasAlarmEmail"
    missing = template["Resources"]["MissedPostAlarm"]
    assert missing["Condition"] == "WatchesSilence", "a bot that is off is not silent by fault"


def test_logs_are_json_and_do_not_stay_for_ever(template: dict[str, Any]) -> None:
    assert only(template, "AWS::Lambda::Function")["LoggingConfig"] == {
        "LogFormat": "JSON",
        "LogGroup": {"Ref": "LogGroup"},
    }
    assert only(template, "AWS::Logs::LogGroup") == {"RetentionInDays": {"Ref": "LogRetentionDays"}}


def test_the_commands_find_the_outputs_and_parameters_they_name(template: dict[str, Any]) -> None:
    texts = {path.name: path.read_text() for path in (ROOT / "infra" / "cloud").glob("*.py")}
    jobs = "".join(texts.pop(name) for name in ("training.py", "image.py", "refill.py"))
    text = "".join(texts.values())
    for code, outputs in ((text, template["Outputs"]), (jobs, transformed(TRAINING.read_text())["Outputs"])):
        used = set(re.findall(r'outputs\["(\w+)"\]', code))
        assert used and used <= outputs.keys()
    named = set(re.findall(r'(?:parameters|after|given|before)\["(\w+)"\]|"([A-Z]\w+)": self', text))
    assert {a or b for a, b in named} <= template["Parameters"].keys()
    assert deploy.defaults() == {name: str(p["Default"]) for name, p in template["Parameters"].items()}


@pytest.mark.parametrize(
    "command", ["deploy", "status", "pause", "resume", "post-now", "logs", "clear-queues", "train", "destroy"]
)
def test_without_aws_credentials_a_command_is_one_sentence(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert main(["cloud", command]) == 1
    said = capsys.readouterr()
    assert said.out == "" and re.fullmatch(r"deepproverbs: No AWS credentials; .*\n", said.err)


def test_status_without_aws_is_the_folder_s(tmp_path: Path) -> None:
    (tmp_path / "bot.toml").write_text(f'name = "t"\npool = "{tmp_path}/pool"\n')
    (tmp_path / "pool").mkdir()
    (tmp_path / "pool" / "state.json").write_bytes(State().dump("state.json"))
    words = ["cloud", "status", "--bot", str(tmp_path / "bot.toml")]
    result = run(sys.executable, "-m", "training.cli.main", *words, HOME=str(tmp_path))
    assert result.returncode == 0 and "0 of 0 texts left" in result.stdout
    assert "Not in AWS: No AWS credentials" in result.stdout
