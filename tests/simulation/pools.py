"""The pool of a simulated life: states as objects, fast; or the real pool over bytes in memory."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from datetime import datetime
from types import SimpleNamespace
from typing import Any

from post_tweet.errors import PoolBroken
from post_tweet.pool import Appended, Pool
from post_tweet.state import RECENT, Batch, PostRecord, Settled, State

from tests.helpers.fakes import MemoryStore
from tests.simulation.history import START, World
from tests.simulation.texts import allowed


class StatePool(Pool):
    """The pool with states as objects: no bytes, and every request still counts."""

    damaged = False

    def __init__(self, world: World) -> None:
        self.world = world
        self.store = SimpleNamespace(url="memory", requests=0)
        self.state, self.tag, self.notes = State(), 0, dict[int, PostRecord]()

    def inherit(self, posts: tuple[Settled, ...]) -> None:
        self.state = replace(self.state, next=len(posts), recent=posts[-RECENT:])
        for post in posts:
            self.notes[post.index] = PostRecord(post.index, post.slot, self.world.text(post.index), "1", post.time)

    def load(self) -> tuple[State, str | None]:
        return self.state, str(self.tag)

    def swap(self, state: State, etag: str | None) -> str | None:
        if etag != str(self.tag):
            return None
        self.state, self.tag = state, self.tag + 1
        return str(self.tag)

    def record(self, state: State, index: int) -> dict[str, Any]:
        return record_of(self.world, index)

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


class BrokenOff(BaseException):
    """The power is gone."""


class BreakingStore(MemoryStore):
    breaks_off = 0
    """At which request from now on the power fails, before it is made; 0: at none."""

    def _made(self) -> None:
        self.breaks_off -= 1
        if self.breaks_off == 0:
            raise BrokenOff

    def get(self, key: str) -> tuple[bytes, str]:
        self._made()
        return super().get(key)

    def put_if(self, key: str, data: bytes, etag: str | None) -> str:
        self._made()
        return super().put_if(key, data, etag)

    def list(self, prefix: str) -> list[str]:
        self._made()
        return super().list(prefix)


class BytesPool(Pool):
    """The real pool over bytes in memory."""

    store: BreakingStore

    def __init__(self, world: World) -> None:
        super().__init__(BreakingStore())
        self.world = world
        self.notes = dict[int, PostRecord]()
        self.versions: list[bytes] = []
        """All that state.json has been."""
        self._read: tuple[bytes, State] = b"", State()

    @property
    def state(self) -> State:
        """An empty one if it is lost or cannot be read."""
        data = self.store.objects.get(self.state_key, b"")
        if self._read[0] != data:
            state = State()
            with contextlib.suppress(PoolBroken):
                state = State.parse(data, self.state_key, self.state_key)
            self._read = data, state
        return self._read[1]

    @property
    def damaged(self) -> bool:
        """The state is lost or cannot be read, or holds a text ready of which a record stands."""
        state = self.state
        claimed = state.claim.index if state.claim else None
        return not state.batches or any(index >= state.next and index != claimed for index in self.notes)

    def swap(self, state: State, etag: str | None) -> str | None:
        tag = super().swap(state, etag)
        if tag:
            self.versions.append(self.store.objects[self.state_key])
        return tag

    def note(self, record: PostRecord) -> bool:
        done = super().note(record)
        self.reread(f"/{record.index}.json")
        return done

    def reread(self, which: str = ".json") -> None:
        """See the records that stand."""
        for key, data in self.store.objects.items():
            if key.startswith(self.posts) and key.endswith(which):
                record = PostRecord.parse(data, key)
                self.notes[record.index] = record

    def fill(self, count: int) -> Appended:
        start = self.state.total
        return self.append([record_of(self.world, n) for n in range(start, start + count)], "fill")


def record_of(world: World, index: int) -> dict[str, Any]:
    text = world.text(index)
    return {"id": str(index), "text": text, "allow": [*allowed(text)]}
