"""Carry out the protocol's effects, in the real world or a simulated one."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from post_tweet import effects, telemetry
from post_tweet.errors import PostError
from post_tweet.files import PoolFiles
from post_tweet.place import Place
from post_tweet.state import State, Text


def clock() -> datetime:
    return datetime.now(UTC)


class Runtime:
    """One invocation's view of the world."""

    def __init__(
        self, pool: PoolFiles, place: Place, metrics: telemetry.Metrics, now: Callable[[], datetime] | None = None
    ) -> None:
        self.pool, self.place, self.metrics, self.now = pool, place, metrics, now or clock
        self.state: State | None = None
        """As last read or written."""
        self._etag: str | None = None

    def _saw(self, state: State, etag: str | None) -> None:
        self.state, self._etag = state, etag
        self.metrics.pool(state)

    def perform(self, effect: effects.Effect) -> Any:
        """Carry out one effect and return its answer (effects.py). Raises a PostError if it fails."""
        match effect:
            case effects.Load():
                self._saw(*self.pool.load())
                return self.state
            case effects.Connect():
                return self.place.connect()
            case effects.Save(state):
                etag = self.pool.swap(state, self._etag)
                if etag is not None:
                    self._saw(state, etag)
                return etag is not None
            case effects.Read(index):
                assert self.state is not None
                record = self.pool.record(self.state, index)
                return Text(record["text"], frozenset(record.get("allow") or ()))
            case effects.Recorded(index, since, until):
                return self.pool.recorded(index, since, until)
            case effects.Publish(text):
                return self.place.post(text)
            case effects.Ask(text, since):
                return self.place.did_post(text, since)
            case effects.Note(record):
                return self.pool.note(record)
            case effects.Warn(message, metric):
                telemetry.log("warning", message=message)
                if metric:
                    self.metrics.count(metric)
            case effects.Now():
                return self.now()
        return None


def run_protocol(protocol: effects.Effects, runtime: Runtime, slot: str) -> effects.Outcome:
    """Run the protocol to its end, logging a line for each effect; an effect's failure is thrown into it.

    Returns its outcome; raises the PostError that it ends with.
    """
    answer: Any = None
    failure: PostError | None = None
    index: int | None = None
    claimed = False
    while True:
        try:
            effect = protocol.throw(failure) if failure else protocol.send(answer)
        except StopIteration as end:
            result: effects.Outcome = end.value
            return result
        except PostError as error:
            error.claimed = claimed
            raise
        claimed = claimed or (isinstance(effect, effects.Save) and effect.state.claim is not None)
        started, before = time.monotonic(), runtime.pool.store.requests
        answer = failure = None
        try:
            answer = runtime.perform(effect)
        except PostError as error:
            failure = error
        index = effects.index_of(effect, index)
        if not isinstance(effect, effects.Now | effects.Warn):
            telemetry.log(
                type(effect).__name__.lower(),
                slot=slot,
                index=index,
                outcome=describe(failure or answer),
                requests=runtime.pool.store.requests - before,
                ms=round(1000 * (time.monotonic() - started), 1),
            )


def describe(answer: Any) -> str:
    """An answer in one or two words, for the log."""
    if isinstance(answer, bool):
        return "written" if answer else "conflict"
    if answer is None or isinstance(answer, Text):
        return "done"
    reason = getattr(answer, "reason", "")
    return type(answer).__name__.lower() + (f": {reason}" if reason else "")
