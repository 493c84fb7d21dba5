"""The whole line, stage by stage, for one bot: what `deepproverbs run` and `demo` do.

Each function is one stage with its say; a stage that is done for the same inputs and settings is
skipped. Only the command line stands after this file.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

from tqdm import tqdm

from training import base_model, calibrate, convert, corpus, curate, finetune
from training.candidates import Candidate, Candidates
from training.config import Bot, plain
from training.converted import Converted
from training.engines import StopRules
from training.errors import DeepproverbsError, WrongUse
from training.filters import KEPT, Judge
from training.filters.early import stop_rules
from training.filters.rules import Context, characters
from training.manifest import Manifest, key_of, write_whole
from training.sample import sample
from training.tf1_process import ROOT

Say = Callable[[str], None]
MODELS = ROOT / "models"
"""Base models, shared by all runs."""


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
        counts = corpus.build(files, out, bot.corpus, corpus.load_tokenizer(tokenizer_folder))
        manifest.record("corpus", key, plain(bot.corpus), started, counts=asdict(counts), files=files)
    say(
        f"Corpus: {counts.texts:,} texts ({counts.duplicates} duplicates dropped), {counts.words:,} words, "
        f"{counts.tokens:,} tokens; median {counts.length_median}, 90 % up to {counts.length_p90}, longest "
        f"{counts.longest} tokens; {counts.held_out_texts} texts held out."
    )
    return counts


def sample_and_filter(bot: Bot, run: Path, model: Path, history: list[str], say: Say = print) -> Path:
    """Sample until enough texts are kept, or the budget is spent; write verdicts and pool.jsonl."""
    manifest, pool, verdicts = Manifest(run), run / "pool.jsonl", run / "verdicts.jsonl"
    store = Candidates(run, model, bot.sample)
    key = key_of([store.key, plain(bot.filter), bot.count, bot.sample.budget], run / "corpus.txt", *bot.reference_files)
    if manifest.done("filter", key, pool, verdicts):
        say(f"Pool: already done ({pool}); for more texts raise --count.")
        return pool
    for prefix in bot.sample.prefixes:
        if reason := characters(prefix, Context(bot.filter)):
            raise WrongUse(
                f"No text that starts with {prefix!r} can pass: it {reason}, which [filter] characters does not allow."
            )
    started = time.monotonic()
    texts = corpus.load_corpus(run / "corpus.txt")
    originals = texts + references(bot)
    judge = Judge(bot.filter, originals, history)
    rules = stop_rules(bot.filter, originals) if bot.sample.early_stop else None
    budget = bot.sample.budget or 20 * bot.count
    kept: list[tuple[str, float]] = []
    part = run / ".verdicts.part"
    judged = tokens = 0
    with (
        Progress(bot.count, "kept") as progress,
        part.open("w", encoding="utf-8") as out,
        closing(candidates(store, model, bot, run, rules, progress.say)) as source,
    ):
        for candidate, fresh in source:
            if candidate.stopped and candidate.rules != (rules.id if rules else ""):
                continue  # given up under other rules: nobody knows what it would have become
            verdict = judge.judge(candidate.text, candidate.finished, candidate.stopped)
            out.write(json.dumps({k: v for k, v in asdict(verdict).items() if v}, ensure_ascii=False) + "\n")
            if verdict.verdict == KEPT:
                kept.append((candidate.text, candidate.logprob))
            judged += 1
            tokens += candidate.tokens
            progress.update(len(kept), candidate.tokens if fresh else 0)
            if len(kept) >= bot.count or judged >= budget:
                break
    part.replace(verdicts)
    say(judge.table())
    if len(kept) < bot.count:
        say(f"The budget of {budget:,} candidates is spent: {len(kept):,} of {bot.count:,} texts kept.")
    if not kept:
        raise DeepproverbsError(
            f"No text passed the filters; see {verdicts} for the reasons, or widen [filter] in the bot's settings."
        )
    curate.write_pool(pool, list(curate.curate(kept, texts, bot.sample.seed)))
    manifest.record(
        "filter",
        key,
        plain(bot.filter),
        started,
        candidates=judged,
        tokens=tokens,
        kept=len(kept),
        verdicts=dict(judge.counts),
    )
    say(f"Pool: {len(kept):,} texts in {pool}.")
    return pool


def references(bot: Bot) -> list[str]:
    """The texts beside the corpus that nothing in the pool may copy."""
    return [text for path in bot.reference_files for text in corpus.load_corpus(path)]


class Progress:
    """A bar of the texts that are wanted, with the rates of what has been sampled since it began."""

    def __init__(self, wanted: int, what: str) -> None:
        self.bar = tqdm(total=wanted, unit="text", desc=what, mininterval=1.0)
        self.wanted, self.texts, self.tokens, self.started, self.told = wanted, 0, 0, 0.0, 0.0

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self._tell(time.monotonic())
        self.bar.close()

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        self.bar.write(text)

    def _tell(self, now: float) -> None:
        if self.started and now > self.started:
            self.told, seconds = now, now - self.started
            self.bar.set_postfix_str(
                f"{self.texts:,} sampled, {self.texts / seconds:,.0f} texts/s, {self.tokens / seconds:,.0f} tokens/s"
            )

    def update(self, have: int, new_tokens: int) -> None:
        """`have` of the wanted texts are there; `new_tokens` of one more sampled text, 0 for one from the file."""
        now = time.monotonic()
        if new_tokens:
            self.started = self.started or now
            self.texts, self.tokens = self.texts + 1, self.tokens + new_tokens
        self.bar.update(min(self.wanted, have) - self.bar.n)
        if now - self.told >= 1 and now - self.started >= 1:
            self._tell(now)


def candidates(
    store: Candidates, model: Path, bot: Bot, run: Path, rules: StopRules | None, say: Say
) -> Generator[tuple[Candidate, bool], None, None]:
    """The candidates that are there (False), then new ones (True) as they are sampled and written, without end."""
    for candidate in store.read():
        yield candidate, False
    converted = Converted(model)
    plan = calibrate.choose(converted, bot.sample, say)
    engine = calibrate.make(plan, converted, bot.sample, rules, run)
    say(f"Sampling: {engine.about}.")
    with closing(sample(engine, converted, bot.sample, store.count, rules.id if rules else "")) as batches:
        for batch in batches:
            store.append(batch)
            for candidate in batch:
                yield candidate, True


def sample_only(bot: Bot, run: Path, model: Path, count: int, say: Say = print) -> Path:
    """`sample`: at least `count` candidates in candidates.jsonl, no filter."""
    store = Candidates(run, model, bot.sample)
    have = 0
    with (
        Progress(count, "sampled") as progress,
        closing(candidates(store, model, bot, run, None, progress.say)) as source,
    ):
        for candidate, fresh in source:
            have += 1
            progress.update(have, candidate.tokens if fresh else 0)
            if have >= count:
                break
    say(f"{max(have, store.count):,} candidates in {store.path}.")
    return store.path


def filter_file(
    candidates: Path,
    originals: list[str],
    bot: Bot,
    out: Path,
    verdicts: Path,
    history: Iterable[str],
    say: Say = print,
) -> int:
    """`filter`: judge a file of candidates ({"text"} a line at least) by itself."""
    judge = Judge(bot.filter, originals, history)
    kept: list[tuple[str, float]] = []
    lines: list[str] = []
    rules, left_out = stop_rules(bot.filter, originals).id, 0
    for text, finished, stopped, given_up_by, score in read_candidates(candidates):
        if stopped and given_up_by not in ("", rules):
            left_out += 1
            continue
        verdict = judge.judge(text, finished, stopped)
        lines.append(json.dumps(asdict(verdict), ensure_ascii=False) + "\n")
        if verdict.verdict == KEPT:
            kept.append((text, score))
    say(judge.table())
    if left_out:
        say(
            f"{left_out:,} candidates were given up under other [filter] settings or originals and are left out; "
            "`deepproverbs sample`, or run with --no-early-stop, writes whole texts, to be judged under any."
        )
    write_whole(verdicts, "".join(lines))
    curate.write_pool(out, list(curate.curate(kept, originals, bot.sample.seed)))
    return len(kept)


def read_candidates(path: Path) -> Iterator[tuple[str, bool, str, str, float]]:
    """(text, finished, stopped for, by which rules, mean log-probability) of a candidates.jsonl, or of any file of
    texts: those count as finished and score 0."""
    if path.suffix != ".jsonl":
        yield from ((text.strip(), True, "", "", 0.0) for text in corpus.read_texts(path))
        return
    for text in corpus.read_texts(path):  # names what is wrong with the file, and where
        del text
    with path.open(encoding="utf-8-sig") as file:
        for line in filter(str.strip, file):
            value = json.loads(line)
            record = value if isinstance(value, dict) else {"text": value}
            stopped, rules = str(record.get("stopped", "")), str(record.get("rules", ""))
            yield record["text"], bool(record.get("finished", True)), stopped, rules, float(record.get("logprob", 0.0))


def convert_model(bot: Bot, run: Path, checkpoint: Path, say: Say = print) -> Path:
    """`convert`: the checkpoint, without the tokens that neither the run's corpus, its references nor the model
    need."""
    originals: list[str] = []
    if bot.sample.vocabulary != "full":
        originals = corpus.load_corpus(run / "corpus.txt") + references(bot)
    return convert.convert(run, checkpoint, say, originals, bot.sample)


def train(bot: Bot, run: Path, say: Say = print) -> Path:
    """`corpus`, `base`, `finetune`, `convert`: everything up to a model. Returns its folder."""
    prepare(bot, say)
    base = base_model.locate(bot.model, MODELS)
    build_corpus(bot, [bot.corpus_file], run, base.folder, say)
    checkpoint = finetune.finetune(run, base, bot.finetune, say)
    model = convert_model(bot, run, checkpoint, say)
    p = convert.precision(model, run / "corpus.npz")
    say(
        f"{p.compute_type}: held-out loss {p.loss:.3f}, float32 {p.loss_float32:.3f}; a token's log-probability "
        f"differs by {p.mean_difference:.4f} in the mean."
    )
    return model
