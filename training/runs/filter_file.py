"""Candidates that passed the screen → RUN/pool.jsonl and RUN/review.jsonl, and the last of the verdicts.

What `deepproverbs run` does after sampling, and `deepproverbs filter` with any file.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, TextIO

import numpy as np
from tqdm import tqdm

from training.common.files import part_file
from training.corpus.read import read_texts
from training.curate import choose as curate
from training.curate.choose import KEPT, NEAR, SET_APART, VERDICTS, Choice
from training.judge import rates
from training.judge.band import Band
from training.judge.blocks import Case, Judged, Passed, candidate_of, read_at, screened, text_at, verdict_lines
from training.judge.early import stop_rules
from training.judge.judge import Screen, Verdict, order_of
from training.model.score import Floats
from training.sample.candidates import Candidate
from training.settings import Bot, FilterSettings

SHORTLIST = 1.5
"""Of so many texts for each that is wanted, the best by the fine-tuned model, the base model's opinion is asked: it
costs as much as sampling them."""


@dataclass
class Curator:
    """Chooses the pool from a candidate file.

    `model`: scores what came without a log-probability. `base`: the converted base model; scores under it are
    remembered, so that choosing again is cheap. `prefixes`: what the texts were made to start with.
    """

    path: Path
    settings: FilterSettings
    count: int
    band: Band | None = None
    model: Path | None = None
    base: Path | None = None
    prefixes: Sequence[str] = ()
    known: dict[int, float] = field(default_factory=dict)

    def choose(self, passed: Passed) -> Choice:
        """The best texts of those that passed."""
        with self.path.open("rb") as file:

            def read(number: int) -> str:
                return text_at(file, int(passed.offsets[number]))

            distances = np.zeros(len(passed))
            stray = np.zeros(len(passed), bool)
            if self.band:
                logprobs = passed.logprobs.astype(np.float64)
                if self.model and (missing := np.flatnonzero(np.isnan(logprobs))).size:
                    logprobs[missing] = self._scores(self.model, [read(number) for number in missing.tolist()])
                    stray[missing] = [self.band.objection(value) is not None for value in logprobs[missing].tolist()]
                logprobs = np.nan_to_num(logprobs, nan=self.band.aim)
                distances = self.band.distance(logprobs)
                if self.base and self.band.ratio:
                    first = np.lexsort((passed.ids, distances))[: math.ceil(SHORTLIST * self.count)]
                    scores = self._base_scores(passed, first.tolist(), file)
                    # The others come after those that both models have seen.
                    distances += 1000
                    distances[first] = self.band.distance(logprobs[first], scores)
                    stray[first] |= self.band.out_of_style(logprobs[first], scores)
            inside = np.flatnonzero(~stray)
            with tqdm(total=self.count, unit="text", desc="chosen", delay=2, mininterval=1.0, leave=False) as bar:
                chosen = curate.choose(
                    passed.ids[inside],
                    distances[inside],
                    passed.apart[inside],
                    lambda number: read(int(inside[number])),
                    self.settings,
                    self.count,
                    bar.update,
                    self.prefixes,
                )
        choice = Choice(np.full(len(passed), curate.BAND, np.uint8))
        choice.verdicts[inside] = chosen.verdicts
        choice.relatives = {int(inside[number]): relative for number, relative in chosen.relatives.items()}
        return choice

    def _scores(self, model: Path, texts: list[str]) -> Floats:
        from training.model.score import text_scores

        return text_scores(model, texts)

    def _base_scores(self, passed: Passed, numbers: list[int], file: BinaryIO) -> Floats:
        assert self.base is not None
        new = [number for number in numbers if int(passed.ids[number]) not in self.known]
        texts = [text_at(file, int(passed.offsets[number])) for number in new]
        if new:
            for number, score in zip(new, self._scores(self.base, texts).tolist(), strict=True):
                self.known[int(passed.ids[number])] = score
        return np.array([self.known[int(passed.ids[number])] for number in numbers])

    def write(
        self, passed: Passed, choice: Choice, corpus: Sequence[str], seed: int, screen: Screen, pool: Path, out: TextIO
    ) -> int:
        """Write the pool, the texts for review beside it, and the verdicts on all that passed. Returns the number of
        texts for review."""
        with self.path.open("rb") as file:

            def read(number: int) -> Candidate:
                return read_at(file, int(passed.offsets[number]))

            def records(numbers: list[int]) -> Iterator[dict[str, object]]:
                some = [read(number) for number in curate.shuffled(numbers, seed)]
                scores = [0.0 if math.isnan(c.logprob) else c.logprob for c in some]
                return curate.records([c.text.strip() for c in some], scores, corpus, self.settings.skip)

            curate.write_records(pool, records(choice.numbers(KEPT)))
            apart = choice.numbers(SET_APART)
            curate.write_records(
                review_file(pool),
                ({**record, "names": screen.names_in(str(record["text"]))} for record in records(apart)),
            )
            for number, code in enumerate(choice.verdicts.tolist()):
                text, detail = text_at(file, int(passed.offsets[number])), ""
                if code == NEAR:
                    relative = choice.relatives[number]
                    detail = f"{relative.ratio:.1f} {relative.text}"
                elif code == SET_APART:
                    detail = screen.names_in(text)
                out.write(verdict_lines([Verdict(text, VERDICTS[code], detail)]))
        return len(apart)


def review_file(pool: Path) -> Path:
    """Where the texts for review go that were chosen with `pool`."""
    return pool.with_name("review.jsonl" if pool.name == "pool.jsonl" else f"{pool.stem}.review.jsonl")


def table(counts: Counter[str], settings: FilterSettings) -> str:
    """How many candidates each rule rejected, in the order in which they are asked."""
    total = sum(counts.values()) or 1
    names = dict.fromkeys([*order_of(settings), "spare", "kept"])
    rows = [f"  {name:<16}{counts[name]:>10,}{counts[name] / total:>8.1%}" for name in names if counts[name]]
    return "\n".join([f"  {'verdict':<16}{'texts':>10}{'share':>8}", *rows, f"  {'all':<16}{total:>10,}"])


@contextmanager
def as_candidates(path: Path) -> Iterator[Path]:
    """A file of candidates: `path` itself if it is JSONL, else its texts as such a file, which is deleted after use."""
    if path.suffix == ".jsonl":
        if not path.exists() or not path.stat().st_size:
            next(read_texts(path))  # says what is wrong
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        part = Path(folder) / "candidates.jsonl"
        with part.open("w", encoding="utf-8") as file:
            for text in read_texts(path):
                if text.strip():
                    file.write(json.dumps({"text": text.strip()}, ensure_ascii=False) + "\n")
        yield part


@dataclass(frozen=True)
class Files:
    """What `filter` reads and writes."""

    candidates: Path
    out: Path
    verdicts: Path


def filter_file(
    files: Files,
    texts: Sequence[str],
    bot: Bot,
    history: Iterable[str] = (),
    band: Band | None = None,
    model: Path | None = None,
    base: Path | None = None,
    workers: int = 0,
    references: Sequence[str] = (),
) -> tuple[int, int, Judged]:
    """`filter`: judge a file of candidates ({"text"} a line at least) by itself and choose from all of them.

    `texts`: the corpus, among which the nearest to each kept text is looked for; nothing may copy it, nor the
    `references`.

    Returns (texts in the pool, texts for review, what became of the candidates).
    """
    originals = [*texts, *references]
    case = Case(bot.filter, originals, list(history), bot.folder, band, "")
    screen = case.screen()
    case = Case(bot.filter, originals, case.history, bot.folder, band, stop_rules(screen).id)
    with as_candidates(files.candidates) as path, part_file(files.verdicts) as out:
        size = path.stat().st_size
        with tqdm(total=size, unit="B", unit_scale=True, desc="judged", mininterval=1.0) as bar:
            judged = Judged()
            for piece, lines, length in screened(path, case, size, workers):
                judged.add(piece)
                out.write(lines)
                bar.update(length)
        passed = Passed.joined(judged.passed)
        curator = Curator(path, bot.filter, bot.count, band, model, base, bot.sample.prefixes)
        choice = curator.choose(passed)
        apart = curator.write(passed, choice, texts, bot.sample.seed, screen, files.out, out)
    judged.counts.update(choice.counts())
    return len(choice.numbers(KEPT)), apart, judged


def calibrate(
    candidates: Path,
    texts: Sequence[str],
    references: Sequence[str],
    bot: Bot,
    band: Band | None,
    held_out: Sequence[float] = (),
) -> str:
    """How often each rule rejects people (the corpus, leave one out) and candidates, as a table.

    `held_out`: log-probabilities of the held-out texts, of which the band is asked.
    """
    originals = [*texts, *references]
    screen = Screen(bot.filter, originals, (), bot.folder, band)
    with as_candidates(candidates) as path, path.open("rb") as file:
        machine = rates.machine(screen, (candidate_of(line) for line in file if line.strip()))
    return rates.table(
        {"real texts": rates.people(screen, originals, len(texts), held_out), "candidates": machine}, screen
    )
