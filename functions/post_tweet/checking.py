"""What is wrong with a pool's files, a sentence each."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from post_tweet import dropped
from post_tweet.checks import read_line, said
from post_tweet.errors import PoolBroken
from post_tweet.files import BATCHES
from post_tweet.filling import FilledPool, recorded_ahead
from post_tweet.state import Batch, PostRecord, State
from post_tweet.store import Missing

REPAIR = "run `deepproverbs pool repair`"
READERS = 8
"""Records of posts that are read at a time."""


def look_over(pool: FilledPool, state: State, posted: dict[int, list[str]]) -> list[str]:
    """What the names of the files tell: no file is read. `posted`: `post_keys`, listed before the state was read."""
    there = set(pool.store.list(BATCHES)) if state.batches else set()
    return [
        *(f"{batch.key} is missing; {REPAIR}." for batch in state.batches if batch.key not in there),
        *(
            f"{posted[index][0]} says that text {index} was posted, but in the state it is unused: the state is older "
            f"than the posts; {REPAIR}."
            for index in recorded_ahead(state, posted)
        ),
    ]


def verify(pool: FilledPool) -> list[str]:
    """Reads every file. Raises PoolBroken: the state is gone or damaged."""
    posted = pool.post_keys()
    state, _ = pool.load()
    wrong = look_over(pool, state, posted)
    missing = {batch.key for batch in state.batches if any(said.startswith(batch.key) for said in wrong)}
    wrong += [f"{key} is not a record of a post; remove it." for key in posted.pop(-1, [])]
    texts: dict[int, str] = {}
    seen: set[str] = set()
    first = 0
    for batch in state.batches:
        if batch.key not in missing:
            wrong += check_batch(pool, batch, first, seen, texts, posted)
        first += batch.count
    wrong += check_posts(pool, state, posted, texts)
    try:
        dropped.read(pool.store)
    except PoolBroken as error:
        wrong.append(str(error))
    known = {batch.key for batch in state.batches}
    replaced = " ".join(batch.run for batch in state.batches if "repair" in batch.run)
    return wrong + [
        f"{key} belongs to no fill: one was interrupted; fill the same texts again, or remove it."
        for key in pool.store.list(BATCHES)
        if key not in known and key.removeprefix(BATCHES).removesuffix(".jsonl") not in replaced
    ]


def check_batch(
    pool: FilledPool, batch: Batch, first: int, seen: set[str], texts: dict[int, str], wanted: Iterable[int]
) -> list[str]:
    """One batch, whose first text has the number `first`. Adds its ids to `seen`, and the `wanted` texts to `texts`."""
    try:
        data = pool.store.get(batch.key)[0]
        records = [read_line(line, batch.id, at) for at, line in enumerate(data.splitlines())]
    except (Missing, ValueError) as error:
        return [f"{batch.key} is missing or damaged ({said(error) or type(error).__name__}); {REPAIR}."]
    wrong = []
    if hashlib.sha256(data).hexdigest() != batch.sha256:
        wrong.append(f"{batch.key} is not what was filled in: its sha256 differs; {REPAIR}.")
    if len(records) != batch.count or len(data) != batch.count * batch.record_bytes:
        wrong.append(f"{batch.key} holds {len(records)} texts in {len(data)} bytes, not as the state says; {REPAIR}.")
    ids = {record["id"] for record in records}
    if twice := len(records) - len(ids - seen):
        wrong.append(f"{batch.key} repeats {twice} texts of the pool; withdraw them.")
    seen |= ids
    texts |= {i: records[i - first]["text"] for i in wanted if first <= i < first + len(records)}
    return wrong


def check_posts(pool: FilledPool, state: State, posted: dict[int, list[str]], texts: dict[int, str]) -> list[str]:
    """The records: each readable, of its own text, one a text; and each recent post has the one that fits it."""
    wrong: list[str] = []

    def read(index: int) -> PostRecord | PoolBroken:
        try:
            return pool.read_post(index, posted[index][-1])
        except PoolBroken as error:
            return error

    with ThreadPoolExecutor(READERS) as readers:
        found = dict(zip(posted, readers.map(read, posted), strict=True))
    for index, record in sorted(found.items()):
        if isinstance(record, PoolBroken):
            wrong.append(str(record))
        elif index in texts and record.text != texts[index]:
            wrong.append(f"{posted[index][-1]} and the batch have different texts for number {index}; {REPAIR}.")
        if len(posted[index]) > 1:
            wrong.append(f"Text {index} has {len(posted[index])} records of its post; look at the account.")
    for entry in state.recent:
        post = found.get(entry.index)
        # A call that only found the post names no slot.
        fits = isinstance(post, PostRecord) and post.slot in (None, *entry.slots) and post.outcome == "posted"
        if entry.outcome == "posted" and not fits and not isinstance(post, PoolBroken):
            wrong.append(
                f"The record of the post of text {entry.index} for {entry.slot} is missing or says something else; "
                "look at the account."
            )
    return wrong
