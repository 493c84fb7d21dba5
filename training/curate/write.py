"""What was chosen → RUN/pool.jsonl and RUN/review.jsonl, and the last lines of RUN/verdicts.jsonl.

pool.jsonl: a `Record` a line, shuffled; review.jsonl: the same for the texts set apart, with "names".
"""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO, TypedDict, TypeVar

import numpy as np
from rapidfuzz import fuzz, process

from training.common import jsonl
from training.common.text import normal_form, text_id
from training.curate.choose import GENERATION, KEPT, NEAR, SET_APART, VERDICTS, Chosen
from training.judge.blocks import read_candidate, verdict_lines
from training.judge.judge import Judging, Verdict
from training.judge.likeness import LikenessIndex
from training.judge.rule import Context
from training.judge.rules import CHOSEN, glosses, names_of
from training.settings import FilterSettings

T = TypeVar("T")

EXACT = 200_000_000
"""Up to this many comparisons, the nearest original is sought among all: half a minute on two cores."""
LONG, RARE = 8, 0.01
"""Rows of a table, and the share of the texts below which a longer one has no row for a rule."""
ALLOWED = ("link", "mention", "hashtag", "cashtag")
"""Rules that the posting function checks again; records made without one of them say so."""


class Record(TypedDict):
    """A line of pool.jsonl."""

    id: str
    """First 16 hex digits of the BLAKE2b of the normal form."""
    text: str
    score: float
    """Mean log-probability, nats a token; 0 if unknown."""
    nearest: str
    """The most similar text of the corpus."""
    nearest_ratio: float
    """rapidfuzz's, 0 to 100."""


class NotedRecord(Record, total=False):
    """A record with its optional fields."""

    allow: list[str]
    """The skipped rules that the function would check."""
    names: str
    """In review.jsonl: why a person must read the text."""
    round: int
    """In review.jsonl: which of the run's rounds has made it, from the second on."""


@dataclass(frozen=True)
class Filtered:
    """What became of a file of candidates."""

    counts: Counter[str]
    """Of each verdict: a rule's name, "kept" or "spare"."""
    candidates: int
    tokens: int
    left_out: int
    """Candidates that were given up by other stop rules, and are not counted."""

    @property
    def kept(self) -> int:
        return self.counts["kept"]

    @property
    def set_apart(self) -> int:
        return self.counts["set-apart"]

    def table(self, settings: FilterSettings) -> str:
        """How many candidates each rule rejected, in the order in which they are asked; rules that took hardly any are
        counted together where the table would be long."""
        total = sum(self.counts.values())
        names = [name for name in (*names_of(settings), *reversed(CHOSEN)) if self.counts[name]]
        few = [name for name in names if self.counts[name] < RARE * total and name not in (*CHOSEN, "set-apart")]
        few *= len(names) > LONG and len(few) > 1

        def row(name: str, count: int, gloss: str) -> str:
            return f"  {name:<16}{count:>10,}{count / total:>8.1%}  {gloss}".rstrip()

        gloss = glosses()
        rows = [row(name, self.counts[name], gloss.get(name, "")) for name in names if name not in few]
        if few:
            others = row(f"{len(few)} more rules", sum(self.counts[name] for name in few), f"less than {RARE:.0%} each")
            rows.insert(len(rows) - sum(name in CHOSEN for name in names), others)
        return "\n".join([f"  {'rule':<16}{'texts':>10}{'share':>8}", *rows, f"  {'all':<16}{total or 1:>10,}"])


def write(
    chosen: Chosen, judging: Judging, pool: Path, verdicts: TextIO, number: int = 1, waiting: Sequence[Any] = ()
) -> Filtered:
    """Write the pool, the texts for review beside it, and the verdicts on all that passed.

    Args:
        number: the run's round, from 1.
        waiting: records for review of earlier rounds, which stay.
    """
    again = {"round": number} if number > 1 else {}
    names = ["", *Context(judging.bot.filter).names.numbers]
    some: dict[int, list[tuple[str, float, str]]] = {KEPT: [], SET_APART: []}
    """(text, score, name for which it is set apart)."""
    passed, choice, tally = chosen.passed, chosen.choice, chosen.tally
    with chosen.candidates.open("rb") as file:
        for number, code in enumerate(choice.verdicts.tolist()):
            candidate, detail = read_candidate(file, int(passed.offsets[number])), ""
            if code == NEAR:
                relative = choice.relatives[number]
                detail = f"{relative.ratio:.1f} {relative.text}"
            elif code == SET_APART:
                detail = names[passed.names[number]]
            if code in some:
                score = 0.0 if math.isnan(candidate.logprob) else candidate.logprob
                some[code].append((candidate.text.strip(), score, detail))
            verdicts.write(verdict_lines([Verdict(candidate.text, VERDICTS[code], detail)]))
    for path, code in ((pool, KEPT), (review_file(pool), SET_APART)):
        rows = shuffled(some.pop(code), judging.bot.sample.seed)
        texts, scores = [text for text, _, _ in rows], [score for _, score, _ in rows]
        made = records(texts, scores, judging.reference.corpus, judging.bot.filter.skip)
        noted = ({**r, "names": name, **again} if name else r for r, (_, _, name) in zip(made, rows, strict=True))
        jsonl.write(path, itertools.chain(waiting if code == SET_APART else (), noted))
    return Filtered(tally.counts + choice.counts(), tally.candidates, tally.tokens, tally.left_out)


def review_file(pool: Path) -> Path:
    """The file for the review texts that were chosen with `pool`."""
    return pool.with_name("review.jsonl" if pool.name == "pool.jsonl" else f"{pool.stem}.review.jsonl")


def records(
    texts: Sequence[str], scores: Sequence[float], corpus: Sequence[str], skip: Collection[str] = ()
) -> Iterator[NotedRecord]:
    """Pool records of some texts, in their order. `skip`: the rules that were not asked."""
    allowed = [name for name in ALLOWED if name in skip]
    for text, score, (nearest, ratio) in zip(texts, scores, nearest_originals(texts, corpus), strict=True):
        record: NotedRecord = {
            "id": text_id(text),
            "text": text,
            "score": round(score, 4),
            "nearest": nearest,
            "nearest_ratio": ratio,
        }
        yield {**record, "allow": allowed} if allowed else record


def nearest_originals(texts: Sequence[str], corpus: Sequence[str]) -> list[tuple[str, float]]:
    """For each text the most similar one of the corpus, and its rapidfuzz ratio.

    With a large corpus only those are compared that share a rare run of three words; a text that shares none has no
    nearest, and ratio 0.
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


def shuffled(items: Iterable[T], seed: int) -> list[T]:
    """Shuffled, so that the order says nothing about how good the texts are or how they came."""
    order = list(items)
    random.Random(seed).shuffle(order)
    return order
