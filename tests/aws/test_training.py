"""Training in the account: what it asks of AWS, and a Batch of our own that runs each job's command as a process,
under the job's role."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from post_tweet.pool import Pool
from post_tweet.store import S3Store

from infra.cloud import image, training
from infra.cloud.stack import Owner
from tests.helpers.aws.bot import LOW_DAYS, STACK, bot_stack
from tests.helpers.aws.cloudformation import Skipped
from tests.helpers.aws.gateway import Account, account
from tests.helpers.aws.iam import allowed
from tests.helpers.sampling import quick_bot
from training import settings
from training.cli.main import main
from training.common.errors import DeepproverbsError
from training.common.paths import ROOT


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    with account() as aws:
        aws.act_as_owner(monkeypatch)
        yield aws


def test_training_in_the_cloud_fills_the_pool(
    sam: Path,
    aws: Account,
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`make cloud-train` with the real sam; then each submitted command as a process with the job role's rights."""
    bot_stack(aws)
    jobs: list[dict[str, Any]] = []
    built: list[dict[str, Any]] = []

    def submit(job: dict[str, Any]) -> dict[str, Any]:
        jobs.append(job)
        return {"jobId": f"job-{len(jobs)}", "jobName": job["jobName"]}

    def start_build(request: dict[str, Any]) -> dict[str, Any]:
        built.append(request)
        return {"build": {"id": "b:1"}}

    def looked_at(request: dict[str, Any]) -> dict[str, Any]:
        """b:0 goes on for ever and is of other sources; b:1 ends when it has been looked at often enough."""
        looks.append("b:1" in request["ids"])
        status = "SUCCEEDED" if looks[-3:] == [True] * 3 else "IN_PROGRESS"
        tag = built[0]["environmentVariablesOverride"][0]["value"] if built else ""
        all_ = [
            {"id": id_, "buildStatus": s, "environment": {"environmentVariables": [{"name": "TAG", "value": value}]}}
            for id_, s, value in (("b:0", "IN_PROGRESS", "other"), ("b:1", status, tag))
        ]
        return {"builds": [build for build in all_ if build["id"] in request["ids"]]}

    looks: list[bool] = []
    ended: list[str] = []

    def end(request: dict[str, Any]) -> dict[str, Any]:
        bucket = training.stack_of(Owner(), settings.load(bot)).outputs["WorkBucketName"]
        assert aws.client("s3").list_objects_v2(Bucket=bucket)["KeyCount"], "the jobs end before their files go"
        ended.append(request["jobId"])
        return {}

    def listed(_: dict[str, Any]) -> dict[str, Any]:
        """The job that runs takes two more looks to end."""
        if ended:
            ended.append("seen")
        status = "FAILED" if len(ended) > 3 else "RUNNING"
        one = {"jobId": "1", "jobName": "proverbs-train", "status": "FAILED", "statusReason": "why", "createdAt": 1}
        return {"jobSummaryList": [one, {**one, "jobId": "2", "status": status, "createdAt": 2}]}

    monkeypatch.setattr(image, "EVERY", 0.01)
    aws.answers |= {
        "/v1/submitjob": submit,
        "/v1/terminatejob": end,
        "/v1/listjobs": listed,
        "CodeBuild_20161006.StartBuild": start_build,
        "CodeBuild_20161006.ListBuildsForProject": lambda _: {"ids": ["b:0", *("b:1" for _ in built)]},
        "CodeBuild_20161006.BatchGetBuilds": looked_at,
        "ServiceQuotasV20190624.GetServiceQuota": lambda _: {"Quota": {"Value": 8.0}},
    }
    bot = quick_bot(tmp_path / "bot")
    command = ["cloud", "train", "--bot", str(bot), "--model", "nano", "--count", "60", "--shards", "3"]
    assert main([*command, "--email", "train@example.org"]) == 0
    said = capsys.readouterr().out
    assert "3 shards of 120 candidates, 60 texts into s3://" in said and "Costs about $" in said
    assert "The account's quota is 8 processors: 2 shards at a time" in said
    assert said.splitlines()[-1].endswith(f"Next: make cloud-status BOT={bot}")
    outputs = training.stack_of(Owner(), settings.load(bot)).outputs
    # The source of the image: what the Dockerfile copies, and no text or key.
    override = {given["name"]: given["value"] for given in built[0]["environmentVariablesOverride"]}
    key = f"source/{override['SHA256']}.zip"
    packed = aws.client("s3").get_object(Bucket=outputs["WorkBucketName"], Key=key)["Body"].read()
    assert hashlib.sha256(packed).hexdigest() == override["SHA256"] == of_the_build()["SHA256"]
    assert of_the_build()["SOURCE"] == f"s3://{outputs['WorkBucketName']}/source"
    names = set(zipfile.ZipFile(io.BytesIO(packed)).namelist())
    copied = re.findall(r"^COPY (?!--)(\S+)", (ROOT / "training" / "Dockerfile").read_text(), re.MULTILINE)
    assert all(any(name == path or name.startswith(f"{path}/") for name in names) for path in copied), copied
    # A bot's folder and the commands of this computer are no part of it: their changes build nothing.
    out = r"corpus\.txt|kjv\.txt|twitter.*\.json|__pycache__|bot\.toml|data/proverbs|infra/cloud"
    assert not [name for name in names if re.search(out, name)]
    assert override["DOCKERFILE"] == of_the_build()["DOCKERFILE"] == "training/Dockerfile"
    assert override["TAG"] == of_the_build()["TAG"] and image_of_the_jobs().endswith(f":{override['TAG']}")
    # Three jobs, each after the one before it, the second an array.
    assert [job["jobName"] for job in jobs] == ["proverbs-train", "proverbs-sample", "proverbs-fill"]
    assert [[d["jobId"] for d in job.get("dependsOn", [])] for job in jobs] == [[], ["job-1"], ["job-2"]]
    assert [job.get("arrayProperties") for job in jobs] == [None, {"size": 3}, None]
    work = jobs[0]["containerOverrides"]["command"][3]
    prefix = work.removeprefix(f"s3://{outputs['WorkBucketName']}/")
    for path in (path for path in model.rglob("*") if path.is_file()):  # nano untrained stands for a fine-tuned model
        aws.client("s3").upload_file(str(path), outputs["WorkBucketName"], f"{prefix}/run/model/{path.name}")
    corpus = bot.with_name("corpus.txt")
    aws.client("s3").upload_file(str(corpus), outputs["WorkBucketName"], f"{prefix}/run/corpus.txt")
    roles = aws.client("iam").list_roles()["Roles"]
    (role,) = [r["Arn"] for r in roles if "-JobRole-" in r["RoleName"]]
    for job in jobs:
        for index in range(job.get("arrayProperties", {}).get("size", 1)):
            run_as(aws, role, job["containerOverrides"]["command"], tmp_path, index)
    assert aws.denied == []
    asked = [need for _, need in aws.asked]
    for statement in aws.statements(role.rsplit("/", 1)[-1]):
        for action in statement["Action"]:
            alone = {**statement, "Action": action}
            assert any(need.action == action and allowed(need, [alone]) for need in asked), f"nothing needs {alone}"
    pool = Pool(S3Store(aws.outputs(STACK)["BucketName"], "proverbs", aws.client("s3")))
    assert pool.load()[0].remaining == 60 and pool.verify() == []
    assert main(["cloud", "train-status"]) == 0
    said = capsys.readouterr().out
    assert "proverbs-train" in said and "failed: why" in said and "Refills are off" in said
    # What the alarm starts, once it may: nothing else of the stack changes, and nothing is trained.
    stack, work_key = training.stack_of(Owner(), settings.load(bot)), f"{prefix}/run/trained.json"
    before = stack.parameters
    on = ["cloud", "train", "--bot", str(bot), "--refill", "yes"]
    there = aws.client("s3").get_object(Bucket=outputs["WorkBucketName"], Key=work_key)["Body"].read()
    aws.client("s3").delete_object(Bucket=outputs["WorkBucketName"], Key=work_key)  # as after 30 days
    assert main(on) == 1 and "There is no model in" in capsys.readouterr().err
    aws.client("s3").put_object(Bucket=outputs["WorkBucketName"], Key=work_key, Body=there)
    assert main(on) == 0 and "Nothing was trained" in capsys.readouterr().out and len(jobs) == 3
    stack.refresh()
    (alarm,) = [name for name, made in Skipped.made.items() if made["Type"] == "AWS::CloudWatch::Alarm"]
    assert stack.parameters == {**before, "RefillAlarm": alarm}
    assert main(["cloud", "train-status"]) == 0 and "Refills are on" in capsys.readouterr().out
    rule = deployed("AWS::Events::Rule")
    assert rule["EventPattern"]["resources"][0].endswith(f":alarm:{alarm}")
    refill = json.loads(rule["Targets"][0]["Input"])["ContainerOverrides"]["Command"]
    assert refill[-2:] == ["--days", str(LOW_DAYS)], "below which the alarm goes off"
    # An alarm that rings already starts none: to switch on does, where no job is at work.
    aws.client("cloudwatch").set_alarm_state(AlarmName=alarm, StateValue="ALARM", StateReason="a test")
    assert main(on) == 0 and "a job of proverbs is at work" in capsys.readouterr().out and len(jobs) == 3
    aws.answers["/v1/listjobs"] = lambda _: {"jobSummaryList": []}
    assert main(on) == 0 and "The pool is low: submitted a refill." in capsys.readouterr().out
    assert jobs.pop()["containerOverrides"]["command"] == refill and len(jobs) == 3
    aws.answers["/v1/listjobs"] = listed
    aws.client("cloudwatch").set_alarm_state(AlarmName=alarm, StateValue="OK", StateReason="a test")
    run_as(aws, role, refill, tmp_path)
    assert pool.load()[0].remaining == 120 and pool.verify() == [] and aws.denied == []
    assert "120 texts are left, for 120 days" in run_as(aws, role, refill, tmp_path)
    assert main([*on[:-1], "no"]) == 0 and "Refills are off" in capsys.readouterr().out
    assert not [made for made in Skipped.made.values() if made["Type"] == "AWS::Events::Rule"]
    stack.refresh()
    assert stack.parameters == before
    assert main(["cloud", "train-destroy"]) == 0 and "make cloud-destroy YES=1" in capsys.readouterr().out
    # Again, as after a failure: no second build beside the one that runs, and the address stays.
    looks.clear()
    capsys.readouterr()
    assert main(command) == 0
    assert "AWS builds the image already" in capsys.readouterr().out and len(built) == 1 and len(jobs) == 6
    assert training.stack_of(Owner(), settings.load(bot)).parameters["AlarmEmail"] == "train@example.org"
    assert ended == []
    assert main(["cloud", "train-destroy", "--yes"]) == 0
    assert ended == ["2", "seen", "seen", "seen"], "ended once, and waited for"
    assert pool.load()[0].remaining == 120, "the pool stays"


