"""The rules, in the order in which they are asked.

To add one for every bot: write its question here (or, if it compares, in copies.py) and put its record into RULES, the
cheaper ones first. For one bot: name a function of its own in `[filter] own`.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from post_tweet.xtext import find_link, find_mention, weighted_length

from training.common.text import count_words, is_unspaced, words_of
from training.corpus.clean import unclean
from training.corpus.look import is_emoji
from training.judge import copies, stops
from training.judge.own import own_names, own_rules
from training.judge.rule import Context, Rule, Text
from training.settings import FilterSettings

PASSED = "passed"
"""The verdict on a text that no rule of the judge rejects."""
CHOSEN = {"kept": "chosen", "spare": "good, too, but not needed"}
"""Further verdicts, when the pool is chosen, and what they say of a text."""


def unfinished(text: Text, context: Context) -> str | None:
    """The model had not ended it when it was cut off."""
    return None if text.finished else "no end token"


def characters(text: Text, context: Context) -> str | None:
    """Only the allowed characters, or anything that a cleaned text may hold. X takes no control characters."""
    allowed, found = context.characters, text.text.replace("\n", " ")  # the rule `lines` counts those
    if allowed:
        return None if allowed.issuperset(found) else f"holds {next(c for c in found if c not in allowed)!r}"
    if "\ufffd" in found:
        return "holds bytes that are not a character"  # half an emoji
    if context.emoji is not None and (strange := emoji_in(found) - context.emoji):
        return f"holds {min(strange)}, which no text of the corpus holds"
    if found.isprintable():
        return None
    if odd := unclean(found):
        return f"holds {odd!r}"
    return "ends in the middle of an emoji or a word" if _JOINS_NOTHING.search(found) else None


_JOINS_NOTHING = re.compile("(?:^|\\s)[\u200c\u200d]|[\u2190-\u2bff\ufe0f\U0001f000-\U0001fbff]\u200d(?:\\s|$)")
"""A joiner with nothing before it, or after an emoji nothing behind. After letters it may shape the last one."""


def emoji_in(text: str) -> frozenset[str]:
    """Its emoji and other symbols; a skin's colour is none, and a flag is one, not its two letters."""
    if text.isascii():
        return frozenset()
    return frozenset(c for c in set(text) if is_emoji(c) and not _PART.match(c)) | frozenset(_FLAG.findall(text))


_PART = re.compile("[\U0001f1e6-\U0001f1ff\U0001f3fb-\U0001f3ff]")
_FLAG = re.compile("[\U0001f1e6-\U0001f1ff]{1,2}")


def emoji_of(corpus: Sequence[str]) -> frozenset[str] | None:
    """Those that the corpus's texts hold: a base model has read others, and puts them where these writers put none.
    None, any, where more than 1 text in 50 holds one of its own, so that the next text may bring another."""
    if len(corpus) < EDGES_FROM:
        return None
    each = [found for text in corpus if (found := emoji_in(text))]
    texts_with = Counter(c for found in each for c in found)
    own = sum(any(texts_with[c] == 1 for c in found) for found in each)
    return None if own > len(corpus) / 50 else frozenset(texts_with)


def lines(text: Text, context: Context) -> str | None:
    """Fewer or more lines than the corpus's texts have: half a poem, a list that does not end, prose of the base's."""
    count = count_lines(text.text)
    least, most = context.lines
    if most == 1 and "\n" in text.text:
        return "goes on in another line"
    return None if least <= count <= most else f"{count} line{'s' * (count != 1)}"


def count_lines(text: str) -> int:
    """Lines that are not blank; at least 1."""
    return 1 if "\n" not in text else sum(bool(line.strip()) for line in text.split("\n")) or 1


def lines_of(corpus: Sequence[str]) -> tuple[int, int]:
    """Fewest and most lines of the corpus's texts, but for the extreme 1 in 100."""
    counts = sorted(map(count_lines, corpus)) or [1]
    odd = len(counts) // 100
    return counts[odd], counts[-1 - odd]


def edges(text: Text, context: Context) -> str | None:
    """It begins or ends as hardly a text of the corpus does: with a comma, a small letter, no full stop."""
    stripped = text.text.strip()
    for where, c, usual in zip(("begins", "ends"), (stripped[:1], stripped[-1:]), context.edges, strict=True):
        if usual and c and (kind := kind_of(c)) and kind not in usual:
            return f"{where} with {kind}"
    return None


EDGES_FROM = 20
"""Fewer texts say too little of how others may begin."""


def edges_of(corpus: Sequence[str]) -> tuple[frozenset[str], frozenset[str]]:
    """The kinds of characters with which the corpus's texts begin and end, but for 1 text in 200; empty: any."""
    if len(corpus) < EDGES_FROM:
        return frozenset(), frozenset()
    found = []
    for at in (0, -1):
        kinds = Counter(kind_of(text.strip()[at]) for text in corpus if text.strip())
        odd = len(corpus) // 200
        for kind, count in sorted(kinds.items(), key=lambda item: item[1]):
            if count > odd:
                break
            odd -= count
            del kinds[kind]
        found.append(frozenset(kinds))
    return found[0], found[1]


def kind_of(c: str) -> str:
    """What kind of character stands at the edge of a text: letters by their case, digits, symbols and emoji together;
    a mark is a kind of its own. Quotation marks and brackets, which may stand around any text, are none: ""."""
    category = unicodedata.category(c)
    if category[0] == "P":
        return "" if category in ("Ps", "Pe", "Pi", "Pf") or c in '"¿¡' else c
    if category[0] == "L":
        return {"Lu": "a capital", "Lt": "a capital", "Ll": "a small letter"}.get(category, "a letter")
    # A mark of a script ends a word, a selector or a joiner an emoji; what this Python does not know is an emoji, too.
    return "a digit" if category[0] == "N" else "a letter" if category in ("Mc", "Mn") and c < "\ufe00" else "a symbol"


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
    """Two words are no saying. Where no spaces are written, words are reckoned from the graphemes."""
    count = len(text.words) if text.normal.isascii() else count_words(text.words)
    return f"{count:.3g} words" if count < context.settings.min_words else None


