"""How new and how varied a pool is, beside real texts and candidates: numbers for the report.

In:  RUN/pool.jsonl, RUN/candidates.jsonl, RUN/corpus.txt and corpus.npz (which texts were held out), RUN/metrics.jsonl.
Out: RUN/quality.json, which `deepproverbs report --json` prints; training/pages/report says what it means.

Three sets are measured against the training texts: the pool, the held-out texts (people who wrote about the same,
unseen by the model) and the candidates that were written to their end. Formulas, over words of the normal form:

novelty(n)          n-grams of a set that no training text holds / n-grams. McCoy et al. 2023, "How Much Do Language
                    Models Copy From Their Training Data? RAVEN", sec. 4
distinct(n)         different n-grams / n-grams; depends on the size, so all sets are cut to the words of the smallest.
                    Li et al. 2016, "A Diversity-Promoting Objective Function", sec. 5
compression         bytes / bytes under gzip, at equal size: the higher, the more the texts repeat one another. Shaib et
                    al. 2024, "Standardizing the Measurement of Text Diversity", sec. 3
self-BLEU           mean BLEU-4 of a text against all others of a sample. Zhu et al. 2018, "Texygen", sec. 3;
                    smoothed as sacrebleu does (Chen and Cherry 2014, method 3)
nearest             quantiles of rapidfuzz's ratio to the most similar training text
neighbour           the same to the most similar other text of the set
near-duplicates     share of a set's texts with a neighbour at or above `near_ratio`
"""

from __future__ import annotations

import gzip
import json
import math
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from rapidfuzz import fuzz, process

from training.common import jsonl
from training.common.errors import WrongUse
from training.common.files import write_whole
from training.common.manifest import Manifest
from training.common.text import normal_form, text_of_units, units_of
from training.corpus import build as corpus
from training.corpus.read import load_built
from training.sample.candidates import check_candidates
from training.settings import Bot

MOST = 20_000
"""Texts of a set that are measured."""
SAMPLE = 500
"""Texts of a set for what is quadratic."""
QUANTILES = (0.0, 0.5, 0.9, 0.99, 1.0)
NOVELTY = (2, 3, 4, 5, 6)
DISTINCT = (1, 2, 3)


def ngrams(words: Sequence[str], n: int) -> list[tuple[str, ...]]:
    return list(zip(*(words[i:] for i in range(n)), strict=False))


def novelty(texts: Iterable[Sequence[str]], training: Iterable[Sequence[str]], n: int) -> float:
    """Share of the n-grams that no training text holds."""
    known = {ngram for words in training for ngram in ngrams(words, n)}
    found = [ngram for words in texts for ngram in ngrams(words, n)]
    return sum(ngram not in known for ngram in found) / max(1, len(found))


def distinct(texts: Iterable[Sequence[str]], n: int) -> float:
    """Different n-grams per n-gram."""
    found = [ngram for words in texts for ngram in ngrams(words, n)]
    return len(set(found)) / max(1, len(found))


def cut(texts: Sequence[Sequence[str]], words: int) -> list[Sequence[str]]:
    """The first texts, of so many words together."""
    kept: list[Sequence[str]] = []
    for text in texts:
        if words <= 0:
            break
        kept.append(text[:words])
        words -= len(text)
    return kept


def compression(texts: Iterable[Sequence[str]]) -> float:
    """Bytes per byte under gzip."""
    data = "\n".join(" ".join(words) for words in texts).encode()
    return len(data) / len(gzip.compress(data, 9, mtime=0))


def self_bleu(texts: Sequence[Sequence[str]], order: int = 4) -> float:
    """Mean BLEU of each text against all others, 0 to 100.

    A reference's count of an n-gram matters only where it is the highest or, for the text that has it, the second
    highest: so all texts cost one pass and not one each.
    """
    texts = [text for text in texts if text]
    if len(texts) < 2:
        return 0.0
    counts = [[Counter(ngrams(words, n)) for words in texts] for n in range(1, order + 1)]
    tops: list[dict[tuple[str, ...], tuple[int, int, int]]] = []
    for each in counts:
        top: dict[tuple[str, ...], tuple[int, int, int]] = {}
        for i, counter in enumerate(each):
            for ngram, count in counter.items():
                first, second, owner = top.get(ngram, (0, 0, -1))
                if count > first:
                    top[ngram] = (count, first, i)
                elif count > second:
                    top[ngram] = (first, count, owner)
        tops.append(top)
    lengths = [len(words) for words in texts]
    by_length = Counter(lengths)
    total = 0.0
    for i, words in enumerate(texts):
        logs, factor, orders = 0.0, 1.0, 0
        for n in range(order):
            total_ngrams = sum(counts[n][i].values())
            if not total_ngrams:
                break
            orders += 1
            hits = 0
            for ngram, count in counts[n][i].items():
                first, second, owner = tops[n][ngram]
                hits += min(count, second if owner == i else first)
            if not hits:
                factor *= 2
            logs += math.log(hits / total_ngrams if hits else 1 / (factor * total_ngrams))
        if not counts[0][i].keys() & {word for word in counts[0][i] if tops[0][word][1] or tops[0][word][2] != i}:
            continue  # no word in common with any other
        others = [length for length in by_length if by_length[length] - (length == lengths[i])]
        nearest = min(others, key=lambda length: (abs(length - len(words)), length))
        brevity = min(0.0, 1 - nearest / len(words))
        total += 100 * math.exp(brevity + logs / orders)
    return total / len(texts)


