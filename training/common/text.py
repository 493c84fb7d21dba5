"""Strings in, strings out: the style of a corpus and the normal form of a text.

Nothing here knows files, models or pools, so every stage may use it.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from dataclasses import dataclass

END_OF_TEXT = "<|endoftext|>"
DELIMITER = "\n==========\n"
"""Between two texts of a corpus file: the original bot's format."""

_TYPOGRAPHIC = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"', "–": "-", "—": "-", "…": "..."})
_NOT_NORMAL = re.compile(r"(?:[^\w']|_)+")


@dataclass(frozen=True)
class Style:
    """How a raw text is written in the corpus."""

    lowercase: bool = True
    """Write everything in lower case."""
    marks: str = ",.'-"
    """Punctuation that stays. Everything that is neither a letter, a digit, a space nor one of
    these is dropped (brackets are opened: their words stay). Empty: keep all marks."""
    full_stop: bool = True
    """End every text with one full stop, whatever mark it ended with (12 % of the verses of
    Proverbs end with a colon, semicolon or comma; a text that ends with one looks cut off)."""


def restyle(raw: str, style: Style) -> str:
    """Return `raw` in `style`: one line, single spaces, no control characters."""
    text = unicodedata.normalize("NFC", raw).translate(_TYPOGRAPHIC)
    text = "".join(c if c.isprintable() else " " for c in text)
    if style.lowercase:
        text = text.lower()
    if style.marks:
        text = "".join(
            c if c.isalnum() or unicodedata.combining(c) or c in style.marks else " " if c.isspace() else ""
            for c in text
        )
    text = " ".join(text.split())
    if style.full_stop and text:
        text = text.rstrip(" .,;:!?-") + "."
        text = "" if text == "." else text
    return text


def clean(raw: str) -> str:
    """Return `raw` as one line without control characters; the wording is left alone."""
    text = unicodedata.normalize("NFC", raw).replace("\ufeff", "")
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def normal_form(text: str) -> str:
    """The form in which texts are compared: lower case, letters, digits and apostrophes, single spaces."""
    folded = unicodedata.normalize("NFC", text).translate(_TYPOGRAPHIC).casefold()
    return _NOT_NORMAL.sub(" ", folded).strip()


def text_id(text: str) -> str:
    """First 16 hex digits of the BLAKE2b of the normal form: the same for every spelling of a text."""
    return f"{id_of_normal(normal_form(text)):016x}"


def id_of_normal(normal: str) -> int:
    """The id of a text in normal form, as a number of 64 bits."""
    return int.from_bytes(hashlib.blake2b(normal.encode(), digest_size=8).digest(), "big")
