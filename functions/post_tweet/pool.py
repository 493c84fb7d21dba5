"""The pool's layout: the only thing that training and posting share.

    state.json                  the only object that changes, and only by compare-and-swap
    batches/<batch>.jsonl       immutable; every record padded to the batch's record_bytes, so that
                                text number i is one range request away, whatever the pool's size
    posts/<YYYY>/<index>.json   one record a post, for people and for analysis

Those are X's. Another place shares the batches and has a state and records of its own: state-<place>.json and
posts-<place>/.

A batch is written before the state that names it: a crash in between leaves an orphan, which the next fill of the same
texts adopts.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import itertools
import json
import unicodedata
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from post_tweet.errors import BadInput, PoolBroken, Unreachable
from post_tweet.numbers import Numbers
from post_tweet.place import CLOCK_TOLERANCE
from post_tweet.state import Batch, PostRecord, State
from post_tweet.store import Conflict, Missing, Store

T = TypeVar("T")

RANGED = 100
"""Up to so many texts are read one by one, each a request; more by whole batches."""


@dataclass(frozen=True)
class Appended:
    batch: str
    added: int
    already: int


@dataclass(frozen=True)
class Restored:
    restored: int
    passed: int
    """Withdrawn or not, they lie before the next text or before the one that is claimed: they cannot come back."""


class Pool:
    """Reads and writes a pool in a store, for one place."""

    def __init__(self, store: Store, place: str = "X") -> None:
        suffix = "" if place == "X" else f"-{place.lower()}"
        self.store, self.state_key, self.posts = store, f"state{suffix}.json", f"posts{suffix}/"

    def load(self) -> tuple[State, str | None]:
        """(state, etag); a pool that does not exist yet is an empty state with etag None."""
        try:
            data, etag = self.store.get(self.state_key)
        except Missing:
            return State(), None
        return State.parse(data, f"{self.store.url}/{self.state_key}"), etag

    def swap(self, state: State, etag: str | None) -> str | None:
        """Compare-and-swap, one request. Returns the new etag, or None: the state has changed since it was read,
        perhaps by our own write (its answer lost, and sent again)."""
        try:
            return self.store.put_if(self.state_key, state.dump(), etag)
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
            PoolBroken: there is no record where the state says.
        """
        at = index
        for batch in state.batches:
            if at < batch.count:
                try:
                    data = self.store.get_range(batch.key, at * batch.record_bytes, batch.record_bytes)
                    if len(data) != batch.record_bytes or data[-1:] != b"\n":
                        raise ValueError("the record has another width")
                    record: dict[str, Any] = json.loads(data)
                    if not (isinstance(record["id"], str) and isinstance(record["text"], str)):
                        raise TypeError("id and text must be texts")
                except (Missing, ValueError, KeyError, TypeError, AttributeError) as error:
                    raise PoolBroken(
                        f"Text {index} of {self.store.url} ({batch.key}) cannot be read ({error}); "
                        "run `deepproverbs pool verify`."
                    ) from error
                return record
            at -= batch.count
        raise IndexError(index)

    def records(self, state: State | None = None) -> Iterator[dict[str, Any]]:
        """Every record ever appended, in order."""
        for batch in (state or self.load()[0]).batches:
            try:
                data, _ = self.store.get(batch.key)
                yield from map(json.loads, data.splitlines())
            except (Missing, ValueError) as error:
                raise PoolBroken(
                    f"{self.store.url}/{batch.key} is missing or damaged ({error}); restore it, nothing was changed."
                ) from error

    def append(self, records: Iterable[dict[str, Any]], run: str) -> Appended:
        """Add one batch of the records whose ids and texts are new to the pool. A text may stand there under another
        id, which an older version gave it.

        Of two refills at once, the loser of the race checks its texts against the winner's and tries again.
        """
        records = list(records)
        known: set[str] = set()
        read: set[str] = set()
        written: dict[str, tuple[Batch, Appended]] = {}
        for _ in range(10):
            state, etag = self.load()
            for stored in state.batches:
                ours = written.get(stored.id)
                if ours and ours[0] == stored:  # it landed, its answer was lost, and others have written since
                    return ours[1]
            unread = replace(state, batches=tuple(b for b in state.batches if b.id not in read))
            known |= {key for record in self.records(unread) for key in (record["id"], _spelling(record["text"]))}
            read |= {b.id for b in state.batches}
            new_ones = (r for r in records if r["id"] not in known and _spelling(r["text"]) not in known)
            fresh = list({r["id"]: r for r in new_ones}.values())
            already = len(records) - len(fresh)
            if not fresh:
                return Appended("", 0, already)
            batch, data = pack(fresh, run)
            try:
                self.store.put_if(batch.key, data, None)
            except Conflict:
                # An orphan of an earlier crash, or our own write sent twice: the same texts.
                if self.store.get(batch.key)[0] != data:
                    raise PoolBroken(f"{self.store.url}/{batch.key} exists with other bytes; remove it.") from None
            new = replace(state, seq=state.seq + 1, writer=uuid.uuid4().hex, batches=(*state.batches, batch))
            written[batch.id] = batch, Appended(batch.id, len(fresh), already)
            if self.save(new, etag):
                return written[batch.id][1]
        raise Unreachable(f"{self.store.url} kept changing during ten tries to append; try again.")

    def note(self, record: PostRecord) -> bool:
        """Write the record of a post. One that stands is never replaced by what contradicts it: returns False then."""
        key = f"{self.posts}{record.time[:4]}/{record.index}.json"
        etag = None
        for _ in range(10):
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
        raise Unreachable(f"{self.store.url}/{key} kept changing during ten tries; try again.")

    def recorded(self, index: int, since: datetime, until: datetime) -> PostRecord | None:
        """The record of a text, written between these times; one request for each year, and one to read it."""
        first, last = min(since, until) - CLOCK_TOLERANCE, max(since, until) + CLOCK_TOLERANCE
        for year in range(first.year, last.year + 1):
            key = f"{self.posts}{year:04}/{index}.json"
            if self.store.has(key):
                return PostRecord.parse(self.store.get(key)[0], f"{self.store.url}/{key}")
        return None

    def status(self) -> dict[str, Any]:
        """What an owner wants to know, JSON-ready."""
        state, etag = self.load()
        posted = [entry for entry in state.recent if entry.outcome == "posted"]
        return {
            "pool": self.store.url,
            "exists": etag is not None,
            "texts": state.total,
            "next": state.next,
            "remaining": state.remaining,
            "days_left": round(state.days_left, 1),
            "paused": state.paused,
            "withdrawn": len(state.withdrawn),
            "batches": len(state.batches),
            "runs": sorted({batch.run for batch in state.batches}),
            "claim": dataclasses.asdict(state.claim) if state.claim else None,
            "last_post": dataclasses.asdict(posted[-1]) if posted else None,
            "recent": {
                outcome: sum(e.outcome == outcome for e in state.recent)
                for outcome in ("posted", "refused", "abandoned")
            },
        }

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

    def _update(self, change: Callable[[State], tuple[State | None, T]]) -> T:
        """Write what `change` makes of the state (None: nothing) and return its result. Others may write in between."""
        for _ in range(10):
            state, etag = self.load()
            new, result = change(state)
            if new is None or self.save(replace(new, seq=state.seq + 1, writer=uuid.uuid4().hex), etag):
                return result
        raise Unreachable(f"{self.store.url} kept changing during ten tries; try again.")

    def show(self, index: int) -> dict[str, Any]:
        """The record of a text, its index and what became of it: waiting, claimed, withdrawn, posted, …"""
        state, _ = self.load()
        self._check(state, Numbers(((index, index + 1),)))
        notes = self._notes()
        fate, key = fate_of(state, index, notes), notes.get(index)
        post = json.loads(self.store.get(key)[0]) if key and index < state.next else None
        return {"index": index, "fate": fate, **self.record(state, index), "post": post}

    def _notes(self) -> dict[int, str]:
        """Index → key of the latest record of its post."""
        keys = ((key.rpartition("/")[2].removesuffix(".json"), key) for key in self.store.list(self.posts))
        return {int(name): key for name, key in keys if name.isdigit()}

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

    def verify(self) -> list[str]:
        """What is wrong with the pool's files, a sentence each. Reads every batch, and the records of recent posts."""
        state, _ = self.load()
        wrong: list[str] = []
        seen: set[str] = set()
        for batch in state.batches:
            try:
                data = self.store.get(batch.key)[0]
                ids = [str(json.loads(line)["id"]) for line in data.splitlines()]
            except (Missing, ValueError, KeyError, TypeError) as error:
                wrong.append(f"{batch.key} is missing or damaged ({type(error).__name__}); restore it.")
                continue
            if hashlib.sha256(data).hexdigest() != batch.sha256:
                wrong.append(f"{batch.key} is not what was filled in: its sha256 differs; restore it.")
            if len(ids) != batch.count or len(data) != batch.count * batch.record_bytes:
                wrong.append(f"{batch.key} holds {len(ids)} texts in {len(data)} bytes; the state says otherwise.")
            if twice := len(ids) - len(set(ids) - seen):
                wrong.append(f"{batch.key} repeats {twice} texts of the pool; withdraw them.")
            seen.update(ids)
        known = {batch.key for batch in state.batches}
        return (
            wrong
            + self._verify_posts(state)
            + [
                f"{key} belongs to no fill: one was interrupted; fill the same texts again, or remove it."
                for key in self.store.list("batches/")
                if key not in known
            ]
        )

    def _verify_posts(self, state: State) -> list[str]:
        """Where records and state disagree: each recent post needs a matching record, and no record may be ahead."""
        notes: dict[int, list[str]] = {}
        for key in self.store.list(self.posts):
            name = key.rpartition("/")[2].removesuffix(".json")
            notes.setdefault(int(name) if name.isdigit() else -1, []).append(key)
        wrong = [f"{key} is no record of a post; remove it." for key in notes.pop(-1, [])]
        claimed = state.claim.index if state.claim else None
        for index, keys in sorted(notes.items()):
            if index >= state.next and index != claimed:
                wrong.append(
                    f"{keys[0]} says that text {index} was posted, but in the state it is unused: the state is older "
                    "than the posts; restore its last version."
                )
        for entry in state.recent:
            if entry.outcome != "posted":
                continue
            for key in notes.get(entry.index, [""])[-1:]:
                try:
                    note = json.loads(self.store.get(key)[0]) if key else None
                    # A call that only found the post names no slot.
                    same = (
                        note
                        and note["slot"] in (None, *entry.slots)
                        and note["text"] == self.record(state, entry.index)["text"]
                    )
                except (Missing, PoolBroken, ValueError, KeyError, TypeError):
                    same = None
                if not same:
                    wrong.append(
                        f"The record of the post of text {entry.index} for {entry.slot} is missing or says something "
                        "else; look at the account."
                    )
        return wrong


