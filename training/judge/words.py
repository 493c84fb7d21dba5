"""Lists of words: common ones, blocked ones, and the names of peoples and religions.

Common words come from wordfreq, blocked ones from glin-profanity (24 languages), whose files are read as data: its
matcher sees no plurals. What the packages lack lies in blocked.txt and peoples.txt beside this file.
"""

from __future__ import annotations

import json
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

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
    """Words and phrases that no bot should say, in lower case; *word* stands for any word that holds it.

    English ones are always among them: GPT-2 has read little else. A language without a list has those alone, and
    `Names.unread` sets its texts apart.
    """
    words = {word for line in _rows("blocked.txt") for word in _words(line)}
    for code in filter(None, {listed(language), "en"}):
        own = json.loads(_of("glin_profanity", f"data/dictionaries/{LANGUAGES[code]}.json"))["words"]
        words |= {f"*{word.strip()}*" for word in own} if code in UNSPACED else set(own)
    return frozenset(word.strip().lower() for word in words if word.strip(" *"))


@lru_cache(maxsize=1)
def peoples() -> dict[str, tuple[str, ...]]:
    """By language the names of peoples, religions and those who belong to them, as peoples.txt writes them."""
    found: dict[str, list[str]] = {}
    for line in _rows("peoples.txt"):
        if line.startswith("["):
            words = found.setdefault(line.strip("[]"), [])
        else:
            words += _words(line)
    return {language: tuple(words) for language, words in found.items()}


def _rows(name: str) -> list[str]:
    lines = (HERE / name).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line.strip() and not line.startswith("#")]


def _words(line: str) -> list[str]:
    return [word.strip() for word in line.split(",") if word.strip()]


def _of(package: str, file: str) -> str:
    """A file of an installed package, which is not imported."""
    spec = find_spec(package)
    assert spec is not None and spec.submodule_search_locations, package
    return (Path(spec.submodule_search_locations[0]) / file).read_text(encoding="utf-8")
