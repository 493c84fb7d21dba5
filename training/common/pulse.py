"""Signs of life: while something is shown, one thread shows it again twice a second, and answers Ctrl-C at once.

The main thread may be in a library for half a minute, where no bar moves and Python's handler of Ctrl-C does not run.
The thread hears of Ctrl-C by `signal.set_wakeup_fd`, which C code cannot hold up. The first one is answered; where a
second one has not ended the program after GRACE seconds, it is ended: all that is written survives a kill.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import select
import signal
import threading
import time
from collections.abc import Callable

from training.common.terminal import put

EVERY = 0.5
"""Seconds between two beats."""
GRACE = 3.0
STOPPING = "Stopping after this step. Ctrl-C again stops at once."

Beat = Callable[[], object]
Tell = Callable[[str], object]


class Pulse:
    """The thread, which lives while there is something to show."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.beats: list[tuple[Beat, Tell]] = []
        self.ends: tuple[int, int] | None = None
        """The pipe that wakes the thread: a byte of a signal, or 0 when nothing is left to show."""
        self.listening = False

    def add(self, beat: Beat, tell: Tell) -> None:
        """Call `beat` again and again, and `tell` with the answer to Ctrl-C; both in the thread."""
        with self.lock:
            self.beats.append((beat, tell))
            if self.ends is None:
                self.ends = os.pipe()
                os.set_blocking(self.ends[1], False)
                self._listen(self.ends[1])
                threading.Thread(target=self._run, args=(self.ends[0],), daemon=True).start()

    def remove(self, beat: Beat) -> None:
        with self.lock:
            self.beats = [pair for pair in self.beats if pair[0] != beat]
            if not self.beats and self.ends and self._let_go(self.ends[1]):
                with contextlib.suppress(BrokenPipeError):  # the thread has ended, by a beat that failed
                    os.write(self.ends[1], b"\0")
                os.close(self.ends[1])
                self.ends = None

    def _listen(self, end: int) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        before = signal.set_wakeup_fd(end, warn_on_full_buffer=False)
        self.listening = before == -1
        if not self.listening:  # somebody else's, as asyncio's
            signal.set_wakeup_fd(before)

    def _let_go(self, end: int) -> bool:
        """Whether signals write there no more. Only the main thread can stop them; from another one the pipe stays open
        until the next bar ends, for its number may soon be that of another file."""
        if not self.listening:
            return True
        if threading.current_thread() is not threading.main_thread():
            return False
        now = signal.set_wakeup_fd(-1)
        if now != end:  # somebody else's that came later
            signal.set_wakeup_fd(now)
        self.listening = False
        return True

    def _run(self, end: int) -> None:
        interrupts, answered = 0, False
        try:
            while True:
                woken = select.select([end], [], [], EVERY)[0]
                heard = os.read(end, 64) if woken else b""
                if b"\0" in heard or (woken and not heard):
                    return
                interrupts, answered = (interrupts + heard.count(signal.SIGINT), answered) if self.beats else (0, False)
                if interrupts and not answered:
                    answered = True
                    self._answer()
                if interrupts > 1:
                    if ended(end):
                        return
                    self._end()
                with self.lock:
                    beats = list(self.beats)
                for beat, _ in beats:
                    with contextlib.suppress(OSError, ValueError):  # a terminal that has gone, a stream that is closed
                        beat()
        finally:
            os.close(end)

    def _answer(self) -> None:
        with self.lock:
            tell = self.beats[-1][1] if self.beats else None
        if tell:
            with contextlib.suppress(OSError, ValueError):
                tell(STOPPING)

    def _end(self) -> None:
        put("\nStopped at once; what was written before is kept.", "stderr")
        for child in multiprocessing.active_children():
            child.kill()
        os._exit(130)


def ended(end: int) -> bool:
    """Whether the work ends by itself in GRACE seconds, however often Ctrl-C comes meanwhile."""
    last = time.monotonic() + GRACE
    while select.select([end], [], [], max(0, last - time.monotonic()))[0]:
        heard = os.read(end, 64)
        if b"\0" in heard or not heard:
            return True
    return False


pulse = Pulse()