def length(text: Text, context: Context) -> str | None:
    """Longer than X allows, as X counts."""
    weight = weighted_length(text.text)
    return f"weighs {weight}" if weight > context.settings.max_length else None


PAIRS = {pair[0]: pair[1] for pair in ["()", "[]", "{}", "“”", "«»", "‹›"]}
PAIRS |= {"「": "」", "『": "』", "（": "）", "【": "】", "《": "》", "〈": "〉", "〔": "〕"}
PAIRS |= {"„": "“”", "»": "«", "›": "‹"}
_SMILEY = re.compile(
    r"(?:[:;=]|(?<!\w)[8xX])'?-?[()\[\]{}]|[()\[\]]-?[:;=]"
    r"|(?<=[\u05d0-\u05ea])\"(?=[\u05d0-\u05ea])"
)
"""And the quotation mark that Hebrew writes inside abbreviations."""
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
    end = text.text.rstrip(_CLOSING)
    if end.endswith(_GOES_ON) and (end := _LAST_SMILEY.sub("", text.text).rstrip(_CLOSING)).endswith(_GOES_ON):
        return f"ends on {end[-1]}"
    if text.words and context.dangling:
        last = text.words[-1]
        if last in context.dangling:
            return f"ends on {last!r}"
        if is_unspaced(last) and (word := next(filter(text.normal.endswith, sorted(context.dangling)), "")):
            return f"ends on {word!r}"
    return None


_CLOSING = "\"'”’»)]}」』）】》〉 \n"
_LAST_SMILEY = re.compile(r"(?:[:;=]'?-?[()\[\]{}/\\|]+|-[_.]+-)\s*$")
_GOES_ON = (*",;:-–—&([/", *"،؛、，；：（「『【《〈・", "־")
"""Marks after which more must come, in any script."""


def repetition(text: Text, context: Context) -> str | None:
    """The loop that a language model falls into. seq-rep-n of Welleck et al. (2020), "Neural Text Generation with
    Unlikelihood Training": 1 - distinct n-grams / all n-grams."""
    words = text.units
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
    texts_with = Counter(word for normal in context.originals for word in set(words_of(normal)))
    known = context.words.common | {word for word, count in texts_with.items() if count > 1}
    # A form of a word that stands in one other text is known, too, and counted as unknown here.
    known |= context.forms_of(known)
    return [not known.issuperset(text.words) for text in texts]


def blocked(text: Text, context: Context) -> str | None:
    """A word of the blocklist, in any spelling."""
    blocklist = context.words.blocklist
    return blocklist.find(text.text, text.spaced) or None if blocklist else None


def band(text: Text, context: Context) -> str | None:
    """Far more or far less probable than real texts (training/judge/band.py)."""
    return context.band.objection(text.logprob) if context.band else None


def set_apart(text: Text, context: Context) -> str | None:
    """It names a people or a religion: no list can tell malice without slurs, so a person must read it. So it is with
    every text in a language that has no list."""
    return context.names.find(text.text, text.spaced) or None


RULES: tuple[Rule, ...] = (
    Rule("unfinished", "cut off before its end", unfinished, of_sampling=True),
    Rule("characters", "a character or an emoji that yours do not hold", characters, stop=stops.at_characters),
    Rule("lines", "more or fewer lines than yours", lines),
    Rule("edges", "begins or ends as hardly any of yours do", edges),
    Rule("digits", "a number", digits, marks="0123456789"),
    Rule("mention", "an @name", mention, marks="@"),
    Rule("hashtag", "a #hashtag", hashtag, marks="#"),
    Rule("cashtag", "a $ sign", cashtag, marks="$"),
    Rule("link", "a link", link),
    Rule("length", "longer than X allows", length, stop=stops.at_length),
    Rule("too-short", "too few words", too_short),
    Rule("unbalanced", "a bracket or quotation mark without its other half", unbalanced),
    Rule("dangling", "stops in mid-sentence", dangling),
    Rule("repetition", "says the same words again and again", repetition),
    Rule(
        "vocabulary",
        "a word that is neither common nor in yours",
        vocabulary,
        leave_one_out=vocabulary_of_others,
        stop=stops.at_vocabulary,
    ),
    Rule("blocked", "a slur, or a word that the bot may not say", blocked),
    # A bot's own rules come here.
    Rule("band", "far more predictable or far odder than yours", band, of_sampling=True),
    Rule("duplicate", "written before", comparison=copies.duplicate),
    Rule(
        "copied-run",
        "copies several words in a row from yours",
        comparison=copies.copied_run,
        leave_one_out=copies.copied_run_of_others,
        stop=stops.at_copied_run,
    ),
    Rule("copy", "hardly different from one of yours", comparison=copies.copy, leave_one_out=copies.copy_of_others),
    Rule("near-duplicate", "hardly different from another new one", comparison=copies.near_history),
    Rule("base-like", "what the model wrote before it learnt from yours"),
    Rule("opening", "too many others begin the same way"),
    Rule("set-apart", "a person reads it first", set_apart, rejects=False),
)


def glosses() -> dict[str, str]:
    """Verdict → what it says of a text, in a few words for its writer."""
    return {rule.name: rule.gloss for rule in RULES} | CHOSEN


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
