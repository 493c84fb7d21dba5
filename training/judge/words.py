"""Lists of words: common ones, blocked ones, and the names of peoples and religions.

Common words come from wordfreq, blocked ones from glin-profanity (24 languages), whose files are read as data: its
matcher sees no plurals. What it lacks lies in blocked.txt beside this file. No package has names of peoples and
religions in many languages: those in peoples.txt were written for this project.
"""

from __future__ import annotations

import json
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from training.common.errors import WrongUse

HERE = Path(__file__).parent
LANGUAGES = {
    "ar": "arabic", "cs": "czech", "da": "danish", "de": "german", "en": "english", "eo": "esperanto", "es": "spanish",
    "fa": "persian", "fi": "finnish", "fr": "french", "hi": "hindi", "hu": "hungarian", "it": "italian",
    "ja": "japanese", "ko": "korean", "nl": "dutch", "no": "norwegian", "pl": "polish", "pt": "portuguese",
    "ru": "russian", "sv": "swedish", "th": "thai", "tr": "turkish", "zh": "chinese",
}  # fmt: skip
"""Languages with a blocklist and names of peoples, by code."""
SCRIPTS = {
    "ar": "Arabic", "fa": "Arabic", "hi": "Devanagari", "ja": "Chinese", "ko": "Hangul", "ru": "Cyrillic",
    "th": "Thai", "zh": "Chinese",
}  # fmt: skip
"""Of those that are not written in Latin letters."""
UNSPACED = ("ja", "th", "zh")
"""Languages that write no spaces: a blocked word may stand anywhere."""


def listed(language: str) -> str:
    """The code in LANGUAGES for a language such as "de", "pt-BR" or "nb"; empty: it has no lists."""
    code = language.lower().replace("_", "-").partition("-")[0]
    code = {"nb": "no", "nn": "no"}.get(code, code)
    return code if code in LANGUAGES else ""


@lru_cache(maxsize=4)
def common_words(count: int, language: str) -> frozenset[str]:
    """The `count` most frequent words of a language; none where wordfreq does not know it.

    Raises:
        WrongUse: words are wanted of a language that wordfreq does not know.
    """
    if not count:
        return frozenset()
    from wordfreq import available_languages, top_n_list

    language = {"no": "nb"}.get(listed(language), listed(language) or language)
    if language not in available_languages():
        known = ", ".join(sorted(available_languages()))
        raise WrongUse(
            f"There are no common words for the language {language!r}, only for {known}; set [filter] common_words = 0."
        )
    words = top_n_list(language, count)
    # Short ones are what a model falls into by pieces of words ("st", "tra", "ben"); those that are words stand in
    # the corpus.
    return frozenset(word for word in words if len(word) > 3 or language != "en")


@lru_cache(maxsize=4)
def blocked_words(language: str) -> frozenset[str]:
    """Words and phrases that no bot should say, in lower case; *root* stands for any word that holds it, root* for any
    that begins so.

    English ones are always among them: GPT-2 has read little else. A language without a list has those alone, and
    `Names.unread` sets its texts apart.
    """
    words: set[str] = set()
    for code in filter(None, dict.fromkeys(["en", listed(language)])):
        own = json.loads(_of("glin_profanity", f"data/dictionaries/{LANGUAGES[code]}.json"))["words"]
        words |= {f"*{word.strip()}*" for word in own} if code in UNSPACED else set(own)
        words |= {word for word in sections("blocked.txt").get(code, ()) if not word.startswith("-")}
    roots = {word for word in spared_words(language) if word.startswith("*")}
    return frozenset({word.strip().lower() for word in words if word.strip(" *")} - roots)


def spared_words(language: str) -> frozenset[str]:
    """Blocked words that are ordinary ones in the language: "dick" is German for thick."""
    entries = (sections("blocked.txt").get(code, ()) for code in ("en", listed(language)))
    return frozenset(word[1:] for some in entries for word in some if word.startswith("-"))


class Compounds(NamedTuple):
    """What makes words such as dumbass and dickhead."""

    fronts: frozenset[str] = frozenset()
    parts: frozenset[str] = frozenset()
    """Blocked words that a front or a tail may be joined to."""
    tails: frozenset[str] = frozenset()

    def holds(self, word: str) -> bool:
        """Whether the word, in the singular or the plural, is made of a part and a front or a tail."""
        for place in range(3, len(word) - 1):
            first, last = word[:place], word[place:]
            ends = () if first not in self.parts else self.tails
            starts = first in self.fronts and (len(last) > 3 or last == "ass")
            if ends or starts:
                forms = {last, last.removesuffix("s"), last.removesuffix("es")}
                if not forms.isdisjoint(ends) or (starts and not forms.isdisjoint(self.parts)):
                    return True
        return False


@lru_cache(maxsize=1)
def compounds() -> Compounds:
    """Those of English, which every model falls back to."""
    lists = sections("blocked.txt")
    parts = {word for word in blocked_words("en") if word.isascii() and word.isalpha() and 3 <= len(word) <= 9}
    return Compounds(frozenset(lists["fronts"]), frozenset(parts | set(lists["parts"])), frozenset(lists["tails"]))


def peoples() -> dict[str, tuple[str, ...]]:
    """By language the names of peoples, religions and those who belong to them, as peoples.txt writes them."""
    return sections("peoples.txt")


@lru_cache(maxsize=2)
def sections(name: str) -> dict[str, tuple[str, ...]]:
    """The entries of a list beside this file, by the [section] that they stand in."""
    found: dict[str, list[str]] = {}
    for line in (HERE / name).read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            entries = found.setdefault(line.strip("[]"), [])
        elif not line.startswith("#"):
            entries += [entry for part in line.split(",") if (entry := part.strip())]
    return {section: tuple(entries) for section, entries in found.items()}


def _of(package: str, file: str) -> str:
    """A file of an installed package, which is not imported."""
    spec = find_spec(package)
    assert spec is not None and spec.submodule_search_locations, package
    return (Path(spec.submodule_search_locations[0]) / file).read_text(encoding="utf-8")
