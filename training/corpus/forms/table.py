"""Tables: the texts in one column, between commas, semicolons, tabs or bars.

A file is a table if the whole of it parses strictly, every row has as many cells, and either the heading names a column
of texts or one column is written by a machine and another is not. Prose with one comma in every line is none.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from training.common.errors import DeepproverbsError, WrongUse
from training.corpus.forms.choice import ask, excerpt
from training.corpus.forms.columns import Column, is_known_field, names_texts, text_column
from training.corpus.forms.dialects import DELIMITERS, BrokenRow, Dialect, Quoting, rows_of, separator_line
from training.corpus.forms.form import Form, Found, Raw, Source
from training.corpus.forms.survey import Survey, one_column, survey
from training.corpus.ledger import Ledger

NAMES = {"\t": "tabs", ";": "semicolons", "|": "bars", ",": "commas"}
SPELLED = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|"}
Tables = tuple[list[Survey], list[BrokenRow]]
"""The dialects in which a file is a table of several columns, and the rows that break it in others."""
MOST_ROWS_JOINED = 0.9
"""Share of rows from where on it is not the text that holds the delimiter but another dialect."""


@dataclass(frozen=True)
class Details:
    """How a table's texts are read."""

    dialect: Dialect
    column: int
    heading: tuple[str, ...] | None
    width: int


def recognise(source: Source) -> Found | None:
    return _found(source, said=False)


def said(source: Source) -> Found | None:
    return _found(source, said=True)


def _found(source: Source, said: bool) -> Found | None:
    chosen = source.settings.delimiter
    chosen = SPELLED.get(chosen, chosen)
    if chosen and (len(chosen) != 1 or chosen in "\"'\r\n"):
        if said:
            raise WrongUse(f"The delimiter of a table is one character, not {chosen!r}; a tab is written tab.")
        return None
    named = chosen or separator_line(source)
    if named and source.path.is_file() and not chosen:
        said = True  # the file says so itself
    fits, broken = source.tables if not said else _tables(source, [named] if named else DELIMITERS, said)
    fits = [each for each in fits if each.known] or fits
    if len(fits) > 1:
        raise ask(
            source,
            *((f"table --delimiter {_shell(each)}", _evidence(each), " | ".join(each.second)) for each in fits),
        )
    if fits:
        return _described(source, fits[0])
    column = one_column(source) if not chosen else None
    if column:
        return _one(source, column)
    if broken:
        raise DeepproverbsError(f"{source.name}, {broken[0]}. Mend that row, or say --form lines if it is not a table.")
    if said:
        raise DeepproverbsError(
            f"{source.name} is not a table with {NAMES.get(named, named) or 'any delimiter'}: "
            "no two columns in every row; say another --delimiter or --form."
        )
    return None


def tables(source: Source) -> Tables:
    """What `Source.tables` keeps."""
    return _tables(source, DELIMITERS, False)


def _tables(source: Source, delimiters: Sequence[str], said: bool) -> Tables:
    fits: list[Survey] = []
    broken: list[BrokenRow] = []
    for delimiter in delimiters:
        try:
            found = _fitting(source, delimiter, said)
        except BrokenRow as error:
            broken.append(error.with_traceback(None))
            continue
        fits += [found] if found else []
    return fits, broken


def _fitting(source: Source, delimiter: str, said: bool) -> Survey | None:
    """The dialect in which the whole file is a table with this delimiter, or None.

    Raises:
        BrokenRow: it is a table, but a row is damaged.
    """
    fault: BrokenRow | None = None
    space = _spaced(source, delimiter)
    apostrophes = False
    quotings: tuple[Quoting, ...] = ("double", "backslash", "none", "single")
    for quoting in quotings:
        if quoting == "single" and not apostrophes:
            continue
        dialect = Dialect(delimiter, quoting, space)
        try:
            found = survey(source, dialect, "damaged" in source.settings.drop)
        except BrokenRow as error:
            fault = fault or error.with_traceback(None)
            continue
        if found is None:
            return None  # the first row has no such delimiter
        apostrophes = apostrophes or found.single_quoted
        if found.ragged or not (said or found.is_table):
            if found.ragged and quoting == "double" and found.is_table:
                fault = BrokenRow(found.ragged, f"{_cells(found.ragged_cells)} where others have {found.width}")
            continue
        if found.single_quoted:
            found = _single(source, dialect) or found
        if quoting == "none":
            found = _loose(source, found)
        found.check_swallowed()
        return found
    last = _last(source, delimiter, said)
    if last:
        return last
    if fault and (said or _heading_known(source, delimiter)):
        raise fault
    head = _majority(source, Dialect(delimiter, space=space))
    if fault and head:
        raise fault
    return None


