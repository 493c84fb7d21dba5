"""The commands that the program tells its owner to give next: each acts on the bot that it speaks of.

`make("destroy YES=1")` is `make destroy YES=1` for the bot that commands take by themselves, and
`make destroy YES=1 BOT=data/mybot/bot.toml` for any other: pasted without it, that would delete the wrong bot.
"""

from __future__ import annotations

import shlex
from contextvars import ContextVar
from pathlib import Path

from training.common.paths import DEFAULT_BOT

_file: ContextVar[Path] = ContextVar("_file", default=DEFAULT_BOT)


def speak_of(bot: Path) -> None:
    """From here on the commands are those of this bot.toml."""
    _file.set(bot)


def make(words: str) -> str:
    """The command with its `BOT=`, if it needs one."""
    file = _file.get()
    same = file.resolve() == DEFAULT_BOT.resolve()
    return f"make {words}" if same else f"make {words} {shlex.quote(f'BOT={file}')}"
