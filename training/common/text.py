"""The normal form of a text, by which texts are compared, its words, and the marks that separate texts."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import groupby
from typing import Any, NamedTuple

END_OF_TEXT = "<|endoftext|>"
DELIMITER = "\n==========\n"
"""Between two texts of a corpus file: the original bot's format."""

PLAIN_MARKS = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"', "–": "-", "—": "-", "…": "..."})
"""Typographic marks and the plain ones that they stand for."""
_NOT_NORMAL = re.compile(r"[^a-z0-9']+")
_UNSEEN = re.compile(
    "[\ud800-\udfff\u00ad\u034f\u061c\u180b-\u180f\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff"
    "\U000e0100-\U000e01ef]"
)
"""What no reader sees between letters, and variants of one character. ZWJ and ZWNJ are none of these: in Persian and
the scripts of India they tell words apart."""
_MARKS = PLAIN_MARKS | {ord("ʼ"): "'"}
SHINGLE = 3
"""Graphemes side by side that count as one word in runs of words."""


def normal_form(text: str) -> str:
    """The form in which texts are compared: lower case, words and single spaces. A word is letters with their marks,
    digits and apostrophes, in any script. A text without any is compared by its emoji or, without those, its marks."""
    if text.isascii():
        normal = _NOT_NORMAL.sub(" ", text.lower()).strip()
    else:
        # After folding: it makes an apostrophe of ŉ, and of İ an i with a dot that no other i has.
        folded = unicodedata.normalize("NFC", _UNSEEN.sub("", text)).casefold().replace("i\u0307", "i")
        folded = folded.translate(_MARKS)
        words = _patterns().joined if "\u200d" in folded or "\u200c" in folded else _patterns().word
        normal = " ".join(words.findall(folded))
    return normal if normal.strip("' ") else _wordless(text)


def _wordless(text: str) -> str:
    """The normal form of a text without a letter or digit: it must still tell 🙂 from 🙃."""
    if text.isascii():
        return "".join(text.split())
    marks = "".join(_UNSEEN.sub("", unicodedata.normalize("NFC", text)).split())
    return _patterns().punctuation.sub("", marks) or marks


def words_of(normal: str) -> list[str]:
    """The words of a text in normal form. Where a script writes no spaces (Chinese, Japanese, Thai, Lao, Khmer,
    Burmese), its graphemes: what a reader sees as one character."""
    words = normal.split()
    if normal.isascii() or not _patterns().unspaced.search(normal):
        return words
    split = _patterns().grapheme.findall
    return [piece for word in words for piece in split(word)]


def units_of(normal: str) -> list[str]:
    """What runs of words are counted in: words or, without spaces, each grapheme with the two after it, so that n
    units are n + 2 graphemes, which say as much as n words."""
    words = normal.split()
    if normal.isascii() or not _patterns().unspaced.search(normal):
        return words
    return [unit for word in words for unit in _shingles(word)]


def _shingles(word: str) -> Iterator[str]:
    for unspaced, pieces in groupby(_patterns().grapheme.findall(word), is_unspaced):
        run = list(pieces)
        if unspaced:
            yield from ("".join(run[i : i + SHINGLE]) for i in range(max(1, len(run) - SHINGLE + 1)))
        else:
            yield from run


def text_of_units(units: Sequence[str]) -> str:
    """A run of units as people read it."""
    text, last = "", ""
    for unit in units:
        graphemes = _patterns().grapheme.findall(unit) if is_unspaced(unit) else []
        overlap = "".join(graphemes[: SHINGLE - 1])
        if len(graphemes) == SHINGLE and is_unspaced(last) and last.endswith(overlap):
            text += graphemes[-1]
        else:
            text += f" {unit}"
        last = unit
    return text[1:]


def opening_of(normal: str, words: int) -> str:
    """The first words of a text in normal form."""
    return text_of_units(units_of(normal)[:words])


def count_words(words: Sequence[str]) -> float:
    """How many words these would be if every script had spaces: a word of Chinese or Japanese has 1.5 graphemes, one
    of Thai and its neighbours 2.5 (counted on sentences of three to six words)."""
    return sum(1.0 if word.isascii() else _share(word) for word in words)


def _share(word: str) -> float:
    if not is_unspaced(word):
        return 1.0
    return 1 / 2.5 if "\u0e00" <= word[0] < "\u1800" else 1 / 1.5


def is_unspaced(word: str) -> bool:
    """Whether a word begins in a script that writes no spaces."""
    return bool(word) and not word.isascii() and _patterns().unspaced.match(word) is not None


class _Patterns(NamedTuple):
    word: Any
    joined: Any
    """A word of a text that has ZWJ or ZWNJ: they belong to it between letters, and after a mark that they shape."""
    unspaced: Any
    grapheme: Any
    punctuation: Any


@lru_cache(maxsize=1)
def _patterns() -> _Patterns:
    """For texts beyond ASCII: `re` knows neither marks nor scripts, and importing `regex` takes 60 ms."""
    import regex

    # The enclosing marks of symbols (keycaps) belong to no letter.
    mark, joiner = r"[\p{M}--[\u20d0-\u20ff]]", "[\u200c\u200d]"
    letter, inside = r"[\p{L}\p{N}']", r"[[\p{L}\p{M}\p{N}']--[\u20d0-\u20ff]]"
    unspaced = r"[\p{Han}\p{Hiragana}\p{Katakana}ー\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]"
    compiled = (
        f"{letter}{inside}*+",
        rf"{letter}(?:{inside}++|(?<={mark}){joiner}|{joiner}(?=[\p{{L}}\p{{M}}]))*+",
        unspaced,
        rf"(?={unspaced})\X|(?:(?!{unspaced}).)++",
        r"\p{P}(?!\u20e3)",
    )
    return _Patterns(*(regex.compile(pattern, regex.VERSION1) for pattern in compiled))


def indented(text: str, by: int) -> str:
    """A text for people: further lines stand below its first, which begins in column `by`."""
    return text.replace("\n", "\n" + " " * by)


def text_id(text: str) -> str:
    """First 16 hex digits of the BLAKE2b of the normal form: the same for every spelling of a text."""
    return f"{id_of_normal(normal_form(text)):016x}"


def id_of_normal(normal: str) -> int:
    """The id of a text in normal form, as a number of 64 bits."""
    return int.from_bytes(hashlib.blake2b(normal.encode(), digest_size=8).digest(), "big")
