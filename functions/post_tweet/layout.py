"""Which batches a damaged pool holds, and in which order, from what is there: the files, whose names prove them; the
records of posts, which tie texts to numbers; and whatever state can still be read."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any

from post_tweet.checks import SEALED, check_kinds, read_line, read_object, seal, unseal
from post_tweet.errors import PoolBroken
from post_tweet.filling import spelling
from post_tweet.numbers import NONE, Numbers
from post_tweet.state import Batch, NewerVersion, PostRecord, State, listed, when
from post_tweet.store import Missing, Store

Record = dict[str, Any]
Identify = Callable[[str], str]
GAP_FILES = 12
"""So many batches without a post are tried together for a gap between two others."""
MOST_LOST = 1_000_000
"""Texts of a lost batch."""


@dataclass(frozen=True)
class File:
    """A batch's file as it is."""

    id: str
    data: bytes
    records: tuple[Record | None, ...]
    """By place; None: that line is damaged, or nothing proves it."""
    whole: bool

    @classmethod
    def read(cls, name: str, data: bytes, like: Batch | None, identify: Identify) -> File:
        """`like`: what a state says of it, if one is known; `identify`: the id that a text is given."""
        lines = data.splitlines()
        found = read_lines(lines, name, 0)
        if None not in found and len({len(line) for line in lines}) == 1 and data.endswith(b"\n"):
            bodies = [unseal(line, name, at) for at, line in enumerate(lines)]
            proof = seal(bodies)[0] if len(name) >= SEALED else hashlib.sha256(data).hexdigest()[: len(name)]
            if proof == name:
                return cls(name, data, tuple(found), True)
        if len(name) < SEALED:  # no line proves itself: its width and the id of its text must do
            widths = {like.record_bytes - 1} if like else {len(line) for line in lines}
            found = [
                record if record and len(line) in widths and known_by_id(record, identify) else None
                for record, line in zip(found, lines, strict=True)
            ]
        elif like:  # lines were lost or torn: those behind the damage keep their distance from the end
            first = like.count - len(lines)
            found += [None] * first
            for at, record in enumerate(read_lines(lines, name, first), first):
                if at >= 0 and record:
                    found[at] = record
        if like:
            found = (found + [None] * like.count)[: like.count]
        return cls(name, data, tuple(found), False)


def known_by_id(record: Record, identify: Identify) -> bool:
    """Does the text still have the id that it was filled in with?"""
    try:
        return bool(identify(record["text"]) == record["id"])
    except ValueError:  # half of a surrogate pair
        return False


def read_lines(lines: Sequence[bytes], name: str, first: int) -> list[Record | None]:
    """What lines of a batch say, the first of them at place `first`; None where one is damaged."""
    found: list[Record | None] = []
    for at, line in enumerate(lines, first):
        try:
            found.append(read_line(line, name, at))
        except ValueError:
            found.append(None)
    return found


def salvaged(data: bytes) -> tuple[tuple[Batch, ...], Numbers]:
    """What can still be read of a damaged state: its first batches, and the texts withdrawn."""
    try:
        raw = read_object(data)
    except ValueError:
        return (), NONE
    batches: list[Batch] = []
    try:
        for each in raw["batches"]:
            batch = Batch(**each)
            check_kinds(batch)
            when(batch.created)
            if batch.count < 1 or batch.record_bytes < 3:
                break
            batches.append(batch)
    except (ValueError, KeyError, TypeError):
        pass
    try:
        return tuple(batches), listed(raw["withdrawn"])
    except (ValueError, KeyError, TypeError):
        return tuple(batches), NONE


def read_state(store: Store, key: str) -> tuple[State | None, str | None, tuple[Batch, ...], Numbers]:
    """(the state if it is whole, its etag, the batches that it names, the texts that it says are withdrawn). Where it
    is gone, and where none of its batches can be read, the states of other places name them.

    Raises:
        NewerVersion: it is a newer version's.
    """
    try:
        data, etag = store.get(key)
    except Missing:
        return None, None, batches_elsewhere(store, key), NONE
    try:
        state = State.parse(data, f"{store.url}/{key}", key)
        return state, etag, state.batches, state.withdrawn
    except NewerVersion:
        raise
    except PoolBroken:
        batches, withdrawn = salvaged(data)
        return None, etag, batches or batches_elsewhere(store, key), withdrawn


def batches_elsewhere(store: Store, ours: str) -> tuple[Batch, ...]:
    """What the states of other places say of the batches that all places share; the longest list of one of them.
    `ours`: the key of the state that is damaged or gone."""
    found: list[tuple[Batch, ...]] = [()]
    for key in store.list(""):
        if key.startswith("state") and key.endswith(".json") and key != ours:
            data = store.get(key)[0]
            try:
                found.append(State.parse(data, key, key).batches)
            except PoolBroken:
                found.append(salvaged(data)[0])
    return max(found, key=len)


