"""What a person sees of long work: lines and a progress bar.

On a terminal a bar is tqdm's. Anywhere else (a pipe, a log file, AWS Batch) it is a plain line every half minute,
without control characters. `speak_on` silences bars and lines, or moves the lines to standard error where standard
output is for a program. Results and errors are printed elsewhere.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import Any, Literal, Protocol

from training.common.terminal import put, shown

Say = Callable[[str], None]
"""Takes one line for the person at the terminal."""

EVERY = 30.0
"""Seconds between two lines of a bar that is not on a terminal."""
BRIEF = 2.0
"""Shorter work gets no last line either."""

_stream: Literal["stdout", "stderr", ""] = "stdout"


def speak_on(stream: Literal["stdout", "stderr", ""]) -> None:
    """Where lines go from here on. "": nowhere, and no bar is shown."""
    global _stream
    _stream = stream


def say(text: str) -> None:
    """A line about what is going on."""
    if _stream:
        put(text, _stream)


def on_terminal() -> bool:
    """Can standard error show a bar?"""
    return sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


class Bar(Protocol):
    """The part of tqdm that is used here."""

    n: Any
    total: Any

    def __enter__(self) -> Bar: ...
    def __exit__(self, *_: Any) -> Any: ...
    def update(self, n: float = 1) -> Any: ...
    def say(self, text: str) -> Any:
        """Print a line above the bar."""

    def set_postfix_str(self, text: str, refresh: bool = True) -> Any: ...


def bar(total: int | None, what: str, unit: str, *, done: int = 0, leave: bool = True, delay: float = 0) -> Bar:
    """A bar for `total` units of work, `done` of them already; a context manager.

    `unit`: "text", "step", or "B" for bytes. `leave`: keep it on the terminal when it has ended. `delay`: seconds
    before it appears. `total` None: unknown.
    """
    if not _stream or not on_terminal():
        return Lines(total, what, unit, done)
    from tqdm import tqdm

    class Above(tqdm):  # type: ignore[type-arg]
        def say(self, text: str) -> None:
            if stream := _stream and getattr(sys, _stream):
                self.write(shown(text, getattr(stream, "encoding", None) or "utf-8"), file=stream)

    made: Bar = Above(
        total=total,
        initial=done,
        unit=unit,
        unit_scale=unit == "B",
        desc=what,
        mininterval=1.0,
        leave=leave,
        delay=delay,
    )
    return made


class Lines:
    """A bar without a terminal: a line on standard error now and then."""

    def __init__(self, total: int | None, what: str, unit: str, done: int = 0) -> None:
        self.total, self.what, self.unit, self.n = total, what, unit, done
        self.first, self.started = done, time.monotonic()
        self.shown, self.postfix = self.started, ""

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *_: object) -> None:
        if time.monotonic() - self.started >= BRIEF:
            self._show()

    def update(self, n: float = 1) -> None:
        self.n += int(n)
        if time.monotonic() - self.shown >= EVERY:
            self._show()

    def say(self, text: str) -> None:
        say(text)

    def set_postfix_str(self, text: str, refresh: bool = True) -> None:
        self.postfix = text

    def _show(self) -> None:
        self.shown = now = time.monotonic()
        if not _stream:
            return
        rate = (self.n - self.first) / max(now - self.started, 1e-9)
        parts = [f"{self._amount(rate)}/s"] if rate else []
        if rate and self.total and self.n < self.total:
            parts.append(f"{_duration((self.total - self.n) / rate)} left")
        parts += [self.postfix] if self.postfix else []
        of = f"/{self._amount(self.total)}" if self.total else ""
        put(f"{self.what}: {self._amount(self.n)}{of}{', ' * bool(parts)}{', '.join(parts)}", "stderr")

    def _amount(self, number: float) -> str:
        if self.unit == "B":
            return f"{number / 1e6:,.1f} MB"
        return f"{number:,.0f}" if number >= 10 or number == int(number) else f"{number:.2g}"


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


class Progress:
    """A bar of the texts that are wanted, with the rates of what has been sampled since it began."""

    def __init__(self, wanted: int, what: str) -> None:
        self.bar = bar(wanted, what, "text")
        self.wanted, self.texts, self.started, self.shown = wanted, 0, 0.0, 0.0
        self.timed_texts = self.timed_tokens = 0
        """Since the first batch came: how long that one took is not known."""

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *error: object) -> None:
        self._show_rates(time.monotonic())
        self.bar.__exit__(*error)

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        self.bar.say(text)

    def _show_rates(self, now: float) -> None:
        if self.started:
            self.shown, seconds = now, max(now - self.started, 1e-9)
            texts, tokens = self.timed_texts / seconds, self.timed_tokens / seconds
            self.bar.set_postfix_str(
                f"{self.texts:,} sampled" + f", {texts:,.0f} texts/s, {tokens:,.0f} tokens/s" * bool(texts)
            )

    def want(self, wanted: int) -> None:
        self.wanted = self.bar.total = wanted

    def update(self, have: int, texts: int = 0, tokens: int = 0) -> None:
        """`have` of the wanted texts are there; `texts` more were sampled, of so many tokens."""
        now = time.monotonic()
        if texts:
            self.texts += texts
            if self.started:
                self.timed_texts, self.timed_tokens = self.timed_texts + texts, self.timed_tokens + tokens
            self.started = self.started or now
        self.bar.update(min(self.wanted, have) - self.bar.n)
        if now - self.shown >= 1 and now - self.started >= 1:
            self._show_rates(now)
