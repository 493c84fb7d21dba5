"""A terminal is never silent for long, whatever the main thread does, and Ctrl-C is answered at once."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator

import pytest

from training.common import progress
from training.common.paths import ROOT
from training.common.progress import bar, details, say, speak_on, step
from training.common.pulse import STOPPING, pulse

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
    """A program on a terminal of its own. It ends with us, whatever becomes of a test: its terminal hangs up."""

    def __init__(self, code: str, rows: int = 24, columns: int = 80) -> None:
        self.end, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        env = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'functions'}", "TERM": "xterm"}

        def take_it() -> None:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
            signal.signal(signal.SIGHUP, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            signal.alarm(600)

        self.process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=env,
            start_new_session=True,
            preexec_fn=take_it,
        )
        os.close(theirs)
        self.seen = ""

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.end)

    def wait_for(self, pattern: str, different: int = 1) -> None:
        """Read on until so many different texts that match it are there."""
        while len(set(re.findall(pattern, self.seen))) < different:
            try:
                more = os.read(self.end, 4096)
            except OSError:  # how Linux tells the end of a terminal
                more = b""
            assert more, self.seen
            self.seen += more.decode(errors="replace")

    def interrupt(self) -> None:
        os.write(self.end, b"\x03")


@pytest.mark.parametrize(
    ("shown", "moving", "more"),
    [
        ('step("Loading the model")', r"Loading the model … \d\d:\d\d", 1),
        ('bar(10, "learning", "step")', r"0/10 \[\d\d:\d\d<", 5),
    ],
)
def test_it_moves_and_answers_while_the_main_thread_is_deaf(shown: str, moving: str, more: int) -> None:
    with Terminal(DEAF.format(shown=shown)) as terminal:
        terminal.wait_for(moving, different=3)
        assert "\ra line\r\n" in terminal.seen or "a line\r\n" in terminal.seen.split("\x1b")[0]
        terminal.interrupt()
        terminal.wait_for(STOPPING)
        terminal.wait_for(moving, different=4)
        assert terminal.process.poll() is None
        for _ in range(more):
            terminal.interrupt()
        terminal.wait_for("Stopped at once")
        assert terminal.process.wait() == 130
        assert terminal.seen.count(STOPPING) == 1


def test_a_terminal_of_no_known_size() -> None:
    with Terminal(DEAF.format(shown='step("Loading the model")'), rows=0, columns=0) as terminal:
        terminal.wait_for(r"Loading the model … \d\d:\d\d", different=2)


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
    with Terminal(code) as terminal:
        terminal.wait_for(r"Waiting … \d\d:\d\d")
        terminal.interrupt()
        terminal.wait_for("ended\r\n")
        assert terminal.process.wait() == 0


def two_beats() -> None:
    """Wait for them."""
    heard = threading.Semaphore(0)
    pulse.add(heard.release, say)
    try:
        for _ in range(2):
            heard.acquire()
    finally:
        pulse.remove(heard.release)


def test_in_a_log_a_step_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(progress, "BRIEF", 0.0)
    with step("Loading the model"):
        two_beats()
        two_beats()
    assert capsys.readouterr().err == "Loading the model …\n"


def test_what_is_brief_and_what_is_quiet_say_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with step("Loading the model"):
        pass
    speak_on("")
    monkeypatch.setattr(progress, "BRIEF", 0.0)
    with step("Loading the model"):
        two_beats()
    assert capsys.readouterr() == ("", "")


def test_nothing_is_left_behind() -> None:
    before = set(threading.enumerate())
    with step("one"), bar(3, "two", "text"), step("three"):
        (one,) = set(threading.enumerate()) - before
    one.join()
    assert signal.set_wakeup_fd(-1) == -1
    mine = os.pipe()
    os.set_blocking(mine[1], False)
    signal.set_wakeup_fd(mine[1])
    with step("one"):
        pass
    assert signal.set_wakeup_fd(-1) == mine[1], "somebody else's stays"
    with step("one"):
        signal.set_wakeup_fd(-1)
        with step("two"):
            signal.set_wakeup_fd(mine[1])
    assert signal.set_wakeup_fd(-1) == mine[1], "also what came later"
    for end in mine:
        os.close(end)


def test_a_bar_that_ends_in_another_thread_leaves_no_closed_pipe_to_signals() -> None:
    pulse.add(object, say)  # here
    thread = threading.Thread(target=pulse.remove, args=(object,))
    thread.start()
    thread.join()
    end = signal.set_wakeup_fd(-1)
    assert end != -1, "only the main thread may take it back"
    os.fstat(end)  # still ours: a byte of a signal would go into whatever file took its number
    signal.set_wakeup_fd(end)
    with step("the next"):
        pass
    assert signal.set_wakeup_fd(-1) == -1
    with pytest.raises(OSError):
        os.fstat(end)


def test_a_beat_that_fails_does_not_fail_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[object] = []
    monkeypatch.setattr(threading, "excepthook", lambda what: heard.append(what.exc_type))

    def fails() -> None:
        raise RuntimeError("a bar of somebody else's")

    before = set(threading.enumerate())
    pulse.add(fails, say)
    (thread,) = set(threading.enumerate()) - before
    thread.join()
    pulse.remove(fails)
    assert heard == [RuntimeError]


def test_tqdm_may_be_switched_off() -> None:
    code = """
from training.common.progress import Progress, say, step
from training.common.pulse import pulse
with step("Loading"), Progress(3, "sampled") as shown:
    shown.update(1, 1, 9)
say(f"left: {pulse.beats}")
"""
    os.environ["TQDM_DISABLE"] = "1"
    try:
        with Terminal(code) as terminal:
            terminal.wait_for(r"left: \[\]")
    finally:
        del os.environ["TQDM_DISABLE"]


def test_a_log_of_sampling_answers_ctrl_c_too() -> None:
    with progress.Progress(3, "sampled") as shown:
        assert [tell for _, tell in pulse.beats] == [shown.bar.say]
    assert not pulse.beats


def test_details_are_for_who_asks(capsys: pytest.CaptureFixture[str]) -> None:
    details(say)("loss 3.525")
    speak_on("stdout", verbose=True)
    details(say)("loss 3.5")
    assert capsys.readouterr().out == "loss 3.5\n"
