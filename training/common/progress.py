"""What a person sees of long work: lines and a progress bar.

On a terminal a bar is tqdm's, and work whose end nobody knows (`step`) is a line with the time that has passed; both
move all the time, whatever the work does (pulse.py). Anywhere else (a pipe, a log file, AWS Batch) a bar is a plain
line every half minute, and a step one line, without control characters. `speak_on` silences bars and lines, or moves
the lines to standard error where standard output is for a program. Results and errors are printed elsewhere.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, Protocol

from training.common import terminal
from training.common.pulse import pulse
from training.common.terminal import put

Say = Callable[[str], None]
"""Takes one line for the person at the terminal."""

EVERY = 30.0
"""Seconds between two lines of a bar that is not on a terminal."""
BRIEF = 2.0
"""Shorter work gets no last line either."""

_stream: Literal["stdout", "stderr", ""] = "stdout"
_verbose = False


def speak_on(stream: Literal["stdout", "stderr", ""], verbose: bool = False) -> None:
    """Where lines go from here on. "": nowhere, and no bar is shown. `verbose`: details are told, too."""
    global _stream, _verbose
    _stream, _verbose = stream, verbose


def say(text: str) -> None:
    """A line about what is going on."""
    if _stream:
        put(text, _stream)


def details(say: Say) -> Say:
    """`say` for what only who asks for it (-v) wants to read; the run's files and its report have it all."""
    return say if _verbose else lambda text: None


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
    return _tqdm(
        total=total,
        initial=done,
        unit=unit,
        unit_scale=unit == "B",
        desc=what,
        mininterval=1.0,
        leave=leave,
        delay=delay,
    )


@contextmanager
def step(what: str) -> Iterator[None]:
    """Work whose end nobody knows: "Loading the model". On a terminal a line with the time that has passed, which is
    gone when it is done; elsewhere one line, unless it is brief."""
    if not _stream:
        yield
    elif on_terminal():
        with _tqdm(desc=what, bar_format="{desc} … {elapsed}", leave=False, delay=0.5):
            yield
    else:
        with _Line(what):
            yield


def _tqdm(**options: Any) -> Bar:
    """A bar of tqdm's that moves also while nothing is counted."""
    from tqdm import tqdm

    terminal.around = tqdm.external_write_mode

    class Above(tqdm):  # type: ignore[type-arg]
        seen = False

        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            if not self.disable:  # as TQDM_DISABLE=1 does
                pulse.add(self.beat, self.say)

        def beat(self) -> None:
            with self.get_lock():  # type: ignore[no-untyped-call]
                if not self.disable:
                    self.refresh()

        def refresh(self, *args: Any, **options: Any) -> Any:
            if self.disable or (self.delay and time.time() < getattr(self, "start_t", 0) + self.delay):
                return False
            self.seen = True
            return super().refresh(*args, **options)

        def close(self) -> None:
            if not self.disable:
                pulse.remove(self.beat)
            with self.get_lock():  # type: ignore[no-untyped-call]
                if self.seen:
                    self.last_print_t = time.time()  # so that it is wiped
                super().close()

        def say(self, text: str) -> None:
            say(text)

    made: Bar = Above(**_size(), **options)
    return made


def _size() -> dict[str, int]:
    """What tqdm must be told of a terminal that does not know its size, as a serial line: it would show nothing."""
    try:
        known = all(os.get_terminal_size(sys.stderr.fileno()))
    except (OSError, ValueError):  # a stream that is only like one
        known = True
    return {} if known else {"ncols": 80, "nrows": 24}


class _Line:
    """A step without a terminal."""

    def __init__(self, what: str) -> None:
        self.what, self.started, self.told = what, time.monotonic(), False

    def __enter__(self) -> _Line:
        pulse.add(self.beat, say)
        return self

    def __exit__(self, *_: object) -> None:
        pulse.remove(self.beat)

    def beat(self) -> None:
        if not self.told and time.monotonic() - self.started >= BRIEF:
            self.told = True
            put(f"{self.what} …", "stderr")


class Lines:
    """A bar without a terminal: a line on standard error now and then."""

    def __init__(self, total: int | None, what: str, unit: str, done: int = 0) -> None:
        self.total, self.what, self.unit, self.n = total, what, unit, done
        self.first, self.started = done, time.monotonic()
        self.shown, self.postfix = self.started, ""

    def __enter__(self) -> Lines:
        pulse.add(self._still, self.say)  # for an answer to Ctrl-C
        return self

    def __exit__(self, *_: object) -> None:
        pulse.remove(self._still)
        if time.monotonic() - self.started >= BRIEF:
            self._show()

    def update(self, n: float = 1) -> None:
        self.n += int(n)
        if time.monotonic() - self.shown >= EVERY:
            self._show()

    def say(self, text: str) -> None:
        say(text)

    def _still(self) -> None:
        """Nothing moves here."""

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
        self.bar.__enter__()
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
