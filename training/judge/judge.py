"""Candidates → verdicts on each text alone: the name of the first rule that rejects it, or `passed`. What depends on
other candidates (near-duplicates, openings) is decided in training/curate/choose.py.

A verdict depends on the text, the originals and the history, never on other candidates, so the work can be split among
processes in any way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from training.common.errors import WrongUse
from training.common.text import normal_form
from training.judge.band import Band
from training.judge.base_like import BaseLike
from training.judge.rule import Context, Text
from training.judge.rules import PASSED, edges_of, emoji_of, lines_of, rules_of
from training.sample.candidates import Candidate
from training.sample.stop_rules import StopRules
from training.settings import Bot, FilterSettings


@dataclass(frozen=True)
class Reference:
    """What candidates are compared with."""

    corpus: Sequence[str] = ()
    more: Sequence[str] = ()
    """Texts beside the corpus that nothing may copy."""
    history: Sequence[str] = ()
    """Texts already in the pool, posted or not: nothing may repeat them."""

    @property
    def originals(self) -> list[str]:
        """What nothing may copy; in a closed vocabulary every word must come from here or be common."""
        return [*self.corpus, *self.more]


@dataclass(frozen=True)
class Judging:
    """All that verdicts and choice depend on; it can be sent to another process."""

    bot: Bot
    reference: Reference = field(default_factory=Reference)
    band: Band | None = None
    """Where real texts lie; without it no log-probability is judged."""
    model: Path | None = None
    """The converted model: scores what came without a log-probability."""
    base: Path | None = None
    """The base model, converted with the same tokens: a second opinion on each text."""
    base_like: BaseLike | None = None
    """What tells the base model's own texts; without it none is looked for."""
    stop_id: str = ""
    """Id of the stop rules in force; texts given up under others are left out."""

    def judge(self) -> Judge:
        return Judge(self.bot.filter, self.reference, self.bot.folder, self.band)


@dataclass(frozen=True, slots=True)
class Verdict:
    text: str
    verdict: str
    """PASSED, or the name of the first rule that rejects the text."""
    detail: str = ""
    """Why; for a text that passed, the name for which it is set apart."""
    id: int = 0
    """Of the normal form, for a text that passed."""


class Judge:
    """Applies every rule to every candidate, batch by batch.

    Args:
        folder: where the files of own rules lie.

    Raises:
        WrongUse: `skip` names no rule, an own rule does not load, or a word list is missing.
    """

    def __init__(
        self,
        settings: FilterSettings,
        reference: Reference | None = None,
        folder: Path = Path(),
        band: Band | None = None,
    ) -> None:
        reference = reference or Reference()
        rules = rules_of(settings, folder)
        self.names = [rule.name for rule in rules]
        """Of all rules, in the order in which they are asked."""
        if unknown := set(settings.skip) - set(self.names):
            raise WrongUse(f"[filter] skip: {min(unknown)!r} is not a rule; the rules are {', '.join(self.names)}.")
        self.rules = [rule for rule in rules if rule.name not in settings.skip]
        self._questions = [(rule, rule.question) for rule in self.rules if rule.question and rule.rejects]
        self._comparisons = [(rule, rule.comparison) for rule in self.rules if rule.comparison]
        self._set_apart = [rule.question for rule in self.rules if rule.question and not rule.rejects]
        normals, past = ([normal_form(text) for text in texts] for texts in (reference.originals, reference.history))
        own = reference.corpus
        self.context = Context(settings, normals, past, band, lines_of(own), edges_of(own), emoji_of(own))
        _ = self.context.lines, self.context.words  # fails now if these settings cannot be

    def verdicts(self, candidates: Sequence[Candidate]) -> list[Verdict]:
        """The verdict on each, in order. Batches of some hundreds are fastest."""
        texts = [Text(candidate.text, candidate.logprob, candidate.finished) for candidate in candidates]
        verdicts: list[Verdict | None] = [
            self._given_up(text, candidate.stopped) if candidate.stopped else self._rejected(text)
            for text, candidate in zip(texts, candidates, strict=True)
        ]
        for rule, compare in self._comparisons:
            places = [place for place, verdict in enumerate(verdicts) if verdict is None]
            reasons = compare([texts[place] for place in places], self.context)
            for place, reason in zip(places, reasons, strict=True):
                if reason:
                    verdicts[place] = Verdict(texts[place].text, rule.name, reason)
        return [
            verdict or Verdict(text.text, PASSED, self._name_in(text), text.id)
            for text, verdict in zip(texts, verdicts, strict=True)
        ]

    def _rejected(self, text: Text) -> Verdict | None:
        for rule, ask in self._questions:
            if reason := ask(text, self.context):
                return Verdict(text.text, rule.name, reason)
        return None

    def _given_up(self, text: Text, stopped: str) -> Verdict:
        """The engine knew only bytes; name the rule that forbids them."""
        for rule, ask in self._questions if stopped == "characters" else ():
            if (rule.marks or rule.name in (stopped, "lines")) and (reason := ask(text, self.context)):
                return Verdict(text.text, rule.name, reason)
        return Verdict(text.text, stopped, "given up at this point")

    def _name_in(self, text: Text) -> str:
        """The name for which a person must see the text, or nothing."""
        return next((name for ask in self._set_apart if (name := ask(text, self.context))), "")

    def stop_rules(self) -> StopRules:
        """What an engine needs to give a text up early."""
        everything = bytes(range(256))
        rules = StopRules(everything, longest=0, vocabulary=False, run=0, originals=tuple(self.context.originals))
        for rule in self.rules:
            if rule.marks and not self.context.characters:
                rules = replace(rules, allowed=bytes(b for b in rules.allowed if chr(b) not in rule.marks))
            if rule.stop:
                rules = rule.stop(rules, self.context)
        return rules
