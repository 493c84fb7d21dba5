"""How often each rule rejects people, beside how often it rejects candidates: `deepproverbs filter … --calibrate`.

Every rule is asked of every text by itself, whatever the others say. The people are the corpus, leave one out: a text
is judged as if the corpus and its references did not hold it. So a word that stands in it alone is unknown, and it is
compared with all other texts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from training.common.text import normal_form
from training.judge.judge import Screen
from training.judge.likeness import word_runs
from training.judge.rules import Text, set_apart
from training.sample.candidates import Candidate

BATCH = 2048


@dataclass(frozen=True)
class Rates:
    """Share of the texts that each rule rejects; "all": that any rule but set-apart does."""

    texts: int
    shares: dict[str, float]


def people(screen: Screen, originals: Sequence[str], count: int, logprobs: Sequence[float] = ()) -> Rates:
    """Rates of the first `count` originals, which are the screen's own, leave one out.

    `logprobs`: of held-out texts, nats a token; the band is asked of those.
    """
    texts = [Text(text) for text in originals[:count]]
    counts: Counter[str] = Counter()
    rejected = np.zeros(count, bool)

    def mark(name: str, hits: Sequence[bool]) -> None:
        if name in screen.skip:
            return
        counts[name] += sum(hits)
        if name != "set-apart":
            rejected[np.flatnonzero(hits)] = True

    own_words = Counter(word for text in screen.originals.texts for word in set(text.split()))
    common = screen.context.common
    for name, rule in screen.rules:
        if name == "vocabulary":
            closed = screen.settings.closed_vocabulary
            mark(name, [closed and any(own_words[w] < 2 and w not in common for w in text.words) for text in texts])
        else:
            mark(name, [bool(rule(text, screen.context)) for text in texts])
    normals = screen.originals.texts
    hashes, owners = word_runs(normals, screen.settings.copy_run)
    pairs = np.unique(np.stack([hashes.view(np.int64), owners]), axis=1)
    _, where, holders = np.unique(pairs[0], return_inverse=True, return_counts=True)
    copied = np.zeros(len(normals), bool)
    copied[pairs[1][holders[where] > 1]] = True
    for place, text in enumerate(texts):
        if len(text.words) < screen.settings.copy_run:
            inside = f" {text.normal} "
            copied[place] = any(inside in f" {other} " for at, other in enumerate(normals) if at != place)
    mark("copied-run", copied[:count].tolist())
    times = Counter(normals)
    alike = np.zeros(count, bool)
    if screen.settings.copy_ratio <= 100:
        for at in range(0, count, BATCH):
            some = [text.normal for text in texts[at : min(count, at + BATCH)]]
            places, numbers, _ = screen.originals.likenesses(some, screen.settings.copy_ratio)
            alike[(places + at)[numbers != places + at]] = True
    mark("copy", [bool(like) or times[text.normal] > 1 for like, text in zip(alike, texts, strict=True)])
    mark("set-apart", [bool(set_apart(text, screen.context)) for text in texts])
    shares = {name: counts[name] / count for name in counts}
    if screen.band and len(logprobs):
        shares["band"] = sum(bool(screen.band.objection(value)) for value in logprobs) / len(logprobs)
    return Rates(count, {**shares, "all": float(rejected.mean())})


def machine(screen: Screen, candidates: Iterator[Candidate], most: int = 20_000) -> Rates:
    """Rates of candidates that were written to their end or as far as they were allowed to."""
    counts: Counter[str] = Counter()
    total = rejected = 0
    while some := list(islice(candidates, min(BATCH, most - total))):
        total += len(some)
        compared = screen.compared([normal_form(candidate.text) for candidate in some], every=True)
        for candidate, names in zip(some, compared, strict=True):
            found = {name for name, _ in names}
            if candidate.stopped:
                found.add(candidate.stopped)
            else:
                text = Text(candidate.text)
                if not candidate.finished:
                    found.add("unfinished")
                found |= {name for name, rule in screen.rules if rule(text, screen.context)}
                if screen.band and screen.band.objection(candidate.logprob):
                    found.add("band")
                if set_apart(text, screen.context):
                    counts["set-apart"] += 1
            found -= screen.skip
            counts.update(found)
            rejected += bool(found)
    return Rates(total, {**{name: n / max(1, total) for name, n in counts.items()}, "all": rejected / max(1, total)})


def table(columns: dict[str, Rates], screen: Screen) -> str:
    """The rates side by side, as a table in Markdown."""
    names = [
        name for name in screen.names if name not in screen.skip and any(name in r.shares for r in columns.values())
    ]
    heads = [f"{title} ({rates.texts:,})" for title, rates in columns.items()]
    lines = ["| rule | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
    for name in [*names, "all"]:
        cells = [f"{rates.shares.get(name, 0):.1%}" for rates in columns.values()]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
