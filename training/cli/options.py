"""The options that several commands take. Those of settings are made from training/settings/known.py."""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from training import settings
from training.cli.command import Option, option
from training.cli.console import detail, warn
from training.common.paths import DEFAULT_BOT
from training.settings import Bot, Setting

F = TypeVar("F", bound=Callable[..., Any])

READ = (
    *("corpus.form", "corpus.delimiter", "corpus.field", "corpus.encoding", "corpus.author"),
    *("corpus.drop", "corpus.links", "corpus.mentions"),
)
"""Settings of [corpus] that say how a file is read."""
TUNED = ("finetune.trainer", "finetune.recipe", "finetune.epochs", "finetune.batch_size", "finetune.learning_rate")
SHAPED = ("sample.temperatures", "sample.prefixes")
ENGINE = ("sample.engine", "sample.device", "sample.compute_type", "sample.workers", "sample.threads", "sample.batch")
"""Settings of [sample] that say how, not what, listed under a heading of their own with the vocabulary."""
SAMPLED = (*SHAPED, "sample.top_k", "sample.top_p", "sample.seed", "sample.max_tokens", *ENGINE)
JUDGED = ("sample.budget", "sample.early_stop")
HEADINGS = {
    "": "The bot",
    "corpus": "Corpus",
    "finetune": "Fine-tuning",
    "sample": "Sampling",
    "filter": "Filtering",
    "refill": "Refilling",
}
NAMES = {"sample.temperatures": "--temperature", "sample.prefixes": "--prefix", "sample.early_stop": "--no-early-stop"}
"""Options whose names differ from their settings'."""
HELP = {"sample.early_stop": "Write every text to its end, even when it has broken a rule of the filters."}
METAVARS = {int: "N", float: "X", str: "TEXT"}
TYPES = {int: click.INT, float: click.FLOAT, str: click.STRING}


class BotFile(click.ParamType[Path]):
    """A bot.toml, the folder of one, or that folder's name in data/."""

    name = "file or folder"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        path, made = Path(value), Path("data") / Path(value)  # where `new` puts it
        return settings.bot_file(made if not path.exists() and (made / "bot.toml").is_file() else path)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> Any:
        return click.Path().shell_complete(ctx, param, incomplete)


BOT: dict[str, Any] = {
    "type": BotFile(),
    "default": DEFAULT_BOT,
    "metavar": "FILE",
    "help": "The bot's settings: its bot.toml, or the folder that holds it. [default: data/proverbs/bot.toml]",
}
bot_option = option("--bot", heading=HEADINGS[""], **BOT)


def run_option_in(folder: str) -> Callable[[F], F]:
    """The option --run of a command whose run's folder is `folder` by default."""
    return option(
        "--run",
        type=click.Path(path_type=Path),
        metavar="DIR",
        heading=HEADINGS[""],
        help=f"The run's folder. [default: {folder}]",
    )


run_option = run_option_in("runs/NAME")
force_option = option("--force", is_flag=True, help="Start even if the corpus or the settings look unlikely to work.")


def setting_option(key: str, default: str | None = None) -> Option:
    """The option that overrides a setting. `default`: what the help says of it where the command has another."""
    about = settings.find(key)
    name = NAMES.get(key, "--" + about.name.replace("_", "-"))
    known = facts(about, default)
    more: dict[str, Any] = {"type": click.Choice(about.choices) if about.choices else TYPES.get(about.item)}
    if about.item is bool:
        more = {"is_flag": True, "flag_value": not about.default, "default": None}
    elif about.many:
        more["multiple"] = True
    return Option(
        [name, key.replace(".", "__")],
        expose_value=False,
        callback=_note(key),
        heading="Engine" if key in (*ENGINE, "sample.vocabulary") else HEADINGS[about.section],
        metavar="NAME" if about.choices else METAVARS.get(about.item),
        help=HELP.get(key) or f"{about.help} {f'[{known}]' if known else ''}".rstrip(),
        **more,
    )


def facts(about: Setting, default: str | None = None) -> str:
    """The text in brackets after the help: bounds and default."""
    if default is None:
        default = ", ".join(map(str, about.default)) if about.many else str(about.default)
    choices = f"one of {', '.join(about.choices)}" if about.choices else ""
    parts = [choices or about.bounds, f"default: {default}" if default else "", "may be repeated" if about.many else ""]
    return "; ".join(part for part in parts if part)


def _note(key: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def note(ctx: click.Context, _: click.Parameter, value: Any) -> None:
        if value is not None and value != ():
            given(ctx)[key] = value

    return note


def given(ctx: click.Context | None = None) -> dict[str, Any]:
    """The settings that the command line overrides, by their keys."""
    found: dict[str, Any] = (ctx or click.get_current_context()).meta.setdefault("deepproverbs.settings", {})
    return found


def setting_options(*keys: str, default: str | None = None) -> Callable[[F], F]:
    """Options for these settings, in this order. `default`: as in `setting_option`."""

    def decorate(command: F) -> F:
        # Reversed, as decorators leave them: click reverses the list at the end.
        command.__click_params__ = [  # type: ignore[attr-defined]
            *getattr(command, "__click_params__", []),
            *(setting_option(key, default) for key in reversed(keys)),
        ]
        return command

    return decorate


def with_options(bot: Bot) -> Bot:
    """`bot` with the settings of the command line over its own."""
    for section in ("", *settings.SECTIONS):
        values = {name: value for key, value in given().items() for s, _, name in [key.rpartition(".")] if s == section}
        bot = settings.override(bot, section, **values)
    return settings.fitted(bot)


def load_bot(file: Path) -> Bot:
    """The bot's settings with those of the command line over them."""
    detail(f"Settings: {file}")
    return with_options(settings.load(file))


def keys_of(file: Path) -> Path:
    """The file of X keys that --creds names; a person is told if others can read or change it."""
    with contextlib.suppress(OSError):  # what cannot be read is an error of its own
        mode = file.stat().st_mode if os.name == "posix" else 0
        verbs = [verb for bits, verb in ((0o044, "read"), (0o022, "change")) if mode & bits]
        if verbs:
            mend = f"`chmod 600 {shlex.quote(str(file))}` fixes it."
            warn(f"Others on this machine may {' and '.join(verbs)} {file}: {mend}")
    return file


def run_folder(run: Path | None, bot: Bot) -> Path:
    folder = run or Path("runs") / bot.name
    detail(f"Run: {folder}")
    return folder
