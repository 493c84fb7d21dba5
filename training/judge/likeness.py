"""Finding a text's nearest relatives among many: copies, copied runs and near-duplicates.

Texts come in normal form and in batches. Words are hashed, so a run of words is one 64-bit number, and a batch is
looked up by a handful of NumPy calls. Two texts alike enough to matter share a run of three words that is rare
(in at most COMMON texts): looking only at those that do finds 99.3 % of the pairs with a ratio of 75 or more, and
all with 90 or more; brute force costs 30,000 comparisons a text against the whole Bible. Where a script writes no
spaces, a word here is one of `units_of`.

Python's hash() of a word differs from process to process: nothing here is ever written to a file.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rapidfuzz import fuzz, process

from training.common.text import text_of_units, units_of

COMMON = 50
"""A run of three words in more texts than this says nothing ("and it came")."""
FEW = 256
"""Up to this many texts, all are compared: it costs no more, and misses nothing."""
WORD_RUN = 3
PAIRS = 1 << 20
"""Comparisons at a time: 16 MB of arrays."""
_FACTORS = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9], dtype=np.uint64)

Hashes = NDArray[np.uint64]
Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Relative:
    text: str
    ratio: float


def word_runs(normals: Sequence[str], length: int, pad: bool = False) -> tuple[Hashes, Numbers]:
    """All runs of `length` words: (hash of each, number of its text), in order.

    `pad`: a text of fewer words counts as one run; otherwise it has none.
    """
    words = list(map(units_of, normals))
    if pad:
        words = [some if len(some) >= length else some + [""] * (length - len(some)) for some in words]
    counts = np.fromiter(map(len, words), np.int64, len(words))
    flat = np.fromiter((hash(word) for some in words for word in some), np.int64, int(counts.sum())).view(np.uint64)
    places = len(flat) - length + 1
    if places < 1 or length < 1:  # a text without a word has no runs
        return np.empty(0, np.uint64), np.empty(0, np.int64)
    hashes = np.zeros(places, np.uint64)
    for i in range(length):
        # Horner's rule modulo 2^64, with a shift so that the order of the words counts in every bit.
        hashes = (hashes ^ (hashes >> np.uint64(29))) * _FACTORS[i % 3] + flat[i : i + places]
    owner = np.repeat(np.arange(len(words)), counts)
    inside = owner[:places] == owner[length - 1 :]
    return hashes[inside], owner[:places][inside]


@dataclass(frozen=True)
class _Level:
    """Texts whose runs are sorted: `texts[starts[i]:starts[i + 1]]` hold the run `runs[i]`."""

    runs: Hashes
    starts: Numbers
    texts: NDArray[np.int32]

    @classmethod
    def of(cls, hashes: Hashes, texts: NDArray[Any]) -> _Level:
        order = np.argsort(hashes, kind="stable")
        runs, starts = np.unique(hashes[order], return_index=True)
        return cls(runs, np.append(starts, len(order)), texts[order].astype(np.int32))

    def hashes(self) -> Hashes:
        return np.repeat(self.runs, np.diff(self.starts))

    def find(self, hashes: Hashes) -> tuple[Numbers, Numbers]:
        """(start, count) of each run's texts."""
        at = np.searchsorted(self.runs, hashes)
        at[at == len(self.runs)] = 0
        counts = np.where(self.runs[at] == hashes, self.starts[at + 1] - self.starts[at], 0)
        return self.starts[at], counts


