"""How a rule narrows what an engine writes: an unfinished text that is bound to be rejected is given up."""

from __future__ import annotations

from dataclasses import replace

from training.judge.rule import Context
from training.sample.stop_rules import StopRules

# What an engine can tell from bytes. A text only grows: a forbidden character stays, and so does an unknown word once
# the next has begun. The judge would reject all that is given up here, so the same texts are kept, only sooner.


def at_characters(rules: StopRules, context: Context) -> StopRules:
    # A character beyond ASCII is several bytes: all of them pass here, and the judge looks closer.
    allowed, beyond = context.characters or frozenset(map(chr, range(32, 127))), not _ascii(context)
    if context.lines[1] > 1:
        allowed |= {"\n"}
    return replace(rules, allowed=bytes(b for b in rules.allowed if (beyond if b > 127 else chr(b) in allowed)))


def at_length(rules: StopRules, context: Context) -> StopRules:
    # A character of several bytes may weigh as little as 1.
    return replace(rules, longest=context.settings.max_length) if _ascii(context) else rules


def at_vocabulary(rules: StopRules, context: Context) -> StopRules:
    # The normal form folds letters beyond ASCII, which bytes do not show.
    if not (context.settings.closed_vocabulary and _ascii(context)):
        return rules
    # An original of one word adds that word, and no run of words.
    words = context.words.common | context.words.forms
    return replace(rules, vocabulary=True, originals=(*rules.originals, *sorted(words)))


def at_copied_run(rules: StopRules, context: Context) -> StopRules:
    length = context.settings.copy_run
    return replace(rules, run=length) if length <= 64 else rules


def _ascii(context: Context) -> bool:
    """Whether every character that a text may hold is one byte."""
    return bool(context.characters) and all(map(str.isascii, context.characters))
