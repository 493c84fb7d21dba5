"""Raw text → text as it is learnt: its style."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from training.common.text import PLAIN_MARKS


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
    text = unicodedata.normalize("NFC", raw).translate(PLAIN_MARKS)
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
