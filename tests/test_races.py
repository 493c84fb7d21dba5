"""Many at once, and killed at random: 50 slots make exactly 50 posts, whoever makes them."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from post_tweet import post, steps, telemetry
from post_tweet.errors import Busy
from post_tweet.perform import Performer
from post_tweet.pool import Pool
from post_tweet.store import S3Store, open_store

from tests.fakes import Crash, MemoryX, records
from tests.locked_moto import BUCKET, locked_moto
from tests.loopback_x import loopback_x

ROOT = Path(__file__).parents[1]
SLOTS = 50
RACERS = 20


def test_twenty_processes_killed_at_random_post_fifty_slots_once(tmp_path: Path) -> None:
    url = str(tmp_path / "pool")
    Pool(open_store(url)).append(records(2 * SLOTS), "test")
    rng = random.Random(1)
    with loopback_x() as x:
        command = [sys.executable, "-m", "tests.race_worker", url, x.url, str(SLOTS)]

        def start() -> subprocess.Popen[bytes]:
            return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

        running, kills = [start() for _ in range(RACERS)], 0
        try:
            deadline = time.monotonic() + 100
            while any(process.poll() is None for process in running):
                assert time.monotonic() < deadline, f"{len(x.published)} posts"
                time.sleep(rng.uniform(0.0, 0.02))
                victim = rng.randrange(RACERS)
                # By posts and not by the clock, so that a quick machine kills as often: one for every three, each
                # while the others are at work.
                if kills < min(15, len(x.published) // 3) and running[victim].poll() is None:
                    running[victim].kill()
                    running[victim].communicate()
                    running[victim], kills = start(), kills + 1
            for process in running:
                assert process.communicate()[1] == b"" and process.returncode == 0
            assert len(x.published) == SLOTS == len(set(x.published)) and kills >= 5
        finally:
            for process in running:
                process.kill()
                process.wait()
    pool = Pool(open_store(url))
    state = pool.load()[0]
    assert (state.next, state.claim) == (SLOTS, None) and pool.verify() == []
    assert {entry.slot for entry in state.recent if entry.outcome == "posted"} == {f"slot {n}" for n in range(SLOTS)}


def test_twenty_threads_killed_at_random_post_fifty_slots_once() -> None:
    """Against moto's S3 behind a lock. A kill ends an invocation before or after one of its calls."""
    x, lock, kills = MemoryX(), threading.Lock(), [0]
    lease = timedelta(seconds=3)

    class LockedX:
        def post(self, text: str) -> Any:
            with lock:
                return x.post(text)

        def did_post(self, text: str, since: datetime | None = None) -> Any:
            with lock:
                return x.did_post(text, since)

    def invoke(slot: str, name: str, rng: random.Random, client: Any) -> None:
        pool = Pool(S3Store(BUCKET, "bot", client))
        performer = Performer(pool, LockedX, telemetry.Metrics())
        protocol = post.posting(steps.Call(slot, name, lease))
        answer: Any = None
        while True:
            try:
                request = protocol.send(answer)
            except StopIteration:
                return
            for after in (False, True):
                if after:
                    answer = performer.do(request)
                # Most of all those that hold a claim; the others only look.
                if rng.random() < (0.001 if isinstance(request, steps.Load) else 0.01):
                    kills[0] += 1
                    raise Crash

    with locked_moto() as client:
        Pool(S3Store(BUCKET, "bot", client)).append(records(2 * SLOTS), "test")
        failed: list[BaseException] = []

        def race(number: int) -> None:
            rng = random.Random(number)
            try:
                for slot in range(SLOTS):
                    for attempt in range(10_000):
                        try:
                            invoke(f"slot {slot}", f"{number}/{slot}/{attempt}", rng, client)
                            break
                        except Busy:
                            time.sleep(rng.uniform(0.05, 0.2))
                        except Crash:
                            pass
            except BaseException as error:
                failed.append(error)

        threads = [threading.Thread(target=race, args=(number,)) for number in range(RACERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failed == []
        pool = Pool(S3Store(BUCKET, "bot", client))
        state = pool.load()[0]
        assert (state.next, state.claim) == (SLOTS, None) and pool.verify() == []
    assert len(x.published) == SLOTS == len(set(x.published)) and kills[0] >= 5