def run_as(aws: Account, role: str, command: list[str], folder: Path, index: int = 0) -> str:
    """Run a job's command as a process with the role's rights; returns what it printed."""
    result = subprocess.run(
        [Path(sys.executable).parent / "deepproverbs", *command],
        cwd=folder,
        env={**os.environ, **aws.keys(aws.assume(role)), "AWS_BATCH_JOB_ARRAY_INDEX": str(index)},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def deployed(kind: str) -> dict[str, Any]:
    """The properties of the only deployed resource of this type."""
    (made,) = [made["Properties"] for made in Skipped.made.values() if made["Type"] == kind]
    properties: dict[str, Any] = made
    return properties


def image_of_the_jobs() -> str:
    """The image that the deployed job definition names."""
    return str(deployed("AWS::Batch::JobDefinition")["ContainerProperties"]["Image"])


def of_the_build() -> dict[str, str]:
    """The variables of the deployed build, for a build that somebody starts by hand."""
    variables = deployed("AWS::CodeBuild::Project")["Environment"]["EnvironmentVariables"]
    return {variable["Name"]: variable["Value"] for variable in variables}


def test_each_model_has_its_image(
    sam: Path, aws: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same bot trains SmolLM2 first and GPT-2 then: two Dockerfiles, two tags, and machines for each."""
    bot_stack(aws)
    built: list[dict[str, str]] = []
    jobs: list[list[str]] = []

    def start_build(request: dict[str, Any]) -> dict[str, Any]:
        built.append({given["name"]: given["value"] for given in request["environmentVariablesOverride"]})
        return {"build": {"id": "b:1"}}

    def submit(request: dict[str, Any]) -> dict[str, Any]:
        jobs.append(request["containerOverrides"]["command"])
        return {"jobId": "1", "jobName": request["jobName"]}

    aws.answers |= {
        "/v1/submitjob": submit,
        "CodeBuild_20161006.StartBuild": start_build,
        "CodeBuild_20161006.ListBuildsForProject": lambda _: {"ids": []},
        "CodeBuild_20161006.BatchGetBuilds": lambda _: {"builds": [{"id": "b:1", "buildStatus": "SUCCEEDED"}]},
        "ServiceQuotasV20190624.GetServiceQuota": lambda _: {"Quota": {"Value": 4.0}},
    }
    bot = quick_bot(tmp_path / "bot")
    for model, title, dockerfile, machines in (
        ("smollm2-135m", "PyTorch", "training/Dockerfile.torch", ["g4dn.xlarge", "g5.xlarge", "g6.xlarge"]),
        ("124M", "TensorFlow 1.15", "training/Dockerfile", ["g4dn.xlarge", "g5.xlarge"]),
    ):
        assert main(["cloud", "train", "--bot", str(bot), "--model", model, "--count", "60", "--shards", "1"]) == 0
        assert f" on {model} with {title} in " in capsys.readouterr().out
        assert built[-1] == {name: of_the_build()[name] for name in ("TAG", "DOCKERFILE", "SHA256")}
        assert built[-1]["DOCKERFILE"] == dockerfile and image_of_the_jobs().endswith(f":{built[-1]['TAG']}")
        assert deployed("AWS::Batch::ComputeEnvironment")["ComputeResources"]["InstanceTypes"] == machines
        assert {command[command.index("--model") + 1] for command in jobs[-3:]} == {model}
    assert len({given["TAG"].partition("-")[2] for given in built}) == 1, "one state of the program"
    assert [given["TAG"].partition("-")[0] for given in built] == ["torch", "tensorflow"]
    build_spec = yaml.safe_load(deployed("AWS::CodeBuild::Project")["Source"]["BuildSpec"])
    assert any('--file "$DOCKERFILE"' in command for command in build_spec["phases"]["build"]["commands"])


def test_training_says_what_the_account_lacks(aws: Account, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cloud", "train"]) == 1
    assert "`make deploy` makes it" in capsys.readouterr().err
    bot_stack(aws)
    assert main(["cloud", "train", "--shards", "0"]) == 2
    capsys.readouterr()
    aws.answers["ServiceQuotasV20190624.GetServiceQuota"] = lambda _: {"Quota": {"Value": 0.0}}
    assert main(["cloud", "train"]) == 1
    assert re.search(r"raise the quota `All G and VT Spot Instance Requests` \(L-3819A6DF\)", capsys.readouterr().err)


@pytest.mark.parametrize(
    ("shards", "quota", "width", "small"),
    [
        (1, 4, 4, True),
        (1, 8, 8, False),
        (4, 8, 8, True),
        (4, 64, 32, False),
        (4, None, 16, True),
        (300, 10_000, 1024, True),
        (10_000, 100_000, 1024, True),
        (100, 10_000, 800, False),
    ],
)
def test_machines_fit_the_quota_and_the_template(
    aws: Account, shards: int, quota: int | None, width: int, small: bool
) -> None:
    """Never a machine of 8 processors where it could not start, or would leave a shard without one."""
    if quota is not None:
        aws.answers["ServiceQuotasV20190624.GetServiceQuota"] = lambda _: {"Quota": {"Value": float(quota)}}
    given = training.machines_for(Owner(), image.IMAGES["tensorflow"], shards, lambda _: None)
    torch = training.machines_for(Owner(), image.IMAGES["torch"], shards, lambda _: None)
    assert int(given["MaxVcpus"]) == int(torch["MaxVcpus"]) == width
    more = set(torch["InstanceTypes"].split(",")) - set(given["InstanceTypes"].split(","))
    assert more == ({"g6.xlarge"} if small else {"g6.xlarge", "g6.2xlarge"}), "an L4 is too new for TensorFlow 1.15"
    assert all(kind.endswith(".xlarge") for kind in given["InstanceTypes"].split(",")) is small
    parameters = yaml.safe_load((ROOT / "infra" / "training.yaml").read_text().split("\nConditions:")[0])["Parameters"]
    assert parameters["MaxVcpus"]["MinValue"] <= width <= parameters["MaxVcpus"]["MaxValue"]
    assert set(given["InstanceTypes"].split(",")) <= set(parameters["InstanceTypes"]["Default"].split(","))


def test_machines_start_in_default_subnets_alone(aws: Account) -> None:
    """A private subnet that somebody added to the default network does not reach the internet."""
    ec2 = aws.client("ec2")
    before = training.default_network(Owner())
    private = ec2.create_subnet(VpcId=before["Vpc"], CidrBlock="172.31.128.0/24")["Subnet"]["SubnetId"]
    try:
        assert training.default_network(Owner()) == before and private not in before["Subnets"]
    finally:
        ec2.delete_subnet(SubnetId=private)


def test_a_build_that_fails_is_one_sentence(aws: Account) -> None:
    aws.client("ecr").create_repository(repositoryName="images")
    aws.client("s3").create_bucket(
        Bucket="work-place", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
    )
    aws.answers |= {
        "CodeBuild_20161006.ListBuildsForProject": lambda _: {"ids": []},
        "CodeBuild_20161006.StartBuild": lambda _: {"build": {"id": "b:1"}},
        "CodeBuild_20161006.BatchGetBuilds": lambda _: {"builds": [{"id": "b:1", "buildStatus": "FAILED"}]},
    }
    outputs = {
        "RepositoryName": "images",
        "WorkBucketName": "work-place",
        "BuildName": "b",
        "TrainingLogGroupName": "g",
    }
    with pytest.raises(DeepproverbsError, match=r"could not build the image \(FAILED\).*aws logs tail g"):
        image.build(Owner(), outputs, image.IMAGES["torch"], list(image.source_files()), lambda _: None)


def test_the_run_s_key_follows_its_files(tmp_path: Path) -> None:
    (tmp_path / "bot.toml").write_text('name = "t"\n')
    (tmp_path / "corpus.txt").write_text("one\n")
    keys = set()
    for text, count in (("one\n", 5), ("two\n", 5), ("two\n", 6), ("two\n", 6)):
        (tmp_path / "corpus.txt").write_text(text)
        bot = settings.override(settings.load(tmp_path / "bot.toml"), "", count=count)
        keys.add(training.run_key(bot, tmp_path / "bot.toml"))
    assert len(keys) == 3
