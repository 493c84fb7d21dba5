"""How often each rule rejects people, beside how often it rejects candidates: `deepproverbs filter … --calibrate`.

Every rule is tried on every text, whatever the others say. The people are the corpus, leave one out: a text
is judged as if the corpus and its references did not hold it. So a word found only in that text is unknown, and the
text is compared with all others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from training.judge.judge import Judge
from training.judge.rule import Context, Rule, Text
from training.sample.candidates import Candidate

BATCH = 2048
MOST = 20_000
"""Candidates that are enough for a share of a per cent."""


@dataclass(frozen=True)
class Rates:
    """Share of the texts that each rule rejects; "all": that any rule but set-apart does."""

    texts: int
    shares: dict[str, float]


def people(judge: Judge, texts: Sequence[str], logprobs: Sequence[float] = ()) -> Rates:
    """Rates of the first of the judge's own originals, leave one out.

    `logprobs`: of held-out texts, nats a token; the band is tried on those.
    """
    some = [Text(text) for text in texts]
    shares: dict[str, float] = {}
    rejected = np.zeros(len(some), bool)
    for rule in judge.rules:
        if (hits := asked(rule, some, judge.context)) is not None:
            shares[rule.name] = sum(hits) / len(some)
            if rule.rejects:
                rejected |= np.array(hits, bool)
    band = judge.context.band
    if band and len(logprobs) and judge.context.enabled("band"):
        shares["band"] = sum(band.leave_one_out(np.array(logprobs))) / len(logprobs)
    return Rates(len(some), {**shares, "all": float(rejected.mean())})


def asked(rule: Rule, texts: Sequence[Text], context: Context) -> Sequence[bool] | None:
    """Which of the first originals the rule rejects, leave one out; None where it is not asked of people."""
    if rule.leave_one_out:
        return rule.leave_one_out(texts, context)
    if rule.question and not rule.of_sampling:
        return [bool(rule.question(text, context)) for text in texts]
    return None


def machine(judge: Judge, candidates: Iterator[Candidate], most: int = MOST) -> Rates:
    """Rates of candidates that were written to their end or as far as they were allowed to."""
    counts: Counter[str] = Counter()
    total = rejected = 0
    nothing = {"", *judge.context.settings.skip}
    while some := list(islice(candidates, min(BATCH, most - total))):
        total += len(some)
        texts = [Text(candidate.text, candidate.logprob, candidate.finished) for candidate in some]
        found = [{candidate.stopped} - nothing for candidate in some]
        for rule in judge.rules:
            if rule.comparison:
                reasons = rule.comparison(texts, judge.context)
            elif rule.question:
                ask = rule.question
                reasons = [
                    None if candidate.stopped else ask(text, judge.context)
                    for text, candidate in zip(texts, some, strict=True)
                ]
            else:
                continue
            for names, reason in zip(found, reasons, strict=True):
                if reason and rule.rejects:
                    names.add(rule.name)
                elif reason:
                    counts[rule.name] += 1
        for names in found:
            counts.update(names)
            rejected += bool(names)
    return Rates(total, {**{name: n / max(1, total) for name, n in counts.items()}, "all": rejected / max(1, total)})


def table(columns: dict[str, Rates], judge: Judge) -> str:
    """The rates side by side, as a table in Markdown."""
    names = [rule.name for rule in judge.rules if any(rule.name in rates.shares for rates in columns.values())]
    heads = [f"{title} ({rates.texts:,})" for title, rates in columns.items()]
    lines = ["| rule | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
    for name in [*names, "all"]:
        cells = [f"{rates.shares.get(name, 0):.1%}" for rates in columns.values()]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
