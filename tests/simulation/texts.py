"""The texts of a simulated pool, and what X makes of a text that it publishes."""

from __future__ import annotations

import re
import unicodedata

UNFIT = "king.to"
"""A link, in a text that was filled in by mistake."""
FORMS = (
    "saying number {}",
    "salt & pepper, number {}",
    "five &times nine, &amp; number {}",
    "<i>a&notb</i> number {}",
    "cafe\u0301 number {}",
    " two  spaces,\na line, number {} ",
    "read https://example.org/a.html today, number {}",
    "number {}: https://example.org",
    "https://example.org/{}",
)
"""What X shows otherwise than it was sent: escaped, composed, without spaces around it, with links of its own. The
last is told from its like by its link alone."""
_LINK = re.compile(r"https?://[^\s,]+")


def text_of(index: int, edited: bool = False, unfit: int = 41) -> str:
    """Text number `index`; one of `unfit` may not be posted. `edited`: the texts are of FORMS."""
    if index % unfit == 7 % unfit:
        return f"read more at {UNFIT} {index}"
    return FORMS[index % len(FORMS) if edited else 0].format(index)


def allowed(text: str) -> tuple[str, ...]:
    """What the owner permits in it."""
    return ("link",) if _LINK.search(text) else ()


def shown(text: str, number: int) -> tuple[str, dict[str, str]]:
    """X's copy of the text that it published as number `number`, and where its links lead: each has an address of its
    own at t.co."""
    links: dict[str, str] = {}

    def short(link: re.Match[str]) -> str:
        name = f"https://t.co/{number:05d}{link.start():03d}ab"
        links[name] = link[0]
        return name

    copy = _LINK.sub(short, unicodedata.normalize("NFC", text)).strip()
    return copy.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"), links
