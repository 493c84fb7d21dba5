"""The hands of the posting protocol: do one request of its, in the real world or a simulated one."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from post_tweet import effects, telemetry
from post_tweet.errors import PostError
from post_tweet.pool import Pool
from post_tweet.state import State
from post_tweet.x import Poster


def clock() -> datetime:
    return datetime.now(UTC)


class Performer:
    """One invocation's view of the world. `poster` is made only when X is needed: a dry run wants no credentials."""

    def __init__(
        self,
        pool: Pool,
        poster: Callable[[], Poster],
        metrics: telemetry.Metrics,
        now: Callable[[], datetime] | None = None,
    ) -> None:
        self.pool, self.metrics, self.now = pool, metrics, now or clock
        self._poster = poster
        self._made: Poster | None = None
        self.state: State | None = None
        """As last read or written."""
        self._etag: str | None = None

    def x(self) -> Poster:
        if self._made is None:
            self._made = self._poster()
        return self._made

    def _seen(self, state: State, etag: str | None) -> None:
        self.state, self._etag = state, etag
        self.metrics.pool(state)

    def do(self, request: effects.Request) -> Any:
        """Raises a PostError when the world fails; the protocol decides what then."""
        match request:
            case effects.Load():
                self._seen(*self.pool.load())
                return self.state
            case effects.Connect():
                self.x()
            case effects.Save(state):
                etag = self.pool.swap(state, self._etag)
                if etag is not None:
                    self._seen(state, etag)
                return etag is not None
            case effects.Read(index):
                assert self.state is not None
                return self.pool.record(self.state, index)
            case effects.Publish(text):
                return self.x().post(text)
            case effects.Ask(text, since):
                return self.x().did_post(text, since)
            case effects.Note(index, record, sure):
                self.pool.note(index, record, sure)
            case effects.Warn(message, about):
                telemetry.log("warning", message=message)
                if about:
                    self.metrics.count({"refused": "Refused", "abandoned": "Failed"}[about])
            case effects.Now():
                return self.now()
        return None


def perform(protocol: effects.Steps, performer: Performer, slot: str) -> dict[str, Any]:
    """Run the protocol to its end, a JSON line a step; a failed step is thrown into it.

    Returns its outcome; raises the PostError that it ends with.
    """
    answer: Any = None
    failure: PostError | None = None
    index: int | None = None
    claimed = False
    while True:
        try:
            request = protocol.throw(failure) if failure else protocol.send(answer)
        except StopIteration as end:
            result: dict[str, Any] = end.value
            return result
        except PostError as error:
            error.claimed = claimed
            raise
        claimed = claimed or (isinstance(request, effects.Save) and request.state.claim is not None)
        started, before = time.monotonic(), performer.pool.store.requests
        answer = failure = None
        try:
            answer = performer.do(request)
        except PostError as error:
            failure = error
        index = effects.index_of(request, index)
        if not isinstance(request, effects.Now | effects.Warn):
            telemetry.log(
                type(request).__name__.lower(),
                slot=slot,
                index=index,
                outcome=said(failure or answer),
                requests=performer.pool.store.requests - before,
                ms=round(1000 * (time.monotonic() - started), 1),
            )


def said(answer: Any) -> str:
    """An answer in one or two words, for the log."""
    if isinstance(answer, bool):
        return "written" if answer else "conflict"
    if answer is None or isinstance(answer, dict):
        return "done"
    reason = getattr(answer, "reason", "")
    return type(answer).__name__.lower() + (f": {reason}" if reason else "")
