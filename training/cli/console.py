"""What a command prints: its result always, news of the work unless -q, details with -v.

With --json standard output is the result's alone. News goes through training/common/progress.py, above the bar.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from dataclasses import dataclass
from typing import Any

from training.common.progress import speak_on


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


def apply() -> None:
    """Set progress and the log to what the console says."""
    speak_on("" if console.quiet else "stderr" if console.json else "stdout")
    level = logging.WARNING if console.quiet else logging.DEBUG if console.verbose else logging.INFO
    logging.getLogger("training").setLevel(level)


def log_to_stderr() -> None:
    """Show what the project logs, and the warnings of libraries; all of botocore's messages would be noise."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(lambda record: record.levelno >= logging.WARNING or record.name.startswith("training."))
    logging.basicConfig(format="%(message)s", handlers=[handler])


def result(text: str) -> None:
    """What the command was called for."""
    print(text, flush=True)


def show(facts: Any, text: str) -> None:
    """The result: as JSON with --json, as text otherwise."""
    result(json.dumps(facts, ensure_ascii=False, default=str) if console.json else text)


def warn(text: str | None) -> None:
    """What a person should know beside the result: on standard error, unless -q."""
    if text and not console.quiet:
        print(text, file=sys.stderr, flush=True)


def detail(text: str) -> None:
    """For those who want to know more: on standard error, with -v."""
    if console.verbose:
        print(text, file=sys.stderr, flush=True)


def colour(stream: Any) -> bool:
    """May `stream` show colours? NO_COLOR turns them off unless it is empty."""
    return bool(stream.isatty()) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