def _spelling(text: str) -> str:
    """What stays the same when only spaces, capitals and the bytes of accents differ. Never 16 hex digits alone: an id
    cannot be taken for it."""
    return f" {' '.join(unicodedata.normalize('NFC', text).casefold().split())}"


def fate_of(state: State, index: int, notes: Collection[int]) -> str:
    """What became of a text: waiting, claimed, withdrawn, posted, refused, abandoned, or settled, not posted.

    `notes`: the texts whose posts are recorded.
    """
    if index >= state.next:
        claimed = state.claim and state.claim.index == index
        return "withdrawn" if index in state.withdrawn else "claimed" if claimed else "waiting"
    if settled := next((entry for entry in reversed(state.recent) if entry.index == index), None):
        return settled.reason if settled.reason == "withdrawn" else settled.outcome
    return "posted" if index in notes else "withdrawn" if index in state.withdrawn else "settled, not posted"


def pack(records: list[dict[str, Any]], run: str) -> tuple[Batch, bytes]:
    """A batch and its bytes; its id comes from the texts, so the same fill makes the same batch."""
    lines = [json.dumps(record, ensure_ascii=False).encode() for record in records]
    width = max(map(len, lines)) + 1
    data = b"".join(line.ljust(width - 1) + b"\n" for line in lines)
    digest = hashlib.sha256(data).hexdigest()
    created = datetime.now(UTC).isoformat(timespec="microseconds")
    return Batch(digest[:16], len(records), width, digest, created, run), data
