"""Texts into a pool. A batch is written before the state that names it: a crash in between leaves an orphan, which the
next fill of the same texts adopts."""

from __future__ import annotations

import hashlib
import json
import unicodedata
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from post_tweet.checks import read_line, said, seal
from post_tweet.errors import PoolBroken, Unreachable
from post_tweet.files import TRIES, PoolFiles
from post_tweet.state import Batch, State
from post_tweet.store import Conflict, Missing


@dataclass(frozen=True)
class Appended:
    batch: str
    added: int
    already: int
    dropped: int = 0
    """People dropped them before, so they stay out."""


class FilledPool(PoolFiles):
    """Reads whole batches, and adds some."""

    def records(self, state: State | None = None) -> Iterator[dict[str, Any]]:
        """Every record ever appended, in order. Raises PoolBroken: a batch is missing, or not what was filled in."""
        for batch in (state or self.load()[0]).batches:
            try:
                data, _ = self.store.get(batch.key)
                yield from read_batch(batch, data)
            except (Missing, ValueError) as error:
                raise PoolBroken(
                    f"{self.store.url}/{batch.key} is missing or damaged ({said(error) or type(error).__name__}); "
                    "`deepproverbs pool repair` puts it right."
                ) from error

    def post_keys(self) -> dict[int, list[str]]:
        """Index → the keys of the records of its post, of which there should be one; -1 → what is no record."""
        found: dict[int, list[str]] = {}
        for key in self.store.list(self.posts):
            name = key.rpartition("/")[2].removesuffix(".json")
            found.setdefault(int(name) if name.isascii() and name.isdigit() else -1, []).append(key)
        return found

    def append(self, records: Iterable[dict[str, Any]], run: str) -> Appended:
        """Add one batch of the records whose ids and texts are new to the pool. A text may stand there under another
        id, which an older version gave it.

        Of two refills at once, the loser of the race checks its texts against the winner's and tries again.

        Raises:
            PoolBroken: the pool is damaged; nothing is added.
        """
        records = list(records)
        known: set[str] = set()
        read: set[str] = set()
        written: dict[str, tuple[Batch, Appended]] = {}
        posted = self.post_keys()  # before the state: what was recorded by then is in it
        for _ in range(TRIES):
            state, etag = self.load()
            if late := recorded_ahead(state, posted):
                raise PoolBroken(
                    f"Text {late[0]} of {self.store.url} has a record in {self.posts}, and the state holds it ready: "
                    "the state is older than the posts. Nothing was added; run `deepproverbs pool repair` first."
                )
            for stored in state.batches:
                ours = written.get(stored.id)
                if ours and ours[0] == stored:  # it landed, its answer was lost, and others have written since
                    return ours[1]
            unread = replace(state, batches=tuple(b for b in state.batches if b.id not in read))
            known |= {key for record in self.records(unread) for key in (record["id"], spelling(record["text"]))}
            read |= {b.id for b in state.batches}
            new_ones = (r for r in records if r["id"] not in known and spelling(r["text"]) not in known)
            fresh = list({r["id"]: r for r in new_ones}.values())
            already = len(records) - len(fresh)
            if not fresh:
                return Appended("", 0, already)
            if etag is None:
                # First of all: from now on a pool without a state is one that has lost it.
                state = replace(state, writer=uuid.uuid4().hex)
                if (etag := self.save(state, None)) is None:
                    continue
            batch, data = pack(fresh, run)
            self.put_batch(batch, data)
            new = replace(state, seq=state.seq + 1, writer=uuid.uuid4().hex, batches=(*state.batches, batch))
            written[batch.id] = batch, Appended(batch.id, len(fresh), already)
            if self.save(new, etag):
                return written[batch.id][1]
        raise Unreachable(f"{self.store.url} kept changing during {TRIES} tries to append; try again.")

    def put_batch(self, batch: Batch, data: bytes) -> None:
        """Write a batch's file, unless it is there: an orphan of an earlier crash, or our own write sent twice."""
        try:
            self.store.put_if(batch.key, data, None)
        except Conflict:
            if self.store.get(batch.key)[0] != data:
                raise PoolBroken(f"{self.store.url}/{batch.key} exists with other bytes; remove it.") from None

    def put_over(self, key: str, data: bytes) -> None:
        """Write a whole file over a missing or a damaged one. Raises Unreachable: somebody else did so meanwhile."""
        etag = None
        try:
            old, etag = self.store.get(key)
            if old == data:
                return
        except Missing:
            pass
        try:
            self.store.put_if(key, data, etag)
        except Conflict:
            raise Unreachable(f"{self.store.url}/{key} was changed during the repair; run it again.") from None


def recorded_ahead(state: State, posted: Iterable[int]) -> list[int]:
    """Texts whose posts are recorded although the state holds them ready. `posted` was listed before it was read."""
    claimed = state.claim.index if state.claim else None
    return sorted(index for index in posted if index >= state.next and index != claimed)


def spelling(text: str) -> str:
    """What stays the same when only spaces, capitals and the bytes of accents differ. Never 16 hex digits alone: an id
    cannot be taken for it."""
    return f" {' '.join(unicodedata.normalize('NFC', text).casefold().split())}"


def read_batch(batch: Batch, data: bytes) -> Iterator[dict[str, Any]]:
    """The records of a batch's file. Raises ValueError: it is not what was filled in."""
    if hashlib.sha256(data).hexdigest() != batch.sha256:
        raise ValueError("its sha256 differs")
    lines = data.splitlines()
    if len(lines) != batch.count or len(data) != batch.count * batch.record_bytes:
        raise ValueError(f"it holds {len(lines)} texts in {len(data)} bytes, and the state says otherwise")
    return (read_line(line, batch.id, at) for at, line in enumerate(lines))


def pack(records: list[dict[str, Any]], run: str) -> tuple[Batch, bytes]:
    """A batch and its bytes; its id comes from the texts, so the same fill makes the same batch."""
    plain = ({name: value for name, value in record.items() if name != "check"} for record in records)
    name, lines = seal([json.dumps(record, ensure_ascii=False).encode() for record in plain])
    return _packed(lines, name, run)


def pack_plain(records: list[dict[str, Any]], run: str) -> tuple[Batch, bytes]:
    """A batch as older versions made it, without checksums."""
    return _packed([json.dumps(record, ensure_ascii=False).encode() for record in records], "", run)


def _packed(lines: list[bytes], name: str, run: str) -> tuple[Batch, bytes]:
    width = max(map(len, lines)) + 1
    data = b"".join(line.ljust(width - 1) + b"\n" for line in lines)
    digest = hashlib.sha256(data).hexdigest()
    created = datetime.now(UTC).isoformat(timespec="microseconds")
    return Batch(name or digest[:16], len(lines), width, digest, created, run), data
