"""`deepproverbs cloud`: what the owner of a bot in AWS can ask for. boto3 is imported when a command is called."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from infra.cloud.make import make, speak_of
from training import settings
from training.cli.command import COMMON, Group, argument, json_option, option
from training.cli.console import result, show, visible, warn
from training.cli.options import BOT, keys_of, load_bot, setting_options
from training.cli.stages import PATH
from training.common.errors import DeepproverbsError
from training.common.progress import say
from training.common.terminal import put

FUNCTION, TRAINING = "The bot's function", "Training on spot GPUs"


class CloudGroup(Group):
    """Takes the region from AWS_REGION, too, and says what Ctrl-C leaves behind."""

    def invoke(self, ctx: click.Context) -> Any:
        if region := os.environ.get("AWS_REGION"):  # sam and the AWS CLI read this name, boto3 only the other one
            os.environ["AWS_DEFAULT_REGION"] = region
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            put(f"Stopped; what AWS has begun continues: `{make('status')}` looks.", "stderr")
            raise click.exceptions.Exit(130) from None


HELP = """Deploy the bot in AWS, look after it, train it on spot GPUs.

Each command is a target of make, too.

$ deepproverbs cloud deploy --email you@example.org
$ deepproverbs cloud status
"""
group = CloudGroup("cloud", help=HELP)


def _speak_of(ctx: click.Context, param: click.Parameter, bot: Path) -> Path:
    """Make the commands that are suggested next name this bot."""
    speak_of(bot)
    return bot


bot_option = option("--bot", callback=_speak_of, heading=COMMON, **BOT)
yes_option = option("--yes", is_flag=True, help="Do it; without this, only say what would be done.")


def command(name: str, section: str = FUNCTION) -> Callable[[Callable[..., Any]], Any]:
    """A command of the group for one bot."""
    return lambda function: group.command(name, section=section)(bot_option(function))


def yes_or_no(*names: str, help: str) -> Callable[[Callable[..., Any]], Any]:
    return option(*names, type=click.BOOL, metavar="yes|no", help=help)


@command("deploy")
@option("--schedule", metavar="WHEN", help="When to post: cron(...), rate(...) or at(...) of EventBridge Scheduler.")
@option("--time-zone", metavar="ZONE", help="The schedule's time zone, for example Europe/Zurich.")
@option("--flexible", type=int, metavar="MINUTES", help="Post at a random moment, up to this long after the time.")
@yes_or_no("--enable", help="The schedule on or off. [at first: no]")
@option("--email", metavar="ADDRESS", help="The address that alarms are mailed to.")
@option("--low-days", type=int, metavar="DAYS", help="Send a mail when the pool lasts for fewer days.")
@yes_or_no("--dashboard", help="A dashboard in CloudWatch; the fourth one of an account costs $3 a month.")
def deploy_command(bot: Path, **options: Any) -> None:
    """Build the function and deploy the bot's stack.

    What you leave out stays as it is.

    $ deepproverbs cloud deploy --email you@example.org --schedule 'cron(0 9 * * ? *)' --time-zone Europe/Zurich
    $ deepproverbs cloud deploy --enable yes
    """
    from infra.cloud import deploy

    deploy.deploy(settings.load(bot).name, deploy.DeployOptions(**options), say)


@command("secrets")
@argument("creds", type=PATH, default="twitter.json", help="The four X keys. [default: twitter.json]")
def secrets_command(bot: Path, creds: Path) -> None:
    """Put the X keys into AWS, encrypted.

    No output and no error shows them.

    $ deepproverbs cloud secrets twitter.json
    """
    from infra.cloud import secrets

    secrets.put(settings.load(bot).name, keys_of(creds), say)


@command("status")
@json_option
def status_command(bot: Path) -> None:
    """Last post, next slot, texts and days left, alarms, queues, the month's cost.

    Where the bot is not in AWS but its pool is a folder, that of the pool.

    $ deepproverbs cloud status
    """
    from post_tweet.pool import Pool
    from post_tweet.store import open_store

    from infra.cloud import status
    from training.cli.pool import low, status_text
    from training.runs import owner

    loaded = settings.load(bot)
    try:
        found = status.look(loaded.name, datetime.now(UTC))
        show(found.facts(), found.text())
        pool = found.pool
    except DeepproverbsError as error:
        url = owner.own_pool(loaded, bot) or loaded.pool
        if not (Path(url) / "state.json").exists():
            raise
        pool = Pool(open_store(url)).status()
        # One that the bot's file does not name, and none of its runs has filled, is another bot's.
        if "pool" not in loaded.chosen and url == loaded.pool and loaded.name not in pool["runs"]:
            raise
        show({"pool": pool, "not_in_aws": str(error)}, f"{status_text(pool)}\nNot in AWS: {error}")
    warn(low(pool))


@command("pause")
def pause_command(bot: Path) -> None:
    """Post nothing until resume.

    The schedule goes on calling; the pool is closed.

    $ deepproverbs cloud pause
    """
    from infra.cloud import operate

    operate.pause(settings.load(bot).name, say)


@command("resume")
def resume_command(bot: Path) -> None:
    """Post again: open the pool.

    $ deepproverbs cloud resume
    """
    from infra.cloud import operate

    operate.resume(settings.load(bot).name, say)


@command("post-now")
@option("--dry-run", is_flag=True, help="Do everything but claim and post the text.")
@option("--slot", metavar="NAME", help="One slot posts once. [default: the time]")
def post_now_command(bot: Path, dry_run: bool, slot: str | None) -> None:
    """Post one text now, by calling the function as the schedule does.

    $ deepproverbs cloud post-now --dry-run
    $ deepproverbs cloud post-now --slot 'first of may'
    """
    from infra.cloud import operate

    operate.post_now(settings.load(bot).name, dry_run, slot, say)


@command("logs")
@option("--hours", type=float, default=48, metavar="N", help="How far back. [default: 48]")
def logs_command(bot: Path, hours: float) -> None:
    """Show what the function wrote.

    $ deepproverbs cloud logs --hours 2
    """
    from infra.cloud import operate

    operate.logs(settings.load(bot).name, hours, result)


@command("clear-queues")
def clear_queues_command(bot: Path) -> None:
    """Show and delete the messages of posts that failed, which ends their alarms.

    None of them is posted later.

    $ deepproverbs cloud clear-queues
    """
    from infra.cloud import queues

    queues.clear_queues(settings.load(bot).name, say)


@command("destroy")
@yes_option
def destroy_command(bot: Path, yes: bool) -> None:
    """Delete the stack and the X keys; the bucket with the pool stays.

    $ deepproverbs cloud destroy --yes
    """
    from infra.cloud import deploy

    deploy.destroy(settings.load(bot).name, yes, say)


@command("train", section=TRAINING)
@setting_options("model", "count")
@option("--shards", type=int, default=4, metavar="N", help="Machines that sample at the same time. [default: 4]")
@option("--email", metavar="ADDRESS", help="Where the budget's mails go. [default: the bot's]")
@option("--budget", type=int, metavar="DOLLARS", help="Send a mail when a month costs more dollars than this.")
@yes_or_no("--refill", help="Let the alarm of a low pool start a job that adds texts. [at first: no]")
@option("--yes", is_flag=True, help="Send the bot's own code along without asking.")
def train_command(
    bot: Path, shards: int, email: str | None, budget: int | None, refill: bool | None, yes: bool
) -> None:
    """Fine-tune, sample in shards and fill the pool.

    Started again, it goes on from where it was. Once it has trained, --refill only switches refills on or off.

    $ deepproverbs cloud train --model 124M --count 20000 --shards 4
    $ deepproverbs cloud train --refill yes
    """
    from infra.cloud import training

    def agreed(question: str) -> bool:
        return yes or (sys.stdin.isatty() and click.confirm(visible(question)))

    training.cloud_train(load_bot(bot), bot, training.TrainOptions(shards, email, budget, refill), say, agreed)


@command("train-status", section=TRAINING)
def train_status_command(bot: Path) -> None:
    """Say whether refills are on, and list the training jobs, the newest first.

    $ deepproverbs cloud train-status
    """
    from infra.cloud import training

    training.cloud_status(settings.load(bot), result)


@command("train-destroy", section=TRAINING)
@yes_option
def train_destroy_command(bot: Path, yes: bool) -> None:
    """Delete the image, the queue and the workspace; the pool stays.

    $ deepproverbs cloud train-destroy --yes
    """
    from infra.cloud import training

    training.cloud_destroy(settings.load(bot), yes, say)
