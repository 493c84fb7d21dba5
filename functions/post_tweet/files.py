"""The pool's layout: the only thing that training and posting share. Here is what a post needs of it.

    state.json                  the only object that changes, and only by compare-and-swap
    batches/<batch>.jsonl       immutable; every record padded to the batch's record_bytes, so that
                                text number i is one range request away, whatever the pool's size
    posts/<YYYY>/<index>.json   one record a post, for people, for analysis, and as evidence: a text
                                whose record stands is not posted, whatever the state says

Those are X's. Another place shares the batches and has a state and records of its own: state-<place>.json and
posts-<place>/.

Whatever a file says is checked where it is read (checks.py): damage is a PoolBroken.
"""

from __future__ import annotations

import contextlib
from datetime import datetime
from typing import Any

from post_tweet.checks import read_line, said
from post_tweet.errors import PoolBroken, Unreachable
from post_tweet.place import CLOCK_TOLERANCE
from post_tweet.state import PostRecord, State
from post_tweet.store import Conflict, Missing, Store

BATCHES = "batches/"
TRIES = 10
"""Conflicting writes; more means a broken store, not a race."""


class NoState(PoolBroken):
    """There are batches or records of posts, and no state."""


class PoolFiles:
    """Reads and writes a pool in a store, for one place."""

    def __init__(self, store: Store, place: str = "X") -> None:
        suffix = "" if place == "X" else f"-{place.lower()}"
        self.store, self.state_key, self.posts = store, f"state{suffix}.json", f"posts{suffix}/"

    def load(self) -> tuple[State, str | None]:
        """(state, etag); a pool that does not exist yet is an empty state with etag None.

        Raises:
            PoolBroken: the state is damaged, or it is gone and its pool is there (NoState).
        """
        try:
            data, etag = self.store.get(self.state_key)
        except Missing:
            if self._left():
                raise NoState(
                    f"{self.store.url} holds a pool without its {self.state_key}: that was lost. Nothing is posted or "
                    "filled in until `deepproverbs pool repair` has rebuilt it."
                ) from None
            return State(), None
        return State.parse(data, f"{self.store.url}/{self.state_key}", self.state_key), etag

    def _left(self) -> bool:
        """Is there, without a state, what only a pool leaves? Batches alone may be another place's."""
        if self.store.list(self.posts):
            return True
        if not self.store.list(BATCHES):
            return False
        states = [key for key in self.store.list("") if key.startswith("state") and key.endswith(".json")]
        return not states

    def swap(self, state: State, etag: str | None) -> str | None:
        """Compare-and-swap, one request. Returns the new etag, or None: the state has changed since it was read,
        perhaps by our own write (its answer lost, and sent again)."""
        try:
            return self.store.put_if(self.state_key, state.dump(self.state_key), etag)
        except Conflict:
            return None

    def save(self, state: State, etag: str | None) -> str | None:
        """`swap`, and after a conflict check for our own write. Returns None only if somebody else wrote first."""
        if tag := self.swap(state, etag):
            return tag
        now, found = self.load()
        return found if now == state else None

    def record(self, state: State, index: int) -> dict[str, Any]:
        """The record of text number `index`, in one range request.

        Raises:
            PoolBroken: there is no record where the state says, or it is damaged.
        """
        at = index
        for batch in state.batches:
            if at < batch.count:
                try:
                    data = self.store.get_range(batch.key, at * batch.record_bytes, batch.record_bytes)
                    if len(data) != batch.record_bytes or data[-1:] != b"\n":
                        raise ValueError("the record has another width")
                    return read_line(data, batch.id, at)
                except (Missing, ValueError) as error:
                    raise PoolBroken(
                        f"Text {index} of {self.store.url} ({batch.key}) cannot be read ({said(error)}); "
                        "`deepproverbs pool verify` tells more, `deepproverbs pool repair` puts it right."
                    ) from error
            at -= batch.count
        raise IndexError(index)

    def note(self, record: PostRecord) -> bool:
        """Write the record of a post. One that stands is never replaced by what contradicts it: returns False then."""
        key = f"{self.posts}{record.time[:4]}/{record.index}.json"
        etag = None
        for _ in range(TRIES):
            with contextlib.suppress(Conflict):
                self.store.put_if(key, record.dump(), etag)
                return True
            try:
                data, etag = self.store.get(key)
                standing = PostRecord.parse(data, f"{self.store.url}/{key}")
            except Missing:
                etag = None
                continue
            except PoolBroken:
                return False
            if not record.completes(standing):
                return record.agrees(standing)
        raise Unreachable(f"{self.store.url}/{key} kept changing during {TRIES} tries; try again.")

    def recorded(self, index: int, since: datetime, until: datetime) -> PostRecord | None:
        """The record of a text, written between these times; one request for each year, and one to read it."""
        first, last = min(since, until) - CLOCK_TOLERANCE, max(since, until) + CLOCK_TOLERANCE
        for year in range(first.year, last.year + 1):
            key = f"{self.posts}{year:04}/{index}.json"
            if self.store.has(key):
                return self.read_post(index, key)
        return None

    def read_post(self, index: int, key: str) -> PostRecord:
        """The record at `key`. Raises PoolBroken: it is gone, damaged, or that of another text."""
        try:
            record = PostRecord.parse(self.store.get(key)[0], f"{self.store.url}/{key}")
        except Missing:
            raise PoolBroken(f"{self.store.url}/{key} is gone; run `deepproverbs pool verify`.") from None
        if record.index != index or key != f"{self.posts}{record.time[:4]}/{record.index}.json":
            raise PoolBroken(
                f"{self.store.url}/{key} is the record of text {record.index}; `deepproverbs pool repair` puts it "
                "right."
            )
        return record
