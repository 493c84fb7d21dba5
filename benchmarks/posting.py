"""What a post costs in requests to S3 and in milliseconds, with a thousand texts in the pool and with a million.

Both pools are really built, in moto's S3 in this process, and the requests are counted where botocore sends them.
X is a stub that answers at once; medians. moto copies a whole object to serve a piece of it, so its milliseconds grow
with the batch; a folder shows that reading a text does not. Writing to a folder waits for the disk.

    .venvs/project/bin/python -m benchmarks.posting [--sizes 1000 1000000] [--posts 50]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any
from unittest import mock

from post_tweet import app, telemetry
from post_tweet.place import Found, NotFound, Posted
from post_tweet.pool import Pool
from post_tweet.store import DirectoryStore, S3Store, Store, aws

from tests.helpers.fakes import LikeX

try:
    from tests.helpers.locked_moto import BUCKET, locked_moto
except ModuleNotFoundError:
    sys.exit("moto is missing; run `scripts/setup dev`.")


class StubX(LikeX):
    """Publishes everything at once."""

    def post(self, text: str) -> Posted:
        return Posted("1")

    def did_post(self, text: str, since: datetime | None = None) -> Found | NotFound:
        return NotFound()


def records(count: int) -> list[dict[str, Any]]:
    return [
        {"id": f"{n:016x}", "text": f"the saying number {n} of a long row of them.", "score": -2.0}
        | {"nearest": "", "nearest_ratio": 0.0}
        for n in range(count)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 1_000_000], help="texts in the pool")
    parser.add_argument("--posts", type=int, default=50, help="posts to measure (default: 50)")
    args = parser.parse_args()
    telemetry.quiet = True
    print("| store | texts in the pool | requests a post | ms a post | ms to read its text |\n|---|---|---|---|---|")
    with locked_moto(), tempfile.TemporaryDirectory() as folder:
        for size in args.sizes:
            client, calls = aws("s3"), Counter[str]()
            client.meta.events.register("before-send.s3.*", Counting(calls))
            measure("S3 (moto)", S3Store(BUCKET, str(size), client), size, args.posts, calls)
        for size in args.sizes:
            measure("folder", DirectoryStore(Path(folder) / str(size)), size, args.posts, None)


class Counting:
    """botocore calls it before it sends a request."""

    def __init__(self, calls: Counter[str]) -> None:
        self.calls = calls

    def __call__(self, event_name: str, **_: Any) -> None:
        self.calls[event_name.rpartition(".")[2]] += 1


def measure(name: str, store: Store, size: int, posts: int, calls: Counter[str] | None) -> None:
    """Fill a pool, post from it, print a row. The first post warms up; `calls` are those on the wire."""
    Pool(store).append(records(size), "benchmark")
    counts: set[tuple[tuple[str, int], ...]] = set()
    times: list[float] = []
    for slot in range(posts + 1):
        if calls is not None:
            calls.clear()
        store.requests = 0
        started = time.perf_counter()
        with mock.patch.object(app, "open_store", return_value=store):
            outcome = app.run({"slot": f"slot {slot}"}, store.url, StubX()).outcome
        times.append(1000 * (time.perf_counter() - started))
        counts.add(tuple(sorted((calls or {"calls": store.requests}).items())))
        assert outcome == "posted"
    (row,) = counts  # every post made the same requests
    state, reads = Pool(store).load()[0], list[float]()
    for index in range(posts):
        started = time.perf_counter()
        Pool(store).record(state, index * size // posts)
        reads.append(1000 * (time.perf_counter() - started))
    kinds = " + ".join(f"{number} {kind}" for kind, number in row)
    post_ms, read_ms = statistics.median(times[1:]), statistics.median(reads)
    print(f"| {name} | {size:,} | {kinds} | {post_ms:.1f} | {read_ms:.2f} |", flush=True)


if __name__ == "__main__":
    main()