def _spaced(source: Source, delimiter: str) -> bool:
    """Whether quotes come after a delimiter and a space, in the first lines."""
    with source.open() as file:
        head = [line for line, _ in zip(file, range(50), strict=False)]
    return sum(f'{delimiter} "' in line for line in head) > sum(f'{delimiter}"' in line for line in head)


def _single(source: Source, dialect: Dialect) -> Survey | None:
    try:
        found = survey(source, replace(dialect, quoting="single"), False)
    except BrokenRow:
        return None
    return found if found and not found.ragged else None


def _loose(source: Source, found: Survey) -> Survey:
    """Without quoting: cells in whole quotes are told from those that only begin or end with one.

    Raises:
        BrokenRow: both occur, so quotes mean something and one is missing.
    """
    whole, half = found.quoted, found.half_quoted
    if not whole:
        return found
    column = max(whole, key=lambda i: whole[i])
    if not half and len(whole) == 1 and whole[column] >= found.rows - (found.heading is not None):
        return replace_dialect(found, replace(found.dialect, unwrapped=column))
    raise BrokenRow(found.odd_quote, "a quote mark that is not closed, or not doubled inside quotes")


def replace_dialect(found: Survey, dialect: Dialect) -> Survey:
    found.dialect = dialect
    return found


def _heading_known(source: Source, delimiter: str) -> bool:
    """Whether the first line names a column of texts beside others."""
    first = next((line for _, line in source.lines() if line.strip() and not line.lower().startswith("sep=")), "")
    cells = first.split(delimiter)
    return len(cells) > 1 and names_texts(cells)


def _majority(source: Source, dialect: Dialect) -> bool:
    """Whether nine rows of ten make a table, up to the first that breaks it."""
    try:
        found = survey(source, dialect, True, most=2_000)
    except BrokenRow as error:
        found = survey(source, dialect, True, until=error.line) if error.line > 4 else None
    if not found or found.rows < 4 or found.ragged_rows > 0.1 * found.rows:
        return False
    return found.is_table and found.certain


def _last(source: Source, delimiter: str, said: bool) -> Survey | None:
    """A table whose last column is the texts', and holds the delimiter without quotes.

    Only where the columns before it are numbers, dates or few values: else a name with a comma in it would move into
    the text without a sign.
    """
    first = next((line for _, line in source.lines() if line.strip()), "")
    cells = [cell.strip("\"' \ufeff") for cell in first.split(delimiter)]
    names = source.settings.field or ""
    if len(cells) < 2 or not (is_known_field(cells[-1]) or (names and cells[-1] == names)):
        return None
    if any(is_known_field(cell) and cell != "0" for cell in cells[:-1]) and not names:
        return None
    try:
        found = survey(source, Dialect(delimiter, "last", columns=len(cells)), False)
    except BrokenRow:
        return None
    if not found or found.ragged or not all(_certain(column) for column in found.columns[:-1]):
        return None
    if found.moved:
        raise BrokenRow(found.moved, f"{len(cells) + 1} cells or more where the heading has {len(cells)}")
    return found if found.joined <= MOST_ROWS_JOINED * found.rows or said else None


def _certain(column: Column) -> bool:
    return column.few or column.filled == column.numbers > 0


