"""A run's rounds: each `run` adds `count` texts to the pool, from candidates that no round before has chosen from.

The entry "filter" of manifest.json tells of the last round:

    key       of all that pool.jsonl depends on, but for what the pool held
    judged    of what a verdict depends on: while it is the same, a round begins where the last one ended
    round     its number, from 1
    first     the number of its first candidate
    used      the number after the last candidate that it has chosen from
    filled    the batch that its texts made ("": all were there); there once they are in the pool

So whatever ends a run at whatever moment, the same command ends the same round; only then does it begin another.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from post_tweet.pool import Appended, Pool
from post_tweet.store import open_store

from training.common import jsonl
from training.common.manifest import Manifest
from training.curate import fill
from training.curate.choose import Chosen

STAGE = "filter"


@dataclass(frozen=True)
class Round:
    number: int
    first: int
    """Its first candidate."""
    done: bool
    """Its texts have been chosen: they lie in pool.jsonl."""
    filled: str = ""
    """It is done again, for what it wrote is damaged: the batch in the pool that has its texts."""


def next_round(manifest: Manifest, key: str, judged: str, more: bool, *outputs: Path) -> Round:
    """The round to do. One that has been chosen but not filled comes first; one that was not chosen, or under other
    settings, is done again; after one that has been filled, the next. `more`: also when the settings are the same.
    """
    entry = manifest.stages.get(STAGE, {})
    number, filled, same = entry.get("round", 1), "filled" in entry, entry.get("judged") == judged
    if not (filled and more) and entry.get("key") == key:
        first = entry.get("first", 0)
        return Round(number, first, manifest.done(STAGE, key, *outputs), entry.get("filled", ""))
    first = entry["used" if filled else "first"] if same else 0
    return Round(number + filled, first, False)


def used(chosen: Chosen, first: int, spent: bool) -> int:
    """The number after the last candidate that was chosen from. `spent`: the budget was, so all that were judged."""
    if spent or not len(chosen.passed):
        return first + chosen.tally.candidates + chosen.tally.left_out
    return jsonl.number_at(chosen.candidates, int(chosen.passed.offsets[-1]))


def waiting(review: Path, number: int) -> list[dict[str, Any]]:
    """The records that rounds before this one have set apart: this one neither loses nor repeats them."""
    if not review.exists() or not review.stat().st_size:
        return []
    return [record for record in fill.read_pool(review) if record.get("round", 1) < number]


def texts_of(url: str, batch: str) -> set[str]:
    """The texts of a batch of the pool."""
    pool = Pool(open_store(url))
    state = pool.load()[0]
    return {r["text"] for r in pool.records(replace(state, batches=tuple(b for b in state.batches if b.id == batch)))}


def fill_round(run: Path, texts: Path, url: str, name: str) -> Appended:
    """Put the texts of the round into the pool, and note that they are there."""
    added = fill.fill(texts, url, name)
    manifest = Manifest(run)
    manifest.note(STAGE, filled=added.batch or manifest.stages[STAGE].get("filled", ""))
    return added