def nearest(texts: Sequence[str], others: Sequence[str], same: bool = False) -> list[float]:
    """rapidfuzz's ratio of each text to the most similar of the others; `same`: they are the first of the others
    themselves."""
    found: list[float] = []
    for at in range(0, len(texts), 250):
        some = texts[at : at + 250]
        ratios = process.cdist(some, others, scorer=fuzz.ratio, processor=None, dtype=np.float32, workers=-1)
        if same:
            ratios[np.arange(len(some)), np.arange(at, at + len(some))] = 0
        found += ratios.max(axis=1, initial=0).tolist()
    return found


def quantiles(values: Sequence[float]) -> dict[str, float]:
    found = np.quantile(values, QUANTILES) if len(values) else [0.0] * len(QUANTILES)
    return {f"{q:g}": round(float(value), 1) for q, value in zip(QUANTILES, found, strict=True)}


def measure(sets: dict[str, list[str]], training: Sequence[str], near_ratio: float) -> dict[str, dict[str, Any]]:
    """All numbers of each set of texts."""
    normals = {name: [normal_form(text) for text in texts] for name, texts in sets.items()}
    words = {name: list(map(units_of, texts)) for name, texts in normals.items()}
    known = [normal_form(text) for text in training]
    known_words = list(map(units_of, known))
    size = min((sum(map(len, texts)) for texts in words.values() if texts), default=0)
    result: dict[str, dict[str, Any]] = {}
    for name, texts in words.items():
        equal, sample = cut(texts, size), normals[name][:SAMPLE]
        neighbours = nearest(sample, normals[name], same=True)
        result[name] = {
            "texts": len(texts),
            "words": sum(map(len, texts)),
            "novelty": {str(n): round(novelty(texts, known_words, n), 4) for n in NOVELTY},
            "distinct": {str(n): round(distinct(equal, n), 4) for n in DISTINCT},
            "compression": round(compression(equal), 3),
            "self_bleu": round(self_bleu(texts[: min(SAMPLE, len(equal))]), 2),
            "nearest": quantiles(nearest(normals[name][: 4 * SAMPLE], known)),
            "neighbour": quantiles(neighbours),
            "near_duplicates": round(sum(r >= near_ratio for r in neighbours) / max(1, len(neighbours)), 4),
            "openings": [[opening, count] for opening, count in openings(texts).most_common(10)],
        }
    return result


def openings(texts: Iterable[Sequence[str]], length: int = 2) -> Counter[str]:
    return Counter(text_of_units(words[:length]) for words in texts)


def check(run: Path) -> None:
    """Before a run's files are read.

    Raises:
        WrongUse: the run has no pool yet.
        DeepproverbsError: one of them is damaged.
    """
    if not (run / "pool.jsonl").exists():
        raise WrongUse(f"There are no texts in {run} yet; `deepproverbs run` writes some.")
    names = ("pool.jsonl", "verdicts.jsonl", "review.jsonl", "corpus.txt", "corpus.json", "metrics.jsonl")
    files = [run / name for name in names]
    Manifest(run).rely(*files, cure="`deepproverbs run` makes it again")
    check_candidates(run)


def report(bot: Bot, run: Path, pool: Iterable[str] | None = None) -> dict[str, Any]:
    """Measure a run's pool; write and return quality.json. `pool`: its texts, after `check`; None: those of pool.jsonl.

    Raises:
        WrongUse, DeepproverbsError: as `check`.
    """
    if pool is None:
        check(run)
    texts = load_built(run / "corpus.txt")
    training, held_out = corpus.split(texts, bot.corpus.hold_out, bot.corpus.seed)
    rng = random.Random(bot.sample.seed)
    ours = [record["text"] for record in jsonl.records(run / "pool.jsonl")] if pool is None else [*pool]
    rng.shuffle(ours)
    sets = {
        "pool": ours[:MOST],
        "held-out texts": held_out,
        "finished candidates": _candidates(run / "candidates.jsonl"),
    }
    result: dict[str, Any] = {
        "sets": measure({name: some for name, some in sets.items() if some}, training, bot.filter.near_ratio),
        "training_texts": len(training),
        "held_out_loss": _loss(run / "metrics.jsonl"),
    }
    write_whole(run / "quality.json", json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    return result


def _candidates(path: Path) -> list[str]:
    """Candidates that were written to their end, the first ones."""
    if not path.exists():
        return []
    # A run may be at work on the last line.
    some = (json.loads(line) for _, line in jsonl.lines(path) if line.endswith(b"\n"))
    return list(islice((record["text"] for record in some if record["finished"]), MOST))


def _loss(path: Path) -> dict[str, float]:
    """Held-out loss before fine-tuning and at its best, nats a token."""
    if not path.exists():
        return {}
    losses = [record["held_out"] for record in jsonl.records(path) if "held_out" in record]
    return {"before": losses[0], "best": min(losses)} if losses else {}
