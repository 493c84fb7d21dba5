"""`deepproverbs cloud train`: the training job in the owner's account, on as many spot GPUs as wanted.

It deploys infra/training.yaml beside the bot's stack, has AWS build the image when its sources have changed, places the
bot's files, and submits three jobs that wait for one another: train, sample in SHARDS shards, fill the bot's pool.
`cloud train-status` looks at them; `cloud train-destroy --yes` removes it all. refill.py lets an alarm start a fourth.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from infra.cloud import alarms, costs, image, refill
from infra.cloud.deploy import remove, remove_if_failed, upload
from infra.cloud.make import make
from infra.cloud.stack import Owner, Stack, aws_errors
from training.common.errors import DeepproverbsError, WrongUse
from training.common.manifest import key_of
from training.common.paths import ROOT
from training.common.progress import Say
from training.judge.own import own_files
from training.runs import jobs as job
from training.runs.stages import prepare
from training.runs.workspace import Workspace
from training.settings import Bot

TEMPLATE = ROOT / "infra" / "training.yaml"
QUOTA = ("ec2", "L-3819A6DF")
"""All G and VT Spot Instance Requests, in virtual processors. New accounts have none."""
WIDEST = 10_000
"""Batch's largest array."""
WIDEST_VCPUS = 1024
"""Processors at a time, the template's MaxValue: 256 machines."""
ENDED = ("SUCCEEDED", "FAILED")
ENDING = 900.0
"""Seconds in which a job that is ended must have ended; its container has 30, a machine that comes up takes minutes."""


@dataclass(frozen=True)
class TrainOptions:
    """What the owner gave; None keeps what the stack has."""

    shards: int = 4
    email: str | None = None
    budget: int | None = None
    refill: bool | None = None


def cloud_train(
    bot: Bot, file: Path, options: TrainOptions, say: Say, agreed: Callable[[str], bool] = lambda question: True
) -> None:
    """`file`: the bot.toml, which goes to the workspace. `agreed`: asked before code of the bot's goes with it."""
    if not 1 <= options.shards <= WIDEST:
        raise WrongUse(f"SHARDS is a number from 1 to {WIDEST:,}, not {options.shards}.")
    owner = Owner.present()
    bots = Stack.of(owner, bot.name)
    pool = bots.outputs
    stack = stack_of(owner, bot)
    if options.refill is not None and stack.found and stack.parameters.get("RefillRun"):
        refill.switch(owner, bot, stack, options.refill, say)
        if options.refill:
            start_refill(owner, bot, stack, bots, say)
        return
    remove_if_failed(owner, stack, say)
    # At first the bot's address; an address that was given once stays until another is given.
    email = options.email or ("" if stack.found else bots.parameters["AlarmEmail"])
    refills = refill.is_on(stack) if options.refill is None else options.refill
    chosen = image.image_for(bot)
    prepare(bot, say)
    ask_for_code(bot, file, say, agreed)
    say(
        f"Training {bot.name} on {bot.model} with {chosen.title} in {owner.region}: {options.shards} "
        f"shard{'s' * (options.shards != 1)} of {job.total(bot):,} candidates, {bot.count:,} texts into "
        f"{pool['PoolUrl']}."
    )
    say(costs.training(options.shards, job.total(bot)))
    machines = machines_for(owner, chosen, options.shards, say)
    network = default_network(owner)
    files, run = list(image.source_files()), run_key(bot, file)
    given = {
        "Dockerfile": chosen.dockerfile,
        "ImageTag": image.tag_of(chosen, files),
        "SourceDigest": image.source_digest(files),
        "PoolBucket": pool["BucketName"],
        "PoolPrefix": bot.name,
        **network,
        **machines,
        **refill.parameters(bot, run, bots),
        "RefillAlarm": refill.alarm(bots) if refills else "",
        **({"AlarmEmail": email} if email else {}),
        **({"BudgetDollars": str(options.budget)} if options.budget else {}),
    }
    upload(stack.name, given, say, TEMPLATE)
    stack.refresh()
    outputs = stack.outputs
    image.build(owner, outputs, chosen, files, say)
    work = f"s3://{outputs['WorkBucketName']}/runs/{run}"
    with aws_errors("take the bot's files"):
        job.place(bot, file, Workspace(work), say)
    submit(owner, outputs, bot, work, pool["PoolUrl"], options.shards)
    say(
        f"Submitted: train, then {options.shards} shards, then fill. They run without this computer. "
        f"{refill.told(refills)} Next: {make('cloud-status')}"
    )


