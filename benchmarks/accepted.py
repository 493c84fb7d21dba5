"""Accepted texts a second, and where the time of one goes: nano fine-tuned on the Proverbs.

The line is that of `deepproverbs run`: the engine's threads, texts put in order and decoded, the candidate file, the
filters. Each part is timed where it runs; the decoder is compiled with -DPROFILE, which counts its parts.

    .venvs/project/bin/python -m benchmarks.accepted [--seconds 20] [--run runs/bench-proverbs]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

os.environ["CC"] = f"{os.environ.get('CC', 'cc')} -DPROFILE"  # before anything loads the decoder

from benchmarks import needs
from training import settings
from training.common.paths import ROOT
from training.corpus.read import load_corpus
from training.judge.judge import Judge, Reference
from training.judge.rules import PASSED
from training.model.converted import Converted
from training.runs import stages, until_enough
from training.sample.candidates import Candidate, Candidates
from training.sample.draw import sample
from training.sample.engines.native import NativeEngine
from training.sample.native.sampler import decoder
from training.sample.plan import choose_plan, make_engine


def once(
    bot: settings.Bot, folder: Path, model: Path, reference: Reference, early: bool, seconds: float
) -> dict[str, Any]:
    """One run of so many seconds from an empty candidate file."""
    (folder / "candidates.jsonl").unlink(missing_ok=True)
    converted, store = Converted(model), Candidates(folder, model, bot.sample)
    plan = choose_plan(converted, bot.sample, lambda _: None)
    judge = Judge(bot.filter, reference)
    rules = judge.stop_rules() if early else None
    engine = make_engine(plan, converted, bot.sample, rules, folder)
    assert isinstance(engine, NativeEngine)
    spent = Counter[str]()
    texts = tokens = kept = 0
    some: list[Candidate] = []
    started = now = time.perf_counter()
    before = [sampler.spent() for sampler in engine.samplers]
    with closing(sample(engine, converted, bot.sample)) as batches:
        while now - started < seconds:
            batch = next(batches)
            waited, now = time.perf_counter() - now, time.perf_counter()
            store.append(batch)
            wrote, now = time.perf_counter() - now, time.perf_counter()
            some += batch
            if len(some) >= until_enough.BATCH:
                kept += sum(verdict.verdict == PASSED for verdict in judge.verdicts(some))
                tokens += sum(candidate.tokens for candidate in some)
                texts += len(some)
                some = []
            judged, now = time.perf_counter() - now, time.perf_counter()
            spent.update({"decoding and waiting for texts": waited, "candidate file": wrote, "filters": judged})
        for sampler, old in zip(engine.samplers, before, strict=True):
            spent.update({f"decoder: {part}": value - old[part] for part, value in sampler.spent().items()})
    passed = now - started
    return {
        "accepted_per_s": kept / passed,
        "texts_per_s": texts / passed,
        "tokens_per_s": tokens / passed,
        "accepted": kept / texts,
        "ms_an_accepted_text": {part: 1000 * value / kept for part, value in spent.items()},
        "plan": engine.about,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=15, help="length of each run (default: 15)")
    parser.add_argument("--rounds", type=int, default=3, help="runs with and without early stops (default: 3)")
    parser.add_argument(
        "--run", type=Path, default=ROOT / "runs" / "bench" / "proverbs", help="where the model is made"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "accepted.json")
    args = parser.parse_args()
    needs.python_of("tf1")
    decoder()
    bot = settings.override(settings.load(ROOT / "data" / "proverbs" / "bot.toml"), "", model="nano")
    model, _ = stages.train(bot, args.run, lambda text: print(text, file=sys.stderr))
    reference = Reference(load_corpus(bot.corpus_file), stages.references(bot))
    runs: dict[bool, list[dict[str, Any]]] = {True: [], False: []}
    for _ in range(args.rounds):
        for early in runs:
            runs[early].append(once(bot, args.run, model, reference, early, args.seconds))
    result: dict[str, Any] = {"plan": runs[True][0]["plan"]}
    for early, name in ((True, "with early stops"), (False, "without")):
        middle = {k: statistics.median(r[k] for r in runs[early]) for k in runs[early][0] if k.endswith(("_s", "ed"))}
        parts = runs[early][0]["ms_an_accepted_text"]
        middle["ms_an_accepted_text"] = {
            part: statistics.median(r["ms_an_accepted_text"][part] for r in runs[early]) for part in parts
        }
        result[name] = middle
        print(
            f"{name}: {middle['accepted_per_s']:,.0f} accepted texts/s of {middle['texts_per_s']:,.0f} "
            f"({middle['accepted']:.0%}), {middle['tokens_per_s']:,.0f} tokens/s"
        )
        for part, value in middle["ms_an_accepted_text"].items():
            print(f"    {part:<34}{value:8.3f} ms an accepted text")
    args.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    needs.run(main)
