"""What a form of corpus file is: how it is recognised, and how its texts are read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO


@dataclass(frozen=True)
class Source:
    """A text file to be read, as often as it is wanted."""

    path: Path
    encoding: str
    field: str
    """The column or key that holds the text, in forms that have such."""

    def open(self, newline: str | None = None) -> TextIO:
        """The file from its beginning. `newline=""` leaves line ends as they are."""
        return self.path.open(encoding=self.encoding, newline=newline)


@dataclass(frozen=True)
class Form:
    name: str
    """As people are told it: "one text a line"."""
    recognise: Callable[[Source], bool]
    read: Callable[[Source], Iterator[str]]
    """The raw texts, in the file's order. Raises DeepproverbsError where the file breaks its own form."""
