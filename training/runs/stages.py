"""The whole line, stage by stage, for one bot: what `deepproverbs run` and `demo` do.

Each function is one stage with its say; a stage that is done for the same inputs and settings is
skipped. Only the command line stands after this file.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TextIO

from training.common.errors import DeepproverbsError, WrongUse
from training.common.files import part_file
from training.common.manifest import Manifest, key_of
from training.common.paths import MODELS, ROOT
from training.common.progress import Progress, Say
from training.corpus import build as corpus
from training.corpus.read import load_corpus
from training.corpus.tokenizer import load_tokenizer
from training.curate.choose import KEPT, Choice
from training.judge.band import measure
from training.judge.blocks import Case, Judged, Passed, judge_some, screened, verdict_lines
from training.judge.early import stop_rules
from training.judge.judge import Screen
from training.judge.rules import Context, Text, characters
from training.model import base as base_model
from training.model import convert, finetune, score
from training.model.converted import Converted
from training.runs import filter_file
from training.sample.candidates import Candidate, Candidates
from training.sample.draw import sample
from training.sample.plan import choose_plan, make_engine
from training.sample.stop_rules import StopRules
from training.settings import Bot, plain

HANDFUL = 256
"""New candidates that are judged at a time."""


def prepare(bot: Bot, say: Say = print) -> None:
    """Let the bot write its corpus and references when one of them is missing."""
    files = [bot.corpus_file, *bot.reference_files]
    missing = [path for path in files if not path.exists()]
    if missing and bot.corpus.prepare:
        script = bot.folder / bot.corpus.prepare
        if not script.exists():
            raise DeepproverbsError(f"{script} is missing; [corpus] prepare names it.")
        result = subprocess.run(
            [sys.executable, str(script), str(bot.folder)],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        if result.returncode:
            last = (result.stderr.strip().splitlines() or ["no message"])[-1]
            raise DeepproverbsError(f"{script} failed: {last}")
        for line in result.stdout.splitlines():
            say(f"Prepared {line}.")
        missing = [path for path in files if not path.exists()]
    if missing:
        raise DeepproverbsError(f"{missing[0]} is missing; put your texts there, or name them in [corpus] file.")


def build_corpus(bot: Bot, files: list[Path], out: Path, tokenizer_folder: Path, say: Say = print) -> corpus.Counts:
    """`corpus`: count, split and encode into `out`."""
    manifest, key = Manifest(out), key_of(plain(bot.corpus), *files, tokenizer_folder / "encoder.json")
    if manifest.done("corpus", key, out / "corpus.txt", out / "corpus.npz"):
        counts = corpus.Counts(**manifest.stages["corpus"]["counts"])
    else:
        started = time.monotonic()
        counts = corpus.build(files, out, bot.corpus, load_tokenizer(tokenizer_folder))
        manifest.record("corpus", key, plain(bot.corpus), started, counts=asdict(counts), files=files)
    say(
        f"Corpus: {counts.texts:,} texts ({counts.duplicates} duplicates dropped), {counts.words:,} words, "
        f"{counts.tokens:,} tokens; median {counts.length_median}, 90 % up to {counts.length_p90}, longest "
        f"{counts.longest} tokens; {counts.held_out_texts} texts held out."
    )
    return counts


def sample_and_filter(
    bot: Bot, run: Path, model: Path, history: list[str], say: Say = print, base: Path | None = None
) -> Path:
    """Sample until enough texts passed to choose from, or the budget is spent; write verdicts and pool.jsonl.

    `base`: the converted base model, for a second opinion on each text.
    """
    manifest, pool, verdicts = Manifest(run), run / "pool.jsonl", run / "verdicts.jsonl"
    store = Candidates(run, model, bot.sample)
    own = [bot.folder / name.partition(":")[0] for name in bot.filter.own]
    inputs = [run / "corpus.txt", *bot.reference_files, *(path for path in own if path.exists())]
    key = key_of([store.key, plain(bot.filter), bot.count, bot.sample.budget, bot.pool, base is not None], *inputs)
    if manifest.done("filter", key, pool, verdicts):
        say(f"Pool: already done ({pool}); for more texts raise --count.")
        return pool
    for prefix in bot.sample.prefixes:
        plain_context = Context(bot.filter, frozenset(bot.filter.characters))
        if "characters" not in bot.filter.skip and (reason := characters(Text(prefix), plain_context)):
            raise WrongUse(
                f"No text that starts with {prefix!r} can pass: it {reason}, which [filter] characters does not allow."
            )
    started = time.monotonic()
    texts = load_corpus(run / "corpus.txt")
    band = measure(bot.filter, model, run / "corpus.npz", base)
    case = Case(bot.filter, texts + references(bot), history, bot.folder, band, "")
    screen = case.screen()
    rules = stop_rules(screen) if bot.sample.early_stop else None
    case = replace(case, rules=rules.id if rules else "")
    curator = filter_file.Curator(store.path, bot.filter, bot.count, band, model, base, bot.sample.prefixes)
    with part_file(verdicts) as out:
        total, passed, choice = _enough(Source(store, model, bot, run, rules), case, screen, curator, out)
        apart = curator.write(passed, choice, texts, bot.sample.seed, screen, pool, out)
    kept = len(choice.numbers(KEPT))
    total.counts.update(choice.counts())
    say(filter_file.table(total.counts, bot.filter))
    if band and total.counts["band"] > total.candidates / 2:
        say(
            f"Most candidates are far more or less probable than real texts ({band.logprob.mean:.2f} nats a token): "
            'the model has not learnt them yet. Raise [finetune] epochs; or put "band" into [filter] skip.'
        )
    if kept < bot.count:
        say(f"The budget of {budget_of(bot):,} candidates is spent: {kept:,} of {bot.count:,} texts kept.")
    if not kept:
        raise DeepproverbsError(
            f"No text passed the filters; see {verdicts} for the reasons, or widen [filter] in the bot's settings."
        )
    manifest.record(
        "filter",
        key,
        plain(bot.filter),
        started,
        candidates=total.candidates,
        tokens=total.tokens,
        kept=kept,
        review=apart,
        band=asdict(band) if band else None,
        verdicts=dict(total.counts),
    )
    say(f"Pool: {kept:,} texts in {pool}.")
    if apart:
        say(f"{apart:,} more name a people or a religion: `deepproverbs review --run {run}` shows them to you.")
    return pool


@dataclass
class Source:
    """Candidates of a run, judged: those that are in its file, then new ones."""

    store: Candidates
    model: Path
    bot: Bot
    run: Path
    rules: StopRules | None

    def judged(self, case: Case, screen: Screen, say: Say) -> Generator[tuple[Judged, str, bool], None, None]:
        """Yield (what some candidates came to, verdicts on the rejected ones, whether they are new), without end
        until the budget is spent."""
        left = budget_of(self.bot)
        for piece, lines, _ in screened(self.store.path, case, self.store.recover(left)):
            left -= piece.candidates
            yield piece, lines, False
        some: list[Candidate] = []
        offsets: list[int] = []
        with closing(self.fresh(say)) as batches:
            for batch in batches:
                offsets += self.store.append(batch)
                some += batch
                if len(some) >= min(HANDFUL, left):
                    piece, rejected = judge_some(screen, case.rules, some[:left], offsets[:left])
                    left -= piece.candidates
                    some, offsets = [], []
                    yield piece, verdict_lines(rejected), True

    def fresh(self, say: Say) -> Generator[list[Candidate], None, None]:
        """New candidates, not yet written, without end."""
        converted = Converted(self.model)
        plan = choose_plan(converted, self.bot.sample, say)
        engine = make_engine(plan, converted, self.bot.sample, self.rules, self.run)
        say(f"Sampling: {engine.about}.")
        rules = self.rules.id if self.rules else ""
        with closing(sample(engine, converted, self.bot.sample, self.store.count, rules)) as batches:
            yield from batches


def budget_of(bot: Bot) -> int:
    return bot.sample.budget or 20 * bot.count


def _enough(
    source: Source, case: Case, screen: Screen, curator: filter_file.Curator, out: TextIO
) -> tuple[Judged, Passed, Choice]:
    """Judge what is there and sample on, until the pool can be chosen or the budget is spent.

    The pool is chosen from the first so many candidates that passed, and their order is that of their numbers: a
    run that was killed and went on chooses from the same ones.
    """
    bot, total = source.bot, Judged()
    wanted, budget = math.ceil(bot.count * bot.filter.choose_from), budget_of(bot)
    with Progress(wanted, "passed") as progress, closing(source.judged(case, screen, progress.say)) as pieces:
        while True:
            while (passed := total.first(wanted)) is None and total.candidates < budget:
                piece, lines, fresh = next(pieces)
                out.write(lines)
                total.add(piece)
                progress.update(total.count_passed, *((piece.candidates, piece.tokens) if fresh else ()))
            passed = passed or Passed.joined(total.passed)
            choice = curator.choose(passed)
            missing = bot.count - len(choice.numbers(KEPT))
            if missing <= 0 or total.candidates >= budget:
                return total, passed, choice
            # At least some per cent more: choosing anew costs as much as it did.
            wanted += math.ceil(max(missing * bot.filter.choose_from, wanted / 20))
            progress.want(wanted)


def references(bot: Bot) -> list[str]:
    """The texts beside the corpus that nothing in the pool may copy."""
    return [text for path in bot.reference_files for text in load_corpus(path)]


def sample_only(bot: Bot, run: Path, model: Path, count: int, say: Say = print) -> Path:
    """`sample`: at least `count` candidates in candidates.jsonl, no filter."""
    store = Candidates(run, model, bot.sample)
    store.recover()
    with Progress(count, "sampled") as progress:
        progress.update(store.count)
        if store.count < count:
            with closing(Source(store, model, bot, run, None).fresh(progress.say)) as batches:
                for batch in batches:
                    store.append(batch)
                    progress.update(store.count, len(batch), sum(candidate.tokens for candidate in batch))
                    if store.count >= count:
                        break
    say(f"{store.count:,} candidates in {store.path}.")
    return store.path


def convert_model(bot: Bot, run: Path, checkpoint: Path, say: Say = print) -> Path:
    """`convert`: the checkpoint, without the tokens that neither the run's corpus, its references nor the model
    need."""
    originals: list[str] = []
    if bot.sample.vocabulary != "full":
        originals = load_corpus(run / "corpus.txt") + references(bot)
    return convert.convert(run, checkpoint, say, originals, bot.sample)


def train(bot: Bot, run: Path, say: Say = print) -> tuple[Path, Path | None]:
    """`corpus`, `base`, `finetune`, `convert`: everything up to a model. Returns its folder, and that of the base
    model in the same form, unless the filters want no second opinion."""
    prepare(bot, say)
    base = base_model.locate(bot.model, MODELS)
    build_corpus(bot, [bot.corpus_file], run, base.folder, say)
    checkpoint = finetune.finetune(run, base, bot.finetune, say)
    model = convert_model(bot, run, checkpoint, say)
    p = score.precision(model, run / "corpus.npz")
    say(
        f"{p.compute_type}: held-out loss {p.loss:.3f}, float32 {p.loss_float32:.3f}; a token's log-probability "
        f"differs by {p.mean_difference:.4f} in the mean."
    )
    wanted = bot.filter.ratio and "band" not in bot.filter.skip
    return model, convert.convert_base(run, base.folder, model) if wanted else None
