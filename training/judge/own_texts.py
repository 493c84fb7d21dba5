"""The rules asked of the owner's own texts, leave one out, and what loosens one that rejects too many of them.

A rule that rejects what the owner wrote is not about bad texts: nothing that is like the corpus would pass it. What a
bot must never do is loosened by nobody: ping people, post links, say blocked words, be longer than X takes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.common.text import normal_form
from training.judge import rates, rules
from training.judge.judge import Judge, Reference
from training.judge.rule import Context, Rule, Text
from training.settings import FilterSettings

TOLERATED = 0.02
"""A rule may reject this share of the own texts: there are bad ones among them."""
ASKED = 2000
"""Texts that are asked about: enough for a share of a per cent, and a second."""
Change = dict[str, Any]


class OwnTexts:
    """Some texts of a corpus, and what each rule says of them.

    Args:
        texts: the corpus in random order; the first ASKED of them are asked about.
        more: references, whose words are known, too. What own texts share with them says nothing of the rules.
    """

    def __init__(self, texts: Sequence[str], more: Sequence[str] = ()) -> None:
        # What is said twice is one text: a copy of itself says nothing of the rules.
        unique = [*{normal_form(text): text for text in texts}.values()]
        nothing = FilterSettings(common_words=0, skip=("blocked",))  # no word list is read yet
        self._context = Judge(nothing, Reference(unique)).context
        self._more = list(map(normal_form, more))
        self.texts = [Text(text) for text in unique[:ASKED]]

    def rejected(self, settings: FilterSettings, rule: Rule) -> NDArray[np.bool_]:
        """Which of the texts the rule rejects under these settings."""
        return self._asked(rule, self._under(settings, rule.name))

    def by_rule(self, settings: FilterSettings, asked: Sequence[Rule] = rules.RULES) -> dict[str, NDArray[np.bool_]]:
        """The same for all rules that reject texts and are not skipped."""
        context = self._under(settings)
        return {
            rule.name: self.rejected(settings, rule) if rule.name == "vocabulary" else self._asked(rule, context)
            for rule in asked
            if context.enabled(rule.name) and rule.rejects
        }

    def share(self, settings: FilterSettings, rule: Rule) -> float:
        return float(self.rejected(settings, rule).mean()) if self.texts else 0.0

    def looser(self, settings: FilterSettings, rule: Rule, most: float = TOLERATED) -> Change:
        """The least change of the settings after which the rule rejects no more than `most`; {} if nothing helps or
        nothing may."""
        changes: Change = {}
        for changes in ways(settings, rule.name):
            changed = replace(settings, **changes)
            if rule.name in changed.skip or self.share(changed, rule) <= most:
                break
        return changes

    def words_blocked(self, settings: FilterSettings, numbers: Sequence[int], most: int = 5) -> list[str]:
        """The blocked words of some of the texts, the most frequent first."""
        context = self._under(settings)
        found = Counter(rules.blocked(self.texts[number], context) or "" for number in numbers)
        return [word for word, _ in found.most_common(most) if word]

    def _under(self, settings: FilterSettings, rule: str = "") -> Context:
        more = self._more if rule == "vocabulary" else []
        return replace(self._context, settings=settings, originals=[*self._context.originals, *more], _made={})

    def _asked(self, rule: Rule, context: Context) -> NDArray[np.bool_]:
        found = rates.asked(rule, self.texts, context) if self.texts else None
        return np.zeros(len(self.texts), bool) if found is None else np.array(found, bool)


def ways(settings: FilterSettings, name: str) -> Iterator[Change]:
    """Looser and looser settings for a rule."""
    skip: Change = {"skip": (*settings.skip, name)}
    if name in SKIPPED:
        yield skip
    elif name in STEPS:
        yield from STEPS[name](settings)
        if name == "repetition":
            yield skip


SKIPPED = ("digits", "hashtag", "cashtag", "unbalanced", "dangling")
"""Rules that suit a corpus or do not."""
STEPS: dict[str, Callable[[FilterSettings], list[Change]]] = {
    "characters": lambda now: [{"characters": ""}] if now.characters else [],
    "too-short": lambda now: [{"min_words": n} for n in range(now.min_words - 1, 0, -1)],
    "repetition": lambda now: [
        {"repetition": looser} for looser in ((0.5, 0.4, 0.35), (0.65, 0.55, 0.5), (0.8, 0.75, 0.7))
    ],
    "vocabulary": lambda now: [{"closed_vocabulary": False}] if now.closed_vocabulary else [],
    "copied-run": lambda now: [{"copy_run": n} for n in (10, 12, 16, 24, 32, 64) if n > now.copy_run],
    "copy": lambda now: [{"copy_ratio": ratio} for ratio in (80.0, 85.0, 90.0, 95.0, 98.0) if ratio > now.copy_ratio],
}
"""Rules with a measure, and their looser ones, one step after the other."""
