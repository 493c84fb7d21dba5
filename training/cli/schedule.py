"""`schedule`: what makes a machine post every day without AWS: lines for cron, or units for systemd.

Both call `deepproverbs post --at HH:MM`, which posts once for each time of day however often it is called: so both call
it again after some minutes, in case a first try failed.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Sequence
from datetime import time
from pathlib import Path

import click

from training.cli.command import command, option
from training.cli.console import result, warn
from training.cli.options import bot_option, keys_of, load_bot, setting_options
from training.cli.pool import POOL
from training.cli.stages import PATH
from training.common.errors import WrongUse
from training.common.paths import DEFAULT_BOT
from training.runs.owner import shown

AGAIN = (5, 20)
"""Minutes after which a call is repeated: a lost answer is settled after 55 s, and X's limits last for 15 minutes."""


class TimeOfDay(click.ParamType[time]):
    name = "HH:MM"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> time:
        found = re.fullmatch(r"(\d{1,2}):(\d\d)", str(value))
        if not found or int(found[1]) > 23 or int(found[2]) > 59:
            self.fail(f"{value!r} is no time of day; write one such as 09:00.", param, ctx)
        return time(int(found[1]), int(found[2]))


at_option = option(
    "--at",
    "times",
    type=TimeOfDay(),
    multiple=True,
    metavar="HH:MM",
    help="Post for the latest of these times of day, by this machine's clock; may be repeated.",
)


@command("schedule", section=POOL)
@option("--cron", "form", flag_value="cron", help="Print lines for `crontab -e`.")
@option("--systemd", "form", flag_value="systemd", help="Print a timer and a service for systemd.")
@at_option
@option("--creds", type=PATH, default="twitter.json", metavar="FILE", help="The X keys. [default: twitter.json]")
@bot_option
@setting_options("pool")
def schedule(form: str | None, times: tuple[time, ...], creds: Path, bot: Path) -> None:
    """Print what makes this machine post every day, without AWS.

    A slot posts once: the lines repeat each call after some minutes, and a repeated call posts nothing.

    $ deepproverbs schedule --cron --at 09:00 --pool pool
    $ deepproverbs schedule --systemd --at 09:00 --at 18:30 --bot data/mybot
    """
    if form is None:
        raise WrongUse("Say for what: --cron or --systemd.")
    settings = load_bot(bot)
    times = tuple(sorted(set(times))) or (time(9),)
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
    for at in times:
        minutes = [at.hour * 60 + at.minute + later for later in (0, *AGAIN)]
        hours: dict[int, list[int]] = {}
        for minute in minutes:
            hours.setdefault(minute // 60 % 24, []).append(minute % 60)
        lines += [f"{','.join(map(str, some))} {hour} * * * {call} >/dev/null" for hour, some in hours.items()]
    return "\n".join(lines)


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
