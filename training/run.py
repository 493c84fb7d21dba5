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
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tqdm import tqdm

from training import base_model, convert, corpus, curate, finetune
from training.config import Bot, plain
from training.errors import DeepproverbsError
from training.filters import KEPT, Judge
from training.manifest import Manifest, key_of, write_whole
from training.sample import Candidates, sample
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
    started = time.monotonic()
    texts = corpus.load_corpus(run / "corpus.txt")
    originals = texts + [text for path in bot.reference_files for text in corpus.load_corpus(path)]
    judge = Judge(bot.filter, originals, history)
    budget = bot.sample.budget or 20 * bot.count
    kept: list[tuple[str, float]] = []
    part = run / ".verdicts.part"
    judged = tokens = 0
    with (
        tqdm(total=bot.count, unit="text", desc="kept", mininterval=1.0) as bar,
        part.open("w", encoding="utf-8") as out,
    ):
        for chunk in _chunks(store, model, bot):
            for candidate in chunk:
                verdict = judge.judge(candidate.text, candidate.finished)
                out.write(json.dumps({k: v for k, v in asdict(verdict).items() if v}, ensure_ascii=False) + "\n")
                if verdict.verdict == KEPT:
                    kept.append((candidate.text, candidate.logprob))
                tokens += candidate.tokens
            judged += len(chunk)
            bar.update(min(bot.count, len(kept)) - bar.n)
            seconds = time.monotonic() - started
            bar.set_postfix_str(
                f"{judged:,} candidates, {judged / seconds:.0f} texts/s, {tokens / seconds:,.0f} tokens/s"
            )
            if len(kept) >= bot.count or judged >= budget:
                break
    say(judge.table())
    if len(kept) < bot.count:
        say(f"The budget of {budget:,} candidates is spent: {len(kept):,} of {bot.count:,} texts kept.")
    if not kept:
        raise DeepproverbsError(
            f"No text passed the filters; see {verdicts} for the reasons, or widen [filter] in the bot's settings."
        )
    curate.write_pool(pool, list(curate.curate(kept, texts, bot.sample.seed)))
    part.replace(verdicts)
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


def _chunks(store: Candidates, model: Path, bot: Bot) -> Iterator[list[Any]]:
    """The candidates that are there, then new ones as they are sampled and written."""
    for candidate in store.read():
        yield [candidate]
    with closing(sample(model, bot.sample, store.next_chunk)) as chunks:
        for chunk in chunks:
            store.append(chunk)
            yield chunk


def sample_only(bot: Bot, run: Path, model: Path, count: int, say: Say = print) -> Path:
    """`sample`: at least `count` candidates in candidates.jsonl, no filter."""
    store = Candidates(run, model, bot.sample)
    have = sum(1 for _ in store.read())
    with (
        tqdm(total=count, initial=min(have, count), unit="text", desc="sampled", mininterval=1.0) as bar,
        closing(sample(model, bot.sample, store.next_chunk)) as chunks,
    ):
        while have < count:
            chunk = next(chunks)
            store.append(chunk)
            have += len(chunk)
            bar.update(min(have, count) - bar.n)
    say(f"{have:,} candidates in {store.path}.")
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
    for text, finished, score in read_candidates(candidates):
        verdict = judge.judge(text, finished)
        lines.append(json.dumps(asdict(verdict), ensure_ascii=False) + "\n")
        if verdict.verdict == KEPT:
            kept.append((text, score))
    say(judge.table())
    write_whole(verdicts, "".join(lines))
    curate.write_pool(out, list(curate.curate(kept, originals, bot.sample.seed)))
    return len(kept)


def read_candidates(path: Path) -> Iterator[tuple[str, bool, float]]:
    """(text, finished, mean log-probability) of a candidates.jsonl, or of any file of texts: those count
    as finished and score 0."""
    if path.suffix != ".jsonl":
        yield from ((text.strip(), True, 0.0) for text in corpus.read_texts(path))
        return
    for text in corpus.read_texts(path):  # names what is wrong with the file, and where
        del text
    with path.open(encoding="utf-8-sig") as file:
        for line in filter(str.strip, file):
            value = json.loads(line)
            record = value if isinstance(value, dict) else {"text": value}
            yield record["text"], bool(record.get("finished", True)), float(record.get("logprob", 0.0))


def train(bot: Bot, run: Path, say: Say = print) -> Path:
    """`corpus`, `base`, `finetune`, `convert`: everything up to a model. Returns its folder."""
    prepare(bot, say)
    base = base_model.locate(bot.model, MODELS)
    build_corpus(bot, [bot.corpus_file], run, base.folder, say)
    checkpoint = finetune.finetune(run, base, bot.finetune, say)
    model = convert.convert(run, checkpoint, say)
    p = convert.precision(model, run / "corpus.npz")
    say(
        f"{p.compute_type}: held-out loss {p.loss:.3f}, float32 {p.loss_float32:.3f}; a token's log-probability "
        f"differs by {p.mean_difference:.4f} in the mean."
    )
    return model
