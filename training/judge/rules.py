"""The rules, in the order in which they are asked.

To add one for every bot: write its question here (or, if it compares, in copies.py) and put its record into RULES, the
cheaper ones first. For one bot: name a function of its own in `[filter] own`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from post_tweet.xtext import find_link, find_mention, invalid, weighted_length

from training.judge import copies
from training.judge.own import own_names, own_rules
from training.judge.rule import Context, Rule, Text
from training.sample.stop_rules import StopRules
from training.settings import FilterSettings

PASSED = "passed"
"""The verdict on a text that no rule of the judge rejects."""
CHOSEN = ("kept", "spare")
"""Further verdicts, when the pool is chosen: in the pool, or good enough but not needed."""


def unfinished(text: Text, context: Context) -> str | None:
    """The model had not ended it when it was cut off."""
    return None if text.finished else "no end token"


def characters(text: Text, context: Context) -> str | None:
    """Only the allowed characters, or anything printable. X takes no control characters."""
    allowed = context.characters
    if allowed:
        return None if allowed.issuperset(text.text) else f"holds {next(c for c in text.text if c not in allowed)!r}"
    if "\ufffd" in text.text:
        return "holds bytes that are no character"  # half an emoji
    if text.text.isprintable():
        return invalid(text.text)
    # An emoji may be held together by U+200D, which is not printable and harmless.
    return next((f"holds {c!r}" for c in text.text if not (c.isprintable() or c in "\u200d\ufe0f")), None)


def digits(text: Text, context: Context) -> str | None:
    """Numbers give a small model away: chapters, dates, prices that mean nothing."""
    if context.characters:
        return None  # the list decides
    return next((f"holds {c!r}" for c in text.text if c.isdigit()), None)


def mention(text: Text, context: Context) -> str | None:
    """A machine should ping nobody: it does not know whom it writes to."""
    return find_mention(text.text)


def hashtag(text: Text, context: Context) -> str | None:
    """A hashtag puts the text under a topic that the model knows nothing of."""
    return "holds #" if "#" in text.text or "＃" in text.text else None


def cashtag(text: Text, context: Context) -> str | None:
    """X reads $ab as a stock; a price is a number and goes, too."""
    return "holds $" if "$" in text.text or "＄" in text.text else None


def link(text: Text, context: Context) -> str | None:
    """Whatever X reads as a link: it costs 13 times a plain post, and would lead nowhere."""
    return find_link(text.text)


def too_short(text: Text, context: Context) -> str | None:
    """Two words are no saying."""
    count = len(text.words)
    return f"{count} words" if count < context.settings.min_words else None


def length(text: Text, context: Context) -> str | None:
    """Longer than X allows, as X counts."""
    weight = weighted_length(text.text)
    return f"weighs {weight}" if weight > context.settings.max_length else None


PAIRS = {pair[0]: pair[1] for pair in ["()", "[]", "{}", "“”", "«»", "‹›", "「」", "『』", "（）", "【】"]}
PAIRS |= {"„": "“”", "»": "«", "›": "‹"}
_SMILEY = re.compile(r"[:;=8xX]'?-?[()\[\]{}]|[()\[\]]-?[:;=]")
_MARKS = re.compile('["' + re.escape("".join({*PAIRS, *PAIRS.values()})) + "]")


def unbalanced(text: Text, context: Context) -> str | None:
    """A bracket or quotation mark without its other half: the text begins or ends in the middle of something.
    Single quotation marks are apostrophes as often as not and say nothing."""
    marks = _MARKS.findall(_SMILEY.sub("", text.text))
    if not marks:
        return None
    open_marks: list[str] = []
    for mark in marks:
        if open_marks and mark in (open_marks[-1] if open_marks[-1] == '"' else PAIRS[open_marks[-1]]):
            open_marks.pop()
        elif mark in PAIRS or mark == '"':
            open_marks.append(mark)
        else:
            return f"closes {mark} that is not open"
    return f"leaves {open_marks[-1]} open" if open_marks else None


def dangling(text: Text, context: Context) -> str | None:
    """It stops in mid-sentence: on a comma, a dash, or a word that needs another after it ("and", "of")."""
    end = text.text.rstrip("\"'”’»)]} ")
    if end.endswith((",", ";", ":", "-", "–", "—", "&", "(", "[", "/")):
        return f"ends on {end[-1]}"
    if text.words and text.words[-1] in context.dangling:
        return f"ends on {text.words[-1]!r}"
    return None


def repetition(text: Text, context: Context) -> str | None:
    """The loop that a language model falls into. seq-rep-n of Welleck et al. (2020), "Neural Text Generation with
    Unlikelihood Training": 1 - distinct n-grams / all n-grams."""
    words = text.words
    for n, most in enumerate(context.settings.repetition, 2):
        count = len(words) - n + 1
        if count > 1:
            grams = set(zip(*(words[i:] for i in range(n)), strict=False))
            if len(grams) == count:
                return None  # then no longer run of words repeats either
            if 1 - len(grams) / count > most:
                return f"{1 - len(grams) / count:.0%} of its runs of {n} words are repeats"
    return None


