"""What a command prints: its result always, news of the work unless -q, details with -v.

With --json standard output is the result's alone. News goes through training/common/progress.py, above the bar.
Nothing is printed past `put` of training/common/terminal.py, which makes hostile texts visible.
"""

from __future__ import annotations

import json
import logging
import os
import shlex
import shutil
import sys
import traceback
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from training.common.progress import speak_on
from training.common.terminal import json_escape, put, toml_escape
from training.common.terminal import visible as visible  # for whoever makes lines of its own


@dataclass
class Console:
    """What the options of the running command ask for."""

    quiet: bool = False
    verbose: bool = False
    debug: bool = False
    json: bool = False


console = Console()


def reset() -> None:
    """As if no option had been given."""
    for name in vars(console):
        setattr(console, name, False)
    apply()


def next_steps(*commands: str) -> str:
    """Commands of this program to call next, a line each; before them how a shell finds it, if this one does not."""
    lines = list(commands)
    if not shutil.which("deepproverbs"):
        here = shlex.quote(os.path.dirname(sys.executable))
        lines.insert(0, f"export PATH={here}:$PATH   # where deepproverbs is; once in each terminal")
    return "\n".join(["Next:", *(f"  {line}" for line in lines)])


def apply() -> None:
    """Set progress and the log to what the console says."""
    speak_on("" if console.quiet else "stderr" if console.json else "stdout", console.verbose)
    level = logging.WARNING if console.quiet else logging.DEBUG if console.verbose else logging.INFO
    logging.getLogger("training").setLevel(level)


class Handler(logging.Handler):
    """What is logged, on standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        put(continued(self.format(record)), "stderr")


def log_to_stderr() -> None:
    """Show what the project logs, and the warnings of libraries; all of botocore's messages would be noise."""
    handler = Handler()
    handler.addFilter(lambda record: record.levelno >= logging.WARNING or record.name.startswith("training."))
    logging.basicConfig(format="%(message)s", handlers=[handler])
    sys.excepthook = show_traceback


def show_traceback(kind: type[BaseException], error: BaseException, at: TracebackType | None) -> None:
    """As Python does, but an error may quote a text."""
    put("".join(traceback.format_exception(kind, error, at)), "stderr", end="")


def continued(text: str) -> str:
    """Lines after the first begin with blanks: none of a quoted text can pass for a message of ours."""
    first, *more = text.split("\n")
    return "\n".join([first, *(line if line[:1] in ("", " ") else f"  {line}" for line in more)])


def result(text: str) -> None:
    """What the command was called for."""
    put(text, "stdout")


def as_json(facts: Any, indent: int | None = None) -> None:
    """The result as JSON. What cannot be shown is escaped as JSON does it."""
    put(json.dumps(facts, ensure_ascii=False, default=str, indent=indent), "stdout", json_escape)


def as_toml(text: str) -> None:
    """The result, a TOML file, with escapes that TOML knows."""
    put(text, "stdout", toml_escape)


def show(facts: Any, text: str) -> None:
    """The result: as JSON with --json, as text otherwise."""
    if console.json:
        as_json(facts)
    else:
        result(text)


def warn(text: str | None) -> None:
    """What a person should know beside the result: on standard error, unless -q."""
    if text and not console.quiet:
        put(continued(text), "stderr")


def clear_screen() -> None:
    """Before something is shown again; where the output is no screen, it follows below."""
    if sys.stdout is not None and sys.stdout.isatty() and not console.json:
        put("", "stdout", heading="\x1b[H\x1b[2J\x1b[3J", end="")


def detail(text: str) -> None:
    """For those who want to know more: on standard error, with -v."""
    if console.verbose:
        put(continued(text), "stderr")


def fail(text: str) -> None:
    """What went wrong: on standard error, always."""
    name = "deepproverbs:"
    put(continued(text), "stderr", heading=f"\x1b[31m{name}\x1b[0m " if colour(sys.stderr) else f"{name} ")


def colour(stream: Any) -> bool:
    """May `stream` show colours? NO_COLOR turns them off unless it is empty."""
    return (
        stream is not None
        and bool(stream.isatty())
        and not os.environ.get("NO_COLOR")
        and os.environ.get("TERM") != "dumb"
    )
