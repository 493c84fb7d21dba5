"""What a form of corpus file is: how it is recognised, and how its texts are read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TextIO

from training.corpus import members
from training.corpus.encoding import open_text
from training.corpus.ledger import Ledger
from training.settings import NOTHING_SAID, CorpusSettings

if TYPE_CHECKING:
    from training.corpus.forms.shape import Shape
    from training.corpus.forms.table import Tables


@dataclass(frozen=True)
class Source:
    """A text file to be read, as often as it is wanted; or an archive or folder of files."""

    path: Path
    encoding: str = "utf-8-sig"
    settings: CorpusSettings = NOTHING_SAID
    """What was said by hand: form, delimiter, field and what to drop."""
    called: str = ""
    """Its name for people where `path` is a copy: of a pipe, or the text of a document."""

    @property
    def name(self) -> str:
        return self.called or str(self.path)

    def open(self, newline: str | None = None, name: str = "") -> TextIO:
        """The file from its beginning; of an archive or folder the one of that name. `newline=""` leaves line ends as
        they are."""
        if self.container:
            return members.open_member(self.path, name, self.encoding, newline)
        return open_text(self.path, self.encoding, newline)

    @cached_property
    def container(self) -> members.Kind:
        """What holds several files; "" is a file alone."""
        return members.kind(self.path)

    def names(self) -> list[str]:
        """The files in an archive or folder."""
        return members.names(self.path)

    def lines(self) -> Iterator[tuple[int, str]]:
        """(number, line without its end): split at LF, CRLF and CR alone, without the marks that begin a file."""
        with self.open() as file:
            for number, line in enumerate(file, 1):
                yield number, (line.lstrip("\ufeff") if number == 1 else line).removesuffix("\n")

    @cached_property
    def shape(self) -> Shape:
        """What its lines have in common, counted once."""
        from training.corpus.forms.shape import measure

        return measure(self)

    @cached_property
    def tables(self) -> Tables:
        """The tables of several columns that it could be, found once: in their cells may stand what separates texts
        elsewhere."""
        from training.corpus.forms.table import tables

        return tables(self)

    @property
    def is_table(self) -> bool:
        return any(self.tables)


@dataclass(frozen=True)
class Raw:
    """A text as the file holds it."""

    text: str
    line: int = 0
    """Where it begins; 0: nobody knows."""
    kind: Literal["", "repost", "reply", "deleted"] = ""
    """What it is in its network, where the file tells."""
    plain: bool = False
    """Its entities are unescaped already: what looks like one was typed so."""


@dataclass(frozen=True)
class Found:
    """Why a file has a form, and how it is to be read."""

    evidence: str
    """For people, after the form's title: "all 31 rows have 3 cells; the heading names 'text'"."""
    options: Mapping[str, str] = field(default_factory=dict)
    """Settings of [corpus] that repeat this reading without guessing, besides `form`: {"delimiter": ";"}."""
    details: Any = None
    """What the form's own reader needs to know of what it recognised."""


@dataclass(frozen=True)
class Form:
    name: str
    """As `[corpus] form` names it: "table"."""
    title: str
    """As people are told it: "a table"."""
    recognise: Callable[[Source], Found | None]
    """None: the file has another form. Raises DeepproverbsError where it has this one, but broken, or where another
    form fits as well."""
    read: Callable[[Source, Found, Ledger], Iterator[Raw]]
    """The texts in the file's order. Each that is left out is told to the ledger with `drop`; the reader counts `read`:
    those yielded and those dropped. Raises DeepproverbsError where the file breaks its own form."""
    said: Callable[[Source], Found | None] | None = None
    """In place of `recognise` where the form was said by hand: takes what is possible, however unlikely."""
    weak: bool = False
    """Every text can be read so; a file that proves another form is not of this one."""
    takes: frozenset[str] = frozenset({"field"})
    """Which of the settings `field`, `delimiter` and `author` mean something to it."""
