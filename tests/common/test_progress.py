"""Bars: tqdm's on a terminal, plain lines anywhere else, nothing when quiet."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Iterator

import pytest

from training.common import progress
from training.common.progress import Progress, bar, say, speak_on


@pytest.fixture(autouse=True)
def usual() -> Iterator[None]:
    speak_on("stdout")
    yield
    speak_on("stdout")


class Clock:
    """A clock that is set by hand."""

    now = 1000.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock.now)
    return clock


def test_in_a_pipe_a_plain_line_now_and_then(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with bar(1000, "fine-tuning", "step") as shown:
        for _ in range(80):
            clock.now += 1
            shown.update(10)
            shown.set_postfix_str("loss=2.50")
        shown.say("  epoch 1")
    said = capsys.readouterr()
    assert said.out == "  epoch 1\n"
    assert said.err.splitlines() == [
        "fine-tuning: 300/1,000, 10/s, 1:10 left, loss=2.50",
        "fine-tuning: 600/1,000, 10/s, 0:40 left, loss=2.50",
        "fine-tuning: 800/1,000, 10/s, 0:20 left, loss=2.50",
    ]


def test_bytes_and_what_was_there_before(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with bar(500_000_000, "weights", "B", done=200_000_000) as shown:
        clock.now += 30
        shown.update(60_000_000)
    assert capsys.readouterr().err == "weights: 260.0 MB/500.0 MB, 2.0 MB/s, 2:00 left\n" * 2


def test_nobody_knows_how_much(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with bar(None, "weights", "B") as shown:
        clock.now += 7000
        shown.update(7_000_000_000)
    assert capsys.readouterr().err == "weights: 7,000.0 MB, 1.0 MB/s\n" * 2


def test_what_takes_a_moment_says_nothing(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with bar(10, "scored", "text") as shown:
        clock.now += 1.9
        shown.update(10)
    assert capsys.readouterr() == ("", "")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_it_is_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    out, err = io.StringIO(), Terminal()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    with bar(10, "scored", "text") as shown:
        shown.update(5)
        shown.say("half")
    assert "scored:" in err.getvalue() and "\r" in err.getvalue() and "5/10" in err.getvalue()
    assert out.getvalue() == "half\n"
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr(sys, "stderr", plain := Terminal())
    with bar(10, "scored", "text") as shown:
        shown.update(5)
    assert plain.getvalue() == ""


@pytest.mark.parametrize(("stream", "out", "err"), [("stdout", "a\nb\n", ""), ("stderr", "", "a\nb\n"), ("", "", "")])
def test_where_lines_go(
    stream: str, out: str, err: str, clock: Clock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    speak_on(stream)  # type: ignore[arg-type]
    say("a")
    with Progress(100, "passed") as shown:
        clock.now += 60
        shown.say("b")
        shown.update(10, 20, 400)
    said = capsys.readouterr()
    assert said.out == out
    assert re.sub(r"^passed: .*\n", "", said.err, flags=re.MULTILINE) == err
    assert ("passed: 10/100" in said.err) is bool(stream)


def test_the_rates_are_those_of_what_was_sampled(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(50, "kept") as shown:
        for n in range(40):
            clock.now += 0.1
            shown.update(n // 2, 1, 20)
    assert re.fullmatch(r"kept: 19/50, .* left, 40 sampled, 10 texts/s, 200 tokens/s\n", capsys.readouterr().err)


def test_the_first_batch_has_no_rate(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    """It comes when the engine has started, all at once: 64 texts in no time are no 720 a second."""
    with Progress(50, "kept") as shown:
        clock.now += 10
        shown.update(20, 64, 1280)
        clock.now += 0.1
    assert re.fullmatch(r"kept: 20/50, .* left, 64 sampled\n", capsys.readouterr().err)
