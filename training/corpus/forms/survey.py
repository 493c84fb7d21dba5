"""A whole file in one dialect of tables: do its rows have as many cells, and what is in its columns?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from training.corpus.forms.columns import Column, is_known_field, is_number, names_texts
from training.corpus.forms.dialects import BrokenRow, Dialect, rows_of
from training.corpus.forms.form import Source

SAMPLE, EVERY = 5_000, 101
"""Rows of which every cell is looked at, and one in so many of the others. Widths and quotes are those of all rows."""
HEAD = 50
SUSPECTS = 1_000


@dataclass
class Survey:
    """What a pass over a file's rows found."""

    dialect: Dialect
    width: int
    first: list[str]
    second: list[str] = field(default_factory=list)
    heading: tuple[str, ...] | None = None
    rows: int = 0
    """With the heading."""
    columns: list[Column] = field(default_factory=list)
    """Without the first row."""
    ragged: int = 0
    """The first line with another number of cells than the first row's, or 0."""
    ragged_cells: int = 0
    ragged_rows: int = 0
    joined: int = 0
    """Rows whose last cell holds the delimiter."""
    moved: int = 0
    """The first line of such a row whose last cell begins with a space, or that has a name before it that other rows
    have not: there a comma may belong to the name."""
    spaced: int = 0
    """Cells of the sample, but the first of a row, that begin with a space."""
    quoted: Counter[int] = field(default_factory=Counter)
    """Without quoting: column → cells in whole quotes."""
    half_quoted: Counter[int] = field(default_factory=Counter)
    """The same, of cells that only begin or only end with a quote mark."""
    odd_quote: int = 0
    """The first line with such a cell."""
    suspects: list[tuple[int, str]] = field(default_factory=list)
    """(line, a line within a cell that could be a row)"""

    @property
    def known(self) -> bool:
        return names_texts(self.first)

    @property
    def certain(self) -> bool:
        """Whether the machine's column is of numbers, or the heading known: words before a comma are also prose."""
        return self.known or any(column.numeric for column in self.columns)

    @property
    def is_table(self) -> bool:
        machines = [column.machine for column in self.columns]
        if self.known:
            return True
        if not any(machines) or all(machines) or not self.columns:
            return False
        if all(column.machine and not column.filled for column, m in zip(self.columns, machines, strict=True) if m):
            return False  # nothing but empty columns
        cells = sum(column.filled for column in self.columns[1:])
        return self.certain or (self.spaced <= 0.2 * max(1, cells) and self.rows >= 4)

    @property
    def single_quoted(self) -> bool:
        """Whether a column's cells all stand between apostrophes."""
        return any(
            column.filled >= 3 and all(len(v) > 1 and v[0] == v[-1] == "'" for v in column.values)
            for column in self.columns
            if not column.numeric
        )

    def check_swallowed(self) -> None:
        """
        Raises:
            BrokenRow: a quoted cell holds what are rows of this very table: its quote mark was closed too late.
        """
        alike: Counter[int] = Counter()
        for line, inner in self.suspects:
            cells = inner.split(self.dialect.delimiter)
            machine = [i for i, column in enumerate(self.columns) if column.numeric or column.few]
            left = [i for i in machine if i < len(cells) and self.columns[i].like(cells[i])]
            right = [i for i in machine if self.columns[i].like(cells[i - self.width])]
            alike[line] += 1
            if (machine and max(len(left), len(right)) == len(machine)) or (not machine and alike[line] >= 3):
                raise BrokenRow(
                    line,
                    f"a quote mark that opens there is closed some rows later, and swallows {inner[:60]!r}",
                )


def survey(
    source: Source, dialect: Dialect, tolerant: bool, most: int | None = None, until: int | None = None
) -> Survey | None:
    """Parse the file. None: its first row has not this delimiter, or a fifth of its first rows another width.

    tolerant: rows of another width are counted and left out. most: rows to parse. until: the line of a broken row, to
    stop before.

    Raises:
        BrokenRow: its quotes are broken.
    """
    found: Survey | None = None
    names: tuple[set[str], dict[str, int]] = set(), {}
    loose = dialect.quoting == "none"
    for line, row in _up_to(rows_of(source, dialect), until):
        if found is None:
            if len(row) < 2:
                return None
            found = Survey(dialect, len(row), row, rows=1, columns=[Column() for _ in row])
            continue
        if most and found.rows >= most:
            break
        found.rows += 1
        if len(row) != found.width:
            found.ragged_rows += 1
            if not tolerant and not found.ragged:
                found.ragged, found.ragged_cells = line, len(row)
            if found.ragged_rows > 0.2 * HEAD and found.ragged_rows > 0.2 * found.rows:
                found.ragged = found.ragged or line
                return found
            continue
        found.second = found.second or row
        if dialect.quoting == "last":
            _joined(found, row, line, names)
        if loose:
            _quotes(found, row, line)
        elif any("\n" in cell or "\r" in cell for cell in row):
            _lines_within(found, row, line)
        if found.rows <= SAMPLE or found.rows % EVERY == 0:
            for column, cell in zip(found.columns, row, strict=True):
                column.add(cell)
            found.spaced += sum(cell[:1] == " " for cell in row[1:]) if not dialect.space else len(row) - 1
    if found is None:
        return None
    strange = [line for cell, line in names[1].items() if cell not in names[0]]
    found.moved = min([found.moved or line for line in strange], default=found.moved)
    found.heading = tuple(found.first) if _has_heading(found) else None
    if found.heading is None:
        for column, cell in zip(found.columns, found.first, strict=True):
            column.add(cell)
    if found.rows <= 1 and not found.known:
        return None
    return found


