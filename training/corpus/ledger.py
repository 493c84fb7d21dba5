"""What became of every text of a file: kept, altered or dropped, each with a number and an example. It adds up:
read = dropped + duplicates + kept.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Count:
    """How often something happened, and where first."""

    count: int = 0
    example: str = ""
    line: int = 0
    """Where the example stands in its file; 0: nobody knows."""

    def add(self, example: str, line: int = 0) -> None:
        if not self.count:
            self.example, self.line = example, line
        self.count += 1


@dataclass
class Ledger:
    """Counted while a file is read. A key reads on from its number: "12 reposts", "3 of them with links taken out"."""

    read: int = 0
    """Texts that the file holds, whatever became of them."""
    dropped: dict[str, Count] = field(default_factory=dict)
    """Why texts were left out."""
    altered: dict[str, Count] = field(default_factory=dict)
    """What was changed in texts that stayed."""
    duplicates: int = 0

    def drop(self, why: str, text: str, line: int = 0) -> None:
        """A text that was read and is left out."""
        self.dropped.setdefault(why, Count()).add(text, line)

    def alter(self, what: str, text: str, line: int = 0) -> None:
        """A text that stays, but not as it was."""
        self.altered.setdefault(what, Count()).add(text, line)

    def add(self, other: Ledger) -> None:
        """Count what another ledger counts, too."""
        self.read += other.read
        self.duplicates += other.duplicates
        for mine, theirs in ((self.dropped, other.dropped), (self.altered, other.altered)):
            for key, each in theirs.items():
                count = mine.setdefault(key, Count(0, each.example, each.line))
                count.count += each.count

    @property
    def kept(self) -> int:
        return self.read - self.duplicates - sum(each.count for each in self.dropped.values())

    def facts(self) -> dict[str, Any]:
        """For corpus.json: examples are cut at 200 characters."""
        return {
            "read": self.read,
            "dropped": _facts(self.dropped),
            "duplicates": self.duplicates,
            "kept": self.kept,
            "altered": _facts(self.altered),
        }


def _facts(counts: dict[str, Count]) -> dict[str, Any]:
    return {key: {"count": c.count, "example": c.example[:200], "line": c.line} for key, c in counts.items()}
