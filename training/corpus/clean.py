"""Raw text → text as it is learnt: cleaned, and in the bot's style. What is done to it beyond white space has a name,
for the ledger.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from html.entities import html5

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
    """Return `raw`, cleaned, in `style`: one line, single spaces, no control characters."""
    text = clean(raw).translate(PLAIN_MARKS)
    text = "".join(c if c.isprintable() or c in _JOINERS else " " for c in text)
    if style.lowercase:
        text = text.lower()
    if style.marks:
        text = "".join(c if _of_a_word(c) or c in style.marks else " " if c.isspace() else "" for c in text)
    text = " ".join(text.split())
    if style.full_stop and text:
        text = text.rstrip(" .,;:!?-") + "."
        text = "" if text == "." else text
    return text


_JOINERS = "\u200c\u200d"


def _of_a_word(c: str) -> bool:
    return c.isalnum() or c in _JOINERS or unicodedata.category(c)[0] == "M"


_ENTITY = re.compile(r"&(#\d+|#[xX][0-9a-fA-F]+|[A-Za-z][A-Za-z0-9]*);")
"""With its semicolon, and its whole name: html.unescape makes © of "&copy for" and ®ion; of "?a=1&region;"."""
_LINE_ENDS = re.compile("\r\n?|[\x85\u2028\u2029]")
_NONCHARACTERS = "\ufdd0-\ufdef" + "".join(
    f"{chr(at + 0xFFFE)}-{chr(at + 0xFFFF)}" for at in range(0, 17 << 16, 1 << 16)
)
_CONTROLS = "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f"
_INVISIBLE = "\u200b\u2060\ufeff\u180e\u2066-\u2069\u202a-\u202e"
"""Thai, Khmer and Burmese break lines at U+200B, and lose nothing else; the embeddings can disguise a text."""
_DIRECTIONS = "\u200e\u200f\u061c"
_RIGHT_TO_LEFT = re.compile(
    "[\u0590-\u061b\u061d-\u08ff\ufb1d-\ufdfb\ufe70-\ufefc\U00010800-\U00010fff\U0001e800-\U0001efff]"
)
_ODD = re.compile(f"[{_CONTROLS}{_INVISIBLE}{_DIRECTIONS}\xad\ud800-\udfff{_NONCHARACTERS}]")


def _written_out(entity: re.Match[str]) -> str:
    name = f"{entity[1]};"
    return html.unescape(entity[0]) if name[0] == "#" else html5.get(name, entity[0])


def _pairs_joined(text: str) -> str:
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "ignore")


def _directions(text: str) -> str:
    return text if _RIGHT_TO_LEFT.search(text) else re.sub(f"[{_DIRECTIONS}]", "", text)


def _replaced(characters: str, by: str = "") -> Callable[[str], str]:
    pattern = re.compile(f"[{characters}]")
    return lambda text: pattern.sub(by, text)


_ENTITIES = "entities such as &amp; written out"
_STEPS: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("halves of characters joined or taken out", _pairs_joined),
    ("soft hyphens taken out", _replaced("\xad")),
    ("invisible characters taken out", _replaced(_INVISIBLE)),
    ("direction marks taken out", _directions),
    ("control characters turned into spaces", _replaced(_CONTROLS, " ")),
    ("code points that are not characters taken out", _replaced(_NONCHARACTERS)),
)


def cleaned(raw: str, entities: bool = True) -> tuple[str, list[str]]:
    """(`raw` as it is learnt, what was done to it beyond white space).

    Line breaks stay: each line is stripped and has single spaces, and at most one blank line stands between two. The
    wording, all marks and whatever belongs to a script or an emoji are left alone, also characters that this Python
    does not know yet. `entities`: write &amp; and its like out, once.
    """
    text, notes = raw, []
    if entities and "&" in text and (written := _ENTITY.sub(_written_out, text)) != text:
        text = written
        notes.append(_ENTITIES)
    text = _LINE_ENDS.sub("\n", text)
    if _ODD.search(text):
        for what, step in _STEPS:
            if (other := step(text)) != text:
                text = other
                notes.append(what)
    text = unicodedata.normalize("NFC", text)
    if "\n" not in text:
        return " ".join(text.split()), notes
    lines = "\n".join(" ".join(line.split()) for line in text.split("\n")).strip("\n")
    return re.sub(r"\n{3,}", "\n\n", lines), notes


def clean(raw: str) -> str:
    """`cleaned` without the notes."""
    return cleaned(raw)[0]


def has_entities(text: str) -> bool:
    """Whether entities are left in a cleaned text: it was escaped twice, or writes of them."""
    return "&" in text and _ENTITY.search(text) is not None


def unclean(text: str) -> str | None:
    """A character that no cleaned text holds; None: there is none."""
    if text.isprintable():
        return None
    if found := _ODD.search(text):
        if found[0] not in _DIRECTIONS:
            return found[0]
        if not _RIGHT_TO_LEFT.search(text):
            return found[0]
        if found := re.search(_ODD.pattern.replace(_DIRECTIONS, ""), text):
            return found[0]
    return next((c for c in text if c.isspace() and c not in " \n"), None)
