"""Candidates that passed → which of them make the pool: the best first, no two alike, few openings alike.

The choice depends on texts and scores alone, not on the order of the candidates.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rapidfuzz import fuzz, process

from training.common import progress
from training.common.text import is_unspaced, normal_form, opening_of, units_of
from training.judge.band import Band, hardness
from training.judge.blocks import Passed, Tally, read_text
from training.judge.judge import Judging
from training.judge.likeness import COMMON, FEW, WORD_RUN, LikenessIndex, Relative
from training.judge.names import Names
from training.model.score import Floats, text_scores
from training.settings import FilterSettings

GENERATION = 1024
"""Kept texts between two rebuilds of the index."""
SHORTLIST = 1.5
"""For each wanted text, so many of the best by the fine-tuned model are scored by the base model, too, where it has a
say in which are best: that costs as much as sampling them."""
TRIAL = 200
"""Texts of the choice that are asked first whether they are the base model's own: if none of them is, no more than
1.5 % of all are (with a certainty of 95 %), and the others are not asked."""


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


SPARE, KEPT, SET_APART, DUPLICATE, NEAR, OPENING, BAND, BASE_LIKE = range(8)
VERDICTS = ("spare", "kept", "set-apart", "duplicate", "near-duplicate", "opening", "band", "base-like")
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
    # In a language without lists a person reads every text: these are the wanted ones then.
    wanted = (SET_APART,) if Names(settings).unread else (KEPT,)
    for at in range(0, len(order), GENERATION):
        numbers = order[at : at + GENERATION].tolist()
        normals = [normal_form(contenders.read(number)) for number in numbers]
        for number, normal, relative in zip(numbers, normals, keeper.offer(normals), strict=True):
            start = next((start for start in starts if normal.startswith(start)), "")
            opening = opening_of(normal.removeprefix(start), settings.opening_words)
            if relative:
                choice.verdicts[number], choice.relatives[number] = NEAR, relative
            elif openings[opening] >= most:
                choice.verdicts[number] = OPENING
            else:
                keeper.keep(normal)
                openings[opening] += 1
                choice.verdicts[number] = SET_APART if contenders.set_apart[number] else KEPT
                if choice.verdicts[number] in wanted:
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
        self.found = False
        """Whether any text was the base model's own."""

    def choose(self, passed: Passed) -> Choice:
        """The best texts of those that passed. Texts out of the band under either model get that verdict, and what is
        the base model's own is not chosen."""
        bot, band = self.judging.bot, self.judging.band
        with self.path.open("rb") as file:

            def read(number: int) -> str:
                return read_text(file, int(passed.offsets[number]))

            distances, out = np.zeros(len(passed)), np.zeros(len(passed), np.uint8)
            if band:
                distances, stray = self._ranked(passed, band, read)
                out[stray] = BAND
            while True:
                inside = np.flatnonzero(out == 0)
                contenders = Contenders(
                    passed.ids[inside],
                    distances[inside],
                    passed.names[inside] > 0,
                    partial(lambda numbers, number: read(int(numbers[number])), inside),
                )
                with progress.bar(bot.count, "chosen", "text", delay=2, leave=False) as bar:
                    chosen = choose(contenders, bot.filter, bot.count, bot.sample.prefixes, bar.update)
                taken = inside[np.isin(chosen.verdicts, (KEPT, SET_APART))]
                alike = self.base_like(passed, taken, read)
                if not alike.size:
                    break
                out[alike] = BASE_LIKE
        verdicts = out.copy()
        verdicts[inside] = chosen.verdicts
        return Choice(verdicts, {int(inside[number]): relative for number, relative in chosen.relatives.items()})

    def base_like(self, passed: Passed, numbers: NDArray[np.int64], read: Callable[[int], str]) -> NDArray[np.int64]:
        """Which of these texts are the base model's own: of the first TRIAL, and of all once one was found."""
        rule = self.judging.base_like
        if rule is None or self.judging.base is None:
            return numbers[:0]

        def among(some: NDArray[np.int64]) -> NDArray[np.int64]:
            return some[rule.among(passed.logprobs[some].astype(np.float64), self._under_base(passed, some, read))]

        found = among(numbers if self.found else numbers[:TRIAL])
        if found.size and not self.found:
            self.found, found = True, among(numbers)
        return found

    def share_of_base(self, passed: Passed) -> float:
        """How many of these texts are the base model's own."""
        rule, numbers = self.judging.base_like, np.arange(len(passed))
        if rule is None or self.judging.base is None or not numbers.size:
            return 0.0
        with self.path.open("rb") as file:
            base = self._under_base(passed, numbers, lambda number: read_text(file, int(passed.offsets[number])))
        return float(rule.among(passed.logprobs.astype(np.float64), base).mean())

    def _under_base(self, passed: Passed, numbers: NDArray[np.int64], read: Callable[[int], str]) -> Floats:
        """Log-probability of some texts under the base model, nats a token."""
        assert self.judging.base
        ids = passed.ids[numbers].tolist()
        new = {id: number for id, number in zip(ids, numbers.tolist(), strict=True) if id not in self.base_scores}
        if new:
            scores = text_scores(self.judging.base, [read(number) for number in new.values()])
            self.base_scores.update(zip(new, scores.tolist(), strict=True))
        return np.array([self.base_scores[id] for id in ids])

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
            base = self._under_base(passed, first, read)
            # Texts that the base model has not scored come last.
            distances += 1000
            distances[first] = band.distance(logprobs[first], base) + hard[first]
            stray[first] |= band.out_of_style(logprobs[first], base)
        return distances, stray
