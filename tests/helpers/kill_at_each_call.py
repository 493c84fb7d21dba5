"""Kill a process before and after each of its system calls, with ptrace, and look at what it leaves in a folder.

    python -m tests.helpers.kill_at_each_call post|fill|repair [in-place]

A program of its own, because it forks: Python forks safely only while it has no threads. For every stop at a system
call a fresh copy of a pool is made, a child posts one text (or fills in five, or repairs a pool that has lost its
state, a record and half a batch) and is killed there; then the same is done again, undisturbed, a minute later.
Prints {"stops": …, "wrong": […]}. `in-place` writes files without a temporary name: the mistake that this must find.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from post_tweet import effects, protocol, telemetry
from post_tweet.place import CannotTell, Found, NotFound, Posted, Refused, Unknown
from post_tweet.pool import Pool
from post_tweet.repair import Helper, Repair, carry_out
from post_tweet.runtime import Runtime, run_protocol
from post_tweet.store import DirectoryStore
from post_tweet.xtext import problems

from tests.helpers.fakes import LikeX, records

PTRACE_TRACEME, PTRACE_SYSCALL = 0, 24
START = datetime(2026, 1, 1, tzinfo=UTC)
ptrace = ctypes.CDLL(None, use_errno=True).ptrace
ptrace.argtypes, ptrace.restype = [ctypes.c_long] * 4, ctypes.c_long


class FileX(LikeX):
    """X as a file: what is in it was published, whoever died meanwhile."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def texts(self) -> list[str]:
        return self.file.read_text().splitlines() if self.file.exists() else []

    def post(self, text: str) -> Posted | Refused | Unknown:
        if text in self.texts():
            return Refused("text", "duplicate", "it is a duplicate")
        handle = os.open(self.file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(handle, f"{text}\n".encode())
        os.close(handle)
        return Posted(str(len(self.texts())))

    def did_post(self, text: str, since: datetime | None = None) -> Found | NotFound | CannotTell:
        return Found(str(self.texts().index(text) + 1)) if text in self.texts() else NotFound()


def post_one(folder: Path, now: datetime, slot: str = "monday") -> None:
    x = FileX(folder / "x.txt")
    call = effects.Call(slot, f"owner {now}", timedelta(seconds=55), x)
    runtime = Runtime(Pool(DirectoryStore(folder / "pool")), x, telemetry.Metrics(), lambda: now)
    run_protocol(protocol.posting(call), runtime, slot)


def fill_five(folder: Path, now: datetime) -> None:
    Pool(DirectoryStore(folder / "pool")).append(records(5, start=50), "more")


def damaged(folder: Path) -> None:
    """Three posts, then the loss of the state, a record and half of the batch."""
    for hour in range(3):
        post_one(folder, START + timedelta(hours=hour), f"slot {hour}")
    (batch,) = (folder / "pool/batches").iterdir()
    batch.write_bytes(batch.read_bytes()[:700])
    (folder / "pool/posts/2026/1.json").write_bytes(b"")
    (folder / "pool/state.json").unlink()


def repair(folder: Path, now: datetime) -> None:
    pool = Pool(DirectoryStore(folder / "pool"))
    helper = Helper(lambda text: f"id of {text}", problems)
    carry_out(pool, Repair(pool, helper, now + timedelta(hours=3)).plan())


def killed_at(stop: int, job: Callable[[], None]) -> bool:
    """Run `job` in a child and kill it at the stop of that number; False: it ended before."""
    child = os.fork()
    if child == 0:
        ptrace(PTRACE_TRACEME, 0, 0, 0)
        os.kill(os.getpid(), signal.SIGSTOP)
        try:
            job()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    for _ in range(stop):
        if ptrace(PTRACE_SYSCALL, child, 0, 0):
            raise OSError(ctypes.get_errno(), "ptrace")
        if os.WIFEXITED(os.waitpid(child, 0)[1]):
            return False
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return True


def wrong_after(folder: Path, job: Callable[[Path, datetime], None], what: str) -> list[str]:
    """What is wrong after the kill and a second, undisturbed try."""
    pool = Pool(DirectoryStore(folder / "pool"))
    try:
        if what != "repair":
            pool.load()
        job(folder, START + timedelta(minutes=1))
        state = pool.load()[0]
    except Exception as error:
        return [f"{type(error).__name__}: {error}"]
    found = pool.verify()
    texts = Counter(FileX(folder / "x.txt").texts())
    if what == "repair":
        found = [sentence for sentence in found if "belongs to no fill" not in sentence]
        if state.next not in (4, 5) or not state.paused or state.remaining < 0 or texts.total() != 3:
            found.append(f"next {state.next}, paused {state.paused}")
    if what == "post" and (texts.total() != 1 or state.next != 1 or state.claim):
        found.append(f"{texts.total()} posts, next {state.next}, claim {state.claim}")
    if what == "fill" and (state.total != 8 or len({r["id"] for r in pool.records()}) != 8):
        found.append(f"{state.total} texts")
    left = sorted(path.name for path in (folder / "pool").rglob("*") if path.name.startswith(".part"))
    return found + ([f"left over: {left}"] if left else [])


def write_in_place(self: DirectoryStore, key: str, data: bytes) -> None:
    path = self._path(key)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def main(what: str, how: str = "") -> None:
    telemetry.quiet = True
    if how == "in-place":
        DirectoryStore._replace = write_in_place  # type: ignore[method-assign]
    job = {"post": post_one, "fill": fill_five, "repair": repair}[what]
    wrong: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        base, stop = Path(name) / "base", 0
        Pool(DirectoryStore(base / "pool")).append(records(10 if what == "repair" else 3), "first")
        if what == "repair":
            damaged(base)
        while True:
            folder = Path(name) / str(stop)
            shutil.copytree(base, folder)
            if not killed_at(stop, lambda: job(folder, START)):  # noqa: B023 - it runs at once
                break
            wrong += [f"stop {stop}: {found}" for found in wrong_after(folder, job, what)]
            shutil.rmtree(folder)
            stop += 1
    print(json.dumps({"stops": stop, "wrong": wrong}))


if __name__ == "__main__":
    main(*sys.argv[1:])
