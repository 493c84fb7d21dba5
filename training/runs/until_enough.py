"""Sampling and filtering, until the pool is full or the budget is spent.

In:  RUN/model/, RUN/base/, RUN/corpus.txt, RUN/corpus.npz, and what there is of RUN/candidates.jsonl.
Out: RUN/candidates.jsonl, of all rounds (rounds.py); RUN/verdicts.jsonl and RUN/pool.jsonl, of this one;
     RUN/review.jsonl, of all.
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TextIO

from training.common import jsonl
from training.common.errors import DeepproverbsError, WrongUse
from training.common.files import part_file
from training.common.manifest import Manifest, key_of
from training.common.progress import Progress, Say, details, step
from training.common.text import indented
from training.curate.choose import KEPT, SET_APART, Chooser, Chosen
from training.curate.decisions import Decisions
from training.curate.write import Filtered, review_file, write
from training.judge import base_like
from training.judge.band import measure
from training.judge.blocks import Judged, Tally, judge_file, judge_some
from training.judge.judge import Judge, Judging
from training.judge.own import own_files
from training.judge.rule import Context, Text
from training.judge.rules import characters
from training.runs import owner, rounds, stages
from training.runs.diagnosis import ASKED, LOOK, Diagnosis
from training.runs.rounds import next_round
from training.sample.candidates import Candidate, Candidates
from training.sample.stop_rules import StopRules
from training.settings import Bot, plain

BATCH = 256
"""New candidates that are judged at a time."""


class AllApart(DeepproverbsError):
    """Every text is to be read first: pool.jsonl is empty, review.jsonl is not."""


def sample_and_filter(
    bot: Bot,
    run: Path,
    model: Path,
    history: list[str],
    say: Say = print,
    base: Path | None = None,
    more: bool = True,
    examples: int = 0,
) -> Path:
    """Sample until enough texts have passed to choose from, or the budget is spent; write verdicts and pool.jsonl.

    Args:
        base: the converted base model, for a second opinion on each text.
        more: after a round whose texts are in the pool, do another, even with the same settings.
        examples: so many of the chosen texts are shown.

    Raises:
        DeepproverbsError: no text passed.
        AllApart: those that did are to be read first.
    """
    manifest, pool, verdicts = Manifest(run, say), run / "pool.jsonl", run / "verdicts.jsonl"
    review = review_file(pool)
    store = Candidates(run, model, bot.sample, say)
    inputs = [run / "corpus.txt", *bot.reference_files, *own_files(bot.filter, bot.folder)]
    key = key_of([store.key, plain(bot.filter), bot.count, bot.sample.budget, bot.pool, base is not None], *inputs)
    judged = key_of([store.key, plain(bot.filter), base is not None], *inputs)
    manifest.keep(rounds.STAGE, review)  # texts of earlier rounds are in no other file
    this = next_round(manifest, key, judged, more, pool, verdicts, review)
    if this.done:
        say(f"Pool: already done ({pool}).")
        return pool
    if this.number > 1:
        say(f"Earlier texts of this run are in the pool: {bot.count:,} more, from candidate {this.first:,} on.")
    waiting = rounds.waiting(review, this.number)
    if this.filled:  # its texts were filled in, and are no reason to choose others
        own = rounds.texts_of(bot.pool, this.filled)
        history = [text for text in history if text not in own]
    history = [*history, *(record["text"] for record in waiting), *Decisions(run).gone()]
    check_prefixes(bot)
    started = time.monotonic()
    with step("Reading your own texts with the model"):
        band = measure(bot.filter, model, run / "corpus.npz", base)
        second = base_like.measure(bot.filter, model, run / "corpus.npz", base)
    judging = Judging(bot, stages.reference_of(bot, run, history), band, model, base, second)
    with step("Getting the rules ready"):
        judge = judging.judge()
    if notice := judge.context.names.notice:
        say(notice)
    rules = judge.stop_rules() if bot.sample.early_stop else None
    judging = replace(judging, stop_id=rules.id if rules else "")
    with part_file(verdicts) as out:
        source = Source(store, run, judging, judge, rules, this.first)
        chosen = until_enough(source, out)
        with step("Writing down what was chosen"):
            filtered = write(chosen, judging, pool, out, this.number, waiting)
    _say_examples(pool, examples, filtered.kept, say)
    _say_result(filtered, judging, run, say)
    if not filtered.kept and not filtered.set_apart:
        raise DeepproverbsError(
            f"No text passed the filters; {Diagnosis(bot, run).main_reason(filtered.counts, filtered.candidates)} "
            f"(see {verdicts} for the reasons)."
        )
    manifest.record(
        "filter",
        key,
        plain(bot.filter),
        started,
        [pool, verdicts, review],
        judged=judged,
        round=this.number,
        first=this.first,
        used=rounds.used(chosen, this.first, filtered.candidates >= budget_of(bot)),
        candidates=filtered.candidates,
        tokens=filtered.tokens,
        kept=filtered.kept,
        review=filtered.set_apart,
        band=asdict(band) if band else None,
        verdicts=dict(filtered.counts),
        **({"filled": this.filled} if this.filled else {}),
    )
    manifest.keep(rounds.STAGE, review)
    details(say)(f"Pool: {filtered.kept:,} texts in {pool}.")
    if filtered.set_apart:
        is_, it = ("is", "it") if filtered.set_apart == 1 else ("are", "them")
        say(f"{filtered.set_apart:,} more {is_} to be read first: `{owner.command('review', run)}` shows {it} to you.")
    if not filtered.kept:
        raise AllApart("Every text of this run is to be read first: those that you approve go into the pool.")
    return pool


def check_prefixes(bot: Bot) -> None:
    """
    Raises:
        WrongUse: no text that starts with one of the prefixes can pass.
    """
    context = Context(bot.filter)
    for prefix in bot.sample.prefixes if context.enabled("characters") else ():
        if reason := characters(Text(prefix.replace("\n", " ")), context):
            raise WrongUse(
                f"No text that starts with {prefix!r} can pass: it {reason}, which [filter] characters does not allow."
            )


def budget_of(bot: Bot) -> int:
    """Most candidates that the bot may sample."""
    return bot.budget


@dataclass(frozen=True)
class Source:
    """Judged candidates of a run: those in its file, then new ones."""

    store: Candidates
    run: Path
    judging: Judging
    judge: Judge
    rules: StopRules | None
    first: int = 0
    """The number of the candidate to begin with."""

    def judged(self, say: Say) -> Generator[Judged, None, None]:
        """Yield the results for some candidates at a time, until the budget is spent."""
        bot, stop_id = self.judging.bot, self.judging.stop_id
        left = budget_of(bot)
        stop = self.store.recover(self.first + left)
        start = self.store.begins(self.first)
        for judged in judge_file(self.store.path, self.judging, stop, start=start):
            left -= judged.candidates
            yield judged
        assert self.judging.model
        some: list[Candidate] = []
        offsets: list[int] = []
        with closing(stages.draw(bot, self.run, self.judging.model, self.store.count, self.rules, say)) as batches:
            for batch in batches:
                before = max(0, self.first - self.store.count)  # where the file was damaged, of earlier rounds
                offsets += self.store.append(batch)[before:]
                some += batch[before:]
                # Exactly so many, however they arrived: what is told after LOOK candidates is told of the same ones.
                while left and len(some) >= (size := min(BATCH, left)):
                    judged = judge_some(self.judge, stop_id, some[:size], offsets[:size])
                    left -= judged.candidates
                    some, offsets = some[size:], offsets[size:]
                    yield judged


def until_enough(source: Source, verdicts: TextIO) -> Chosen:
    """Judge what is there and sample more, until the pool can be chosen or the budget is spent.

    The pool is chosen from the first candidates that passed, by number, so a run that was killed and resumed chooses
    from the same ones.
    """
    bot, tally, chooser = source.judging.bot, Tally(), Chooser(source.store.path, source.judging)
    diagnosis, looked = Diagnosis(bot, source.run), False
    # In a language without lists a person reads every text.
    wanted_verdict = SET_APART if source.judge.context.names.unread else KEPT
    wanted, budget = math.ceil(bot.count * bot.filter.choose_from), budget_of(bot)
    with Progress(wanted, "good texts") as progress, closing(source.judged(progress.say)) as found:
        while True:
            while (passed := tally.first(wanted)) is None and tally.candidates < budget:
                judged = next(found)
                verdicts.write(judged.verdicts)
                tally.add(judged)
                progress.update(tally.count_passed, *(() if judged.size else (judged.candidates, judged.tokens)))
                if not looked and tally.candidates >= LOOK:
                    looked = True
                    diagnosis.look(tally, chooser.share_of_base(tally.passed().first(ASKED)), progress.say)
            passed = passed or tally.passed()
            choice = chooser.choose(passed)
            missing = bot.count - len(choice.numbers(wanted_verdict))
            if missing <= 0 or tally.candidates >= budget:
                diagnosis.look(tally, chooser.share_of_base(passed.first(ASKED)), progress.say)
                return Chosen(source.store.path, tally, passed, choice)
            # At least 5 % more: choosing again costs as much as before.
            wanted += math.ceil(max(missing * bot.filter.choose_from, wanted / 20))
            progress.want(wanted)


def _say_examples(pool: Path, count: int, of: int, say: Say) -> None:
    """Some of the new texts: what the writer came for. They are shuffled, so the first ones are as good as any."""
    if texts := [f"  {indented(record['text'], 2)}" for record in islice(jsonl.records(pool), count)]:
        say("\n".join([f"{len(texts)} of the {of:,} new texts:", *texts]) if len(texts) < of else "\n".join(texts))


def _say_result(filtered: Filtered, judging: Judging, run: Path, say: Say) -> None:
    """The table of verdicts, and what a person should change when too few texts passed."""
    bot, band = judging.bot, judging.band
    say(filtered.table(bot.filter))
    if band and filtered.counts["band"] > filtered.candidates / 2:
        say(
            "Most candidates are far more or less probable than real texts "
            f"({band.logprob.mean:.2f} nats a token). A hotter --temperature makes fewer of the more probable ones, "
            "which are nearer to 0, more --epochs fewer of the others; a wider [filter] band takes both."
        )
    if filtered.candidates >= budget_of(bot) and filtered.kept < bot.count:
        say(f"The budget of {budget_of(bot):,} candidates is spent: {filtered.kept:,} of {bot.count:,} texts kept.")
