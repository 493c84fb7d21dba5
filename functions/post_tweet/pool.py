"""A pool for its owner: look at it, take texts out, pause it, hand it to another account. files.py has its layout and
what a post needs of it."""

from __future__ import annotations

import dataclasses
import itertools
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar

from post_tweet import dropped
from post_tweet.checking import look_over, verify
from post_tweet.errors import BadInput, PoolBroken, Unreachable
from post_tweet.files import TRIES
from post_tweet.filling import Appended, FilledPool, pack, spelling
from post_tweet.numbers import Numbers
from post_tweet.state import State

__all__ = ["Appended", "Pool", "Restored", "fate_of", "pack"]
T = TypeVar("T")

RANGED = 100
"""Up to so many texts are read one by one, each a request; more by whole batches."""


@dataclass(frozen=True)
class Restored:
    restored: int
    passed: int
    """Withdrawn or not, they lie before the next text or before the one that is claimed: they cannot come back."""


class _Gone:
    """Records whose texts people dropped, under whatever id and spelling."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self.keys = {key for id, text in texts.items() for key in (id, spelling(text))}

    def __contains__(self, record: dict[str, Any]) -> bool:
        return record["id"] in self.keys or spelling(record["text"]) in self.keys


class Pool(FilledPool):
    """All that can be done with a pool."""

    def status(self) -> dict[str, Any]:
        """What an owner wants to know, JSON-ready. Lists the batches and the records of posts, and reads none; of what
        people dropped it reads all."""
        posted_keys = self.post_keys()  # before the state: what was recorded by then is in it
        state, etag = self.load()
        damage, gone = look_over(self, state, posted_keys), 0
        try:
            gone = len(self.dropped())
        except PoolBroken as error:
            damage.append(str(error))
        posted = [entry for entry in state.recent if entry.outcome == "posted"]
        return {
            "pool": self.store.url,
            "exists": etag is not None,
            "texts": state.total,
            "next": state.next,
            "remaining": state.remaining,
            "days_left": round(state.days_left, 1),
            "paused": state.paused,
            "account": state.account,
            "withdrawn": len(state.withdrawn),
            "dropped": gone,
            "batches": len(state.batches),
            "runs": sorted({batch.run for batch in state.batches}),
            "claim": dataclasses.asdict(state.claim) if state.claim else None,
            "last_post": dataclasses.asdict(posted[-1]) if posted else None,
            "recent": {
                outcome: sum(e.outcome == outcome for e in state.recent)
                for outcome in ("posted", "refused", "abandoned")
            },
            "damage": damage,
        }

    def append(self, records: Iterable[dict[str, Any]], run: str) -> Appended:
        """As `FilledPool.append`, without the texts that people dropped. One that is dropped meanwhile is withdrawn:
        whoever drops it may have looked for it in the pool before it was there."""
        records, before = list(records), _Gone(self.dropped())
        done = super().append((record for record in records if record not in before), run)
        now = _Gone(self.dropped())
        if late := {record["id"] for record in records if record in now and record not in before}:
            self.withdraw([index for index, record in enumerate(self.records()) if record["id"] in late])
        return replace(done, dropped=sum(record in before for record in records))

    def dropped(self) -> dict[str, str]:
        """Id → text, of what people dropped or replaced. Raises PoolBroken: the file of them is damaged."""
        return dropped.read(self.store)[0]

    def drop(self, more: Mapping[str, str], back: Collection[str]) -> None:
        """Let no text of `more`, id → text, be filled in from now on, and those with the ids `back` again."""
        dropped.change(self.store, more, back)

    def withdraw(self, indexes: Iterable[int]) -> int:
        """Take texts out; returns how many were new. Those already settled are left as they are."""
        wanted = Numbers.of(indexes)

        def change(state: State) -> tuple[State | None, int]:
            self._check(state, wanted)
            waiting = state.withdrawn.within(state.next, state.total)
            fresh = wanted.within(state.next, state.total) - waiting
            # Marks that `next` has passed are dropped, to keep the list short.
            return (replace(state, withdrawn=waiting | fresh) if fresh else None), len(fresh)

        return self._update(change)

    def restore(self, indexes: Iterable[int]) -> Restored:
        """Let withdrawn texts be posted after all, those that come after the next text and after one that is claimed:
        a claim that is settled moves `next` past all that lie before it."""
        wanted = Numbers.of(indexes)

        def change(state: State) -> tuple[State | None, Restored]:
            self._check(state, wanted)
            first = state.claim.index + 1 if state.claim else state.next
            back = wanted.within(first, state.total) & state.withdrawn
            result = Restored(len(back), len(wanted.within(0, first)))
            return (replace(state, withdrawn=state.withdrawn - back) if back else None), result

        return self._update(change)

    def _check(self, state: State, wanted: Numbers) -> None:
        """Raises BadInput: the pool has no such text."""
        if beyond := wanted - Numbers(((0, state.total),) if state.total else ()):
            raise BadInput(
                f"There is no text {next(iter(beyond))} in {self.store.url}; it holds {state.total:,}, from 0 on."
            )

    def batch(self, name: str) -> Numbers:
        """The texts of the batch whose id begins with `name`. Raises BadInput: there is no such batch, or several."""
        state, first = self.load()[0], 0
        found = []
        for batch in state.batches:
            if batch.id.startswith(name):
                found.append(Numbers(((first, first + batch.count),)))
            first += batch.count
        if not name or len(found) != 1:
            raise BadInput(
                f"{'Several batches' if found else 'No batch'} of {self.store.url} begin{'s' * (not found)} with "
                f"{name!r}; `deepproverbs pool batches` lists them."
            )
        return found[0]

    def batches(self) -> list[dict[str, Any]]:
        """What was filled in, in order: id, run, time, first and last text, and how many are unused and withdrawn."""
        state, first, found = self.load()[0], 0, []
        for batch in state.batches:
            end = first + batch.count
            waiting = max(0, end - max(first, state.next))
            taken = len(state.withdrawn.within(max(first, state.next), end))
            about = {"id": batch.id, "run": batch.run, "created": batch.created, "first": first, "last": end - 1}
            found.append({**about, "unused": waiting - taken, "withdrawn": taken})
            first = end
        return found

    def pause(self, now: datetime) -> bool:
        """Stop posting until `resume`; returns whether that is new. A claim stays as it is."""
        since = now.isoformat("T", "seconds")
        return self._update(lambda s: (None, False) if s.paused else (replace(s, paused=since), True))

    def resume(self) -> bool:
        """Let texts be posted again; returns whether the pool was paused."""
        return self._update(lambda s: (replace(s, paused=None), True) if s.paused else (None, False))

    def hand_over(self, account: str | None) -> bool:
        """Let another account of the place post from this pool, and no other; None: the one that posts next. Returns
        whether that is new.

        Raises:
            BadInput: a text is claimed: whether it was posted, only the account of now can tell.
        """

        def change(state: State) -> tuple[State | None, bool]:
            if state.account == account:
                return None, False
            if state.claim:
                raise BadInput(
                    f"Text {state.claim.index} is claimed since {state.claim.since}, and may have been posted by the "
                    "present account: let that settle it first, or pause the pool and try again after the next slot."
                )
            return replace(state, account=account), True

        return self._update(change)

    def _update(self, change: Callable[[State], tuple[State | None, T]]) -> T:
        """Write what `change` makes of the state (None: nothing) and return its result. Others may write in between."""
        for _ in range(TRIES):
            state, etag = self.load()
            new, result = change(state)
            if new is None or self.save(replace(new, seq=state.seq + 1, writer=uuid.uuid4().hex), etag):
                return result
        raise Unreachable(f"{self.store.url} kept changing during {TRIES} tries; try again.")

    def show(self, index: int) -> dict[str, Any]:
        """The record of a text, its index and what became of it: waiting, claimed, withdrawn, posted, …"""
        state, _ = self.load()
        self._check(state, Numbers(((index, index + 1),)))
        notes = self._notes()
        fate, key = fate_of(state, index, notes), notes.get(index)
        post = self.read_post(index, key) if key and index < state.next else None
        if post and fate == "posted":
            fate = post.outcome  # given up, too, leaves a record
        about = {k: v for k, v in dataclasses.asdict(post).items() if k != "outcome"} if post else None
        return {"index": index, "fate": fate, **self.record(state, index), "post": about}

    def _notes(self) -> dict[int, str]:
        """Index → key of the latest record of its post."""
        return {index: keys[-1] for index, keys in self.post_keys().items() if index >= 0}

    def verify(self) -> list[str]:
        """What is wrong with the pool's files, a sentence each. Reads every one."""
        return verify(self)

    def listing(self, start: int | None = None, count: int | None = 20) -> list[dict[str, Any]]:
        """`count` records (None: all) with their indexes and what became of them, from `start` or from the next text
        on."""
        state, _ = self.load()
        first = state.next if start is None else max(0, start)
        end = state.total if count is None else min(state.total, first + count)
        notes = self._notes() if first < state.next else {}
        if end - first > RANGED:
            some: Iterator[dict[str, Any]] = itertools.islice(self.records(state), first, end)
        else:
            some = (self.record(state, index) for index in range(first, end))
        return [{"index": i, "fate": fate_of(state, i, notes), **record} for i, record in enumerate(some, first)]


def fate_of(state: State, index: int, notes: Collection[int]) -> str:
    """What became of a text: waiting, claimed, withdrawn, posted, refused, abandoned, or settled, not posted.

    `notes`: the texts that have a record. Of those that the state no longer remembers, it may also say that the text
    was given up.
    """
    if index >= state.next:
        claimed = state.claim and state.claim.index == index
        return "withdrawn" if index in state.withdrawn else "claimed" if claimed else "waiting"
    if settled := next((entry for entry in reversed(state.recent) if entry.index == index), None):
        return settled.reason if settled.reason == "withdrawn" else settled.outcome
    return "posted" if index in notes else "withdrawn" if index in state.withdrawn else "settled, not posted"
