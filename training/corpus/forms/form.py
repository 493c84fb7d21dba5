"""What a form of corpus file is: how it is recognised, and how its texts are read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from training.corpus.ledger import Ledger
from training.settings import NOTHING_SAID, CorpusSettings


@dataclass(frozen=True)
class Source:
    """A text file to be read, as often as it is wanted."""

    path: Path
    encoding: str = "utf-8-sig"
    settings: CorpusSettings = NOTHING_SAID
    """What was said by hand: form, delimiter, field and what to drop."""

    def open(self, newline: str | None = None) -> TextIO:
        """The file from its beginning. `newline=""` leaves line ends as they are."""
        return self.path.open(encoding=self.encoding, newline=newline)


@dataclass(frozen=True)
class Raw:
    """A text as the file holds it."""

    text: str
    line: int = 0
    """Where it begins; 0: nobody knows."""


@dataclass(frozen=True)
class Found:
    """Why a file has a form, and how it is to be read."""

    evidence: str
    """For people, after the form's title: "all 31 rows have 3 cells; the heading names 'text'"."""
    options: Mapping[str, str] = field(default_factory=dict)
    """Settings of [corpus] that repeat this reading without guessing, besides `form`: {"delimiter": ";"}."""


@dataclass(frozen=True)
class Form:
    name: str
    """As `[corpus] form` names it: "table"."""
    title: str
    """As people are told it: "a table"."""
    recognise: Callable[[Source], Found | None]
    """None: the file has another form. Raises DeepproverbsError where it has this one, but broken."""
    read: Callable[[Source, Found, Ledger], Iterator[Raw]]
    """The texts in the file's order. Each that is left out is told to the ledger with `drop`; the reader counts `read`:
    those yielded and those dropped. Raises DeepproverbsError where the file breaks its own form."""
