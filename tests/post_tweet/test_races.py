"""Many at once, and killed at random: 50 slots make exactly 50 posts, whoever makes them.

X refuses no duplicate here, so a text that is posted twice is published twice. It lets its latest posts be read, so the
protocol must not ask it for a post that it has made, whoever was killed in the middle of making it.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from post_tweet import app, effects, runtime, telemetry
from post_tweet import protocol as post
from post_tweet.errors import Busy
from post_tweet.pool import Pool
from post_tweet.runtime import Runtime
from post_tweet.store import S3Store, open_store

from tests.helpers.fakes import Crash, LikeX, MemoryX, records
from tests.helpers.locked_moto import BUCKET, locked_moto
from tests.helpers.loopback_x import LoopbackX, loopback_x
from training.common.paths import ROOT

SLOTS = 50
RACERS = 20
PATIENCE = 600.0
"""Seconds for all slots."""
EVERY = 10
"""Of so many posts one loses its poster before it hears of it."""
LEASE = timedelta(seconds=2)
"""In the threads; race_worker has its own."""
TIMEOUT = LEASE.total_seconds() * 45 / app.LEASE
"""Seconds that a call may last there, as long beside the lease as Lambda's 45 s are."""
TICK = 0.005
"""Seconds by which a request to S3 moves the threads' clock on. Theirs is no real one: on a busy machine, where a call
takes longer, a lease lasts for as many requests as on a quiet one."""


def loses_its_poster(x: LoopbackX | MemoryX) -> bool:
    """The post that has just come."""
    return len(x.published) % EVERY == EVERY // 2


@pytest.mark.slow
def test_twenty_processes_killed_at_random_post_fifty_slots_once(tmp_path: Path) -> None:
    url = str(tmp_path / "pool")
    pool = Pool(open_store(url))
    pool.append(records(2 * SLOTS), "test")
    rng = random.Random(1)
    # In turn: a post whose sender was killed is made before anybody who comes later looks for it.
    with loopback_x(in_turn=True) as x:
        kills = lost = 0
        command = [sys.executable, "-m", "tests.helpers.race_worker", url, x.url, str(SLOTS)]

        def start() -> subprocess.Popen[bytes]:
            return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

        def kill_its_poster() -> None:
            nonlocal lost
            claim = Pool(open_store(url)).load()[0].claim
            if loses_its_poster(x) and claim:
                for process in running:
                    if process.pid == int(claim.owner.partition("/")[0]):
                        process.kill()
                lost += 1

        x.refuses, x.received = False, kill_its_poster
        running = [start() for _ in range(RACERS)]
        try:
            deadline = time.monotonic() + PATIENCE
            while any(process.returncode != 0 for process in running):
                assert time.monotonic() < deadline, f"{len(x.published)} posts"
                time.sleep(rng.uniform(0.0, 0.02))
                victim = rng.randrange(RACERS)
                # By posts and not by the clock, so that a quick machine kills as often: one for every three, each
                # while the others are at work.
                if kills < min(15, len(x.published) // 3) and running[victim].poll() is None:
                    running[victim].kill()
                    kills += 1
                for number, process in enumerate(running):
                    if process.poll() in (-signal.SIGKILL, -signal.SIGALRM):
                        process.communicate()
                        running[number] = start()
                    elif process.returncode:
                        raise AssertionError(process.communicate()[1].decode())
            assert all(process.communicate()[1] == b"" for process in running)
            assert len(x.published) == SLOTS == len(set(x.published)) and kills >= 5
            looked = sum("/tweets?" in request for request in x.requests if request.startswith("GET"))
            assert lost == SLOTS // EVERY <= looked
        finally:
            for process in running:
                process.kill()
                process.wait()
                assert process.stderr is not None
                process.stderr.close()
    state = pool.load()[0]
    assert (state.next, state.claim) == (SLOTS, None) and pool.verify() == []
    assert {entry.slot for entry in state.recent if entry.outcome == "posted"} == {f"slot {n}" for n in range(SLOTS)}


class InvocationsX(LikeX):
    """What one invocation sees of the X that all share.

    The lock spans the look at the clock and the post: whoever looks for a post once a lease is over sees every one
    that was made within it, however long this thread was kept waiting.
    """

    def __init__(self, x: MemoryX, lock: threading.Lock, seconds: Callable[[], float], end: float) -> None:
        self.x, self.lock, self.seconds, self.end = x, lock, seconds, end

    def post(self, text: str) -> Any:
        with self.lock:
            if self.seconds() > self.end:
                raise Crash
            lost = loses_its_poster(self.x)
            answer = self.x.post(text)
        if lost:
            raise Crash
        return answer

    def did_post(self, text: str, since: datetime | None = None) -> Any:
        with self.lock:
            return self.x.did_post(text, since)


@pytest.mark.slow
def test_twenty_threads_killed_at_random_post_fifty_slots_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against moto's S3 behind a lock. A kill ends an invocation before or after one of its calls."""
    x, lock, kills, over = MemoryX(refuses=False), threading.Lock(), [0], threading.Event()
    requests = [0]

    def tick(**_: Any) -> None:
        requests[0] += 1

    def seconds() -> float:
        return TICK * requests[0]

    start = datetime.now(UTC)
    monkeypatch.setattr(runtime, "clock", lambda: start + timedelta(seconds=seconds()))

    def invoke(slot: str, name: str, rng: random.Random, client: Any) -> None:
        pool, end = Pool(S3Store(BUCKET, "bot", client)), seconds() + TIMEOUT
        place = InvocationsX(x, lock, seconds, end)
        runtime = Runtime(pool, place, telemetry.Metrics())
        protocol = post.posting(effects.Call(slot, name, LEASE, place))
        answer: Any = None
        while True:
            try:
                request = protocol.send(answer)
            except StopIteration:
                return
            for after in (False, True):
                if after:
                    answer = runtime.perform(request)
                # Most of all those that hold a claim; the others only look.
                if rng.random() < (0.001 if isinstance(request, effects.Load) else 0.01):
                    kills[0] += 1
                    raise Crash

    with locked_moto() as client:
        client.meta.events.register("request-created.s3", tick)
        Pool(S3Store(BUCKET, "bot", client)).append(records(2 * SLOTS), "test")
        failed: list[BaseException] = []

        def race(number: int) -> None:
            rng = random.Random(number)
            try:
                for slot in range(SLOTS):
                    for attempt in range(10_000):
                        if over.is_set():
                            return
                        try:
                            invoke(f"slot {slot}", f"{number}/{slot}/{attempt}", rng, client)
                            break
                        except Busy:
                            time.sleep(rng.uniform(0.05, 0.2))
                        except Crash:
                            pass
            except BaseException as error:
                failed.append(error)

        threads = [threading.Thread(target=race, args=(number,), daemon=True) for number in range(RACERS)]
        deadline = time.monotonic() + PATIENCE
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        late = sum(thread.is_alive() for thread in threads)
        over.set()  # none may go on when moto has ended: it would ask the real S3
        for thread in threads:
            thread.join(60)
        assert failed == []
        assert late == 0, f"{late} threads are not done after {PATIENCE:.0f} s, with {len(x.published)} posts made."
        pool = Pool(S3Store(BUCKET, "bot", client))
        state = pool.load()[0]
        assert (state.next, state.claim) == (SLOTS, None) and pool.verify() == []
    assert len(x.published) == SLOTS == len(set(x.published)) and kills[0] >= 5
    assert x.asked >= SLOTS // EVERY
