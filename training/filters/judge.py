"""One verdict a candidate: the name of the first rule that rejects it, or `kept`.

Only kept texts are indexed, so memory follows the pool and not the candidates.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from training.config import FilterSettings
from training.filters.likeness import LikenessIndex, RunIndex
from training.filters.rules import RULES, Context
from training.text import normal_form

KEPT = "kept"
ORDER = ("unfinished", *(name for name, _ in RULES), "duplicate", "copied-run", "copy", "near-duplicate", KEPT)
"""Rules in the order in which they are asked; the table at the end of a run follows it."""


@dataclass(frozen=True)
class Verdict:
    text: str
    verdict: str
    detail: str = ""


class Judge:
    """Judges candidates one by one; remembers what it kept.

    Args:
        originals: the corpus and its reference texts: nothing may copy them, and in a closed
            vocabulary every word must come from them.
        history: texts already in the pool or posted: nothing may repeat them.
    """

    def __init__(self, settings: FilterSettings, originals: Iterable[str], history: Iterable[str] = ()) -> None:
        self.settings = settings
        known = [normal_form(text) for text in originals]
        words = (
            frozenset(word for text in known for word in text.split()) if settings.closed_vocabulary else frozenset()
        )
        self.context = Context(settings, words)
        self.known = frozenset(known)
        self.originals, self.original_runs = LikenessIndex(known), RunIndex(known, settings.copy_run)
        self.kept, self.seen = LikenessIndex(), set[str]()
        for text in map(normal_form, history):
            self.kept.add(text)
            self.seen.add(text)
        self.counts: Counter[str] = Counter()

    def judge(self, text: str, finished: bool = True, stopped: str = "") -> Verdict:
        """The verdict on one candidate; a kept text counts against those that follow.

        `stopped`: the rule for which it was given up while it was written.
        """
        name, detail = (stopped, "given up at this point") if stopped else self._first_objection(text, finished)
        self.counts[name] += 1
        return Verdict(text, name, detail)

    def _first_objection(self, text: str, finished: bool) -> tuple[str, str]:
        if not finished:
            return "unfinished", "no end token"
        for name, rule in RULES:
            if detail := rule(text, self.context):
                return name, detail
        normal = normal_form(text)
        if normal in self.seen:
            return "duplicate", ""
        if run := self.original_runs.shared(normal):
            return "copied-run", run
        if normal in self.known:
            # The index below cannot see it where every run of three words in it is common ("and the lord said").
            return "copy", f"100.0 {normal}"
        if relative := self.originals.nearest(normal, self.settings.copy_ratio):
            return "copy", f"{relative.ratio} {relative.text}"
        if relative := self.kept.nearest(normal, self.settings.near_ratio):
            return "near-duplicate", f"{relative.ratio} {relative.text}"
        self.seen.add(normal)
        self.kept.add(normal)
        return KEPT, ""

    def table(self) -> str:
        """How many candidates each rule rejected, in the order in which they are asked."""
        total = sum(self.counts.values()) or 1
        rows = [
            f"  {name:<16}{self.counts[name]:>10,}{self.counts[name] / total:>8.1%}"
            for name in ORDER
            if self.counts[name]
        ]
        return "\n".join([f"  {'verdict':<16}{'texts':>10}{'share':>8}", *rows, f"  {'all':<16}{total:>10,}"])
