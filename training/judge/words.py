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
"""Languages with a blocklist, by code."""
UNSPACED = ("ja", "th", "zh")
"""Languages that write no spaces: a blocked word may stand anywhere."""


@lru_cache(maxsize=4)
def common_words(count: int, language: str) -> frozenset[str]:
    """The `count` most frequent words of a language; none where wordfreq does not know it.

    Raises:
        WrongUse: words are wanted of a language that wordfreq does not know.
    """
    if not count:
        return frozenset()
    from wordfreq import available_languages, top_n_list

    language = {"no": "nb"}.get(language, language)
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

    English ones are always among them: GPT-2 has read little else.

    Raises:
        WrongUse: there is no list for the language.
    """
    if language not in LANGUAGES:
        raise WrongUse(
            f"There is no blocklist for the language {language!r}, only for {', '.join(LANGUAGES)}; "
            'put the words into [filter] block and "blocked" into skip, or name the language nearest to it.'
        )
    words = set(_lines("blocked.txt"))
    for code in {language, "en"}:
        own = json.loads(_of("glin_profanity", f"data/dictionaries/{LANGUAGES[code]}.json"))["words"]
        words |= {f"*{word.strip()}*" for word in own} if code in UNSPACED else set(own)
    return frozenset(word.strip().lower() for word in words if word.strip(" *"))


@lru_cache(maxsize=1)
def peoples() -> frozenset[str]:
    """Names of peoples, religions and those who belong to them, in lower case, in the singular."""
    return frozenset(_lines("peoples.txt"))


def _lines(name: str) -> list[str]:
    lines = (HERE / name).read_text(encoding="utf-8").splitlines()
    return [word.strip() for line in lines if not line.startswith("#") for word in line.split(",") if word.strip()]


def _of(package: str, file: str) -> str:
    """A file of an installed package, which is not imported."""
    spec = find_spec(package)
    assert spec is not None and spec.submodule_search_locations, package
    return (Path(spec.submodule_search_locations[0]) / file).read_text(encoding="utf-8")
