"""The normal form of a text, by which texts are compared, and the marks that separate texts."""

from __future__ import annotations

import hashlib
import re
import unicodedata

END_OF_TEXT = "<|endoftext|>"
DELIMITER = "\n==========\n"
"""Between two texts of a corpus file: the original bot's format."""

PLAIN_MARKS = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"', "–": "-", "—": "-", "…": "..."})
"""Typographic marks and the plain ones that they stand for."""
_NOT_NORMAL = re.compile(r"(?:[^\w']|_)+")


def normal_form(text: str) -> str:
    """The form in which texts are compared: lower case, letters, digits and apostrophes, single spaces."""
    folded = unicodedata.normalize("NFC", text).translate(PLAIN_MARKS).casefold()
    return _NOT_NORMAL.sub(" ", folded).strip()


def text_id(text: str) -> str:
    """First 16 hex digits of the BLAKE2b of the normal form: the same for every spelling of a text."""
    return f"{id_of_normal(normal_form(text)):016x}"


def id_of_normal(normal: str) -> int:
    """The id of a text in normal form, as a number of 64 bits."""
    return int.from_bytes(hashlib.blake2b(normal.encode(), digest_size=8).digest(), "big")
