"""Texts of the jobs that a person reads before they come into the pool, all of them or those that were set apart:
WORK/waiting.json tells of the latest.

    out    the folder in the workspace that has their pool.jsonl and review.jsonl
    pool   the pool that they are for
    bot    the bot's name
    file   where whoever placed the bot has it

They wait until each is in the pool, or the pool knows that people dropped or replaced it. `deepproverbs job review`
fetches them and shows them.
"""

from __future__ import annotations

import functools
import json
import shlex
from dataclasses import dataclass
from pathlib import Path

from post_tweet.pool import Pool
from post_tweet.state import Batch, State
from post_tweet.store import Missing, open_store

from training.common import jsonl
from training.common.errors import DeepproverbsError
from training.common.files import note_bytes, note_of
from training.common.text import text_id
from training.curate import fill
from training.runs.workspace import Workspace

FILE = "waiting.json"


@dataclass(frozen=True)
class Waiting:
    """Texts that nobody has decided about."""

    work: str
    out: str
    pool: str
    bot: str
    file: str
    count: int
    """Of pool.jsonl."""
    apart: int
    """Of review.jsonl."""
    only: bool
    """All of them were set apart."""

    @property
    def command(self) -> str:
        """Shows them to a person, on the machine that has the bot."""
        bot = ["--bot", self.file] if self.file else []
        return shlex.join(["deepproverbs", "job", "review", "--work", self.work, *bot])

    def __str__(self) -> str:
        count = self.count + self.apart
        some = "1 text waits" if count == 1 else f"{count:,} texts wait"
        return (
            f"{some} in {self.work}/{self.out} for a person to read: `{self.command}` shows them, on a machine that "
            "has the bot's folder, and publishes what is kept."
        )


def note(work: Workspace, out: str, pool: str, bot: str, file: str) -> None:
    """Say that the texts in this folder wait. They are there."""
    work.store.put(FILE, note_bytes({"out": out, "pool": pool, "bot": bot, "file": file}))


def look(work: Workspace) -> Waiting | None:
    """What waits there; None: nothing, or all of it was decided and that was published.

    Raises:
        DeepproverbsError: the note of it is damaged.
        PoolBroken: the pool is.
    """
    try:
        said = note_of(work.store.get(FILE)[0], summed=True)
        out, pool, bot, file = (str(said[name]) for name in ("out", "pool", "bot", "file"))
        chosen, apart = _ids(work, f"{out}/pool.jsonl"), _ids(work, f"{out}/review.jsonl")
    except Missing:  # never, or a month ago
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise DeepproverbsError(
            f"What waits in {work.url} cannot be read ({error}); delete {FILE} there: the next `deepproverbs job fill` "
            "or `job refill` writes it again."
        ) from error
    there = fill.whole(pool)
    known = {text_id(text) for text in there.dropped().values()}
    known = known.union(*(_ids_of(pool, batch) for batch in there.load()[0].batches))
    left, count = len(chosen - known), len(apart - known)
    return Waiting(work.url, out, pool, bot, file, left, count, not chosen) if left or count else None


@functools.lru_cache(64)
def _ids_of(pool: str, batch: Batch) -> frozenset[str]:
    """Of the texts of a batch, which never changes: `pool status --watch` fetches it once."""
    records = Pool(open_store(pool)).records(State(batches=(batch,)))
    return frozenset(text_id(record["text"]) for record in records if record["text"])


def _ids(work: Workspace, key: str) -> set[str]:
    return {text_id(json.loads(line)["text"]) for line in work.store.get(key)[0].splitlines()}


def fetch(work: Workspace, what: Waiting, folder: Path) -> None:
    """Get the texts into a run's folder. Those set apart before, which were fetched here, stay."""
    work.get(f"{what.out}/pool.jsonl", folder, "pool.jsonl")
    fetched = work.get(f"{what.out}/review.jsonl", folder, "fetched.jsonl")  # not over those that lie there
    apart, new = folder / "review.jsonl", list(jsonl.records(fetched))
    before, texts = jsonl.records(apart) if apart.exists() else (), {record["text"] for record in new}
    jsonl.write(apart, [*(record for record in before if record["text"] not in texts), *new])
    fetched.unlink()
