"""How X reads a text: its length, why it must not be posted, and how X shows it again. Pure; standard library only.

Flows in: a text. Flows out: a number, or a reason. Rules of twitter-text, version 3. The length may come
out too high, never too low, so a text that passes here passes there: the list of registered domains grows,
so every `word.word` counts as a link.

    >>> weighted_length("the fear of the lord"), weighted_length("fear the king.To depart is evil")
    (20, 47)
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Collection, Mapping

LIMIT = 280
MOST = 10_000
"""Characters of a text that is looked at: Python takes 3 s to bring 32,000 marks after one letter into normal form. X
counts at least a quarter of a text's characters, and escapes one with five at most."""
URL_WEIGHT = 23
_LIGHT = ((0, 4351), (8192, 8205), (8208, 8223), (8242, 8247))
"""Code points that weigh 1; all others weigh 2."""
_EMOJI = frozenset("©®")
"""Those of them that X takes for emoji, which weigh 2."""
_INVALID = frozenset("\ufffe\ufeff\uffff")

_PUNCTUATION = re.escape("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")
_DOT = re.compile(rf"(?<=[^\s{_PUNCTUATION}])\.(?=[^\W\d_])")
"""The dot of a possible domain: before it any character but space and punctuation (X takes marks and symbols
too), after it a letter, so that neither 3.5 nor a full stop before a closing quote is a link."""
_SCHEME = re.compile(r"https?://", re.IGNORECASE)
_LABEL = r"(?>[A-Za-z0-9]++(?:-[A-Za-z0-9]++)*+)"
_URL = re.compile(
    # A label is taken whole, from its beginning and once: "a-a-a-…" would take the square of its length otherwise.
    rf"(?:https?://)?(?<![A-Za-z0-9])(?<![A-Za-z0-9]-)({_LABEL}(?:\.{_LABEL})+)"
    r"(?:(?<=t\.co)/[A-Za-z0-9]*+|(?<!t\.co)/[A-Za-z0-9/]*+)?(?![^\s.,;:!?'\")])",
    re.IGNORECASE,
)
"""What X certainly takes as one link: with a plain path (X ends a t.co link after its first word) and nothing odd
after it (before an @ X takes a shorter one). Whatever else may be a link is counted dot by dot, on top of its own
weight."""
_ENDINGS = frozenset(["com", "org", "net", "edu", "gov", "info", "io", "co", "uk", "de", "fr", "jp", "ch", "eu", "us"])
"""Endings that certainly are domains. In a.b.zz X may take only a.b as the link, and count the rest."""
_MENTION = re.compile("[@\uff20]")
_TAGS = {"hashtag": "#\uff03", "cashtag": "$\uff04"}


def weighted_length(text: str) -> int:
    """X's length of `text`: 1 or 2 a code point, and a link at max(23, its own weight). Never too low, up to MOST
    characters; a longer text counts as so many, and is too long whatever it holds."""
    if len(text) > MOST or (text.isascii() and not _DOT.search(text)):
        return len(text)  # nearly every text, and two hundred times faster than a look at each character
    text = unicodedata.normalize("NFC", text)
    total = _weight(text)
    dots = {match.start() for match in _DOT.finditer(text)}
    for match in _URL.finditer(text):
        labels = match[1].split(".")
        if not labels[-1][0].isdigit() and (len(labels) == 2 or labels[-1].lower() in _ENDINGS):
            total += max(0, URL_WEIGHT - _weight(match[0]))
            dots -= set(range(*match.span()))
    return total + URL_WEIGHT * len(dots)


def _weight(text: str) -> int:
    return sum(1 if any(low <= ord(c) <= high for low, high in _LIGHT) and c not in _EMOJI else 2 for c in text)


def problems(text: str, allow: Collection[str] = ()) -> str | None:
    """Why `text` must not be posted, or None. The reason reads on from the text's name: "weighs 290 of 280".

    `allow`: what its owner permits in it, of link, mention, hashtag, cashtag.
    """
    if not text.strip():
        return "is empty"
    if reason := invalid(text):
        return reason
    if (length := weighted_length(text)) > LIMIT:
        return f"weighs {length} of {LIMIT}"
    if "link" not in allow and (reason := find_link(text)):
        return reason
    if "mention" not in allow and (reason := find_mention(text)):
        return reason
    for name, marks in _TAGS.items():
        if name not in allow and (found := next((mark for mark in marks if mark in text), None)):
            return f"holds {found}"
    return None


def invalid(text: str) -> str | None:
    """Why a character is one that X does not take, or has no place in a text; None: there is none such."""
    for c in text:
        if c in _INVALID or (unicodedata.category(c) in ("Cc", "Cs") and c != "\n"):
            return f"holds the character U+{ord(c):04X}"
    return None


def find_link(text: str) -> str | None:
    """Where X may see a link, as a reason; or None."""
    if found := _SCHEME.search(text) or _DOT.search(unicodedata.normalize("NFC", text) if len(text) <= MOST else text):
        at = found.start()
        return f"holds a link near {text[max(0, at - 12) : at + 12]!r}"
    return None


def find_mention(text: str) -> str | None:
    """That X may see the name of an account, as a reason; or None."""
    return "mentions someone" if _MENTION.search(text) else None


_SHORT = re.compile(r"(https?://t\.co/[A-Za-z0-9]+)")
"""A link as X shows it, wherever it leads."""
_PARTS = re.compile(r"(?:(https?)://)?([^/?#]*)/?(.*)", re.IGNORECASE | re.DOTALL)


def is_shown_as(shown: str, text: str, links: Mapping[str, str]) -> bool | None:
    """Is `shown`, which X shows as the text of a post, the text that was posted?

    X escapes &, < and >, shortens every link, and may change white space and the normal form. `links`: where X says
    that its short links lead. None: nothing but links tells the two apart, and X does not say enough of them.
    """
    if len(text) > MOST or len(shown) > MOST:
        return None if len(text) > MOST else False
    # X's side alone is escaped: our own "salt &amp; pepper" means what it says.
    text, shown = _plain(text), _plain(html.unescape(shown))
    parts = _SHORT.split(shown)
    if len(parts) == 1 or len(parts) > 2 * LIMIT // URL_WEIGHT + 5:
        return shown == text
    if _fits(parts, text, links):
        return True
    for _ in range(3):
        if _fits(parts, text, None):
            return None
        if len(parts) == 1 or parts[-1]:
            break
        parts = [*parts[:-3], parts[-3].rstrip()]  # X may have put a link behind the text
    return False


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).split())


def _fits(parts: list[str], text: str, links: Mapping[str, str] | None) -> bool:
    """Is `text` these parts, words and links in turn? A link is where it leads to; without `links`, it is any."""
    ends = {len(parts[0])} if text.startswith(parts[0]) else set[int]()
    for short, words in zip(parts[1::2], parts[2::2], strict=True):
        reached = set[int]()
        for start in ends:
            stop = text.find(" ", start)
            for end in range(start + 3, (len(text) if stop < 0 else stop) + 1):
                if text.startswith(words, end) and _is_link(text[start:end], short, links):
                    reached.add(end + len(words))
        ends = reached
    return len(text) in ends


def _is_link(link: str, short: str, links: Mapping[str, str] | None) -> bool:
    if links is None:
        return "." in link
    return link == short or (short in links and _address(link) == _address(links[short]))


def _address(link: str) -> tuple[str, str, str]:
    """A link without what may be left out or written otherwise: http://, capitals in its host, a slash after it."""
    found = _PARTS.fullmatch(link)
    assert found is not None, "it takes any text"
    return (found[1] or "http").lower(), found[2].lower(), found[3]
