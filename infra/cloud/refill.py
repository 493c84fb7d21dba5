"""Refills: the low pool's alarm starts a job of AWS Batch that samples on from the trained model (`deepproverbs job
refill`), if the owner has switched that on. The rule is in infra/training.yaml.

`deepproverbs cloud train --refill yes|no` switches; `cloud train-status` says whether it is on.
"""

from __future__ import annotations

from post_tweet.errors import PostError

from infra.cloud.deploy import upload
from infra.cloud.make import make
from infra.cloud.stack import Owner, Stack, aws_errors
from training.common.errors import DeepproverbsError
from training.common.paths import ROOT
from training.common.progress import Say
from training.runs import jobs, waiting
from training.runs.waiting import Waiting
from training.runs.workspace import Workspace
from training.settings import Bot

TEMPLATE = ROOT / "infra" / "training.yaml"


def parameters(bot: Bot, run: str, bots: Stack) -> dict[str, str]:
    """The template's parameters for refills of this run. `bots`: the bot's own stack."""
    count = str(bot.refill.count or bot.count)
    return {"RefillRun": run, "RefillModel": bot.model, "RefillCount": count, "RefillDays": days(bot, bots)}


def days(bot: Bot, bots: Stack) -> str:
    """No fewer than the alarm's: it goes off once, and the job must not find that there are enough."""
    return str(max(bot.refill.days, int(bots.parameters["PoolLowDays"])))


def command(stack: Stack, pool: str) -> list[str]:
    """What the alarm starts: the rule in the template says the same. `pool`: its address."""
    given, work = stack.parameters, f"s3://{stack.outputs['WorkBucketName']}/runs/{stack.parameters['RefillRun']}"
    where = ["--work", work, "--pool", pool, "--model", given["RefillModel"]]
    return ["job", "refill", *where, "--count", given["RefillCount"], "--days", given["RefillDays"]]


def alarm(bots: Stack) -> str:
    """The name of the alarm that the pool is low."""
    return bots.resources("AWS::CloudWatch::Alarm")["PoolLowAlarm"]


def is_on(stack: Stack) -> bool:
    """`stack`: that of the training."""
    return bool(stack.found and stack.parameters.get("RefillAlarm"))


def switch(owner: Owner, bot: Bot, stack: Stack, on: bool, say: Say) -> None:
    """Let the alarm of the bot's stack start refills or not; all else stays as it is, and nothing is trained.

    Raises:
        DeepproverbsError: there is no model to sample from.
    """
    before, bots = stack.parameters, Stack.of(owner, bot.name)
    given = {"RefillAlarm": ""}
    if on:
        work = Workspace(f"s3://{stack.outputs['WorkBucketName']}/runs/{before['RefillRun']}")
        with aws_errors("look for the model"):
            model = jobs.trained(work)
        if model is None:
            raise DeepproverbsError(
                f"There is no model in {work.url}/run, where files stay for 30 days while refills are off; "
                f"`{make('cloud-train')}` trains it, then this switches refills on."
            )
        given = {"RefillAlarm": alarm(bots), "RefillDays": days(bot, bots)}
        if bot.refill.count:  # else it stays that of the training
            given["RefillCount"] = str(bot.refill.count)
    upload(stack.name, given, say, TEMPLATE)
    say(f"{told(on)} Nothing was trained. Next: {make('cloud-status')}")


def waits(owner: Owner, bot: str) -> Waiting | None:
    """Texts of the bot's jobs that nobody has read yet; None: there are none.

    Raises:
        DeepproverbsError, PostError: it cannot be said.
    """
    stack = Stack(owner, f"{Stack.of(owner, bot).name}-training")
    run = stack.parameters.get("RefillRun") if stack.found else None
    return waiting.look(Workspace(f"s3://{stack.outputs['WorkBucketName']}/runs/{run}")) if run else None


def to_read(owner: Owner, bot: str) -> str:
    """The same as a sentence; empty: there are none."""
    try:
        found = waits(owner, bot)
        return str(found) if found else ""
    except (DeepproverbsError, PostError) as error:
        return f"not known whether texts wait to be read: {error}"


def told(on: bool) -> str:
    return f"Refills are {'on: the alarm of a low pool starts one' if on else 'off: a low pool only sends a mail'}."
