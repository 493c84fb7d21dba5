"""One invocation after the other of the posting protocol, in a small world in memory."""

from __future__ import annotations

import itertools
from collections.abc import Generator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from post_tweet import effects, telemetry
from post_tweet import protocol as post
from post_tweet.errors import PostError, Undecided
from post_tweet.place import Unknown
from post_tweet.pool import Pool
from post_tweet.runtime import Runtime
from post_tweet.state import Claim, when

from tests.helpers.fakes import Crash, MemoryStore, MemoryX, records

LEASE = timedelta(seconds=110)
START = datetime(2026, 1, 1, tzinfo=UTC)


class World:
    """A pool, an X and a clock; `invoke` runs the protocol as the function would."""

    def __init__(self, texts: int = 5) -> None:
        self.store, self.x, self.now = MemoryStore(), MemoryX(), START
        self.pool = Pool(self.store)
        if texts:
            self.pool.append(records(texts), "test")
        self.owners = itertools.count()
        self.warnings: list[str] = []
        self.metrics = telemetry.Metrics()

    def invoke(self, slot: str, **options: Any) -> effects.Outcome:
        """Run one invocation; `options` as for `start`."""
        running = self.start(slot, **options)
        while True:
            try:
                next(running)
            except StopIteration as end:
                result: effects.Outcome = end.value
                return result

    def start(
        self,
        slot: str,
        crash_at: int | type[effects.Effect] | None = None,
        after: bool = False,
        dry_run: bool = False,
        trace: list[Any] | None = None,
        until: datetime | None = None,
    ) -> Generator[None, None, effects.Outcome]:
        """One invocation, an effect at a time; crash before (or after) its effect number `crash_at`, or its first of
        that kind. Its effects are added to `trace`; `until` is when it would be ended."""
        protocol = post.posting(effects.Call(slot, f"owner-{next(self.owners)}", LEASE, self.x, dry_run, until))
        runtime = Runtime(self.pool, self.x, self.metrics, lambda: self.now)
        answer: Any = None
        failure: PostError | None = None
        for number in itertools.count():
            try:
                effect = protocol.throw(failure) if failure else protocol.send(answer)
            except StopIteration as end:
                result: effects.Outcome = end.value
                return result
            if trace is not None:
                trace.append(effect)
            here = isinstance(effect, crash_at) if isinstance(crash_at, type) else number == crash_at
            if here and not after:
                raise Crash
            if isinstance(effect, effects.Warn):
                self.warnings.append(effect.message)
            answer = failure = None
            try:
                answer = runtime.perform(effect)
            except PostError as error:
                failure = error
            if here and after:
                raise Crash
            yield
        raise AssertionError

    def lose(self, *slots: str) -> None:
        """X's answer to each of these is lost, and the lease of the claim is over."""
        for slot in slots:
            self.x.answers.append(Unknown("time-out"))
            with pytest.raises(Undecided):
                self.invoke(slot)
            self.wait(seconds=111)

    @property
    def state(self) -> Any:
        return self.pool.load()[0]

    def wait(self, **span: float) -> None:
        self.now += timedelta(**span)


def a_minute_passes(pool: Pool) -> None:
    """For the claim alone: its lease is over."""
    state, etag = pool.load()
    assert state.claim
    since = (when(state.claim.since) - timedelta(minutes=1)).isoformat()
    assert pool.save(replace(state, seq=state.seq + 1, claim=replace(state.claim, since=since)), etag)


def claimed(world: World, **values: Any) -> None:
    """A claim that some other invocation left."""
    state, etag = world.pool.load()
    now = world.now.isoformat()
    claim = Claim("monday", "another", 0, records(1)[0]["text"], **{"since": now, "first": now, **values})
    assert world.pool.save(replace(state, seq=state.seq + 1, writer="another", claim=claim), etag)