def _up_to(rows: Iterator[tuple[int, list[str]]], until: int | None) -> Iterator[tuple[int, list[str]]]:
    """The rows before a line, or before the broken row that holds it."""
    try:
        for line, row in rows:
            if until and line >= until:
                return
            yield line, row
    except BrokenRow:
        if not until:
            raise


def _joined(found: Survey, row: list[str], line: int, names: tuple[set[str], dict[str, int]]) -> None:
    """`names`: cells before the text that are no numbers, of rows that hold no delimiter in it, and of the others."""
    words = (cell for cell in row[:-1] if not is_number(cell.strip()))
    if found.dialect.delimiter not in row[-1]:
        if len(names[0]) < SAMPLE:
            names[0].update(words)
        return
    found.joined += 1
    if row[-1].startswith(" ") and not found.dialect.space:
        found.moved = found.moved or line
    for cell in words:
        if len(names[1]) < SAMPLE:
            names[1].setdefault(cell, line)


def _quotes(found: Survey, row: list[str], line: int) -> None:
    for i, cell in enumerate(row):
        cell = cell.strip()
        if cell[:1] != '"' and cell[-1:] != '"':
            continue
        if len(cell) > 1 and cell[0] == cell[-1]:
            found.quoted[i] += 1
        else:
            found.half_quoted[i] += 1
            found.odd_quote = found.odd_quote or line
    if found.quoted and not found.odd_quote:
        found.odd_quote = line


def _lines_within(found: Survey, row: list[str], line: int) -> None:
    delimiter = found.dialect.delimiter
    for cell in row:
        for inner in cell.replace("\r", "\n").split("\n")[1:]:
            if inner.count(delimiter) >= found.width - 1 and len(found.suspects) < SUSPECTS:
                found.suspects.append((line, inner))


def _has_heading(found: Survey) -> bool:
    """Whether the first row names the columns: a name of texts, words above numbers, short words above long texts."""
    first = [cell.strip("\ufeff ") for cell in found.first]
    if found.known:
        return True
    numeric = [i for i, column in enumerate(found.columns) if column.numeric]
    if numeric:
        return all(first[i] and not first[i][0].isdigit() for i in numeric) or (not first[0] and len(first) > 1)
    if any(column.few and cell in column.values for column, cell in zip(found.columns, first, strict=True)):
        return False
    longest = max(range(len(first)), key=lambda i: found.columns[i].mean)
    short = all(cell and len(cell) <= 30 and len(cell.split()) <= 3 and cell[-1].isalnum() for cell in first)
    return short and found.columns[longest].mean >= 2 * len(first[longest]) and len(set(first)) == len(first)


def one_column(source: Source) -> Survey | None:
    """A table of one column: it parses strictly with commas, every row has one cell, and quotes mean something.

    Quotes do not where only some lines stand in them and none of those needs them.
    """
    dialect = Dialect(",")
    rows = quoted = needed = 0
    first = ""
    column = Column()
    bare_first = False
    quoted_lines = _QuotedStarts(source)
    try:
        for line, row in rows_of(source, dialect):
            if len(row) != 1:
                return None
            rows += 1
            is_quoted = quoted_lines.at(line)
            quoted += is_quoted
            needed += is_quoted and any(mark in row[0] for mark in ',"\n\r')
            if rows == 1:
                first, bare_first = row[0], not is_quoted
            elif rows <= SAMPLE:
                column.add(row[0])
    except BrokenRow:
        return None
    finally:
        quoted_lines.close()
    whole = quoted >= rows - 1
    if not quoted or not (whole or needed == quoted or source.name.lower().endswith((".csv", ".tsv"))):
        return None
    heading = (first,) if is_known_field(first) or (bare_first and whole and rows > 3) else None
    return Survey(dialect, 1, [first], heading=heading, rows=rows, columns=[column])


class _QuotedStarts:
    """Whether a line begins with a quote mark, asked in the lines' order."""

    def __init__(self, source: Source) -> None:
        self.file = source.open(newline="")
        self.number = 0

    def at(self, line: int) -> bool:
        text = ""
        while self.number < line:
            text = self.file.readline()
            self.number += 1
        return text.lstrip("\ufeff").startswith('"')

    def close(self) -> None:
        self.file.close()
