"""All settings for people: `settings` prints a bot.toml with comments, or the table of docs/settings.md."""

from __future__ import annotations

import dataclasses
import inspect
import textwrap
from pathlib import Path
from typing import Any

from training import settings
from training.cli.command import ABOUT, command, json_option, option
from training.cli.console import as_json, as_toml, console, result
from training.cli.options import BotFile
from training.common.toml import rows, toml
from training.settings import SECTIONS, Bot, Setting, settings_of

MARKS = str.maketrans({"|": "\\|", "*": "\\*"})
"""Marks that mean something in a Markdown table."""
NAMES = {int: "whole number", float: "number", str: "text", bool: "true or false"}


@command("settings", section=ABOUT)
@option("--bot", type=BotFile(), metavar="FILE", help="Show this bot's values. [default: the program's own]")
@option("--table", is_flag=True, help="Print the tables of docs/settings.md instead.")
@json_option
def settings_(bot: Path | None, table: bool) -> None:
    """Print every setting as a commented bot.toml.

    Each has its value, what it does, what it may be and its default; the file can be used as it is.

    $ deepproverbs settings > data/mybot/bot.toml
    $ deepproverbs settings --bot data/proverbs
    $ deepproverbs settings --table
    """
    if table:
        result(settings_table())
        return
    shown = settings.load(bot) if bot else Bot()
    facts = {key: value for key, value in dataclasses.asdict(shown).items() if key not in ("folder", "chosen")}
    if console.json:
        as_json(facts)
    else:
        as_toml(bot_toml(shown))


def bot_toml(bot: Bot) -> str:
    """A bot.toml that says every setting of `bot`, and what it means."""
    parts = ["# Every setting of a bot. What is left out has its default."]
    for section in ("", *SECTIONS):
        of = getattr(bot, section) if section else bot
        if section:
            parts.append(f"[{section}]  # {_title(section)}")
        parts += [_entry(about, getattr(of, name)) for name, about in settings_of(section).items()]
    return "\n\n".join(parts)


def _title(section: str) -> str:
    return inspect.getdoc(SECTIONS[section]) or ""


def _entry(about: Setting, value: Any) -> str:
    default = "" if value == about.default or about.key == "name" else f" Default: {toml(about.default)}."
    allowed = (
        f" One of {', '.join(about.choices)}." if about.choices else f" From {about.bounds}." if about.bounds else ""
    )
    comment = "\n".join(f"# {line}" for line in textwrap.wrap(about.help + allowed + default, 100))
    # What depends on the base model stays open.
    fitted = value == about.default and any(about.key in known for known in settings.FITTED.values())
    unset = "# " if fitted or (about.key == "name" and not value) else ""
    text = f"{unset}{about.name} = {toml('mybot' if unset and not value else value)}"
    if len(text) > 118 and about.many:
        inner = "\n".join(f"  {row}" for row in rows(value, 114))
        text = f"{about.name} = [\n{inner},\n]"
    return f"{comment}\n{text}"


def settings_table() -> str:
    """Markdown: a table for each section."""
    parts = []
    for section in ("", *SECTIONS):
        heading = f"## `[{section}]`\n\n{_title(section)}" if section else "## At the top of the file"
        rows = ["| setting | what it may be | default | what it does |", "|---|---|---|---|"]
        for name, about in settings_of(section).items():
            kind = " or ".join(f"`{choice}`" for choice in about.choices) or NAMES[about.item]
            kind = (f"list of {kind}s" if about.many else kind) + (f", {about.bounds}" if about.bounds else "")
            default = "" if name == "name" else f"`{toml(about.default)}`"
            rows.append(f"| `{name}` | {kind} | {default} | {about.help.translate(MARKS)} |")
        parts.append("\n".join([heading, "", *rows]))
    return "\n\n".join(parts)