def vocabulary(text: Text, context: Context) -> str | None:
    """An unknown word: gibberish, or a slur that no list has."""
    if context.settings.closed_vocabulary and not context.words.all.issuperset(text.words):
        return next(word for word in text.words if word not in context.words.all)
    return None


def vocabulary_of_others(texts: Sequence[Text], context: Context) -> Sequence[bool]:
    """Which of the first originals hold a word that is neither in another original nor common."""
    if not context.settings.closed_vocabulary:
        return [False] * len(texts)
    texts_with = Counter(word for normal in context.originals for word in set(normal.split()))
    known = context.words.common | {word for word, count in texts_with.items() if count > 1}
    # A form of a word that stands in one other text is known, too, and counted as unknown here.
    known |= context.forms_of(known)
    return [not known.issuperset(text.words) for text in texts]


def blocked(text: Text, context: Context) -> str | None:
    """A word of the blocklist, in any spelling."""
    blocklist = context.words.blocklist
    return blocklist.find(text.text, text.words) or None if blocklist else None


def band(text: Text, context: Context) -> str | None:
    """Far more or far less probable than real texts (training/judge/band.py)."""
    return context.band.objection(text.logprob) if context.band else None


def set_apart(text: Text, context: Context) -> str | None:
    """It names a people or a religion: no list can tell malice without slurs, so a person must read it. So it is with
    every text in a language that has no list."""
    return context.names.find(text.text, text.words) or None


# What an engine can tell from bytes. A text only grows: a forbidden character stays, and so does an unknown word once
# the next has begun. The judge would reject all that is given up here, so the same texts are kept, only sooner.


def stop_at_characters(rules: StopRules, context: Context) -> StopRules:
    allowed = context.characters
    if not allowed:
        return replace(rules, allowed=bytes(b for b in rules.allowed if 32 <= b != 127))
    # A character beyond ASCII is several bytes: all of them pass here, and the judge looks closer.
    beyond = not _ascii(context)
    return replace(rules, allowed=bytes(b for b in rules.allowed if (beyond if b > 127 else chr(b) in allowed)))


def stop_at_length(rules: StopRules, context: Context) -> StopRules:
    # A character of several bytes may weigh as little as 1.
    return replace(rules, longest=context.settings.max_length) if _ascii(context) else rules


def stop_at_vocabulary(rules: StopRules, context: Context) -> StopRules:
    # The normal form folds letters beyond ASCII, which bytes do not show.
    if not (context.settings.closed_vocabulary and _ascii(context)):
        return rules
    # An original of one word adds that word, and no run of words.
    words = context.words.common | context.words.forms
    return replace(rules, vocabulary=True, originals=(*rules.originals, *sorted(words)))


def stop_at_copied_run(rules: StopRules, context: Context) -> StopRules:
    length = context.settings.copy_run
    return replace(rules, run=length) if length <= 64 else rules


def _ascii(context: Context) -> bool:
    """Whether every character that a text may hold is one byte."""
    return bool(context.characters) and all(map(str.isascii, context.characters))


RULES: tuple[Rule, ...] = (
    Rule("unfinished", unfinished, of_sampling=True),
    Rule("characters", characters, stop=stop_at_characters),
    Rule("digits", digits, marks="0123456789"),
    Rule("mention", mention, marks="@"),
    Rule("hashtag", hashtag, marks="#"),
    Rule("cashtag", cashtag, marks="$"),
    Rule("link", link),
    Rule("length", length, stop=stop_at_length),
    Rule("too-short", too_short),
    Rule("unbalanced", unbalanced),
    Rule("dangling", dangling),
    Rule("repetition", repetition),
    Rule("vocabulary", vocabulary, leave_one_out=vocabulary_of_others, stop=stop_at_vocabulary),
    Rule("blocked", blocked),
    # A bot's own rules come here.
    Rule("band", band, of_sampling=True),
    Rule("duplicate", comparison=copies.duplicate),
    Rule(
        "copied-run", comparison=copies.copied_run, leave_one_out=copies.copied_run_of_others, stop=stop_at_copied_run
    ),
    Rule("copy", comparison=copies.copy, leave_one_out=copies.copy_of_others),
    Rule("near-duplicate", comparison=copies.near_history),
    Rule("opening"),
    Rule("set-apart", set_apart, rejects=False),
)


def rules_of(settings: FilterSettings, folder: Path) -> tuple[Rule, ...]:
    """All rules in their order, the bot's own among them.

    Raises:
        WrongUse: an own rule does not load, or has a name that is taken.
    """
    own = own_rules(settings, folder, {*(rule.name for rule in RULES), PASSED, *CHOSEN})
    return (*RULES[: _own_place()], *own, *RULES[_own_place() :])


def names_of(settings: FilterSettings) -> tuple[str, ...]:
    """The names of all rules in their order; no file of the bot's is read."""
    names = [rule.name for rule in RULES]
    return (*names[: _own_place()], *own_names(settings), *names[_own_place() :])


def _own_place() -> int:
    return [rule.name for rule in RULES].index("band")
