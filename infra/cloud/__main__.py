"""`python -m infra.cloud COMMAND --bot data/proverbs/bot.toml`: the Makefile's way into AWS.

Exit codes: 0 done, 1 failed, 2 wrong use. Errors are one sentence on standard error.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from post_tweet.errors import PostError

from infra.cloud import deploy, operate, queues, secrets, status, training
from infra.cloud.make import make, speak_of
from training import settings as config
from training.common.errors import DeepproverbsError
from training.common.paths import DEFAULT_BOT
from training.runs import from_checkpoint


def say(text: str) -> None:
    print(text, flush=True)


def parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--bot", type=Path, default=DEFAULT_BOT, help="(default: data/proverbs/bot.toml)")
    top = argparse.ArgumentParser(prog="infra.cloud", description="A bot in AWS: deploy it and look after it.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, help: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=help, description=help, parents=[common])

    c = add("deploy", "build the function and deploy the bot's stack")
    c.add_argument("--schedule", help="cron(...), rate(...) or at(...)")
    c.add_argument("--time-zone", help="for example Europe/Zurich")
    c.add_argument("--flexible", type=int, help="minutes within which a post may come")
    c.add_argument("--enable", choices=["yes", "no"], help="the schedule on or off")
    c.add_argument("--email", help="where alarms go")
    c.add_argument("--low-days", type=int, help="mail when the pool lasts for fewer days")
    c.add_argument("--dashboard", choices=["yes", "no"])
    c = add("secrets", "put the X keys into AWS, encrypted")
    c.add_argument("creds", type=Path, nargs="?", default=Path("twitter.json"), help="(default: twitter.json)")
    add("status", "last post, next slot, texts and days left, alarms, cost")
    add("pause", "post nothing until resume")
    add("resume", "post again")
    c = add("post-now", "post one text now, beside the schedule")
    c.add_argument("--dry-run", action="store_true", help="every step but the claim and the post")
    c.add_argument("--slot", help="a name; one slot posts once (default: now)")
    c = add("logs", "what the function wrote")
    c.add_argument("--hours", type=float, default=48, help="so far back (default: 48)")
    add("clear-queues", "show and delete the messages of posts that failed; ends their alarms")
    c = add("train", "fine-tune, sample in shards and fill the pool on spot GPUs")
    c.add_argument("--model", help="124M, 355M, 774M, 1558M, nano")
    c.add_argument("--count", type=int, help="texts wanted")
    c.add_argument("--shards", type=int, default=4, help="machines that sample at a time (default: 4)")
    c.add_argument("--email", help="where the budget's mails go (default: the bot's)")
    c.add_argument("--budget", type=int, help="dollars a month that are mailed about")
    add("train-status", "the training jobs")
    c = add("train-destroy", "delete the training stack; the pool stays")
    c.add_argument("--yes", action="store_true", help="do it")
    c = add("destroy", "delete the stack and the keys; the pool stays")
    c.add_argument("--yes", action="store_true", help="do it")
    return top


def run(args: argparse.Namespace) -> None:
    settings = config.load(args.bot)
    bot = settings.name
    match args.command:
        case "deploy":
            enable = deploy.yes_or_no("ENABLE", args.enable)
            deploy.deploy(
                bot,
                deploy.Wishes(
                    args.schedule, args.time_zone, args.flexible, enable, args.email, args.low_days, args.dashboard
                ),
                say,
            )
        case "secrets":
            secrets.put(bot, args.creds, say)
        case "status":
            bot_or_folder(settings)
        case "pause":
            operate.pause(bot, say)
        case "resume":
            operate.resume(bot, say)
        case "post-now":
            operate.post_now(bot, args.dry_run, args.slot, say)
        case "logs":
            operate.logs(bot, args.hours, say)
        case "clear-queues":
            queues.clear_queues(bot, say)
        case "train":
            wishes = training.Wishes(args.model, args.count, args.shards, args.email, args.budget)
            training.cloud_train(args.bot, wishes, say)
        case "train-status":
            training.cloud_status(settings, say)
        case "train-destroy":
            training.cloud_destroy(settings, args.yes, say)
        case "destroy":
            deploy.destroy(bot, args.yes, say)


def bot_or_folder(settings: config.Bot) -> None:
    """The bot in AWS; for who has none, the pool in the folder."""
    try:
        status.status(settings.name, datetime.now(UTC), say)
    except DeepproverbsError as error:
        if not (Path(settings.pool) / "state.json").exists():
            raise
        say(from_checkpoint.pool_status(settings.pool, False))
        say(f"Not in AWS: {error}")


def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    speak_of(args.bot)
    if region := os.environ.get("AWS_REGION"):  # sam and the AWS CLI read this name, boto3 only the other one
        os.environ["AWS_DEFAULT_REGION"] = region
    try:
        run(args)
    except (DeepproverbsError, PostError) as error:
        print(f"{args.command}: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(f"Stopped; what AWS has begun goes on: `{make('status')}` looks.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
