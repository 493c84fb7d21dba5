"""`deepproverbs cloud deploy`: build the function, and bring the bot's stack in line with infra/template.yaml and the
options. An option that is not given keeps the stack's value.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from botocore.exceptions import WaiterError
from post_tweet.state import RECENT

from infra.cloud import costs, ready, secrets
from infra.cloud.make import make
from infra.cloud.schedule import a_month, meanwhile, moments, silence_hours
from infra.cloud.stack import NAMESPACE, Owner, Stack, aws_errors
from training.common.errors import DeepproverbsError, WrongUse
from training.common.paths import ROOT
from training.common.progress import Say

SAM = ROOT / ".venvs" / "sam" / "bin" / "sam"
CONFIG = ROOT / "infra" / "samconfig.toml"


@dataclass(frozen=True)
class DeployOptions:
    """The owner's options; None keeps the stack's value."""

    schedule: str | None = None
    time_zone: str | None = None
    flexible: int | None = None
    enable: bool | None = None
    email: str | None = None
    low_days: int | None = None
    dashboard: bool | None = None

    def parameters(self) -> dict[str, str]:
        given: dict[str, Any] = {
            "ScheduleExpression": self.schedule,
            "ScheduleTimeZone": self.time_zone,
            "FlexibleMinutes": self.flexible,
            "ScheduleState": {None: None, True: "ENABLED", False: "DISABLED"}[self.enable],
            "AlarmEmail": self.email,
            "PoolLowDays": self.low_days,
            "Dashboard": {None: None, True: "yes", False: "no"}[self.dashboard],
        }
        return {name: str(value) for name, value in given.items() if value is not None}


def deploy(bot: str, options: DeployOptions, say: Say) -> None:
    owner = Owner.present()
    stack = Stack.of(owner, bot)
    before = stack.parameters if stack.found and stack.status != "REVIEW_IN_PROGRESS" else {}
    was_on = before.get("ScheduleState") == "ENABLED"
    given = {"BotName": bot, **options.parameters()}
    after = {**defaults(), **before, **given}
    expression, zone = after["ScheduleExpression"], after["ScheduleTimeZone"]
    now, flexible = datetime.now(UTC), int(after["FlexibleMinutes"])
    if (others := meanwhile(expression, zone, now, flexible)) >= RECENT - 4:
        raise WrongUse(
            f"With FLEXIBLE={flexible} up to {others} slots pass before a late one comes, and the pool remembers "
            f"{RECENT} posts: it would be too late to be posted safely. Make FLEXIBLE shorter."
        )
    given["SilenceHours"] = str(silence_hours(expression, zone, now, flexible))
    turns_on = after["ScheduleState"] == "ENABLED" and not was_on
    if turns_on:
        ready.check(owner, stack, bot)
    say(
        f"{'Updating' if before else 'Making'} the stack {stack.name} in {owner.region}: the bucket, the function, its "
        f"schedule ({expression}, {zone}, {'on' if after['ScheduleState'] == 'ENABLED' else 'off'}), and alarms "
        f"{'by mail to ' + after['AlarmEmail'] if after['AlarmEmail'] else 'without mail (EMAIL= names an address)'}."
    )
    remove_if_failed(owner, stack, say)
    build(say)
    if schedule_changed(before, {**after, **given}):
        note_silence(owner, bot)
    upload(stack.name, given, say)
    stack.refresh()
    if turns_on or was_on != (after["ScheduleState"] == "ENABLED"):
        say(f"The schedule is now {'on' if stack.is_on else 'off'}.")
    posts = a_month(expression, zone, now)
    bill = costs.month(posts)
    say(
        f"Deployed. {posts} posts in 30 days: ${bill.x:.2f} at X and at most ${bill.aws:.2f} at AWS, without its "
        "free tier."
    )
    if after["AlarmEmail"] and after["AlarmEmail"] != before.get("AlarmEmail"):
        say(f"AWS has sent a mail to {after['AlarmEmail']}: confirm it, or no alarm will arrive.")
    if not next(moments(expression, zone, now), None):
        say(f"The schedule {expression} has no time to come: nothing will be posted on schedule.")
    elif given["SilenceHours"] == "0":
        say(
            "The schedule is too rare for CloudWatch to notice a missed post (7 days at most); errors are mailed all "
            "the same."
        )
    say("Next: " + ready.next_step(owner, stack, bot, make("status")))


def defaults() -> dict[str, str]:
    """The defaults of the template's parameters."""

    class Loader(yaml.SafeLoader):
        """Reads CloudFormation's tags as None."""

    Loader.add_multi_constructor("!", lambda loader, suffix, node: None)
    template = yaml.load((ROOT / "infra" / "template.yaml").read_text(encoding="utf-8"), Loader)
    return {name: str(p["Default"]) for name, p in template["Parameters"].items()}


def build_folder() -> Path:
    """Where sam makes `.aws-sam`: the checkout, or what DEEPPROVERBS_BUILD names, for two deployments at the same time:
    in one folder, one would upload the other's build."""
    folder = Path(os.environ.get("DEEPPROVERBS_BUILD") or ROOT).resolve()
    (folder / ".aws-sam").mkdir(parents=True, exist_ok=True)
    return folder


