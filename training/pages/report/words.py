"""Facts → sentences for a reader who knows no technical word: did it work, how many texts, are they new, what now.

The page opens with them, and `deepproverbs report` prints them in short.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.common.manifest import Manifest
from training.pages.report.facts import Facts
from training.runs import owner

HARDLY = 0.05
"""Training that lowers the loss by less than this has hardly taught anything; a single epoch that lowers it by as much
is followed by another (model/finetune.py)."""


@dataclass(frozen=True)
class Answer:
    question: str
    short: str
    """For a terminal: one line."""
    long: str
    """For the page; it may repeat nothing that `short` says, and may be empty."""


@dataclass(frozen=True)
class Step:
    """What to do next: a sentence, and the command for it, if there is one."""

    what: str
    command: str = ""


def answers(facts: Facts) -> Iterator[Answer]:
    """What a reader wants to know first."""
    yield _learnt(facts)
    yield _how_many(facts)
    sets = facts.quality["sets"]
    if "pool" in sets:
        yield _new(sets["pool"], sets.get("held-out texts"))
        yield _varied(facts)


def _learnt(facts: Facts) -> Answer:
    question = "Has the model learnt from the corpus?"
    if len(facts.metrics) < 2 or facts.best_epoch is None:
        return Answer(question, "This run did not fine-tune a model.", "")
    key = "bits" if all("bits" in line for line in facts.metrics) else "held_out"
    before = facts.metrics[0][key]
    best = next(line[key] for line in facts.metrics if line["epoch"] == facts.best_epoch)
    less = 1 - best / before
    if less <= 0:
        short = "No: texts of the corpus that it never saw surprise it as much as before training."
    else:
        word = "Yes" if less >= HARDLY else "Hardly"
        short = f"{word}: texts of the corpus that it never saw surprise it {_percent(less)} less than before training."
    unit, gloss = (
        ("bits a character", "how surprising unseen texts are to the model; lower is better")
        if key == "bits"
        else ("nats a token", "how surprising each piece of a word in unseen texts is to the model; lower is better")
    )
    return Answer(question, short, f"In figures: {best:.2f} {unit}, before {before:.2f} ({unit}: {gloss}).")


def _how_many(facts: Facts) -> Answer:
    count = len(facts.pool)
    passed = facts.counts.get("kept", 0) + facts.counts.get("spare", 0)
    short = f"{count:,} text{'s' * (count != 1)}"
    if facts.round == 1 and passed >= count and facts.candidates:
        short += f", the best of {passed:,} that passed every rule; the model wrote {facts.candidates:,}"
    if facts.round > 1:
        short += f", from {facts.round:,} rounds"
    long = f"At one a day they last {_time(count)}."
    if facts.set_apart:
        long += f" {facts.set_apart:,} more {'wait' if facts.set_apart != 1 else 'waits'} for a person to read."
    return Answer("How many texts are there?", f"{short}.", long)


def _time(days: int) -> str:
    for unit, length in (("year", 365), ("month", 30)):
        if days >= 2 * length:
            return f"{days // length} {unit}s"
    return f"{days} day{'s' * (days != 1)}"


def _new(pool: dict[str, Any], unseen: dict[str, Any] | None) -> Answer:
    share = f"{_percent(pool['novelty']['4'])} of all sequences of four words are in none of the texts it learnt from"
    beside = f" ({_percent(unseen['novelty']['4'])} in texts of the corpus that it never saw)" if unseen else ""
    if unseen and pool["novelty"]["4"] < unseen["novelty"]["4"] - HARDLY:
        beside += ": it borrows more than people do"
    most = f"The text closest to one of the corpus is {_percent(pool['nearest']['1'] / 100)} like it, letter by letter."
    return Answer("Are they new?", f"{share}{beside}.", most)


def _varied(facts: Facts) -> Answer:
    pair = next((each.texts for each in facts.extremes if each.what == "most alike in the pool"), None)
    openings = facts.openings.get("pool", [])
    if not pair or not openings:
        return Answer("Are they varied?", "There are too few texts to tell.", "")
    alike = f"The two most alike are {_percent(int(pair[0][1].split()[0]) / 100)} alike"
    words, share = openings[0]
    return Answer("Are they varied?", f"{alike}; {_percent(share)} have the most common beginning, “{words}”.", "")


def _percent(share: float) -> str:
    return f"{share:.0%}".replace("%", "\N{NO-BREAK SPACE}%")


def steps(facts: Facts, run: Path) -> Iterator[Step]:
    """What to do next, the first thing first."""
    waiting = {0: "", 1: ", first the one that waits for you"}.get(
        facts.set_apart, f", first the {facts.set_apart:,} that wait for you"
    )
    reading = f"Read them one by one{waiting}. Drop what you do not like, star what you do:"
    yield Step(reading, owner.command("review", run))
    pool = shlex.quote(_pool(facts, run))
    yield Step("See what would be posted next:", f"deepproverbs post --pool {pool} --dry-run")
    base = Manifest(run).stages.get("finetune", {}).get("settings", {}).get("base", facts.model)
    again = owner.command("run", run) + f" --model {shlex.quote(base)}" * (base != facts.model)
    yield Step(f"If you like them, have {facts.settings['']['count']:,} more written by the same model:", again)
    yield Step(f"If you do not: {'; or '.join(_cures(facts, base))}.")


def _cures(facts: Facts, base: str) -> Iterator[str]:
    """What makes texts better, the surest first. `base`: the model that was fine-tuned."""
    losses = [line["held_out"] for line in facts.metrics]
    last = facts.metrics and facts.best_epoch == facts.metrics[-1]["epoch"]
    if last and len(losses) > 2 and losses[-1] < (1 - HARDLY) * losses[-2]:
        yield f"train longer, for it was still learning when training ended (--epochs {2 * (len(losses) - 1)})"
    if base == "nano":
        yield "take a larger model, whose texts a reader found good twice as often (--model smollm2-135m)"
    yield "add texts to the corpus"
    if base != "nano":
        yield "take a larger base model (--model)"


def _pool(facts: Facts, run: Path) -> str:
    """The run's pool, from here."""
    known = owner.Owner.read(run)
    return owner.from_here(run, known.pool) if known and known.pool else str(facts.settings[""]["pool"])


def told(facts: Facts, page: Path, run: Path) -> str:
    """The page in six lines, for a terminal."""
    learnt, count, *others = answers(facts)
    lines = [f"The report: {page}"]
    lines += [f"Learnt?  {learnt.short}", f"Texts:   {count.short}"]
    lines += [f"New?     {each.short}" for each in others if each.question == "Are they new?"]
    lines += [
        f"Next:    {owner.command('review', run)}",
        f"Numbers: {page.with_name('quality.json')}; --json prints them",
    ]
    return "\n".join(lines).replace("\N{NO-BREAK SPACE}", " ")
