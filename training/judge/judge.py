"""Candidates → verdicts, as far as they concern one text alone: the name of the first rule that rejects it, or
`passed`. What depends on other candidates (near-duplicates, openings) is decided in training/curate/choose.py.

A verdict depends on the text, the originals and the history, never on the other candidates: so the work can be cut
among processes in any way. Originals and history are indexed, candidates are not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.common.errors import WrongUse
from training.common.text import id_of_normal, normal_form
from training.judge.band import Band
from training.judge.likeness import LikenessIndex, RunIndex
from training.judge.rules import RULES, Context, Text, own_rules, set_apart
from training.sample.candidates import Candidate
from training.settings import FilterSettings

PASSED = "passed"
BEFORE = ("unfinished", *(name for name, _ in RULES))
AFTER = ("band", "duplicate", "copied-run", "copy", "near-duplicate", "opening", "set-apart")
"""Every rule, in the order in which they are asked; a bot's own ones come between."""
NAMED_BY_BYTES = ("characters", "digits", "mention", "hashtag", "cashtag")


@dataclass(frozen=True, slots=True)
class Verdict:
    text: str
    verdict: str
    detail: str = ""
    """Why; for a text that passed, the name for which it is set apart."""
    id: int = 0
    """Of the normal form, for a text that passed."""


class Screen:
    """Judges candidates, batch by batch.

    Args:
        originals: the corpus and its reference texts: nothing may copy them, and in a closed
            vocabulary every word must come from them or be common.
        history: texts already in the pool or posted: nothing may repeat them.
        folder: where the files of own rules lie.
        band: where real texts lie; without it no log-probability is judged.

    Raises:
        WrongUse: `skip` names no rule, or an own rule does not load.
    """

    def __init__(
        self,
        settings: FilterSettings,
        originals: Iterable[str],
        history: Iterable[str] = (),
        folder: Path = Path(),
        band: Band | None = None,
    ) -> None:
        own = own_rules(settings, folder, {*BEFORE, *AFTER, PASSED, "kept", "spare"})
        self.names = order_of(settings)
        self.skip = frozenset(settings.skip)
        if unknown := self.skip - set(self.names):
            raise WrongUse(f"[filter] skip: {min(unknown)!r} is no rule; rules are {', '.join(self.names)}.")
        self.settings, self.band = settings, None if "band" in self.skip else band
        normals = [normal_form(text) for text in originals]
        self.context = Context.of(settings, normals)
        self.rules = [(name, rule) for name, rule in [*RULES, *own] if name not in self.skip]
        self.known = frozenset(normals)
        self.originals, self.original_runs = LikenessIndex.of(normals), RunIndex(normals, settings.copy_run)
        self.short_runs: dict[int, RunIndex] = {}
        """Of the lengths of short texts, made when one comes: such a text may be a piece of an original."""
        past = [normal_form(text) for text in history]
        self.history = LikenessIndex.of(past)
        self.seen: NDArray[np.uint64] = np.unique(np.fromiter(map(id_of_normal, past), np.uint64, len(past)))

    def judge(self, candidates: Sequence[Candidate]) -> list[Verdict]:
        """The verdict on each, in order. Batches of some hundreds are fastest."""
        verdicts: list[Verdict | None] = []
        places: list[int] = []
        left: list[Text] = []
        for place, candidate in enumerate(candidates):
            text = Text(candidate.text)
            name, detail = self.first_objection(text, candidate)
            verdicts.append(Verdict(candidate.text, name, detail) if name else None)
            if not name:
                places.append(place)
                left.append(text)
        for place, reasons in zip(places, self.compared([text.normal for text in left]), strict=True):
            if reasons:
                verdicts[place] = Verdict(candidates[place].text, *reasons[0])
        for place, text in zip(places, left, strict=True):
            if verdicts[place] is None:
                apart = set_apart(text, self.context) or ""
                verdicts[place] = Verdict(text.text, PASSED, apart, id_of_normal(text.normal))
        return [verdict for verdict in verdicts if verdict is not None]

    def names_in(self, text: str) -> str:
        """The name for which a text is set apart, or nothing."""
        return set_apart(Text(text), self.context) or ""

    def first_objection(self, text: Text, candidate: Candidate) -> tuple[str, str]:
        """(rule, reason) of the first rule that rejects the text by itself, or ("", "")."""
        if candidate.stopped == "characters":
            # An engine knows bytes alone; which rule it is that forbids them is said here.
            for name, rule in self.rules:
                if name in NAMED_BY_BYTES and (detail := rule(text, self.context)):
                    return name, detail
        if candidate.stopped:
            return candidate.stopped, "given up at this point"
        if not candidate.finished and "unfinished" not in self.skip:
            return "unfinished", "no end token"
        for name, rule in self.rules:
            if detail := rule(text, self.context):
                return name, detail
        if self.band and (reason := self.band.objection(candidate.logprob)):
            return "band", reason
        return "", ""

    def compared(self, normals: list[str], every: bool = False) -> list[list[tuple[str, str]]]:
        """(rule, reason) of the rules that find each text among the originals or in the history: the first, or
        `every` one."""
        found: list[list[tuple[str, str]]] = [[] for _ in normals]
        settings = self.settings

        def left() -> list[int]:
            return [place for place, reasons in enumerate(found) if every or not reasons]

        def mark(name: str, places: list[int], reasons: Iterable[str]) -> None:
            if name not in self.skip:
                for place, reason in zip(places, reasons, strict=True):
                    if reason:
                        found[place].append((name, reason))

        if len(self.seen):
            ids = np.fromiter(map(id_of_normal, normals), np.uint64, len(normals))
            hits = np.isin(ids, self.seen).tolist()
            mark("duplicate", left(), ["posted before, or in the pool" if hit else "" for hit in hits])
        mark("copied-run", places := left(), self._copied([normals[place] for place in places]))
        for name, index, ratio in (
            ("copy", self.originals, settings.copy_ratio),
            ("near-duplicate", self.history, settings.near_ratio),
        ):
            if name not in self.skip:
                places = left()
                texts = [normals[place] for place in places]
                relatives = index.nearest(texts, ratio)
                reasons = [f"{relative.ratio:.1f} {relative.text}" if relative else "" for relative in relatives]
                if name == "copy":
                    # The index cannot see it where every run of three words in it is common ("and the lord said").
                    reasons = [
                        reason or (f"100.0 {text}" if text in self.known else "")
                        for reason, text in zip(reasons, texts, strict=True)
                    ]
                mark(name, places, reasons)
        return found

    def _copied(self, normals: list[str]) -> list[str]:
        """The run of words that each shares with an original: so many as are forbidden, or all that it has."""
        found = self.original_runs.shared(normals)
        for place, normal in enumerate(normals):
            length = normal.count(" ") + 1
            if length < self.settings.copy_run and not found[place]:
                if length not in self.short_runs:
                    self.short_runs[length] = RunIndex(self.originals.texts, length)
                found[place] = self.short_runs[length].shared([normal])[0]
        return found


def order_of(settings: FilterSettings) -> tuple[str, ...]:
    """The names of all rules, the bot's own among them, in the order in which they are asked."""
    return (*BEFORE, *(name.partition(":")[2].replace("_", "-") for name in settings.own), *AFTER)