def _described(source: Source, found: Survey) -> Found:
    column = text_column(source.name, found.heading, found.columns, source.settings.field)
    heading = found.heading
    unique = heading and heading.count(heading[column]) == 1 and heading[column].strip()
    field = heading[column].strip("\ufeff ") if heading and unique else str(column + 1)
    which = f"the heading names {field!r}" if unique else f"the texts are in column {column + 1}"
    others = [name.strip() for i, name in enumerate(heading or ()) if i != column and name.strip()]
    if unique and others and not source.settings.field:
        which += f" (beside {', '.join(others[:8])}{'…' * (len(others) > 8)})"
    details = Details(found.dialect, column, heading, found.width)
    options = {"delimiter": _spelled(found.dialect.delimiter), "field": field}
    return Found(f"{_evidence(found)}; {which}", options, details)


def _evidence(found: Survey) -> str:
    delimiter = found.dialect.delimiter
    rows = found.rows - (found.heading is not None)
    several = f"all {rows:,} rows have {found.width} cells"
    if found.ragged_rows:
        several = f"{rows - found.ragged_rows:,} of {rows:,} rows have {found.width} cells"
    if found.joined:
        several += f", {found.joined:,} of them with {NAMES.get(delimiter, delimiter)} in the text that are not quoted"
    quoting = {"backslash": ', quotes as \\"', "single": ", single quotes", "none": ", no quotes"}
    return f"{NAMES.get(delimiter, repr(delimiter))}{quoting.get(found.dialect.quoting, '')}: {several}"


def _one(source: Source, column: Survey) -> Found:
    if source.settings.field and source.settings.field not in (*(column.heading or ()), "1"):
        text_column(source.name, column.heading, column.columns, source.settings.field)
    rows = column.rows - (column.heading is not None)
    head = f"; the first line, {column.heading[0]!r}, is the heading" if column.heading else ""
    name = column.heading[0] if column.heading else "1"
    return Found(
        f"one column: all {rows:,} rows have one cell, some in quotes{head}",
        {"field": name},
        Details(column.dialect, 0, column.heading, 1),
    )


def _shell(found: Survey) -> str:
    return shlex.quote(_spelled(found.dialect.delimiter))


def _spelled(delimiter: str) -> str:
    return "tab" if delimiter == "\t" else delimiter


def read(source: Source, found: Found, ledger: Ledger) -> Iterator[Raw]:
    how: Details = found.details
    heading = tuple(cell.strip("\ufeff ") for cell in how.heading or ())
    first = True
    try:
        for line, row in rows_of(source, how.dialect):
            if heading and heading[0] in row[0] and tuple(cell.strip("\ufeff ") for cell in row) == heading:
                if not first:
                    ledger.drop("repeated headings", how.dialect.delimiter.join(row), line)
                first = False
                continue
            first = False
            if len(row) != how.width:
                if "damaged" not in source.settings.drop:
                    raise BrokenRow(line, f"{_cells(len(row))} where others have {how.width}")
                ledger.drop("damaged rows", how.dialect.delimiter.join(row), line)
                continue
            if how.dialect.delimiter == "|" and all(not cell.strip(" :-") for cell in row) and "-" in row[how.column]:
                ledger.drop("lines of marks alone", "|".join(row), line)  # Markdown's, below the heading
                continue
            text = row[how.column].replace("\r\n", "\n").replace("\r", "\n")
            if not text.strip():
                ledger.drop("empty texts", how.dialect.delimiter.join(row), line)
                continue
            if how.dialect.quoting == "last" and how.dialect.delimiter in text:
                ledger.alter("that held the delimiter without quotes", excerpt(text), line)
            elif how.dialect.quoting == "none" and how.dialect.delimiter != "\t" and _stray(text.strip()):
                ledger.alter("with a stray quote mark taken out", excerpt(text), line)
                text = text.replace('"', "")
            yield Raw(text, line)
    except BrokenRow as error:
        raise DeepproverbsError(f"{source.name}, {error}; mend that row.") from error


def _cells(count: int) -> str:
    return f"{count} cell{'s' * (count != 1)}"


def _stray(text: str) -> bool:
    """Whether its only quote mark stands at an end: in a table it is one that was never closed."""
    return text.count('"') == 1 and '"' in (text[0], text[-1])


TABLE = Form("table", "a table", recognise, read, said, takes=frozenset({"field", "delimiter"}))