def ask_for_code(bot: Bot, file: Path, say: Say, agreed: Callable[[str], bool]) -> None:
    """List what goes to the jobs, if code of the bot's is among it, and ask.

    Raises:
        DeepproverbsError: no.
    """
    code = own_files(bot.filter, bot.folder)
    if not code:
        return
    for path in (file, *job.placed(bot)):
        say(f"  {path}, {path.stat().st_size:,} bytes{': code, which the jobs run' * (path in code)}")
    if not agreed(f"Send these files of {bot.name} to your AWS account, and run the code there?"):
        raise DeepproverbsError(f"Nothing was sent; `{make('cloud-train YES=1')}` sends these files and runs the code.")


def stack_of(owner: Owner, bot: Bot) -> Stack:
    return Stack(owner, f"{Stack.of(owner, bot.name).name}-training")


def run_key(bot: Bot, file: Path) -> str:
    """Another corpus, reference, setting or model is another run; the same one goes on with what is there."""
    prepare(bot, lambda text: None)
    return f"{bot.name}-{key_of([bot.model, bot.count], file, bot.corpus_file, *bot.reference_files)}"


def machines_for(owner: Owner, chosen: image.Image, shards: int, say: Say) -> dict[str, str]:
    """The template's MaxVcpus and InstanceTypes: as many processors as the account may have, a shard needs 4. Machines
    of 8 have one GPU, too: they come into question where that leaves a machine for each shard.

    Raises:
        DeepproverbsError: the account may have none at all, as a new one.
    """
    wanted = min(4 * shards, WIDEST_VCPUS)
    try:
        answer = owner.client("service-quotas").get_service_quota(ServiceCode=QUOTA[0], QuotaCode=QUOTA[1])
        there = int(answer["Quota"]["Value"])
    except ClientError:
        there = wanted  # who may not ask will see it in the queue
    if there < 4:
        raise DeepproverbsError(
            f"This account may have {there} processors of spot GPUs in {owner.region}, and one machine has 4: raise "
            f"the quota `All G and VT Spot Instance Requests` ({QUOTA[1]}) in AWS's Service Quotas to {wanted}, which "
            "takes AWS a day or less, and start again."
        )
    if there < wanted:
        say(f"The account's quota is {there} processors: {there // 4} shards at a time, the others after them.")
    elif wanted < 4 * shards:
        say(f"At most {wanted // 4} machines at a time: the other shards come after them.")
    if 8 * shards <= min(there, WIDEST_VCPUS):
        return {"MaxVcpus": str(8 * shards), "InstanceTypes": ",".join([*chosen.machines, *chosen.larger_machines])}
    return {"MaxVcpus": str(min(there, wanted)), "InstanceTypes": ",".join(chosen.machines)}


def default_network(owner: Owner) -> dict[str, str]:
    with aws_errors("describe its networks"):
        ec2 = owner.client("ec2")
        vpcs = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
        if not vpcs:
            raise DeepproverbsError(
                f"There is no default network in {owner.region}; `aws ec2 create-default-vpc` makes one for free."
            )
        vpc = vpcs[0]["VpcId"]
        # Its own subnets reach the internet; one that somebody has added may not, and a machine in it never joins.
        filters = [{"Name": "vpc-id", "Values": [vpc]}, {"Name": "default-for-az", "Values": ["true"]}]
        found = ec2.describe_subnets(Filters=filters)["Subnets"]
        if not found:
            raise DeepproverbsError(
                f"The default network in {owner.region} has no default subnet; `aws ec2 create-default-subnet "
                f"--availability-zone {owner.region}a` makes one for free."
            )
    return {"Vpc": vpc, "Subnets": ",".join(sorted(subnet["SubnetId"] for subnet in found))}


def commands(bot: Bot, work: str, pool: str, shards: int) -> list[tuple[str, list[str]]]:
    """(name, what follows the image's entry point) of the three jobs."""
    common = ["--work", work, "--model", bot.model, "--count", str(bot.count)]
    shard = f"auto/{shards}"
    return [
        ("train", ["job", "train", *common]),
        ("sample", ["job", "sample", *common, "--shard", shard]),
        ("fill", ["job", "fill", *common, "--pool", pool]),
    ]


def submit(owner: Owner, outputs: dict[str, str], bot: Bot, work: str, pool: str, shards: int) -> None:
    """Each job waits for the one before it; the second is an array of `shards`."""
    batch, before = owner.client("batch"), ""
    with aws_errors("take the jobs"):
        for name, command in commands(bot, work, pool, shards):
            options: dict[str, Any] = {}
            if before:
                options["dependsOn"] = [{"jobId": before}]
            if name == "sample" and shards > 1:  # an array has two at least
                options["arrayProperties"] = {"size": shards}
            before = batch.submit_job(
                jobName=f"{bot.name}-{name}",
                jobQueue=outputs["QueueArn"],
                jobDefinition=outputs["JobArn"],
                containerOverrides={"command": command},
                **options,
            )["jobId"]


