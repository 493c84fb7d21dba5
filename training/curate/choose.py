"""Candidates that passed → the pool: the best first, apart from one another, shuffled.

Out, RUN/pool.jsonl: {"id", "text", "score" (mean log-probability, nats a token), "nearest" (the most similar text of
the corpus), "nearest_ratio" (rapidfuzz, 0 to 100), and "allow" where rules were skipped that the function asks again};
RUN/review.jsonl: the same of the texts that are set apart for a person, with "names".

Everything follows from the texts and their scores: the order in which candidates came does not matter.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rapidfuzz import fuzz, process

from training.common.files import write_whole
from training.common.text import normal_form, text_id
from training.judge.likeness import COMMON, FEW, RUN, LikenessIndex, Relative
from training.settings import FilterSettings

GENERATION = 1024
"""Kept texts between two rebuildings of the index."""
EXACT = 200_000_000
"""Up to so many comparisons, the nearest original is looked for among all: half a minute on two cores."""


class Apart:
    """Keeps texts that are no near-duplicates of one another, in the order in which they are offered.

    The last texts lie in a dictionary, the older ones in an index that is rebuilt every GENERATION kept texts: what
    is found depends on the kept texts before alone. So whatever was kept is kept again, in the same order.
    """

    def __init__(self, ratio: float) -> None:
        self.ratio = ratio
        self.old = LikenessIndex()
        self.new: list[str] = []
        self.where: dict[tuple[str, ...], list[int]] = {}

    def offer(self, normals: Sequence[str]) -> Iterator[Relative | None]:
        """For each the kept text that it is too like, or None: then `keep` it or not, before asking for the next."""
        if self.ratio > 100:
            yield from (None for _ in normals)
            return
        start = 0
        while start < len(normals):
            # As many as fill the generation when most are kept; those left over are looked up again.
            some = normals[start : start + GENERATION + 64 - len(self.new)]
            known = len(self.old.texts)
            for normal, relative in zip(some, self.old.nearest(some, self.ratio), strict=True):
                start += 1
                yield relative or self._among_new(normal)
                if len(self.old.texts) > known:
                    break

    def keep(self, normal: str) -> None:
        for run in _runs(normal):
            places = self.where.setdefault(run, [])
            if len(places) < COMMON:
                places.append(len(self.new))
        self.new.append(normal)
        if len(self.new) == GENERATION:
            self.old.add(self.new)
            self.new, self.where = [], {}

    def _among_new(self, normal: str) -> Relative | None:
        if len(self.old.texts) + len(self.new) <= FEW:
            near = self.new
        else:
            near = [self.new[i] for i in sorted({i for run in _runs(normal) for i in self.where.get(run, ())})]
        best = process.extractOne(normal, near, scorer=fuzz.ratio, processor=None, score_cutoff=self.ratio)
        return Relative(best[0], round(best[1], 1)) if best else None


def _runs(normal: str) -> set[tuple[str, ...]]:
    words = normal.split()
    return {tuple(words[i : i + RUN]) for i in range(max(1, len(words) - RUN + 1))}


SPARE, KEPT, SET_APART, DUPLICATE, NEAR, OPENING, BAND = range(7)
VERDICTS = ("spare", "kept", "set-apart", "duplicate", "near-duplicate", "opening", "band")
"""What can become of a text that passed; spare ones were not needed."""


@dataclass
class Choice:
    """What became of the candidates that passed; numbers are their places in the order in which they came."""

    verdicts: NDArray[np.uint8]
    """One of the above for each."""
    relatives: dict[int, Relative] = field(default_factory=dict)
    """Of the near-duplicates: what they are like."""

    def numbers(self, verdict: int) -> list[int]:
        return [int(number) for number in np.flatnonzero(self.verdicts == verdict)]

    def counts(self) -> Counter[str]:
        found = np.bincount(self.verdicts, minlength=len(VERDICTS)).tolist()
        return Counter({name: count for name, count in zip(VERDICTS, found, strict=True) if count})


def choose(
    ids: NDArray[np.uint64],
    distances: NDArray[np.float64],
    apart: NDArray[np.bool_],
    read: Callable[[int], str],
    settings: FilterSettings,
    count: int,
    told: Callable[[int], object] = lambda n: None,
    prefixes: Sequence[str] = (),
) -> Choice:
    """Choose up to `count` texts, the best first.

    Args:
        ids: of the normal forms: of those that are equal the best stays.
        distances: from the best score; smaller is better, and equal ones go by their ids.
        apart: True where a person must read the text.
        read: number → text.
        told: how many more are kept.
        prefixes: what texts were made to start with: their openings are what comes after.
    """
    starts = sorted((f"{normal_form(prefix)} " for prefix in prefixes if prefix), key=len, reverse=True)
    choice, openings = Choice(np.full(len(ids), SPARE, np.uint8)), Counter[str]()
    most = max(1, round(settings.opening_share * count)) if "opening" not in settings.skip else len(ids)
    keeper = Apart(settings.near_ratio if "near-duplicate" not in settings.skip else 101)
    order = np.lexsort((ids, distances))
    if "duplicate" not in settings.skip:
        _, firsts = np.unique(ids[order], return_index=True)
        again = np.ones(len(order), bool)
        again[firsts] = False
        choice.verdicts[order[again]] = DUPLICATE
        order = order[~again]
    kept = 0
    for at in range(0, len(order), GENERATION):
        numbers = order[at : at + GENERATION].tolist()
        normals = [normal_form(read(number)) for number in numbers]
        for number, normal, relative in zip(numbers, normals, keeper.offer(normals), strict=True):
            start = next((start for start in starts if normal.startswith(start)), "")
            opening = " ".join(normal.removeprefix(start).split()[: settings.opening_words])
            if relative:
                choice.verdicts[number], choice.relatives[number] = NEAR, relative
            elif openings[opening] >= most:
                choice.verdicts[number] = OPENING
            else:
                keeper.keep(normal)
                openings[opening] += 1
                choice.verdicts[number] = SET_APART if apart[number] else KEPT
                if not apart[number]:
                    kept += 1
                    told(1)
                if kept == count:
                    return choice
    return choice


def nearest_originals(texts: Sequence[str], corpus: Sequence[str]) -> list[tuple[str, float]]:
    """(text of the corpus, rapidfuzz ratio) that is most like each text.

    All are compared while that is quick; with a large corpus only those that share a rare run of three words, and
    what shares none has ratio 0.
    """
    normals = [normal_form(text) for text in corpus]
    found: list[tuple[str, float]] = []
    if len(texts) * len(normals) <= EXACT:
        for at in range(0, len(texts), GENERATION):
            some = [normal_form(text) for text in texts[at : at + GENERATION]]
            ratios = process.cdist(some, normals, scorer=fuzz.ratio, processor=None, dtype=np.float32, workers=-1)
            best = ratios.argmax(axis=1)
            found += [
                (corpus[n], round(float(ratio), 1))
                for n, ratio in zip(best.tolist(), ratios[np.arange(len(some)), best], strict=True)
            ]
        return found
    index, by_normal = LikenessIndex.of(normals), dict(zip(normals, corpus, strict=True))
    for at in range(0, len(texts), GENERATION):
        for relative in index.nearest([normal_form(text) for text in texts[at : at + GENERATION]], 1.0):
            found.append((by_normal[relative.text], relative.ratio) if relative else ("", 0.0))
    return found


ALLOWED = ("link", "mention", "hashtag", "cashtag")
"""Rules that the posting function asks again; whoever skips one here says so in each record."""


def records(
    texts: Sequence[str], scores: Sequence[float], corpus: Sequence[str], skip: Collection[str] = ()
) -> Iterator[dict[str, Any]]:
    """Pool records of some texts, in their order. `skip`: the rules that were not asked."""
    allowed = [name for name in ALLOWED if name in skip]
    for text, score, (nearest, ratio) in zip(texts, scores, nearest_originals(texts, corpus), strict=True):
        yield {
            "id": text_id(text),
            "text": text,
            "score": round(score, 4),
            "nearest": nearest,
            "nearest_ratio": ratio,
            **({"allow": allowed} if allowed else {}),
        }


def shuffled(numbers: Sequence[int], seed: int) -> list[int]:
    """An order that says nothing about how good the texts are or how they came."""
    order = list(numbers)
    random.Random(seed).shuffle(order)
    return order


def write_records(path: Path, records: Iterable[dict[str, Any]]) -> None:
    write_whole(path, "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records))