@dataclass
class LikenessIndex:
    """Texts in normal form, found again by their rare runs of three words. 400 bytes a text of 22 words."""

    texts: list[str] = field(default_factory=list)
    levels: list[_Level] = field(default_factory=list)

    @classmethod
    def of(cls, normals: Iterable[str]) -> LikenessIndex:
        index = cls()
        index.add(list(normals))
        return index

    def add(self, normals: Sequence[str]) -> None:
        """Add some texts. Levels of a size are merged, so that there are never more than log2 of the number of
        batches."""
        if not normals:
            return
        hashes, numbers = word_runs(normals, WORD_RUN, pad=True)
        level = _Level.of(hashes, numbers + len(self.texts))
        self.texts.extend(normals)
        while self.levels and len(self.levels[-1].texts) <= 2 * len(level.texts):
            last = self.levels.pop()
            level = _Level.of(
                np.concatenate([last.hashes(), level.hashes()]), np.concatenate([last.texts, level.texts])
            )
        self.levels.append(level)

    def relatives(self, normals: Sequence[str]) -> tuple[Numbers, Numbers]:
        """Pairs worth a comparison, each once: (place in `normals`, number of a text), in order."""
        if len(self.texts) <= FEW:
            return np.divmod(np.arange(len(normals) * len(self.texts)), max(1, len(self.texts)))
        hashes, places = word_runs(normals, WORD_RUN, pad=True)
        found = [level.find(hashes) for level in self.levels]
        rare = sum(counts for _, counts in found) <= COMMON
        pairs = []
        for level, (starts, counts) in zip(self.levels, found, strict=True):
            counts = np.where(rare, counts, 0)
            ends = np.cumsum(counts)
            steps = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - counts, counts)
            pairs.append(np.repeat(places, counts) << 32 | level.texts[np.repeat(starts, counts) + steps])
        both = np.unique(np.concatenate(pairs)) if pairs else np.empty(0, np.int64)
        return both >> 32, both & 0xFFFFFFFF

    def likenesses(self, normals: Sequence[str], cutoff: float) -> tuple[Numbers, Numbers, NDArray[np.float32]]:
        """The pairs that are alike: (place in `normals`, number of a text, rapidfuzz ratio from `cutoff` to 100)."""
        places, numbers = self.relatives(normals)
        ratios = np.empty(len(places), np.float32)
        for at in range(0, len(places), PAIRS):
            some = slice(at, at + PAIRS)
            ratios[some] = process.cpdist(
                [normals[i] for i in places[some].tolist()],
                [self.texts[i] for i in numbers[some].tolist()],
                scorer=fuzz.ratio,
                processor=None,
                score_cutoff=cutoff,
                dtype=np.float32,
            )
        alike = (ratios >= cutoff) & (ratios > 0)
        return places[alike], numbers[alike], ratios[alike]

    def nearest(self, normals: Sequence[str], cutoff: float) -> list[Relative | None]:
        """The most similar text of each, with a rapidfuzz ratio of at least `cutoff`; above 100: never any."""
        nearest: list[Relative | None] = [None] * len(normals)
        if cutoff <= 100 and self.texts and normals:
            for place, number, ratio in zip(*(a.tolist() for a in self.likenesses(normals, cutoff)), strict=True):
                best = nearest[place]
                if best is None or ratio > best.ratio:
                    nearest[place] = Relative(self.texts[number], round(ratio, 1))
        return nearest


class WordRunIndex:
    """Every run of `length` words of some texts: finds copied half verses."""

    def __init__(self, normals: Sequence[str], length: int) -> None:
        self.length = length
        self.known = np.unique(word_runs(normals, length)[0])

    def shared(self, normals: Sequence[str]) -> list[str]:
        """The first run that each shares with a text, or nothing."""
        shared = [""] * len(normals)
        hashes, places = word_runs(normals, self.length)
        if not len(hashes) or not len(self.known):
            return shared
        at = np.searchsorted(self.known, hashes)
        at[at == len(self.known)] = 0
        hits = np.flatnonzero(self.known[at] == hashes)
        firsts, which = np.unique(places[hits], return_index=True)
        begins = np.searchsorted(places, firsts)
        for place, start in zip(firsts.tolist(), (hits[which] - begins).tolist(), strict=True):
            shared[place] = text_of_units(units_of(normals[place])[start : start + self.length])
        return shared
