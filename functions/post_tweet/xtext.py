"""What X would make of a text. Pure functions over the rules of twitter-text, version 3.

The length may come out too high, never too low: a text that passes here passes there.
"""

from __future__ import annotations

import re
import unicodedata

LIMIT = 280
URL_WEIGHT = 23
_LIGHT = ((0, 4351), (8192, 8205), (8208, 8223), (8242, 8247))
"""Code points that weigh 1; all others weigh 2."""
_INVALID = {"\ufffe", "\ufeff", "\uffff"}
_LINK = re.compile(r"https?://\S+|\w(?:[\w-]*\w)?(?:[.．。｡]\w(?:[\w-]*\w)?)+(?:[/:?#]\S*)?", re.IGNORECASE)
"""Bare domains are links to X: `king.To`, `notes.md`. Every word.word counts as one here, whether
its ending is a registered domain or not: that list grows."""
_MENTION = re.compile(r"[@＠]")
_TAG = re.compile(r"[#＃$＄]")


def weighted_length(text: str) -> int:
    """X's length of `text`: 1 or 2 a code point, at least 23 for whatever may be a link."""
    text = unicodedata.normalize("NFC", text)
    total, at = 0, 0
    for match in _LINK.finditer(text):
        total += _weight(text[at:match.start()]) + max(URL_WEIGHT, _weight(match.group()))
        at = match.end()
    return total + _weight(text[at:])


def _weight(text: str) -> int:
    return sum(1 if any(low <= ord(c) <= high for low, high in _LIGHT) else 2 for c in text)


def problems(text: str, *, allow_links: bool = False, allow_mentions: bool = False,
             allow_tags: bool = False) -> str | None:
    """Why `text` must not be posted, or None."""
    if not text.strip():
        return "is empty"
    for c in text:
        if c in _INVALID or (unicodedata.category(c) in ("Cc", "Cs") and c != "\n"):
            return f"holds the character {ord(c):#06x}"
    if (length := weighted_length(text)) > LIMIT:
        return f"weighs {length} of {LIMIT}"
    if not allow_links and (found := _LINK.search(text)):
        return f"holds a link: {found.group()}"
    if not allow_mentions and _MENTION.search(text):
        return "mentions someone"
    if not allow_tags and (found := _TAG.search(text)):
        return f"holds {found.group()}"
    return None
