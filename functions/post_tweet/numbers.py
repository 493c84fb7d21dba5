"""Numbers of texts, as ranges: half a pool that was taken out is one of them. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Numbers:
    """A set of whole numbers from 0 on, immutable."""

    ranges: tuple[tuple[int, int], ...] = ()
    """(first, end) of each run of numbers, `end` not among them; in order, and with a gap between two."""

    @classmethod
    def of(cls, numbers: Iterable[int]) -> Numbers:
        return numbers if isinstance(numbers, Numbers) else cls.joined((number, number + 1) for number in numbers)

    @classmethod
    def joined(cls, ranges: Iterable[tuple[int, int]]) -> Numbers:
        """Of any (first, end), in any order; they may overlap."""
        found: list[tuple[int, int]] = []
        for first, end in sorted(ranges):
            if found and first <= found[-1][1]:
                found[-1] = found[-1][0], max(end, found[-1][1])
            elif first < end:
                found.append((first, end))
        return cls(tuple(found))

    @classmethod
    def read(cls, text: str) -> Numbers:
        """`3-20 25`: 3 to 20, and 25.

        Raises:
            ValueError: it is no such list.
        """
        ranges = []
        for word in text.split():
            first, dash, last = word.partition("-")
            if not all(part.isascii() and part.isdigit() for part in (first, last if dash else first)):
                raise ValueError(f"{word!r} is neither a number such as 25 nor a range such as 3-20")
            if dash and int(last) < int(first):
                raise ValueError(f"{word!r} ends before it begins")
            ranges.append((int(first), int(last if dash else first) + 1))
        return cls.joined(ranges)

    def __str__(self) -> str:
        return " ".join(str(first) if end == first + 1 else f"{first}-{end - 1}" for first, end in self.ranges)

    def __len__(self) -> int:
        return sum(end - first for first, end in self.ranges)

    def __iter__(self) -> Iterator[int]:
        for first, end in self.ranges:
            yield from range(first, end)

    def __contains__(self, number: object) -> bool:
        return isinstance(number, int) and self.after(number) != number

    def after(self, number: int) -> int:
        """The first number from `number` on that is not among these."""
        at = bisect_right(self.ranges, (number, float("inf"))) - 1
        return max(number, self.ranges[at][1]) if at >= 0 else number

    def within(self, first: int, end: int) -> Numbers:
        """Those of `first` to `end` - 1."""
        return Numbers.joined((max(first, a), min(end, b)) for a, b in self.ranges if a < end and b > first)

    def __or__(self, other: Numbers) -> Numbers:
        return Numbers.joined([*self.ranges, *other.ranges])

    def __sub__(self, other: Numbers) -> Numbers:
        firsts = [0, *(end for _, end in other.ranges)]
        ends = [*(first for first, _ in other.ranges), max((end for _, end in self.ranges), default=0)]
        return self & Numbers.joined(zip(firsts, ends, strict=True))

    def __and__(self, other: Numbers) -> Numbers:
        found, mine, theirs = [], 0, 0
        while mine < len(self.ranges) and theirs < len(other.ranges):
            (a, b), (c, d) = self.ranges[mine], other.ranges[theirs]
            found.append((max(a, c), min(b, d)))
            mine, theirs = (mine + 1, theirs) if b < d else (mine, theirs + 1)
        return Numbers.joined(pair for pair in found if pair[0] < pair[1])


NONE = Numbers()
