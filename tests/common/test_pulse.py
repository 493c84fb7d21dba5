"""A terminal is never silent for long, whatever the main thread does, and Ctrl-C is answered at once."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from training.common import progress
from training.common.paths import ROOT
from training.common.progress import bar, details, say, speak_on, step
from training.common.pulse import STOPPING

DEAF = """
import hashlib
from training.common.progress import bar, say, step
with {shown}:
    say("a line")
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)  # an hour in C, where no handler of Python's runs
"""


@pytest.fixture(autouse=True)
def usual() -> Iterator[None]:
    yield
    speak_on("stdout")


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, code: str) -> None:
        self.end, theirs = pty.openpty()
        env = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'functions'}", "TERM": "xterm", "COLUMNS": "80"}
        self.process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=env,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        os.close(theirs)
        self.seen = ""

    def wait_for(self, text: str) -> None:
        """Read on until `text` is there; an endless wait is pytest's to end."""
        while text not in self.seen:
            try:
                more = os.read(self.end, 4096)
            except OSError:  # how Linux tells the end of a terminal
                more = b""
            assert more, self.seen
            self.seen += more.decode(errors="replace")

    def interrupt(self) -> None:
        os.killpg(self.process.pid, signal.SIGINT)


@pytest.mark.parametrize(
    ("shown", "moves"),
    [
        ('step("Loading the model")', ("Loading the model … 00:01", "Loading the model … 00:02")),
        ('bar(10, "learning", "step")', ("0/10 [00:01<", "0/10 [00:02<")),
    ],
)
def test_it_moves_and_answers_while_the_main_thread_is_deaf(shown: str, moves: tuple[str, str]) -> None:
    terminal = Terminal(DEAF.format(shown=shown))
    try:
        for text in moves:
            terminal.wait_for(text)
        assert "\ra line\r\n" in terminal.seen or "a line\r\n" in terminal.seen.split("\x1b")[0]
        terminal.interrupt()
        terminal.wait_for(STOPPING)
        assert terminal.process.poll() is None
        terminal.interrupt()
        terminal.wait_for("Stopped at once")
        assert terminal.process.wait() == 130
        assert terminal.seen.count(STOPPING) == 1
    finally:
        terminal.process.kill()
        terminal.process.wait()
        os.close(terminal.end)


def test_ctrl_c_is_an_exception_as_ever_where_python_hears_it() -> None:
    code = """
import time
from training.common.progress import say, step
try:
    with step("Waiting"):
        while True: time.sleep(60)
except KeyboardInterrupt:
    say("ended")
"""
    terminal = Terminal(code)
    try:
        terminal.wait_for("Waiting … 00:01")
        terminal.interrupt()
        terminal.wait_for("ended\r\n")
        assert terminal.process.wait() == 0
    finally:
        terminal.process.kill()
        os.close(terminal.end)


def test_in_a_log_a_step_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(progress, "BRIEF", 0.0)
    said = ""
    with step("Loading the model"):
        while "\n" not in said:
            time.sleep(0.05)
            said += capsys.readouterr().err
        time.sleep(1.2)  # two beats more
    assert said + capsys.readouterr().err == "Loading the model …\n"


def test_what_is_brief_and_what_is_quiet_say_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with step("Loading the model"):
        pass
    speak_on("")
    monkeypatch.setattr(progress, "BRIEF", 0.0)
    with step("Loading the model"):
        time.sleep(1.2)
    assert capsys.readouterr() == ("", "")


def test_nothing_is_left_behind() -> None:
    before = threading.active_count()
    with step("one"), bar(3, "two", "text"), step("three"):
        assert threading.active_count() == before + 1
    while threading.active_count() > before:
        time.sleep(0.01)
    assert signal.set_wakeup_fd(-1) == -1
    mine = os.pipe()
    os.set_blocking(mine[1], False)
    signal.set_wakeup_fd(mine[1])
    with step("one"):
        pass
    assert signal.set_wakeup_fd(-1) == mine[1], "somebody else's stays"
    for end in mine:
        os.close(end)


def test_details_are_for_who_asks(capsys: pytest.CaptureFixture[str]) -> None:
    details(say)("loss 3.525")
    speak_on("stdout", verbose=True)
    details(say)("loss 3.5")
    assert capsys.readouterr().out == "loss 3.5\n"
