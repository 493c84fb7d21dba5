"""How a bot.toml is read and checked, and overridden by options.

A bot may come from somebody else. Its name must be one folder's, what it runs must lie in its own folder.
"""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
from pathlib import Path
from typing import Any

from training.common.errors import WrongUse
from training.common.terminal import one_line
from training.settings.known import FITTED, SECTIONS, Bot, Setting, settings_of

LONGEST_NAME = 100
"""Bytes of a bot's name: a file's has 255, and more stands before and behind it."""


def bot_file(path: Path) -> Path:
    """A bot's folder stands for the `bot.toml` in it."""
    return path / "bot.toml" if path.is_dir() else path


def load(path: Path) -> Bot:
    """Read a bot's TOML file, or that of a bot's folder.

    Raises:
        WrongUse: the file is missing, is not TOML, holds an unknown name or a value that cannot be, or names code
            outside its folder.
    """
    path = bot_file(path)
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise WrongUse(
            f"Cannot read the bot's settings {path}: {error.strerror}; name another file with --bot."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise WrongUse(f"{path} is not a TOML file: {error}") from error
    top = {name: value for name, value in raw.items() if name not in SECTIONS}
    values: dict[str, Any] = {"name": "", **_checked("", top, str(path))}
    chosen = {*top}
    for section, cls in SECTIONS.items():
        table = raw.get(section, {})
        if not isinstance(table, dict):
            raise WrongUse(f"{path}: [{section}] must be a table.")
        values[section] = cls(**_checked(section, table, str(path)))
        chosen |= {f"{section}.{name}" for name in table}
    bot = Bot(
        folder=path.parent,
        chosen=frozenset(chosen),
        **{**values, "name": _named(values["name"] or path.parent.resolve().name, path)},
    )
    if bot.corpus.prepare:
        code_file(f"{path}: corpus.prepare", bot.corpus.prepare, bot.folder)
    for name in bot.filter.own:
        code_file(f"{path}: filter.own", name.partition(":")[0], bot.folder)
    return bot


def override(bot: Bot, section: str, **values: Any) -> Bot:
    """`bot` with those of `values` that are not None set in `section`; "" is the top.

    Raises:
        WrongUse: a value of the wrong type or out of bounds.
    """
    given = {name: value for name, value in values.items() if value is not None}
    checked = _checked(section, given, "the command line")
    chosen = bot.chosen | {f"{section}.{name}" if section else name for name in given}
    if section:
        checked = {section: dataclasses.replace(getattr(bot, section), **checked)}
    return dataclasses.replace(bot, chosen=chosen, **checked)


def fitted(bot: Bot) -> Bot:
    """`bot` with the settings that suit its base model where it has not chosen its own."""
    for key, value in FITTED.get(bot.model, {}).items():
        if key not in bot.chosen:
            section, _, name = key.rpartition(".")
            bot = dataclasses.replace(bot, **{section: dataclasses.replace(getattr(bot, section), **{name: value})})
    return bot


def _named(name: str, where: Path) -> str:
    """`name`, if a folder can be called so: runs/NAME, and what is made of it.

    Raises:
        WrongUse: it would lead elsewhere, or is not to be seen as it is.
    """
    length = len(name.encode())
    if name in ("", ".", "..") or set(name) & set("/\\") or one_line(name) != name or length > LONGEST_NAME:
        raise WrongUse(
            f"{where}: a bot cannot be called {name!r}; its name is that of a folder: letters, digits, spaces and "
            f"marks other than / and \\, at most {LONGEST_NAME} bytes: write another as name = … there."
        )
    return name


def lies_in(path: Path, folder: Path) -> bool:
    """Whether a path, its links followed, leads into `folder`."""
    try:
        return path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError):  # links in a circle
        return False


def code_file(key: str, name: str, folder: Path) -> Path:
    """The path of a program or module that a bot.toml names.

    Raises:
        WrongUse: it lies elsewhere. Whoever looks through a bot's folder has seen all that it runs.
    """
    if not lies_in(folder / name, folder):
        raise WrongUse(
            f"{key}: {name!r} lies outside the bot's folder {folder}, whose code alone is run; put it there."
        )
    return folder / name


def _checked(section: str, values: dict[str, Any], where: str) -> dict[str, Any]:
    """`values` as the types of their settings, or WrongUse with what is wrong in `where`."""
    known = settings_of(section)
    for name in values:
        if name not in known:
            candidates = [*known] if section else [*known, *SECTIONS]
            place = f" in [{section}]" if section else ""
            raise WrongUse(f"{where}: unknown setting {name!r}{place}{_nearest(name, candidates)}.")
    return {name: _value(known[name], value, where) for name, value in values.items()}


def _value(setting: Setting, value: Any, where: str) -> Any:
    if not setting.many:
        return _item(setting, value, where)
    items = value if isinstance(value, list | tuple) else [value]
    if not items and setting.key in ("sample.temperatures", "sample.prefixes"):
        raise WrongUse(f"{where}: {setting.key} must not be empty.")
    return tuple(_item(setting, item, where) for item in items)


TYPES = {int: "a whole number", float: "a number", str: "a text in quotes", bool: "true or false"}


def _item(setting: Setting, value: Any, where: str) -> Any:
    kind, key = setting.item, setting.key
    if setting.choices:
        if value not in setting.choices:
            raise WrongUse(f"{where}: {key} must be one of {', '.join(setting.choices)}, not {value!r}.")
        return value
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, kind) or isinstance(value, bool) != (kind is bool):
        raise WrongUse(f"{where}: {key} must be {TYPES[kind]}, not {value!r}.")
    if kind is str and "\0" in value:
        raise WrongUse(f"{where}: {key} must not hold a zero character, which no file's name and no text has.")
    low, high = setting.between
    if kind in (int, float) and not low <= value <= high:
        raise WrongUse(f"{where}: {key} must lie between {' and '.join(setting.bounds.split(' to '))}, not {value!r}.")
    return value


def _nearest(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, 1)
    return f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(known)}"
