"""The columns of a table: which hold numbers, names and labels, and which the texts."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field

from training.common.errors import DeepproverbsError
from training.corpus.forms.choice import excerpt

FIELDS = (
    "text", "full_text", "tweet", "tweets", "tweet_text", "content", "contents", "body", "quote", "quotes", "saying",
    "sayings", "proverb", "proverbs", "joke", "jokes", "haiku", "poem", "message", "messages", "sentence", "sentences",
    "caption", "comment", "lyric", "lyrics", "texts", "rawcontent", "post", "posts", "status", "headline", "line",
    "lines", "title", "description", "0",
)  # fmt: skip
"""What the column of texts is called, the surest first."""
_NUMBER = re.compile(r"[-+#$€£]?\d[\d.,' ]*%?")
_DATE = re.compile(
    r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}(?:[ T]\d{1,2}:\d\d.*)?|\d{1,2}:\d\d(?::\d\d)?.{0,6}"
    r"|(?:[A-Z][a-z]{2},? )?(?:[A-Z][a-z]{2} \d{1,2}|\d{1,2} [A-Z][a-z]{2}),? .*\d{4}.{0,20}"
)
_TOKEN = re.compile(r"[@#]?[\w./:+&?=%~-]{1,60}")
_MOST_VALUES = 2_000


def is_known_field(cell: str) -> bool:
    """Whether a heading's cell names a column of texts."""
    return _plain(cell) in FIELDS


def names_texts(heading: Sequence[str]) -> bool:
    """Whether one cell of several names a column of texts. pandas calls one 0, beside an index without a name."""
    cells = [_plain(cell) for cell in heading]
    known = any(cell in FIELDS and cell != "0" for cell in cells) or (not cells[0] and "0" in cells)
    return known and all(len(cell) <= 60 for cell in cells)


def _plain(cell: str) -> str:
    return cell.strip("\ufeff \t\"'").lower().replace(" ", "_")


def is_number(cell: str) -> bool:
    """A number, a date or a time."""
    return bool(_NUMBER.fullmatch(cell) or _DATE.fullmatch(cell))


def _is_token(cell: str) -> bool:
    """A name, a label, an id, a link: one short word of a script that parts words by spaces."""
    return bool(_TOKEN.fullmatch(cell)) and (cell.isascii() or max(cell) < "\u0e00")


@dataclass
class Column:
    """What a sample of a column's cells holds."""

    filled: int = 0
    numbers: int = 0
    tokens: int = 0
    characters: int = 0
    values: dict[str, None] = field(default_factory=dict)
    """Different ones in their order, up to 2,000."""

    def add(self, cell: str) -> None:
        cell = cell.strip()
        if not cell:
            return
        self.filled += 1
        self.characters += len(cell)
        if is_number(cell):
            self.numbers += 1
        elif _is_token(cell):
            self.tokens += 1
        if len(self.values) < _MOST_VALUES:
            self.values[cell] = None

    @property
    def mean(self) -> float:
        """Characters of a cell; of one that repeats itself less."""
        return self.characters / max(1, self.filled)

    @property
    def numeric(self) -> bool:
        return self.filled > 0 and self.numbers >= 0.95 * self.filled

    @property
    def few(self) -> bool:
        return self.filled >= 5 and len(self.values) <= max(1, min(50, self.filled // 10))

    @property
    def machine(self) -> bool:
        """Not written by a person: ≥ 95 % numbers, dates or single short words, or few different values."""
        return not self.filled or self.numeric or self.few or self.numbers + self.tokens >= 0.95 * self.filled

    def like(self, cell: str) -> bool:
        """Whether a cell is one of this column's kind, where it is of a certain kind."""
        cell = cell.strip()
        return is_number(cell) if self.numeric else cell in self.values if self.few else False

    @property
    def example(self) -> str:
        return excerpt(next(iter(self.values), ""), 60)


def text_column(name: str, heading: Sequence[str] | None, columns: Sequence[Column], said: str) -> int:
    """The column with the texts. `name`: the file's; `said`: what [corpus] field says, a heading or a number from 1.

    Raises:
        DeepproverbsError: there is none of that name, or two, or several columns could be meant.
    """
    names = [cell.strip("\ufeff ") for cell in heading or ()]
    if said:
        found = [i for i, each in enumerate(names) if each == said]
        found = found or [i for i, each in enumerate(names) if _plain(each) == _plain(said)]
        if not found and said.isdigit() and 1 <= int(said) <= len(columns):
            return int(said) - 1
        if len(found) == 1:
            return found[0]
        have = ", ".join(map(repr, names)) if names else f"{len(columns)} columns without names"
        if found:
            raise DeepproverbsError(
                f"{name} has {len(found)} columns {said!r}; name the one with the texts by its number: --field "
                f"{' or --field '.join(str(i + 1) for i in found)}."
            )
        raise DeepproverbsError(f"{name} has no column {said!r} but {have}; name the one with the texts with --field.")
    for known in FIELDS:
        found = [i for i, each in enumerate(names) if _plain(each) == known and not columns[i].numeric]
        if len(found) > 1:
            raise _which(name, names, columns, found)
        if found:
            return found[0]
    written = [i for i, column in enumerate(columns) if not column.machine] or list(range(len(columns)))
    written.sort(key=lambda i: -columns[i].mean)
    rivals = [i for i in written if columns[i].mean >= 0.6 * columns[written[0]].mean]
    if len(rivals) > 1:
        raise _which(name, names, columns, sorted(rivals))
    return written[0]


def _which(name: str, names: Sequence[str], columns: Sequence[Column], rivals: Sequence[int]) -> DeepproverbsError:
    lines = []
    for i in rivals:
        unique = names and names.count(names[i]) == 1 and names[i]
        lines.append(f"\n  --field {shlex.quote(names[i]) if unique else i + 1}: {columns[i].example}")
    return DeepproverbsError(f"{name} has {len(rivals)} columns that may hold the texts; say which:{''.join(lines)}")
