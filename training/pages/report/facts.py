"""All that the page tells of a run, read from the run's own files. Nothing is sampled or trained for it.

In:  RUN/{corpus.json, corpus.txt, manifest.json, metrics.jsonl, candidates.jsonl, verdicts.jsonl, pool.jsonl,
     review.jsonl, decisions.jsonl}, the run's pool; quality.json's numbers come from curate/report.py. What is missing
     is left out.
Out: Facts. The texts are those of all rounds; what became of candidates is told of the newest round alone, for
     verdicts.jsonl holds no other.
"""

from __future__ import annotations

import json
import random
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from rapidfuzz import fuzz, process

from training.common import jsonl
from training.common.manifest import Manifest
from training.common.text import count_words, normal_form, text_id, units_of, words_of
from training.corpus import build
from training.corpus.read import load_built, load_corpus
from training.curate import report
from training.curate.decisions import Decisions
from training.curate.fill import pool_records
from training.curate.write import review_file
from training.judge import rates
from training.judge.blocks import read_candidates
from training.judge.judge import Judge, Reference
from training.judge.rates import Rates
from training.judge.rules import names_of
from training.model.card import Origin, origin_of
from training.runs.in_pool import texts_of
from training.sample.candidates import Candidate
from training.settings import Bot, plain

TITLES = {"base": "conversion of the base", "convert": "conversion", "filter": "sampling and filtering"}
"""Stages of the manifest whose own names say little."""
PASSED = ("kept", "spare", "set-apart", "duplicate", "near-duplicate", "opening")
"""Verdicts of texts that broke no rule by themselves; the later ones repeat another text too much."""
SHOWN = 50
"""Texts that stand beside their nearest original."""
PEOPLE = 2_000
"""Texts of the corpus that the rules are tried on: a share of 1 % is then known to half a per cent."""
MACHINE = 5_000
"""Candidates that the rules are tried on."""
EXTREMES = 3
"""Texts of each kind of extreme."""
CLOSEST = 2_000
"""Texts among which the two most alike are sought; quadratic."""


@dataclass(frozen=True)
class Stage:
    title: str
    seconds: float
    finished: str


@dataclass(frozen=True)
class RuleShare:
    """How often a rule rejects, as a share of the texts; None where it is not tried on them."""

    name: str
    first: float
    """Of all candidates, those that it was the first to reject."""
    people: float | None
    machine: float | None


@dataclass(frozen=True)
class Heat:
    """What came of one temperature."""

    temperature: float
    candidates: int
    passed: float
    """Share that broke no rule."""
    kept: float


@dataclass(frozen=True)
class Beside:
    """A text, and the one of the corpus that is most like it."""

    text: str
    score: float
    nearest: str
    ratio: float


@dataclass(frozen=True)
class Extreme:
    what: str
    texts: list[tuple[str, str]]
    """(text, figure)."""


