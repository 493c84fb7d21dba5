"""The rules that look at one text alone. Each returns None, or why the text must go.

To add a rule for every bot: write a function here and name it in RULES at its place by cost. For one bot: name a
function of its own in `[filter] own`.
"""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path

from post_tweet.xtext import find_link, find_mention, invalid, weighted_length

from training.common.errors import WrongUse
from training.common.text import normal_form
from training.judge.blocklist import Blocklist, fold
from training.judge.words import blocked_words, common_words, peoples
from training.settings import FilterSettings


class Text:
    """One text, and what more than one rule wants of it."""

    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def normal(self) -> str:
        return normal_form(self.text)

    @cached_property
    def words(self) -> list[str]:
        """Words of the normal form."""
        return self.normal.split()


@dataclass(frozen=True)
class Context:
    """What the rules may know besides the text."""

    settings: FilterSettings
    characters: frozenset[str] = field(default_factory=frozenset)
    vocabulary: frozenset[str] = field(default_factory=frozenset)
    """Known words, in normal form: those of the corpus and its references, and common ones."""
    common: frozenset[str] = field(default_factory=frozenset)
    """The common ones among them."""
    blocklist: Blocklist | None = None
    dangling: frozenset[str] = field(default_factory=frozenset)
    apart: frozenset[str] = field(default_factory=frozenset)
    """Names that a person must see, of one word or two, in all their forms."""
    apart_starts: frozenset[str] = field(default_factory=frozenset)
    """First words of those of two."""

    @classmethod
    def of(cls, settings: FilterSettings, normals: Iterable[str]) -> Context:
        """`normals`: the corpus and its references in normal form."""
        asked = {name for name, _ in RULES} - set(settings.skip)
        own = {word for normal in normals for word in normal.split()}
        try:
            common = common_words(settings.common_words, settings.language)
        except WrongUse:
            if settings.closed_vocabulary and "vocabulary" in asked:
                raise
            common = frozenset()
        blocklist = None
        if "blocked" in asked:
            blocked = blocked_words(settings.language) | set(settings.block)
            blocklist = Blocklist(blocked, settings.allow, (common | own) - {normal_form(word) for word in blocked})
            # A word may be common and blocked; what the corpus itself says is known, and blocked by its own rule.
            common = frozenset(word for word in common if not blocklist.blocks(word))
        names = peoples() | {normal_form(name) for name in settings.set_apart}
        apart = frozenset(form for name in names for form in forms(name)) if "set-apart" not in settings.skip else ()
        return cls(
            settings,
            frozenset(settings.characters if "characters" in asked else ""),
            frozenset(common | own),
            common,
            blocklist,
            frozenset(map(normal_form, settings.dangling)),
            frozenset(apart),
            frozenset(form.split()[0] for form in apart if " " in form),
        )


Rule = Callable[[Text, Context], str | None]


def characters(text: Text, context: Context) -> str | None:
    """Plain characters: those of the style, or anything printable. X takes no control characters."""
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
    """Numbers are where a small model shows itself: chapters, dates, prices that mean nothing."""
    if context.characters:
        return None  # they say so themselves
    return next((f"holds {c!r}" for c in text.text if c.isdigit()), None)


def mention(text: Text, context: Context) -> str | None:
    """Nobody is pinged by a machine that does not know whom it writes to."""
    return find_mention(text.text)


def hashtag(text: Text, context: Context) -> str | None:
    """A hashtag puts the text under a topic that the model knows nothing of."""
    return "holds #" if "#" in text.text or "＃" in text.text else None


def cashtag(text: Text, context: Context) -> str | None:
    """X reads $ab as a share; a price is a number and goes, too."""
    return "holds $" if "$" in text.text or "＄" in text.text else None


def link(text: Text, context: Context) -> str | None:
    """Nothing that X would read as a link: it bills one at 13 times a post, and it leads nowhere."""
    return find_link(text.text)


def too_short(text: Text, context: Context) -> str | None:
    """Two words are no saying."""
    count = len(text.words)
    return f"{count} words" if count < context.settings.min_words else None


def length(text: Text, context: Context) -> str | None:
    """X refuses what is longer, by its own way of counting."""
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
    """An end that is none: a comma, a dash, or a word that wants another after it ("and", "of")."""
    end = text.text.rstrip("\"'”’»)]} ")
    if end.endswith((",", ";", ":", "-", "–", "—", "&", "(", "[", "/")):
        return f"ends on {end[-1]}"
    if text.words and text.words[-1] in context.dangling:
        return f"ends on {text.words[-1]!r}"
    return None


