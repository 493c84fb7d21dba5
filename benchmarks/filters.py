"""The filters at size: a million candidates to a pool of a hundred thousand, and near-duplicates beside two peers.

Candidates are made from the Bible's verses: pieces of three to six words put together anew (most), verses with one to
three words changed, and texts that came before, changed or not. Each run is a process of its own.

    .venvs/project/bin/python -m benchmarks.filters [--candidates 1000000] [--out benchmarks/results/filters.json]

The peers (datasketch's MinHash LSH, brute force with rapidfuzz) keep the first of alike texts, as we do, on the same
texts in the same order; datasketch runs in `.venvs/bench`.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import needs
from training.common.paths import ROOT

BOT = ROOT / "data" / "proverbs" / "bot.toml"
PEER = ROOT / "benchmarks" / "peers" / "datasketch_lsh.py"


def verses() -> list[str]:
    from training.corpus.read import load_corpus

    return [text for name in ("corpus.txt", "kjv.txt") for text in load_corpus(BOT.with_name(name))]


def texts(count: int, seed: int) -> Iterator[str]:
    """Candidates without end that a model might have written, good and bad."""
    rng = random.Random(seed)
    known = [verse.rstrip(".").split() for verse in verses()]
    words = sorted({word for verse in known for word in verse})
    earlier: list[str] = []
    for _ in range(count):
        kind = rng.random()
        if kind < 0.05:
            text = list(rng.choice(known))
            for _ in range(rng.randint(1, 3)):
                text[rng.randrange(len(text))] = rng.choice(words)
        elif kind < 0.15 and earlier:
            text = rng.choice(earlier).rstrip(".").split()
            for _ in range(rng.randint(0, 3)):
                text[rng.randrange(len(text))] = rng.choice(words)
        else:
            text = []
            while len(text) < 10 or (len(text) < 20 and rng.random() < 0.7):
                verse = rng.choice(known)
                start = rng.randrange(max(1, len(verse) - 6))
                text += verse[start : start + rng.randint(3, 6)]
            text += rng.choice(known)[-rng.randint(3, 6) :]
        made = " ".join(text) + "."
        if len(earlier) < 50_000:
            earlier.append(made)
        else:
            earlier[rng.randrange(len(earlier))] = made
        yield made


def write(path: Path, count: int, seed: int = 1) -> None:
    rng = random.Random(seed)
    with path.open("w", encoding="utf-8") as file:
        for text in texts(count, seed):
            score = rng.gauss(-2.5, 0.5)
            file.write(f'{{"text": {json.dumps(text)}, "tokens": 24, "logprob": {score:.4f}, "finished": true}}\n')


def run_once(path: Path, wanted: int) -> dict[str, Any]:
    """One filter run in this process."""
    from training import settings
    from training.corpus.read import load_corpus
    from training.judge.band import Band, Spread
    from training.judge.judge import Judging, Reference
    from training.runs.filter_file import FilterOptions, filter_file
    from training.settings import override

    bot = override(settings.load(BOT), "", count=wanted)
    texts, bible = (load_corpus(BOT.with_name(name)) for name in ("corpus.txt", "kjv.txt"))
    options = FilterOptions(path, out=path.with_name("pool.jsonl"))
    started = time.perf_counter()
    judging = Judging(bot, Reference(texts, bible), Band(Spread(-2.5, 0.5), -2.0, 3.0))
    filtered = filter_file(options, judging)
    seconds = time.perf_counter() - started
    return {
        "seconds": seconds,
        "kept": filtered.kept,
        "apart": filtered.set_apart,
        "verdicts": dict(filtered.counts),
        # Not getrusage's ru_maxrss, which begins with the peak of the process that started this one.
        "peak_kB": int(re.findall(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text())[0]),
    }


def elsewhere(*args: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.filters", *args], cwd=ROOT, stdout=subprocess.PIPE, check=True
    )
    return json.loads(done.stdout)


def at_size(folder: Path, candidates: int) -> dict[str, Any]:
    """The run itself, one with twice the candidates, and one that keeps hardly any, to weigh the pool."""
    result: dict[str, Any] = {}
    for name, count, wanted in (
        ("run", candidates, candidates // 10),
        ("twice", 2 * candidates, candidates // 10),
        ("few", candidates, 1000),
    ):
        path = folder / f"candidates-{count}.jsonl"
        if not path.exists():
            write(path, count)
        result[name] = elsewhere("--file", str(path), "--wanted", str(wanted))
        print(
            f"{name}: {count:,} candidates to {result[name]['kept']:,}: {result[name]['seconds']:.0f} s",
            file=sys.stderr,
        )
    run, few = result["run"], result["few"]
    result["kB_a_kept_text"] = (run["peak_kB"] - few["peak_kB"]) / (run["kept"] - few["kept"])
    result["twice_takes"] = result["twice"]["seconds"] / run["seconds"]
    return result


def greedy_brute(normals: list[str]) -> list[bool]:
    from rapidfuzz import fuzz, process

    kept: list[str] = []
    verdicts = []
    for text in normals:
        free = process.extractOne(text, kept, scorer=fuzz.ratio, processor=None, score_cutoff=75) is None
        verdicts.append(free)
        if free:
            kept.append(text)
    return verdicts


def greedy_ours(normals: list[str]) -> list[bool]:
    from training.curate.choose import NearDuplicates

    keeper, verdicts = NearDuplicates(75), []
    for text, relative in zip(normals, keeper.offer(normals), strict=True):
        verdicts.append(relative is None)
        if relative is None:
            keeper.keep(text)
    return verdicts


def missed(normals: list[str], free: list[bool]) -> tuple[int, int]:
    """(kept texts, those among them that are like one kept before), by comparing all."""
    from rapidfuzz import fuzz, process

    kept = [text for text, is_free in zip(normals, free, strict=True) if is_free]
    found = 0
    for at in range(0, len(kept), 500):
        ratios = process.cdist(kept[at : at + 500], kept, scorer=fuzz.ratio, processor=None, workers=-1)
        earlier = np.arange(len(kept))[None, :] < np.arange(at, at + len(ratios))[:, None]
        found += int(((ratios >= 75) & earlier).any(axis=1).sum())
    return len(kept), found


def beside_peers(count: int) -> dict[str, Any]:
    """Near-duplicates among so many texts, one after the other: what each way keeps, misses and takes."""
    from training.common.text import normal_form

    normals = [normal_form(text) for text in texts(count, 3)]
    result: dict[str, Any] = {}
    ways: dict[str, Callable[[list[str]], list[bool]]] = {"ours": greedy_ours, "brute force": greedy_brute}
    for name, way in ways.items():
        started = time.perf_counter()
        free = way(normals)
        result[name] = {"seconds": time.perf_counter() - started, "free": free}
    python = needs.python_of("bench")
    for name, options in (
        ("datasketch, words, 32 bands of 4", ["--ngram", "1", "--bands", "32", "--rows", "4"]),
        ("datasketch, runs of 5 words, 14 bands of 8", ["--ngram", "5", "--bands", "14", "--rows", "8"]),
    ):
        done = subprocess.run(
            [str(python), str(PEER), *options], input=json.dumps(normals), stdout=subprocess.PIPE, text=True, check=True
        )
        result[name] = json.loads(done.stdout)
    for entry in result.values():
        free = entry.pop("free")
        entry["kept"], entry["missed"] = missed(normals, free)
        entry["us_a_text"] = 1e6 * entry["seconds"] / count
    for entry in result.values():
        entry["ours_is"] = entry["seconds"] / result["ours"]["seconds"]
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--candidates", type=int, default=1_000_000)
    parser.add_argument("--subset", type=int, default=9_500, help="texts for the comparison (default: 9,500)")
    parser.add_argument("--folder", type=Path, default=ROOT / "runs" / "bench" / "filters")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "filters.json")
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--wanted", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.file:
        print(json.dumps(run_once(args.file, args.wanted)))
        return
    needs.python_of("bench")
    args.folder.mkdir(parents=True, exist_ok=True)
    result = {"near-duplicates": beside_peers(args.subset), "at size": at_size(args.folder, args.candidates)}
    args.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    for name, entry in result["near-duplicates"].items():
        print(
            f"{name:<44}{entry['seconds']:8.1f} s{entry['us_a_text']:9.0f} us a text{entry['ours_is']:8.1f} x"
            f"{entry['kept']:8,} kept{entry['missed']:6,} missed ({entry['missed'] / entry['kept']:.1%})"
        )
    size = result["at size"]
    print(
        f"{args.candidates:,} candidates to {size['run']['kept']:,}: {size['run']['seconds']:.0f} s, "
        f"{size['kB_a_kept_text']:.2f} kB a kept text; twice the candidates: {size['twice_takes']:.2f} times as long"
    )


if __name__ == "__main__":
    needs.run(main)
