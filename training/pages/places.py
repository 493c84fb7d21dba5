"""How a text would look on X, Mastodon and Bluesky, and its length as each counts. Pure.

X is as post_tweet.xtext reads it. Mastodon counts graphemes of the text without the space around it, 23 for a link,
and of a name its part before the second @ (app/validators/status_length_validator.rb); a server may allow more than
500. Bluesky counts graphemes and bytes, whatever they are (lexicons/app/bsky/feed/post.json), and a text without
facets is plain there: nothing in it leads anywhere.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from post_tweet import xtext

MASTODON, BLUESKY, BLUESKY_BYTES = 500, 300, 3000
LINK_LENGTH = 23

Part = tuple[str, str]
"""(kind, text); kinds: "", "link", "mention", "tag"."""


@dataclass(frozen=True)
class Look:
    """A text in one place."""

    place: str
    length: int
    limit: int
    problem: str
    """Why the place, or this program, would not take it; "" if it would."""
    paragraphs: list[list[Part]]
    """Lines end with line feeds in them."""


def looks(text: str, allow: Collection[str] = ()) -> list[Look]:
    """The text in every place. `allow`: what its owner permits on X, of link, mention, hashtag, cashtag."""
    return [on_x(text, allow), on_mastodon(text), on_bluesky(text)]


def graphemes(text: str) -> int:
    """What readers count as characters."""
    if text.isascii() and "\r" not in text:
        return len(text)
    return len(_grapheme().findall(text))


def on_x(text: str, allow: Collection[str] = ()) -> Look:
    """As X shows it; the problem is why this program would not post it."""
    shown = text.strip()
    problem = xtext.problems(text, allow) or ""
    return Look("X", xtext.weighted_length(text), xtext.LIMIT, problem, [_parts(shown, _X_LINKED)])


def on_mastodon(text: str) -> Look:
    """One line feed is a new line, more are a new paragraph."""
    shown = text.strip()
    length = mastodon_length(text)
    problem = _length_problem(shown, length, MASTODON)
    return Look(
        "Mastodon", length, MASTODON, problem, [_parts(some, _MASTODON_LINKED) for some in re.split("\n{2,}", shown)]
    )


def mastodon_length(text: str) -> int:
    counted = _WEB.sub("x" * LINK_LENGTH, text.strip())
    return graphemes(_MASTODON_NAME.sub(r"@\2", counted))


def on_bluesky(text: str) -> Look:
    """Byte for byte."""
    length, size = graphemes(text), len(text.encode("utf-8", "surrogatepass"))
    problem = _length_problem(text.strip(), length, BLUESKY)
    if not problem and size > BLUESKY_BYTES:
        problem = f"has {size:,} of {BLUESKY_BYTES:,} bytes"
    return Look("Bluesky", length, BLUESKY, problem, [[("", text)]])


def _length_problem(text: str, length: int, limit: int) -> str:
    if not text:
        return "is empty"
    return f"has {length:,} of {limit:,} characters" if length > limit else ""


_WEB = re.compile(r"https?://[^\s<>\"]+", re.IGNORECASE)
_MASTODON_NAME = re.compile(r"(?<![=/\w])@(([a-z0-9_]+(?:[a-z0-9_.-]+[a-z0-9_]+)?)(?:@[\w.-]+\w+)?)", re.IGNORECASE)
_TAG = re.compile(r"(?<![\w&/])[#＃]\w*[^\W\d]\w*")
_X_NAME = re.compile(r"(?<![\w!#$%&*@＠])[@＠]\w{1,20}")
_X_CASH = re.compile(r"(?<!\S)\$[A-Za-z]{1,6}\b")
_X_DOMAIN = re.compile(r"(?<![\w@.-])\w[\w-]*(?:\.[\w-]+)*\.[^\W\d_]{2,}(?:/\S*)?")
_X_LINKED = (("link", _WEB), ("link", _X_DOMAIN), ("mention", _X_NAME), ("tag", _TAG), ("tag", _X_CASH))
_MASTODON_LINKED = (("link", _WEB), ("mention", _MASTODON_NAME), ("tag", _TAG))


def _parts(text: str, linked: tuple[tuple[str, re.Pattern[str]], ...]) -> list[Part]:
    """The text, cut where something in it leads elsewhere; of two that overlap the first in the list counts."""
    found: list[tuple[int, int, str]] = []
    for kind, pattern in linked:
        for match in pattern.finditer(text):
            start, end = match.span()
            if all(end <= other[0] or other[1] <= start for other in found):
                found.append((start, end, kind))
    parts, at = [], 0
    for start, end, kind in sorted(found):
        parts += [("", text[at:start])] if at < start else []
        parts.append((kind, text[start:end]))
        at = end
    return [*parts, ("", text[at:])] if at < len(text) or not parts else parts


@lru_cache(maxsize=1)
def _grapheme() -> Any:
    """`re` knows no graphemes, and importing `regex` takes 60 ms."""
    import regex

    return regex.compile(r"\X")
