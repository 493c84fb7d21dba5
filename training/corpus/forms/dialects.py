"""The dialects of tables: rows out of a file by one delimiter and one way of quoting, strictly.

No library is asked: csv.Sniffer and its peers always find some delimiter, and read broken quotes loosely, which loses
rows without a word.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Literal

from training.corpus.forms.form import Source

DELIMITERS = ("\t", ";", "|", ",")
Quoting = Literal["double", "backslash", "single", "none", "last"]
_SEP = re.compile(r'"?sep=(.)"?$', re.I)
_ESCAPE = re.compile(r'\\([\\"])')
LONGEST_CELL = 1 << 24
"""Characters. A quote mark that is never closed swallows no more."""


class BrokenRow(Exception):
    """A row that its dialect does not allow."""

    def __init__(self, line: int, why: str) -> None:
        super().__init__(f"line {line:,}: {why}")
        self.line = line


@dataclass(frozen=True)
class Dialect:
    """How a table is written."""

    delimiter: str
    quoting: Quoting = "double"
    """double: "" in quotes is a quote mark. backslash: so is \\". single: ' quotes. none: nothing quotes, a row is a
    line. last: the last column holds the delimiter without quotes."""
    space: bool = False
    """White space after the delimiter is no part of a cell."""
    columns: int = 0
    """With `last`: how many there are."""
    unwrapped: int = -1
    """With `none`: the column whose cells all stand in quotes, with others inside that are not doubled."""


def separator_line(source: Source) -> str:
    """What Excel's first line `sep=;` names, or ""."""
    with source.open() as file:
        found = _SEP.match(file.readline().strip("\ufeff \r\n"))
    return found[1] if found else ""


def _physical(source: Source, backslash: bool) -> Generator[str, None, None]:
    with source.open(newline="") as file:
        for number, line in enumerate(file):
            if number == 0:
                line = line.lstrip("\ufeff")
                if _SEP.match(line.strip()):
                    line = "\n"
            yield _ESCAPE.sub(lambda m: '""' if m[1] == '"' else "\\", line) if backslash and "\\" in line else line


def rows_of(source: Source, dialect: Dialect) -> Iterator[tuple[int, list[str]]]:
    """(line where it begins, cells) of every row that is not blank. A row of `last` has its surplus joined.

    Raises:
        BrokenRow: quotes that do not close, or are followed by something else than a delimiter.
    """
    if dialect.quoting in ("none", "last"):
        yield from _split(source, dialect)
        return
    csv.field_size_limit(LONGEST_CELL)
    with closing(_physical(source, dialect.quoting == "backslash")) as lines:
        yield from _parsed(lines, dialect)


def _parsed(lines: Iterator[str], dialect: Dialect) -> Iterator[tuple[int, list[str]]]:
    quote = "'" if dialect.quoting == "single" else '"'
    reader = csv.reader(
        lines, delimiter=dialect.delimiter, quotechar=quote, skipinitialspace=dialect.space, strict=True
    )
    before = 0
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            line, last = before + 1, reader.line_num
            if "field larger" in str(error) or "unexpected end" in str(error):
                raise BrokenRow(line, f"a quote mark that opens there is not closed before line {last:,}") from error
            begun = f" in the row that begins in line {line:,}" * (line != last)
            raise BrokenRow(last, f"a quote mark is followed by something other than the delimiter{begun}") from error
        if row:
            if quote in "".join(row) and sum(cell.count(quote) % 2 for cell in row) > 1:
                raise BrokenRow(before + 1, "quote marks that begin in one cell and end in another")
            yield before + 1, row
        before = reader.line_num


def _split(source: Source, dialect: Dialect) -> Iterator[tuple[int, list[str]]]:
    most = dialect.columns - 1 if dialect.quoting == "last" else -1
    for number, line in enumerate(_physical(source, False), 1):
        line = line.rstrip("\r\n")
        if not line.strip(" "):
            continue
        row = line.split(dialect.delimiter, most)
        if dialect.quoting == "last":
            if sum(cell.count('"') % 2 for cell in row) > 1:
                raise BrokenRow(number, "quote marks that begin in one cell and end in another")
            row = [_unquoted(cell, number) for cell in row]
        elif dialect.unwrapped >= 0 and len(row) > dialect.unwrapped:
            cell = row[dialect.unwrapped]
            row[dialect.unwrapped] = cell[1:-1] if len(cell) > 1 and cell[0] == cell[-1] == '"' else cell
        yield number, row


def _unquoted(cell: str, line: int) -> str:
    """A cell in whole quotes without them; one without quotes at its beginning as it is."""
    if len(cell) > 1 and cell[0] == cell[-1] == '"':
        inner = cell[1:-1]
        if '"' not in inner.replace('""', ""):
            return inner.replace('""', '"')
    if cell.startswith('"'):
        raise BrokenRow(line, "a quote mark that opens there is not closed at the end of its cell")
    return cell
