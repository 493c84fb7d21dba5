"""Which field of a file's records holds the texts: the one that was named, one with a known name, the one with the
longest texts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from training.common.errors import DeepproverbsError

TEXT_FIELDS = (
    *(
        "full_text",
        "rawcontent",
        "text",
        "texts",
        "tweet",
        "tweets",
        "body",
        "content",
        "contents",
        "selftext",
        "quote",
    ),
    *("quotes", "saying", "sayings", "proverb", "proverbs", "joke", "jokes", "aphorism", "message", "post", "status"),
    *("sentence", "line", "lines", "verse", "caption", "fortune", "haiku", "poem", "card_text", "flavortext"),
)
"""Names that say what they hold, the surest first; in lower case."""
_DEPTH = 3
_REMEMBERED = 2000


@dataclass
class Strings:
    """What a field holds."""

    count: int = 0
    lengths: int = 0
    """Characters of the different strings that hold a space: identifiers, dates and links hold none."""
    seen: set[str] = field(default_factory=set)

    def add(self, text: str) -> None:
        self.count += 1
        if len(self.seen) < _REMEMBERED and text not in self.seen:
            self.seen.add(text)
            self.lengths += len(text) if " " in text.strip() or not text.isascii() else 0


def strings_in(value: Any, path: str = "", depth: int = _DEPTH) -> Iterator[tuple[str, str]]:
    """(field, string) of a record: `user.name` for one in an object in it, "" for a string alone. A list of strings in
    it is one of several lines."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, list) and path and value and all(isinstance(each, str) for each in value):
        yield path, "\n".join(value)
    elif isinstance(value, dict) and depth:
        for key, inner in value.items():
            yield from strings_in(inner, f"{path}.{key}" if path else key, depth - 1)


def value_at(value: Any, path: str) -> Any:
    """What a record holds at a field; None: nothing."""
    if not path:
        return value
    if not isinstance(value, dict):
        return None
    if path in value:
        return value[path]
    for key, inner in value.items():
        if path.startswith(f"{key}.") and (found := value_at(inner, path[len(key) + 1 :])) is not None:
            return found
    return None


def choose(fields: Mapping[str, Strings], records: int, asked: str, where: str) -> tuple[str, str]:
    """(field, why it). `fields`: those that hold strings; `records`: how many were looked at.

    Raises:
        DeepproverbsError: there is no such field, or none that holds texts.
    """
    if asked:
        return named(fields, asked, where), "as you say"
    by_depth = sorted(fields, key=lambda name: name.count("."))
    for known in TEXT_FIELDS:
        for name in by_depth:
            if _leaf(name).lower() == known and 2 * fields[name].count >= records:
                return name, "a name that is known"
    longest = max(
        by_depth,
        key=lambda name: fields[name].lengths / max(1, len(fields[name].seen)) * _share(fields[name], records),
        default=None,
    )
    if longest is None or not fields[longest].count:
        raise DeepproverbsError(f"{where} holds no texts, only numbers, lists or nothing; choose another file.")
    mean = fields[longest].lengths / max(1, len(fields[longest].seen))
    return longest, f"its different texts are the longest, {mean:.0f} characters on average" if len(
        fields
    ) > 1 else "the only one with texts"


def named(fields: Collection[str], asked: str, where: str) -> str:
    """The field that was asked for, by its whole name or its last part."""
    matches = [name for name in fields if name == asked] or [name for name in fields if _leaf(name) == asked]
    if not matches:
        there = ", ".join(map(repr, list(fields)[:20])) or "none with texts"
        raise DeepproverbsError(f"{where}: no field {asked!r} but {there}; name the one with the texts with --field.")
    if len(matches) > 1:
        raise DeepproverbsError(
            f"{where} has {asked!r} in {', '.join(map(repr, matches))}; name one of these with --field."
        )
    return matches[0]


def _leaf(name: str) -> str:
    return name.rpartition(".")[2]


def _share(strings: Strings, records: int) -> float:
    """Between 0 and 1: how many records have it, and how different they are."""
    return min(1, strings.count / max(1, records)) * len(strings.seen) / max(1, min(strings.count, _REMEMBERED))