@dataclass
class Facts:
    name: str
    model: str
    origin: Origin
    corpus: dict[str, Any]
    """corpus.json."""
    stages: list[Stage]
    metrics: list[dict[str, Any]]
    """A line an epoch, 0 the base model."""
    best_epoch: int | None
    counts: dict[str, int]
    """Verdict → candidates of the newest round."""
    rules: list[RuleShare]
    people: int
    machine: int
    """How many texts of the corpus and candidates of the newest round the shares are of."""
    heats: list[Heat]
    pool: list[Beside]
    """Every text of pool.jsonl, then those of earlier rounds and of reviews that the run's pool holds; none that was
    taken out or dropped."""
    set_apart: int
    """Texts of any round that wait for a person."""
    lengths: dict[str, list[int]]
    """Words of each text, by set."""
    quality: dict[str, Any]
    """quality.json."""
    beside: list[Beside]
    extremes: list[Extreme]
    settings: dict[str, dict[str, Any]]
    """Section → setting → value; those that the bot chose are in `chosen`."""
    chosen: list[str]
    versions: dict[str, str]
    missing: list[str]
    """References of the bot that are not there now, so that the rules could not compare with them."""
    round: int = 1
    """The newest round's number."""
    unread: str = ""
    """Why the run's pool could not be read: then `pool` has the newest round's texts alone."""
    openings: dict[str, list[tuple[str, float]]] = field(default_factory=dict)
    """Set → (opening, share of its texts), the commonest ones of the pool and of the corpus."""

    @property
    def candidates(self) -> int:
        return sum(self.counts.values())

    @property
    def notes(self) -> list[str]:
        """Which rounds the figures are of, where there is more than one to tell of."""
        found = []
        if self.round > 1:
            found.append(
                f"The texts are from {self.round:,} rounds, without those taken out since. Figures on what the model "
                "wrote, and on the rules, are from the newest round."
            )
        if self.unread:
            found.append(f"Only the newest round's texts are here, for the pool could not be read. {self.unread}")
        return found

    @property
    def seconds(self) -> float:
        return sum(stage.seconds for stage in self.stages)

    def plain(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


def gather(bot: Bot, run: Path, models: Path) -> Facts:
    """Read the run. `models`: where base models of the hub were fetched to.

    Raises:
        WrongUse: the run has no pool yet.
        DeepproverbsError: one of its files cannot be read.
    """
    report.check(run)
    decisions, stages = Decisions(run), Manifest(run).stages
    records, unread = texts_of(run, decisions)
    pool = [Beside(r["text"], r.get("score", 0.0), r.get("nearest", ""), r.get("nearest_ratio", 0.0)) for r in records]
    quality = report.report(bot, run, [each.text for each in pool])
    judge = Judge(bot.filter, _reference(bot, run), bot.folder)
    corpus = load_built(run / "corpus.txt")
    counts, heats, judged = _verdicts(run, stages.get("filter", {}).get("first", 0))
    tuned = stages.get("finetune", {})
    rng = random.Random(bot.sample.seed)
    people = rates.people(judge, corpus[:PEOPLE])
    machine = rates.machine(judge, judged, MACHINE)
    # The band is asked where the model is at hand; here it is not.
    asked = {rule.name for rule in judge.rules if (rule.question or rule.comparison) and rule.name != "band"}
    asked = asked if machine.texts else set()
    total = max(1, sum(counts.values()))
    _, held_out = build.split(corpus, bot.corpus.hold_out, bot.corpus.seed)
    waiting = review_file(run / "pool.jsonl")
    return Facts(
        name=bot.name,
        model=bot.model,
        origin=origin_of(tuned.get("settings", {}).get("base", bot.model), models),
        corpus=_read(run / "corpus.json"),
        stages=[
            Stage(TITLES.get(name, name), entry["seconds"], entry["finished"])
            for name, entry in sorted(stages.items(), key=lambda item: str(item[1].get("finished")))
            if "seconds" in entry
        ],
        metrics=tuned.get("metrics", []),
        best_epoch=tuned.get("best_epoch"),
        counts=counts,
        rules=[
            RuleShare(name, counts.get(name, 0) / total, people.shares.get(name), _of(machine, name, asked))
            for name in names_of(bot.filter)
            if counts.get(name) or people.shares.get(name) or machine.shares.get(name)
        ],
        people=people.texts,
        machine=machine.texts,
        heats=heats,
        pool=pool,
        set_apart=sum(not decisions.decided(text_id(record["text"])) for record in _records(waiting)),
        lengths={
            "pool": [length(each.text) for each in pool],
            "corpus": [length(text) for text in corpus],
        },
        quality=quality,
        beside=sorted(rng.sample(pool, min(SHOWN, len(pool))), key=lambda each: -each.ratio),
        extremes=list(_extremes(pool)),
        settings=_settings(bot),
        chosen=sorted(bot.chosen),
        versions=_versions(stages),
        round=stages.get("filter", {}).get("round", 1),
        unread=unread,
        missing=[path.name for path in bot.reference_files if not path.exists()],
        openings=_openings({"pool": [each.text for each in pool], "corpus": corpus, "held-out": held_out}),
    )


def _of(machine: Rates, name: str, asked: Collection[str]) -> float | None:
    return machine.shares.get(name, 0.0 if name in asked else None)


def _reference(bot: Bot, run: Path) -> Reference:
    """What nothing may copy; without the bot's references where a program has yet to write them."""
    there = [path for path in bot.reference_files if path.exists()]
    more = [text for path in there for text in load_corpus(path, bot.corpus)]
    return Reference(load_built(run / "corpus.txt"), more)


def length(text: str) -> int:
    """In words."""
    return round(count_words(words_of(normal_form(text))))


def _read(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _records(path: Path) -> Iterator[dict[str, Any]]:
    return (record for _, record in pool_records(path)) if path.exists() else iter(())


def _verdicts(run: Path, first: int) -> tuple[dict[str, int], list[Heat], Iterator[Candidate]]:
    """How many candidates of the newest round have each verdict, what came of each temperature, and those candidates,
    in their order; a few more may have been sampled than were judged. Verdicts stand in another order, so they are
    brought together by their words. `first`: the number of the round's first candidate."""
    heats: dict[str, float] = {}
    for candidate in islice(_candidates(run), first, None):
        heats.setdefault(candidate.text.strip(), candidate.temperature)
    counts: Counter[str] = Counter()
    judged: Counter[str] = Counter()
    by_heat: defaultdict[float, Counter[str]] = defaultdict(Counter)
    path = run / "verdicts.jsonl"
    for record in jsonl.records(path) if path.exists() else ():
        counts[record["verdict"]] += 1
        judged[text := record["text"].strip()] += 1
        if (heat := heats.get(text)) is not None:
            by_heat[heat][record["verdict"]] += 1
    found = [
        Heat(heat, total, sum(some[verdict] for verdict in PASSED) / total, some[PASSED[0]] / total)
        for heat, some in sorted(by_heat.items())
        if (total := some.total())
    ]

    def candidates() -> Iterator[Candidate]:
        for candidate in islice(_candidates(run), first, None):
            if judged[text := candidate.text.strip()] > 0:
                judged[text] -= 1
                yield candidate

    return dict(counts), found, candidates()


def _candidates(run: Path) -> Iterator[Candidate]:
    path = run / "candidates.jsonl"
    return (candidate for _, candidate in read_candidates(path)) if path.exists() else iter(())


def _extremes(pool: Sequence[Beside]) -> Iterator[Extreme]:
    def most(what: str, key: Any, figure: Any, some: Sequence[Beside] = pool) -> Extreme:
        return Extreme(what, [(each.text, figure(each)) for each in sorted(some, key=key)[:EXTREMES]])

    scored = [each for each in pool if each.score]
    if scored:
        yield most("most probable", lambda e: -e.score, lambda e: f"{e.score:.2f} nats a token", scored)
        yield most("least probable", lambda e: e.score, lambda e: f"{e.score:.2f} nats a token", scored)
    yield most("longest", lambda e: -length(e.text), lambda e: f"{length(e.text)} words")
    yield most("shortest", lambda e: length(e.text), lambda e: f"{length(e.text)} words")
    yield most("nearest to an original", lambda e: -e.ratio, lambda e: f"{e.ratio:.0f} of 100")
    yield most("farthest from any original", lambda e: e.ratio, lambda e: f"{e.ratio:.0f} of 100")
    if pair := _closest([each.text for each in pool[:CLOSEST]]):
        yield Extreme("most alike in the pool", [(text, f"{pair[2]:.0f} of 100") for text in pair[:2]])


def _closest(texts: Sequence[str]) -> tuple[str, str, float] | None:
    """The two most alike, and rapidfuzz's ratio of their normal forms."""
    if len(texts) < 2:
        return None
    normals = [normal_form(text) for text in texts]
    best = (0.0, 0, 1)
    for at in range(1, len(normals)):
        found = process.extractOne(normals[at], normals[:at], scorer=fuzz.ratio, processor=None, score_cutoff=best[0])
        if found and found[1] > best[0]:
            best = (found[1], found[2], at)
    return texts[best[1]], texts[best[2]], best[0]


def _openings(sets: dict[str, Iterable[str]], most: int = 10) -> dict[str, list[tuple[str, float]]]:
    """The commonest openings of the pool, and their shares in each set."""
    counted = {name: report.openings(units_of(normal_form(text)) for text in texts) for name, texts in sets.items()}
    wanted = [opening for opening, _ in counted["pool"].most_common(most)]
    return {
        name: [(opening, counts[opening] / max(1, counts.total())) for opening in wanted]
        for name, counts in counted.items()
    }


def _settings(bot: Bot) -> dict[str, dict[str, Any]]:
    sections = {name: plain(getattr(bot, name)) for name in ("corpus", "finetune", "sample", "filter")}
    return {"": {"name": bot.name, "model": bot.model, "count": bot.count, "pool": bot.pool}, **sections}


def _versions(stages: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Of Python and the packages, as the latest stage that names them had them."""
    found: dict[str, str] = {}
    for stage in stages.values():
        found |= {"Python": stage["python"]} if "python" in stage else {}
        found |= stage.get("packages", {})
    return found