def repetition(text: Text, context: Context) -> str | None:
    """The loop that a language model falls into. seq-rep-n of Welleck et al. (2020), "Neural Text Generation with
    Unlikelihood Training": 1 - different n-grams / all n-grams."""
    words = text.words
    for n, most in enumerate(context.settings.repetition, 2):
        count = len(words) - n + 1
        if count > 1:
            runs = set(zip(*(words[i:] for i in range(n)), strict=False))
            if len(runs) == count:
                return None  # nor does any longer run come twice
            if 1 - len(runs) / count > most:
                return f"{1 - len(runs) / count:.0%} of its runs of {n} words are repeats"
    return None


def vocabulary(text: Text, context: Context) -> str | None:
    """A word that nobody knows: gibberish, and every slur of which no list has thought."""
    if context.settings.closed_vocabulary and not context.vocabulary.issuperset(text.words):
        return next(word for word in text.words if word not in context.vocabulary)
    return None


def blocked(text: Text, context: Context) -> str | None:
    """A word of the blocklist, in whatever spelling."""
    return context.blocklist.find(text.text, text.words) or None if context.blocklist else None


def set_apart(text: Text, context: Context) -> str | None:
    """A people or a religion is named: no list tells malice without slurs, so a person must read it. Not a rule
    for rejection: asked last, of texts that pass all others."""
    words = text.words if text.text.isascii() else [fold(word) for word in text.words]
    if not context.apart.isdisjoint(words):
        return next(word for word in words if word in context.apart)
    if not context.apart_starts.isdisjoint(words):
        for pair in pairwise(words):
            if (name := " ".join(pair)) in context.apart:
                return name
    return None


def forms(name: str) -> set[str]:
    """A name in the singular and the plural, and whose it is."""
    plurals = {name + "s"}
    if name.endswith(("s", "x", "z", "ch", "sh")):
        plurals = {name + "es"}
    elif name.endswith("y"):
        plurals |= {name[:-1] + "ies"}
    elif name.endswith("o"):
        plurals |= {name + "es"}
    elif name.endswith("man"):
        plurals |= {name[:-3] + "men"}
    return {name, f"{name}'s", *plurals, *(plural + "'" for plural in plurals)}


RULES: list[tuple[str, Rule]] = [
    ("characters", characters),
    ("digits", digits),
    ("mention", mention),
    ("hashtag", hashtag),
    ("cashtag", cashtag),
    ("link", link),
    ("length", length),
    ("too-short", too_short),
    ("unbalanced", unbalanced),
    ("dangling", dangling),
    ("repetition", repetition),
    ("vocabulary", vocabulary),
    ("blocked", blocked),
]


def own_rules(settings: FilterSettings, folder: Path, taken: Collection[str] = ()) -> list[tuple[str, Rule]]:
    """The rules that `[filter] own` names, from Python files in the bot's folder.

    Raises:
        WrongUse: a file or function is missing, does not load, or has one of the names that are `taken`.
    """
    rules: list[tuple[str, Rule]] = []
    for name in settings.own:
        file, _, function = name.partition(":")
        path = folder / file
        if not function or not path.is_file():
            raise WrongUse(f"[filter] own: {name!r} must be FILE.py:FUNCTION in {folder}; no such file there.")
        spec = importlib.util.spec_from_file_location(f"own_{path.stem}", path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module  # dataclasses look their module up
        try:
            spec.loader.exec_module(module)
        except Exception as error:
            raise WrongUse(f"[filter] own: {path} does not load: {type(error).__name__}: {error}") from error
        found = getattr(module, function, None)
        if not callable(found):
            raise WrongUse(f"[filter] own: {path} has no function {function!r}.")
        title = function.replace("_", "-")
        if title in taken or title in dict(rules):
            raise WrongUse(
                f"[filter] own: {name!r} is called like a rule or verdict that is there; rename the function."
            )
        rules.append((title, _own(name, found)))
    return rules


def _own(name: str, function: Callable[[str], str | None]) -> Rule:
    def rule(text: Text, context: Context) -> str | None:
        try:
            reason = function(text.text)
        except Exception as error:
            raise WrongUse(f"[filter] own: {name} failed on {text.text!r}: {type(error).__name__}: {error}") from error
        return str(reason) if reason else None

    return rule
