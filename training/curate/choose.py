"""Candidates that passed → which of them make the pool: the best first, no two alike, few openings alike.

The choice depends on texts and scores alone, not on the order of the candidates.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rapidfuzz import fuzz, process

from training.common import progress
from training.common.text import is_unspaced, normal_form, text_of_units, units_of
from training.judge.band import Band, hardness
from training.judge.blocks import Passed, Tally, read_text
from training.judge.judge import Judging
from training.judge.likeness import COMMON, FEW, WORD_RUN, LikenessIndex, Relative
from training.model.score import Floats, text_scores
from training.settings import FilterSettings

GENERATION = 1024
"""Kept texts between two rebuilds of the index."""
SHORTLIST = 1.5
"""For each wanted text, so many of the best by the fine-tuned model are scored by the base model, too: that costs as
much as sampling them."""


class NearDuplicates:
    """Keeps texts of which no two are near-duplicates, in the order in which they are offered.

    The newest are in a dictionary, the older ones in an index that is rebuilt every GENERATION kept texts. What is
    found depends only on the texts kept before: offered again by themselves, they are all kept again.
    """

    def __init__(self, ratio: float) -> None:
        self.ratio = ratio
        self.old = LikenessIndex()
        self.new: list[str] = []
        self.where: dict[tuple[str, ...], list[int]] = {}

    def offer(self, normals: Sequence[str]) -> Iterator[Relative | None]:
        """Yield for each the kept text it is too similar to, or None; then `keep` it or not, before taking the next."""
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
        for run in _word_runs(normal):
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
            near = [self.new[i] for i in sorted({i for run in _word_runs(normal) for i in self.where.get(run, ())})]
        best = process.extractOne(normal, near, scorer=fuzz.ratio, processor=None, score_cutoff=self.ratio)
        return Relative(best[0], round(best[1], 1)) if best else None


def _word_runs(normal: str) -> set[tuple[str, ...]]:
    words = units_of(normal)
    return {tuple(words[i : i + WORD_RUN]) for i in range(max(1, len(words) - WORD_RUN + 1))}


SPARE, KEPT, SET_APART, DUPLICATE, NEAR, OPENING, BAND = range(7)
VERDICTS = ("spare", "kept", "set-apart", "duplicate", "near-duplicate", "opening", "band")
"""What can become of a text that passed; spare ones were not needed."""


@dataclass(frozen=True)
class Choice:
    """What became of the candidates that passed, which are numbered in the order in which they came."""

    verdicts: NDArray[np.uint8]
    """One of the above for each."""
    relatives: dict[int, Relative] = field(default_factory=dict)
    """Near-duplicate → the kept text that it is like."""

    def numbers(self, verdict: int) -> list[int]:
        return [int(number) for number in np.flatnonzero(self.verdicts == verdict)]

    def counts(self) -> Counter[str]:
        found = np.bincount(self.verdicts, minlength=len(VERDICTS)).tolist()
        return Counter({name: count for name, count in zip(VERDICTS, found, strict=True) if count})


@dataclass(frozen=True)
class Chosen:
    """What there was to choose from, and what was chosen."""

    candidates: Path
    """The file."""
    tally: Tally
    passed: Passed
    choice: Choice


@dataclass(frozen=True)
class Contenders:
    """The texts to choose from; arrays of one length."""

    ids: NDArray[np.uint64]
    """Of the normal forms; of equal ones the best stays."""
    distances: Floats
    """From the best score; smaller is better, and equal ones go by their ids."""
    set_apart: NDArray[np.bool_]
    """True where a person must read the text."""
    read: Callable[[int], str]
    """Number → text."""


def choose(
    contenders: Contenders,
    settings: FilterSettings,
    count: int,
    prefixes: Sequence[str] = (),
    on_kept: Callable[[int], object] = lambda n: None,
) -> Choice:
    """Choose up to `count` texts, the best first.

    Args:
        prefixes: what texts were made to start with; their openings come after it.
        on_kept: called with the number of texts newly kept.
    """
    normal_prefixes = [normal_form(prefix) for prefix in prefixes if prefix]
    starts = sorted((p if is_unspaced(p[-1:]) else f"{p} " for p in normal_prefixes), key=len, reverse=True)
    choice, openings = Choice(np.full(len(contenders.ids), SPARE, np.uint8)), Counter[str]()
    most = max(1, round(settings.opening_share * count)) if "opening" not in settings.skip else len(contenders.ids)
    keeper = NearDuplicates(settings.near_ratio if "near-duplicate" not in settings.skip else 101)
    order = np.lexsort((contenders.ids, contenders.distances))
    if "duplicate" not in settings.skip:
        _, firsts = np.unique(contenders.ids[order], return_index=True)
        again = np.ones(len(order), bool)
        again[firsts] = False
        choice.verdicts[order[again]] = DUPLICATE
        order = order[~again]
    kept = 0
    for at in range(0, len(order), GENERATION):
        numbers = order[at : at + GENERATION].tolist()
        normals = [normal_form(contenders.read(number)) for number in numbers]
        for number, normal, relative in zip(numbers, normals, keeper.offer(normals), strict=True):
            start = next((start for start in starts if normal.startswith(start)), "")
            opening = text_of_units(units_of(normal.removeprefix(start))[: settings.opening_words])
            if relative:
                choice.verdicts[number], choice.relatives[number] = NEAR, relative
            elif openings[opening] >= most:
                choice.verdicts[number] = OPENING
            else:
                keeper.keep(normal)
                openings[opening] += 1
                choice.verdicts[number] = SET_APART if contenders.set_apart[number] else KEPT
                if choice.verdicts[number] == KEPT:
                    kept += 1
                    on_kept(1)
                if kept == count:
                    return choice
    return choice


class Chooser:
    """Chooses the pool from a file's candidates that passed. The base model's scores are remembered, so that choosing
    again, from more of them, is cheap."""

    def __init__(self, path: Path, judging: Judging) -> None:
        self.path, self.judging = path, judging
        self.base_scores: dict[int, float] = {}
        """By a text's id."""

    def choose(self, passed: Passed) -> Choice:
        """The best texts of those that passed. Texts out of the band under either model get that verdict."""
        bot, band = self.judging.bot, self.judging.band
        with self.path.open("rb") as file:

            def read(number: int) -> str:
                return read_text(file, int(passed.offsets[number]))

            distances, stray = np.zeros(len(passed)), np.zeros(len(passed), bool)
            if band:
                distances, stray = self._ranked(passed, band, read)
            inside = np.flatnonzero(~stray)
            contenders = Contenders(
                passed.ids[inside],
                distances[inside],
                passed.names[inside] > 0,
                lambda number: read(int(inside[number])),
            )
            with progress.bar(bot.count, "chosen", "text", delay=2, leave=False) as bar:
                chosen = choose(contenders, bot.filter, bot.count, bot.sample.prefixes, bar.update)
        verdicts = np.full(len(passed), BAND, np.uint8)
        verdicts[inside] = chosen.verdicts
        return Choice(verdicts, {int(inside[number]): relative for number, relative in chosen.relatives.items()})

    def _ranked(self, passed: Passed, band: Band, read: Callable[[int], str]) -> tuple[Floats, NDArray[np.bool_]]:
        """(how far each text is from the best score, whether it is out of the band)."""
        judging = self.judging
        logprobs = passed.logprobs.astype(np.float64)
        stray = np.zeros(len(passed), bool)
        if judging.model and (missing := np.flatnonzero(np.isnan(logprobs))).size:
            logprobs[missing] = text_scores(judging.model, [read(number) for number in missing.tolist()])
            stray[missing] = [band.objection(value) is not None for value in logprobs[missing].tolist()]
        logprobs = np.nan_to_num(logprobs, nan=band.aim)
        hard = hardness(passed.hardest.astype(np.float64))
        distances = band.distance(logprobs) + hard
        if judging.base and band.ratio:
            first = np.lexsort((passed.ids, distances))[: math.ceil(SHORTLIST * judging.bot.count)]
            ids = passed.ids[first].tolist()
            new = [place for place, id in enumerate(ids) if id not in self.base_scores]
            if new:
                scores = text_scores(judging.base, [read(number) for number in first[new].tolist()])
                self.base_scores.update(zip((ids[place] for place in new), scores.tolist(), strict=True))
            base = np.array([self.base_scores[id] for id in ids])
            # Texts that the base model has not scored come last.
            distances += 1000
            distances[first] = band.distance(logprobs[first], base) + hard[first]
            stray[first] |= band.out_of_style(logprobs[first], base)
        return distances, stray
