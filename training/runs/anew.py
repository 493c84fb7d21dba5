"""What a person writes in the place of a text, judged as the model's are, and compared with all that was there before.

In:  the corpus, the bot's rules, RUN/review.jsonl, RUN/pool.jsonl, the pool, RUN/decisions.jsonl.
Out: why it may not be published, or its pool record.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from post_tweet.xtext import invalid

from training.common.text import normal_form, text_id
from training.corpus.read import load_built, load_corpus
from training.curate import fill, write
from training.curate.decisions import Decisions
from training.judge.judge import Judge, Reference
from training.judge.likeness import LikenessIndex
from training.judge.rules import PASSED
from training.runs import stages
from training.sample.candidates import Candidate
from training.settings import Bot

APART, POOL = "review.jsonl", "pool.jsonl"
"""The run's texts that are to be read first, and those that were chosen."""


class Known:
    """Texts, found again by likeness."""

    def __init__(self, texts: Iterable[str]) -> None:
        self.texts = {normal_form(text): text for text in texts}
        self.index = LikenessIndex.of(self.texts)

    def add(self, text: str) -> None:
        normal = normal_form(text)
        if normal not in self.texts:
            self.texts[normal] = text
            self.index.add([normal])

    def like(self, text: str, cutoff: float, but: Iterable[str] = ()) -> list[tuple[str, float]]:
        """Texts at least so similar (rapidfuzz's ratio), the most similar first, but for some and the text itself."""
        if cutoff > 100:  # a bot that asks nothing of likeness
            return []
        normal, left_out = normal_form(text), {normal_form(other) for other in but}
        _, numbers, ratios = self.index.likenesses([normal], cutoff)
        found = zip(map(self.index.texts.__getitem__, numbers.tolist()), ratios.tolist(), strict=True)
        kept = [(self.texts[other], round(ratio, 1)) for other, ratio in found if other not in {normal, *left_out}]
        return sorted(kept, key=lambda pair: -pair[1])


@dataclass(frozen=True)
class Objection:
    """Why the bot's rules refuse what a person wrote."""

    rule: str
    detail: str
    reason: str = ""
    """Why there is such a rule."""

    def __str__(self) -> str:
        return f"The rule {self.rule} refuses it: {self.detail}."


class Anew:
    """Judges texts that a person wrote, by all rules of the bot but those about how a text was sampled.

    Raises:
        DeepproverbsError: the corpus, a word list or the pool cannot be read.
    """

    def __init__(self, bot: Bot, run: Path, pool: str, decisions: Decisions) -> None:
        self.bot, self.decisions = bot, decisions
        built = run / "corpus.txt"
        corpus = load_built(built) if built.exists() else load_corpus(bot.corpus_file, bot.corpus)
        self.corpus = corpus
        self.judge = Judge(bot.filter, Reference(corpus, stages.references(bot)), bot.folder)
        self.posted = {text_id(text): text for text in fill.filled(pool)}
        """Every text of the pool, posted or not."""
        self.known = Known(itertools.chain(self.posted.values(), texts_of(run), fill.dropped(pool), decisions.gone()))
        """Those, the run's own, and what people dropped or wrote."""

    def objection(self, text: str, original: str) -> Objection | None:
        """Why `text` must not be published in the place of `original`; None: it may."""
        if odd := invalid(text):
            return Objection("characters", f"it {odd}")
        verdict = self.judge.verdicts([Candidate(text, 0, math.nan, True, 1.0)])[0]
        if verdict.verdict != PASSED:
            rule = next(rule for rule in self.judge.rules if rule.name == verdict.verdict)
            detail = f"“{verdict.detail}”" if rule.comparison else verdict.detail
            return Objection(rule.name, detail, " ".join(rule.reason.split()))
        # The original itself, and what was written in its place before, are no reason.
        own, skip = self.decisions.written(original), self.bot.filter.skip
        if "duplicate" not in skip:
            if (there := self.posted.get(text_id(text))) and there != text:
                marks = "capitals and marks alone tell it from a text that the pool holds; change a word"
                return Objection("duplicate", marks)
            if normal_form(text) in self.known.texts and normal_form(text) not in map(normal_form, own):
                return Objection("duplicate", "it is a text of the pool, or of those to be read")
        near = self.known.like(text, self.bot.filter.near_ratio, own) if "near-duplicate" not in skip else []
        return Objection("near-duplicate", f"it is {near[0][1]:.0f} % like “{near[0][0]}”") if near else None

    def record(self, text: str) -> write.NotedRecord:
        """The pool record of a text that was written anew."""
        return next(write.records([text], [0.0], self.corpus, self.bot.filter.skip))


def texts_of(run: Path) -> Iterator[str]:
    """The run's texts, those set apart and those of the pool."""
    for name in (APART, POOL):
        if (run / name).exists():
            yield from (record["text"] for _, record in fill.pool_records(run / name))
