"""Finding the names for which a person must see a text: of peoples, of religions, and a bot's own.

A wrong hit costs a person a glance, a missed one may be published: so stems take whatever begins with them, accents and
look-alike letters count for nothing, and every script beyond the bot's own is read in all its languages.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import cached_property
from itertools import pairwise

from training.common.text import normal_form
from training.judge.blocklist import fold
from training.judge.words import SCRIPTS, listed, peoples
from training.settings import FilterSettings

_ARABIC_PREFIX = re.compile("(?=[وفبكلا])[وف]?(?:[بك]?ال|لل|[بكل])?")
"""And, with, to, the, which Arabic writes into the word."""
_MARKS = re.compile(r"[\s!-/:-@\[-`{-~।—–…«»“”„‘’、。「」『』！？，：；（）]+")
_NOT_LATIN = re.compile("[\u0900-\u0eff\u1100-\u11ff\u3040-\u318f\u3400-\u9fff\uac00-\ud7ff\uff00-\uffef]")
"""The scripts of Names.anywhere."""
_VOICED = "\u3099\u309a"
"""Marks that make other syllables of kana."""


class Names:
    """The names that a text is searched for.

    Args:
        settings: `language` chooses the lists, `set_apart` adds to them, and `unlisted` says what becomes of texts in a
            language without a list.
    """

    def __init__(self, settings: FilterSettings) -> None:
        language = listed(settings.language)
        published = language or settings.unlisted == "publish" or "set-apart" in settings.skip
        self.unread = "" if published else f"no list for {settings.language!r}"
        """Why every text must be read; empty: not every one must."""
        script = SCRIPTS.get(language)
        # Of Latin letters the bot's own language and English: others would hit ordinary words.
        others = {code for code, theirs in SCRIPTS.items() if theirs != script}
        self.words: dict[str, str] = {}
        """A word or two as they are compared → the name as it is shown."""
        self.stems: dict[str, str] = {}
        """The same for the beginnings of words."""
        self.anywhere: dict[str, list[tuple[str, str]]] = {}
        """By their first character those that are searched for in the whole text, and how they are shown."""
        codes = ["en", *sorted({language, *others} - {"en", ""})]
        for code in codes:
            for entry in peoples()[code]:
                self._add(entry, inflected=code == "en")
        for name in settings.set_apart:
            self._add(normal_form(name), inflected=True)
        self.arabic = "ar" in {language, *others}
        self._lengths = sorted({len(stem) for stem in self.stems})
        self._openers = {name.split()[0] for name in (*self.words, *self.stems) if " " in name}
        """First words of names of two words."""
        self._known: dict[str, str] = {}
        """Words that were looked up, and their names."""
        self._firsts: set[str] = set()
        """Those of them that may begin a name of two words."""

    def _add(self, entry: str, inflected: bool) -> None:
        name = entry.strip("*")
        if entry.startswith("-"):
            self.words.pop(name[1:], None)
        elif entry.startswith("*"):
            self.anywhere.setdefault(bare(name)[0], []).append((bare(name), name.strip()))
        elif entry.endswith("*"):
            self.stems[bare(name)] = f"{name}…"
        else:
            self.words.update((bare(form), form) for form in (forms(name) if inflected else {name}) if name)

    @property
    def notice(self) -> str:
        """What a person should know before texts are judged; empty: nothing."""
        if not self.unread:
            return ""
        return (
            f"There is {self.unread}, neither of blocked words nor of peoples: only English ones are found, and every "
            "text is set apart for you to read. If the English ones will do, set [filter] unlisted = "
            '"publish".'
        )

    @cached_property
    def numbers(self) -> dict[str, int]:
        """All that `find` may return, numbered from 1."""
        shown = {*self.words.values(), *self.stems.values(), *filter(None, [self.unread])}
        shown |= {name for parts in self.anywhere.values() for _, name in parts}
        return {name: number for number, name in enumerate(sorted(shown), 1)}

    def find(self, text: str, words: list[str]) -> str:
        """The first name in the text, or nothing. `words`: those of its normal form."""
        known = self._known
        for word in words:
            name = known.get(word)
            if name is None:
                name = self._learn(word)
            if name:
                return name
        if not self._firsts.isdisjoint(words):
            for first, second in pairwise(words):
                if first in self._firsts and (name := self._look_up(f"{bare(first)} {bare(second)}")):
                    return name
        if _NOT_LATIN.search(text):
            whole = f" {_MARKS.sub(' ', bare(text))} "
            for place, character in enumerate(whole):
                for part, name in self.anywhere.get(character, ()):
                    if whole.startswith(part, place):
                        return name
        return self.unread

    def _learn(self, word: str) -> str:
        """The name that a word is, or nothing; what is found is kept for the next text."""
        if len(self._known) > 200_000:
            self._known.clear()
            self._firsts.clear()
        name = next(filter(None, map(self._look_up, self._readings(word))), "")
        self._known[word] = name
        if bare(word) in self._openers:
            self._firsts.add(word)
        return name

    def _readings(self, word: str) -> Iterator[str]:
        """The word, and what is left of it without articles and the like that are written into it: l'allemand."""
        word, latin = bare(word), fold(word)
        yield word
        if latin != word:
            yield latin
        if "'" in latin:
            yield from latin.split("'")
        if self.arabic and (prefix := _ARABIC_PREFIX.match(word)):
            yield from (word[n:] for n in range(1, prefix.end() + 1) if len(word) - n > 2)

    def _look_up(self, word: str) -> str:
        if name := self.words.get(word):
            return name
        return next((self.stems[word[:n]] for n in self._lengths if n <= len(word) and word[:n] in self.stems), "")


def bare(text: str) -> str:
    """Lower case, no accents and no joiners. Letters of other scripts stay what they are: Cyrillic "тора" is not
    "topa", nor is ゲ ケ."""
    apart = unicodedata.normalize("NFKD", text.casefold())
    plain = (c for c in apart if not unicodedata.combining(c) or c in _VOICED)
    return unicodedata.normalize("NFC", "".join(c for c in plain if c.isprintable() or c.isspace()))


def forms(name: str) -> set[str]:
    """A name in the singular, the plural and the possessive."""
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