def start_refill(owner: Owner, bot: Bot, stack: Stack, bots: Stack, say: Say) -> None:
    """Start a refill if the alarm rings already: it goes off once, and so starts none while it lasts."""
    if alarms.states_of(owner, bots).get("PoolLowAlarm") != "ALARM":
        return
    stack.refresh()
    outputs, pool = stack.outputs, bots.outputs
    if [job for job in jobs_of(owner, outputs, bot) if job["status"] not in ENDED]:
        say(f"The pool is low, and a job of {bot.name} is at work. Next: {make('cloud-status')}")
        return
    with aws_errors("take the job"):
        owner.client("batch").submit_job(
            jobName=f"{bot.name}-refill",
            jobQueue=outputs["QueueArn"],
            jobDefinition=outputs["JobArn"],
            containerOverrides={"command": refill.command(stack, pool["PoolUrl"])},
        )
    say(f"The pool is low: submitted a refill. Next: {make('cloud-status')}")


def jobs_of(owner: Owner, outputs: dict[str, str], bot: Bot) -> list[dict[str, Any]]:
    """Batch's summaries, the newest first; an array is one."""
    with aws_errors("list the jobs"):
        pages = (
            owner.client("batch")
            .get_paginator("list_jobs")
            .paginate(jobQueue=outputs["QueueArn"], filters=[{"name": "JOB_NAME", "values": [f"{bot.name}-*"]}])
        )
        jobs = [summary for page in pages for summary in page["jobSummaryList"]]
    return sorted(jobs, key=lambda job: -job["createdAt"])


def cloud_status(bot: Bot, say: Say) -> None:
    owner = Owner.present()
    stack = stack_of(owner, bot)
    outputs = stack.outputs
    say(refill.told(refill.is_on(stack)))
    if left := refill.to_read(owner, bot.name):
        say(left)
    say(f"Jobs of {bot.name} in {owner.region}, the newest first:")
    for summary in jobs_of(owner, outputs, bot)[:12]:
        counts = summary.get("arrayProperties", {}).get("statusSummary", {})
        shards = ", ".join(f"{n} {state.lower()}" for state, n in counts.items() if n)
        created = datetime.fromtimestamp(summary["createdAt"] / 1000, UTC)
        why = f": {summary['statusReason']}" if summary.get("statusReason") and summary["status"] == "FAILED" else ""
        say(f"  {created:%Y-%m-%d %H:%M}  {summary['jobName']:<24} {summary['status'].lower()}{why} {shards}".rstrip())
    say(
        f"Next: aws logs tail --follow {outputs['TrainingLogGroupName']}, or {make('cloud-train')}, which goes on "
        "after a failure"
    )


def stop(owner: Owner, outputs: dict[str, str], bot: Bot, say: Say) -> None:
    """Stop all jobs, and wait until they have ended: one would write into the workspace that is emptied, and its
    machine would hold the stack.

    Raises:
        DeepproverbsError: a job goes on.
    """

    def going() -> list[dict[str, Any]]:
        return [job for job in jobs_of(owner, outputs, bot) if job["status"] not in ENDED]

    jobs = going()
    if not jobs:
        return
    say(f"Ending {len(jobs)} job{'s' * (len(jobs) != 1)} ...")
    with aws_errors("end the jobs"):
        for job_there in jobs:
            owner.client("batch").terminate_job(jobId=job_there["jobId"], reason="ended by its owner")
    deadline = time.monotonic() + ENDING
    while still := going():
        if time.monotonic() > deadline:
            raise DeepproverbsError(
                f"The job {still[0]['jobName']} is still {still[0]['status'].lower()}, so nothing was deleted; "
                f"`{make('cloud-destroy YES=1')}` tries again."
            )
        time.sleep(image.EVERY)


def cloud_destroy(bot: Bot, confirmed: bool, say: Say) -> None:
    owner = Owner.present()
    stack = stack_of(owner, bot)
    outputs = stack.outputs
    bucket = outputs["WorkBucketName"]
    say(
        f"{'Deleting' if confirmed else 'This would delete'} the stack {stack.name} in {owner.region}: the image, the "
        f"queue and the jobs in it, and the workspace {bucket} with models and candidates. The pool stays."
    )
    if not confirmed:
        say(f"Nothing was done. Next: {make('cloud-destroy YES=1')}")
        return
    stop(owner, outputs, bot, say)
    with aws_errors("empty the workspace"):
        s3 = owner.client("s3")
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            if keys := [{"Key": item["Key"]} for item in page.get("Contents", [])]:
                s3.delete_objects(Bucket=bucket, Delete={"Objects": keys})
    remove(owner, stack)
    say(f"Deleted. Next: {make('status')}")
