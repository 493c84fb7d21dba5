"""`schedule`: what posts every day without AWS: lines for cron, units for systemd, or a workflow for GitHub Actions.

Each calls `post --at HH:MM`, which posts once for each time of day however often it is called: so each calls it again
after some minutes, in case a first try failed.
"""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Sequence
from datetime import time
from pathlib import Path

import click
from post_tweet.daily import time_of_day

from training.cli.command import FIRST, command, option
from training.cli.console import result, warn
from training.cli.options import bot_option, keys_of, load_bot, setting_options
from training.cli.stages import PATH
from training.common.errors import WrongUse
from training.common.paths import DEFAULT_BOT
from training.runs.owner import shown
from training.settings import Bot

AGAIN = (5, 20)
"""Minutes after which a call is repeated: a lost answer is settled after 55 s, and X's limits last for 15 minutes."""


class TimeOfDay(click.ParamType[time]):
    name = "HH:MM"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> time:
        try:
            return time_of_day(str(value))
        except ValueError as error:
            self.fail(f"{error}.", param, ctx)


at_option = option(
    "--at",
    "times",
    type=TimeOfDay(),
    multiple=True,
    metavar="HH:MM",
    help="Post for the latest of these times of day, by this machine's clock; may be repeated.",
)


@command("schedule", section=FIRST)
@option("--cron", "form", flag_value="cron", help="Print lines for `crontab -e`.")
@option("--systemd", "form", flag_value="systemd", help="Print a timer and a service for systemd.")
@option("--github", "form", flag_value="github", help="Print a workflow for GitHub Actions; times are UTC there.")
@at_option
@option("--creds", type=PATH, default="twitter.json", metavar="FILE", help="The X keys. [default: twitter.json]")
@bot_option
@setting_options("pool")
def schedule(form: str | None, times: tuple[time, ...], creds: Path, bot: Path) -> None:
    """Set up daily posts without AWS, on this machine or on GitHub's: print what does it.

    A slot posts once: the lines repeat each call after some minutes, and a repeated call posts nothing.

    $ deepproverbs schedule --cron --at 09:00 --pool pool
    $ deepproverbs schedule --systemd --at 09:00 --at 18:30 --bot data/mybot
    $ deepproverbs schedule --github --at 09:00 --pool git://origin/pool > .github/workflows/post.yml
    """
    if form is None:
        raise WrongUse("Say for what: --cron, --systemd or --github.")
    settings = load_bot(bot)
    if not times:
        clock = "UTC" if form == "github" else "by this machine's clock"
        warn(f"No time was given, so it is 09:00 {clock}; --at HH:MM sets another, and may be repeated.")
    times = tuple(sorted(set(times))) or (time(9),)
    if form == "github":
        result(workflow(times, settings.pool))
        return
    warn(nothing_to_post(settings, bot))
    pool = settings.pool if "://" in settings.pool else str(Path(settings.pool).resolve())
    words = [program(), "post", "--pool", pool, "--creds", str(creds.resolve())]
    if bot.resolve() != DEFAULT_BOT.resolve():
        words += ["--bot", str(bot.resolve())]
    words += [word for at in times for word in ("--at", f"{at:%H:%M}")]
    if odd := next((word for word in words if not word.isprintable()), None):
        raise WrongUse(f"{odd!r} holds a character that no line of a schedule can hold; rename it.")
    result(crontab(words, times) if form == "cron" else units(words, times, settings.name))
    if not keys_of(creds).exists():
        warn(f"There are no keys at {shown(creds)} yet; `deepproverbs post --dry-run` needs none.")


def nothing_to_post(settings: Bot, bot: Path) -> str | None:
    """Why a call would find nothing to post now, and what to do. A pool elsewhere is not asked."""
    from post_tweet.pool import Pool
    from post_tweet.store import open_store

    from training.curate.fill import read_pool
    from training.runs import owner, reviewed

    if "://" in settings.pool:
        return None
    status = Pool(open_store(settings.pool)).status() if Path(settings.pool).is_dir() else None
    if status and status["remaining"]:
        return None
    what = "has no text left in its pool" if status else "has no pool yet at"
    what = f"The bot {settings.name} {what} {settings.pool}"
    run = Path("runs") / settings.name
    texts = run / "pool.jsonl"
    if texts.exists() and reviewed.held(run, settings) and (waiting := len(read_pool(texts))):
        return f"{what}: {waiting:,} texts wait until you have read them, with `{owner.first_command('review', bot)}`."
    return f"{what}: nothing is posted until `{owner.first_command('run', bot)}` has filled it."


def program() -> str:
    """The program's own path, beside the Python that runs it."""
    return str(Path(sys.executable).parent / "deepproverbs")