def build(say: Say) -> None:
    """`sam build`. Quiet, unless it fails."""
    say("Building the function ...")
    python = subprocess.run([ROOT / "scripts" / "find-python", "3.13"], capture_output=True, text=True)
    if python.returncode:
        raise DeepproverbsError(python.stderr.strip().splitlines()[-1])
    # sam looks for the function's Python on PATH, and a pyenv shim will not do.
    path = f"{Path(python.stdout.strip()).parent}{os.pathsep}{os.environ['PATH']}"
    command: list[str | Path] = [SAM, "build", "--template", ROOT / "infra" / "template.yaml", "--config-file", CONFIG]
    result = subprocess.run(command, cwd=build_folder(), capture_output=True, text=True, env=environment(PATH=path))
    if result.returncode:
        lines = (result.stdout + result.stderr).strip().splitlines()[-8:]
        raise DeepproverbsError("sam could not build the function:\n  " + "\n  ".join(lines))


def upload(stack: str, parameters: dict[str, str], say: Say, template: Path | None = None) -> None:
    """`sam deploy`, of what was built last or of a template that needs no building. Its hundred lines go to a file;
    when it fails, the last ones are shown."""
    overrides = [f'{name}="{value}"' for name, value in parameters.items()]
    command: list[str | Path] = [SAM, "deploy", "--config-file", CONFIG, "--stack-name", stack]
    command += ["--parameter-overrides", *overrides]
    command += ["--template", template] if template else []
    file = build_folder() / ".aws-sam" / "deploy.log"
    shown = file.relative_to(ROOT) if file.is_relative_to(ROOT) else file
    say(f"Deploying; AWS takes a minute or two ({shown} has the details) ...")
    with file.open("w", encoding="utf-8") as log:
        result = subprocess.run(command, cwd=build_folder(), env=environment(), stdout=log, stderr=subprocess.STDOUT)
    if result.returncode:
        lines = [line for line in file.read_text(encoding="utf-8").splitlines() if line.strip()][-8:]
        raise DeepproverbsError(
            "AWS rejected the stack, and what was there before is unchanged:\n  " + "\n  ".join(lines)
        )


def environment(**more: str) -> dict[str, str]:
    env = {**os.environ, "SAM_CLI_TELEMETRY": "0", **more}
    if region := env.get("AWS_REGION"):  # sam reads both names, the boto3 in it only the second
        env["AWS_DEFAULT_REGION"] = region
    return env


def schedule_changed(before: dict[str, str], after: dict[str, str]) -> bool:
    """Whether the missed-post alarm, by the stack's parameters, would judge the past by another schedule than it had:
    from every 3 days to daily is from 74 hours of silence to 26, and the alarm would go off at once."""
    watched = ("ScheduleState", "ScheduleExpression", "ScheduleTimeZone", "FlexibleMinutes", "SilenceHours")
    return after["ScheduleState"] == "ENABLED" and any(before.get(name) != after[name] for name in watched)


def note_silence(owner: Owner, bot: str) -> None:
    """Tell the missed-post alarm that the silence until now was intended. Posted is sent with it: CloudWatch's FILL
    gives nothing for a metric without a value, and nothing is an alarm."""
    about = {"Dimensions": [{"Name": "Bot", "Value": bot}], "Unit": "Count"}
    data = [{"MetricName": name, "Value": value, **about} for name, value in (("Paused", 1.0), ("Posted", 0.0))]
    with aws_errors("note that the bot was silent by intent"):
        owner.client("cloudwatch").put_metric_data(Namespace=NAMESPACE, MetricData=data)


def remove_if_failed(owner: Owner, stack: Stack, say: Say) -> None:
    """Delete a stack whose creation failed: CloudFormation cannot update it."""
    if stack.status == "ROLLBACK_COMPLETE":
        say("The first deployment of the stack failed: deleting what it left.")
        remove(owner, stack)


def remove(owner: Owner, stack: Stack) -> None:
    """Delete the stack. Raises DeepproverbsError: AWS refuses, or takes longer than half an hour."""
    waiter: WaiterError | None = None
    with aws_errors("delete the stack"):
        client = owner.client("cloudformation")
        client.delete_stack(StackName=stack.name)
        try:
            client.get_waiter("stack_delete_complete").wait(
                StackName=stack.name, WaiterConfig={"Delay": 5, "MaxAttempts": 360}
            )
        except WaiterError as error:
            waiter = error
    stack.refresh()
    if stack.status == "DELETE_IN_PROGRESS":
        raise DeepproverbsError(
            f"AWS is still deleting the stack {stack.name}; the same command again waits for it."
        ) from waiter
    if stack.found is not None:
        why = stack.found.get("StackStatusReason") or "AWS's console says what holds it."
        raise DeepproverbsError(f"The stack {stack.name} could not be deleted ({stack.status}): {why}") from waiter


def destroy(bot: str, confirmed: bool, say: Say) -> None:
    """Delete the stack and the keys; the pool stays."""
    owner = Owner.present()
    stack = Stack.of(owner, bot)
    outputs = stack.outputs
    say(
        f"{'Deleting' if confirmed else 'This would delete'} the stack {stack.name} in {owner.region} (function, "
        f"schedule, alarms, queues, log) and the X keys in {outputs['CredentialsParameter']}. The bucket "
        f"{outputs['BucketName']} with the pool and what was posted stays."
    )
    if not confirmed:
        say(f"Nothing was done. Next: {make('destroy YES=1')}")
        return
    remove(owner, stack)
    secrets.forget(owner, bot)
    say(
        f"Deleted. The pool is still at {outputs['PoolUrl']}; it costs less than a cent a month. Next: nothing, or "
        f"empty and delete the bucket {outputs['BucketName']} in S3's console. A later {make('deploy')} makes a new "
        f"bucket, which knows nothing of what was posted: `aws s3 sync {outputs['PoolUrl']} s3://NEW-BUCKET/{bot}` "
        "before anything is filled there, or texts may come a second time."
    )
