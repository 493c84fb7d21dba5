"""The pool of a simulated life: states as objects, fast; or the real pool over bytes in memory."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from types import SimpleNamespace
from typing import Any

from post_tweet.pool import Appended, Pool
from post_tweet.state import Batch, PostRecord, State

from tests.helpers.fakes import MemoryStore
from tests.simulation.history import START
from tests.simulation.oracle import text_of


class StatePool(Pool):
    """The pool with states as objects: no bytes, and every request still counts."""

    def __init__(self) -> None:
        self.store = SimpleNamespace(url="memory", requests=0)
        self.state, self.tag, self.notes = State(), 0, dict[int, PostRecord]()

    def load(self) -> tuple[State, str | None]:
        return self.state, str(self.tag)

    def swap(self, state: State, etag: str | None) -> str | None:
        if etag != str(self.tag):
            return None
        self.state, self.tag = state, self.tag + 1
        return str(self.tag)

    def record(self, state: State, index: int) -> dict[str, Any]:
        return {"id": str(index), "text": text_of(index)}

    def note(self, record: PostRecord) -> bool:
        standing = self.notes.get(record.index)
        if standing is None or record.completes(standing):
            self.notes[record.index] = record
        return standing is None or record.completes(standing) or record.agrees(standing)

    def recorded(self, index: int, since: datetime, until: datetime) -> PostRecord | None:
        note = self.notes.get(index)
        return note if note and min(since, until).year <= int(note.time[:4]) <= max(since, until).year else None

    def fill(self, count: int) -> None:
        batch = Batch(f"b{len(self.state.batches)}", count, 64, "", START.isoformat(), "")
        new = replace(self.state, seq=self.state.seq + 1, writer="fill", batches=(*self.state.batches, batch))
        assert self.swap(new, str(self.tag))


class BytesPool(Pool):
    """The real pool over bytes in memory."""

    def __init__(self) -> None:
        super().__init__(MemoryStore())
        self.notes = dict[int, PostRecord]()

    @property
    def state(self) -> State:
        return super().load()[0]

    def note(self, record: PostRecord) -> bool:
        done = super().note(record)
        (key,) = [key for key in self.store.list("posts/") if key.endswith(f"/{record.index}.json")][-1:]
        self.notes[record.index] = PostRecord.parse(self.store.get(key)[0], key)
        return done

    def fill(self, count: int) -> Appended:
        start = self.state.total
        return self.append([{"id": str(n), "text": text_of(n)} for n in range(start, start + count)], "fill")