def crontab(words: Sequence[str], times: Sequence[time]) -> str:
    """Lines for crontab: cron takes % for a line's end, and mails what a command prints."""
    call = shlex.join(words).replace("%", r"\%")
    lines = [
        "# Paste into `crontab -e`. Each time is followed by two more calls, which post only if the first could not.",
        "# cron mails what goes wrong to MAILTO, where the machine can send mail.",
    ]
    lines += [f"{when} {call} >/dev/null" for when in expressions(times)]
    return "\n".join(lines)


def expressions(times: Sequence[time]) -> list[str]:
    """Each time and its repetitions in cron's words: `0,5,20 9 * * *`."""
    found = []
    for at in times:
        hours: dict[int, list[int]] = {}
        for later in (0, *AGAIN):
            hour, minute = divmod(at.hour * 60 + at.minute + later, 60)
            hours.setdefault(hour % 24, []).append(minute)
        found += [f"{','.join(map(str, minutes))} {hour} * * *" for hour, minutes in hours.items()]
    return found


def units(words: Sequence[str], times: Sequence[time], name: str) -> str:
    """A service and a timer for systemd, which also posts late what was missed while the machine was off."""
    unit = "deepproverbs-" + re.sub(r"[^A-Za-z0-9_-]", "-", name)
    call = " ".join(map(quoted, words))
    folder = "~/.config/systemd/user"
    return f"""\
# {folder}/{unit}.service
[Unit]
Description=Posts one text of the bot {name.replace("%", "%%")}
StartLimitIntervalSec=3600
StartLimitBurst={len(AGAIN) + 1}

[Service]
Type=oneshot
ExecStart={call}
Restart=on-failure
RestartSec={AGAIN[0]}min

# {folder}/{unit}.timer
[Timer]
{chr(10).join(f"OnCalendar=*-*-* {at:%H:%M}:00" for at in times)}
Persistent=true

[Install]
WantedBy=timers.target

# Then: systemctl --user enable --now {unit}.timer; loginctl enable-linger
# What went wrong: journalctl --user -u {unit}"""


def quoted(word: str) -> str:
    """As systemd reads it: $ and % stand for something there."""
    word = word.replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$").replace("%", "%%")
    return f'"{word}"' if re.search(r"[\s'\";\\]", word) or not word else word


CHECKOUT = "actions/checkout@34e114876b0b11c390a56381ad16ebd13914f8d5  # v4.3.1"
PYTHON = "actions/setup-python@a26af69be951a213d495a4c3e4e4022e16d87065  # v5.6.0"
S3 = """
          AWS_ACCESS_KEY_ID: ${{ secrets.AWS_ACCESS_KEY_ID }}
          AWS_SECRET_ACCESS_KEY: ${{ secrets.AWS_SECRET_ACCESS_KEY }}
          AWS_DEFAULT_REGION: ${{ vars.AWS_DEFAULT_REGION }}"""


def workflow(times: Sequence[time], pool: str) -> str:
    """A workflow of GitHub Actions, whose machines are new at every call: the pool lies on a branch of the repository,
    or in S3.

    Raises:
        WrongUse: the pool is a folder, which such a machine would forget.
    """
    scheme = pool.partition("://")[0]
    if scheme not in ("git", "s3"):
        raise WrongUse(
            f"GitHub's machines do not keep the folder {pool}: put the pool on a branch, --pool git://origin/pool "
            "(`deepproverbs fill` writes there, too), or into S3."
        )
    crons = "\n".join(f'    - cron: "{when}"' for when in expressions(times))
    boto3 = '\n          "$RUNNER_TEMP/post/bin/pip" install --quiet boto3' if scheme == "s3" else ""
    return f"""\
# .github/workflows/post.yml. Put the four X keys, as twitter.json has them, into the repository's secret X_KEYS.
# Each time is followed by two more calls, which post only if the first could not. GitHub may call some minutes late.
name: Post
on:
  schedule:
{crons}
  workflow_dispatch:
permissions:
  contents: {"write  # a post is noted on the branch of the pool" if scheme == "git" else "read"}
concurrency:
  group: post
jobs:
  post:
    runs-on: ubuntu-latest
    timeout-minutes: 10
    steps:
      - uses: {CHECKOUT}
      - uses: {PYTHON}
        with:
          python-version: "3.13"
      - run: |
          python -m venv "$RUNNER_TEMP/post"
          "$RUNNER_TEMP/post/bin/pip" install --quiet -r functions/requirements.txt{boto3}
          umask 077
          printf '%s' "$X_KEYS" > "$RUNNER_TEMP/twitter.json"
          X_CREDENTIALS_FILE="$RUNNER_TEMP/twitter.json" PYTHONPATH=functions \\
            "$RUNNER_TEMP/post/bin/python" -m post_tweet {" ".join(f"--at {at:%H:%M}" for at in times)}
        env:
          POOL_URL: {json.dumps(pool)}
          TZ: UTC
          X_KEYS: ${{{{ secrets.X_KEYS }}}}{S3 if scheme == "s3" else ""}"""