@dataclass(frozen=True)
class Piece:
    """So many texts of the pool, one after the other: a batch, or the place of one that is lost."""

    count: int
    batch: Batch | None = None
    file: File | None = None
    lost: bool = True
    """The file is gone, damaged, or was never known."""


@dataclass
class Layout:
    pieces: list[Piece] = field(default_factory=list)

    @property
    def total(self) -> int:
        return sum(piece.count for piece in self.pieces)


def as_batch(file: File, like: Batch | None, created: str) -> Batch:
    """What a state says of a whole file."""
    digest = hashlib.sha256(file.data).hexdigest()
    about = Batch(file.id, len(file.records), len(file.data) // len(file.records), digest, created, "unknown")
    return replace(about, created=like.created, run=like.run) if like else about


def piece_of(batch: Batch, files: dict[str, File]) -> Piece:
    """A batch that a state names."""
    file = files.get(batch.id)
    if file and file.whole:
        return Piece(len(file.records), as_batch(file, batch, batch.created), file, lost=False)
    return Piece(batch.count, batch, file)


def first_numbers(files: Iterable[File], posts: Iterable[PostRecord]) -> dict[str, int]:
    """File → the number of its first text, by the records of its texts' posts; the most common where they differ."""
    numbers: dict[str, list[int]] = {}
    for post in posts:
        numbers.setdefault(spelling(post.text), []).append(post.index)
    votes: dict[str, Counter[int]] = {}
    for file in files:
        for at, record in enumerate(file.records):
            for index in numbers.get(spelling(record["text"]), ()) if record and record["text"] else ():
                if index >= at:
                    votes.setdefault(file.id, Counter())[index - at] += 1
    return {name: counter.most_common(1)[0][0] for name, counter in votes.items()}


def agrees(batches: Sequence[Batch], firsts: dict[str, int]) -> bool:
    """Do the records of posts bear out that these batches follow each other?"""
    first = 0
    for batch in batches:
        if firsts.get(batch.id, first) != first:
            return False
        first += batch.count
    return True


def lay_out(
    known: Sequence[Batch], files: dict[str, File], posts: Sequence[PostRecord], last: int, created: str, more: bool
) -> Layout:
    """The pieces of the pool. `known`: the batches that come first, by some state; `more`: others may follow. `last`:
    the last text that has a record.

    Raises:
        PoolBroken: a record names a text so far off that it cannot be this pool's.
    """
    layout = Layout([piece_of(batch, files) for batch in known])
    if not more:
        return layout
    rest = {name: file for name, file in sorted(files.items()) if name not in {batch.id for batch in known}}
    firsts = first_numbers(rest.values(), posts)
    # A whole file first: it may stand in for a damaged one of the same place.
    placed = sorted((first, not rest[name].whole, name) for name, first in firsts.items())
    free = [file for name, file in rest.items() if name not in firsts and file.whole]
    for first, _, name in placed:
        if first < layout.total:
            continue  # two files for one place: the records fit the other as well
        for file in fill_gap(first - layout.total, free):
            free.remove(file)
            layout.pieces.append(Piece(len(file.records), as_batch(file, None, created), file, lost=False))
        add_gap(layout, first)
        file = rest[name]
        batch = as_batch(file, None, created) if file.whole else None
        layout.pieces.append(Piece(len(file.records), batch, file, lost=not file.whole))
    add_gap(layout, last + 1)
    layout.pieces += [Piece(len(file.records), as_batch(file, None, created), file, lost=False) for file in free]
    held = {
        spelling(record["text"]) for piece in layout.pieces if piece.file for record in piece.file.records if record
    }
    torn = [file for name, file in rest.items() if name not in firsts and not file.whole]
    for file in torn:
        if any(record and spelling(record["text"]) not in held for record in file.records):
            layout.pieces.append(Piece(len(file.records), None, file))
    return layout


def add_gap(layout: Layout, end: int) -> None:
    """Texts of which no file is known, up to the number `end`."""
    gap = end - layout.total
    if gap > MOST_LOST:
        raise PoolBroken(
            f"A record names text {end - 1}, {gap:,} behind the last batch: it cannot be this pool's; remove it from "
            "the records of posts."
        )
    if gap > 0:
        layout.pieces.append(Piece(gap))


def fill_gap(gap: int, free: Sequence[File]) -> tuple[File, ...]:
    """Batches without a post that have just so many texts together; none where there are no such."""
    few = free[:GAP_FILES]
    choices = (some for number in range(1, len(few) + 1) for some in combinations(few, number))
    return next((some for some in choices if sum(len(file.records) for file in some) == gap), ())
