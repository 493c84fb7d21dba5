"""Sampling in shards: many machines, one candidate file.

Text number n of a run is a function of the seed and n (training/sample/draw.py), so a shard is a range of numbers:
shard i of N draws the i-th N-th of them, and all shards together are the file that one machine would have written
(with the native engine; on a GPU CTranslate2 draws other texts of the same kind). What a shard has drawn goes into
the workspace (S3 or a directory) in parts that never change,

    shards/<settings>/<first>-<end>-<digest>.jsonl    candidates first to end - 1

half a minute's worth each. A shard that is killed loses what it drew since its last part, and goes on from there.

`deepproverbs job sample --work URL --shard 3/8`
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from post_tweet.store import Missing, Store

from training.common import progress
from training.common.errors import WrongUse
from training.common.progress import Progress, Say
from training.judge.judge import Judging
from training.runs import stages
from training.sample.candidates import Candidate, Candidates
from training.settings import Bot

SECONDS = 30.0
"""How often a part is written: what a spot machine may lose, and on a GPU some 10,000 texts."""
TEXTS = 20_000
"""Most texts of a part, so that it can be read at once."""
PART = re.compile(r"(\d+)-(\d+)(?:-([0-9a-f]{16}))?\.jsonl")


@dataclass(frozen=True)
class Shard:
    """Numbers `first` to `end` - 1."""

    index: int
    """From 1."""
    of: int
    total: int
    """Candidates of all shards together."""

    @classmethod
    def read(cls, text: str, total: int) -> Shard:
        """`3/8` → the third of eight.

        Raises:
            WrongUse: it is no such pair.
        """
        found = re.fullmatch(r"(\d+)/(\d+)", text)
        if not found or not 1 <= int(found[1]) <= int(found[2]):
            raise WrongUse(f"--shard {text} is not a shard; write 3/8 for the third of eight.")
        return cls(int(found[1]), int(found[2]), total)

    @property
    def first(self) -> int:
        return (self.index - 1) * self.total // self.of

    @property
    def end(self) -> int:
        return self.index * self.total // self.of


@dataclass(frozen=True, order=True)
class Part:
    first: int
    end: int
    key: str
    digest: str = ""
    """Of its bytes; "" where a version wrote it that noted none."""


class Parts:
    """The parts of one run's shards, whichever machine wrote them. `say`: is told of those that are damaged, which
    count for nothing."""

    def __init__(self, work: Store, key: str, say: Say = progress.say) -> None:
        self.work, self.folder, self.say = work, f"shards/{key}/", say
        self.whole: dict[Part, bool] = {}

    def all(self) -> list[Part]:
        found = (PART.fullmatch(key.rsplit("/", 1)[-1]) for key in self.work.list(self.folder))
        return sorted(Part(int(m[1]), int(m[2]), f"{self.folder}{m[0]}", m[3] or "") for m in found if m)

    def put(self, first: int, candidates: list[Candidate]) -> None:
        """Candidates from number `first` on, as one object that is there whole or not at all."""
        data = "".join(candidate.line() for candidate in candidates).encode()
        name = f"{self.folder}{first:09d}-{first + len(candidates):09d}-{_digest(data)}.jsonl"
        self.work.put(name, data)

    def chain(self, first: int, end: int | None = None) -> list[Part]:
        """Parts that cover numbers from `first` on without a gap, to `end` or as far as they go.

        Parts may overlap, when a shard ran twice at a time or with another N: the one that reaches furthest is taken.
        """
        parts, chain, following = self.all(), [], first
        while end is None or following < end:
            reaching = sorted((p for p in parts if p.first <= following < p.end), key=lambda p: -p.end)
            best = next((p for p in reaching if self.is_whole(p)), None)
            if best is None:
                break
            chain.append(best)
            following = best.end
        return chain

    def read(self, first: int, end: int | None = None) -> list[Candidate]:
        """Candidates from `first` on, as far as there are parts without a gap."""
        found: list[Candidate] = []
        for part in self.chain(first, end):
            found += self.of(part, first + len(found))
        return found if end is None else found[: end - first]

    def is_whole(self, part: Part) -> bool:
        """Whether a part is what was drawn. It is fetched for that, once."""
        if part not in self.whole:
            try:
                self.whole[part] = len(self.of(part, part.first)) == part.end - part.first
            except (Missing, ValueError, TypeError, OverflowError, RecursionError):
                self.whole[part] = False
            if not self.whole[part]:
                self.say(f"{self.work.url}/{part.key} is not what was drawn: it is drawn again.")
        return self.whole[part]

    def of(self, part: Part, first: int) -> list[Candidate]:
        """Candidates of one part from number `first` on. Raises ValueError: it is damaged."""
        data = self.work.get(part.key)[0]
        if part.digest not in ("", _digest(data)):
            raise ValueError("other bytes")
        lines = data.split(b"\n")[first - part.first : -1]
        return [Candidate.of(json.loads(line)) for line in lines]


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=8).hexdigest()


def sample_shard(bot: Bot, folder: Path, model: Path, shard: Shard, work: Store, say: Say = print) -> int:
    """Draw what is missing of the shard's numbers; returns how many were drawn."""
    store = Candidates(folder, model, bot.sample, say)
    parts = Parts(work, store.key, say)
    chain = parts.chain(shard.first, shard.end)
    first = min(chain[-1].end, shard.end) if chain else shard.first
    there = f"{first - shard.first:,} are there" if first > shard.first else "none is there yet"
    say(f"Shard {shard.index} of {shard.of}: candidates {shard.first:,} to {shard.end - 1:,}, {there}.")
    if first == shard.end:
        return 0
    rules = None
    if bot.sample.early_stop:
        rules = Judging(bot, stages.reference_of(bot, folder)).judge().stop_rules()
    drawn, unwritten, written = 0, list[Candidate](), time.monotonic()
    with (
        Progress(shard.end - first, "sampled") as progress,
        closing(stages.draw(bot, folder, model, first, rules, say)) as batches,
    ):
        for batch in batches:
            batch = batch[: shard.end - first - drawn]
            drawn += len(batch)
            unwritten += batch
            progress.update(drawn, len(batch), sum(candidate.tokens for candidate in batch))
            done = first + drawn == shard.end
            if done or len(unwritten) >= TEXTS or time.monotonic() - written >= SECONDS:
                parts.put(first + drawn - len(unwritten), unwritten)
                unwritten, written = [], time.monotonic()
            if done:
                break
    return drawn


def merge(bot: Bot, folder: Path, model: Path, work: Store, say: Say = print) -> int:
    """Join the parts into the run's candidates.jsonl, from number 0 to the first gap; returns how many there are.

    Sampling goes on from there, so a missing shard costs time but no text.
    """
    store = Candidates(folder, model, bot.sample, say)
    store.recover()
    parts = Parts(work, store.key, say)
    for part in parts.chain(store.count):
        store.append(parts.of(part, store.count))
    behind = sum(part.first > store.count for part in parts.all())
    say(
        f"Merged: {store.count:,} candidates"
        + (f"; {behind} parts lie behind a gap and wait for the shard before them." if behind else ".")
    )
    return store.count
