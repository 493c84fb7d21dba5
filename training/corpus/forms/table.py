"""CSV: the texts in one column."""

from __future__ import annotations

import csv
from collections.abc import Iterator

from training.common.errors import DeepproverbsError
from training.corpus.forms.form import Form, Found, Raw, Source
from training.corpus.ledger import Ledger


def recognise(source: Source) -> Found | None:
    return Found("its name says so") if source.path.suffix.lower() == ".csv" else None


def read(source: Source, found: Found, ledger: Ledger) -> Iterator[Raw]:
    """The column of that name. A single column without such a heading is all texts, its first row too
    (gpt-2-simple's own loader drops it)."""
    field = source.settings.field or "text"
    with source.open(newline="") as file:
        rows = csv.reader(file)
        try:
            first = next(rows, [])
            if field in first:
                column = first.index(field)
            elif len(first) == 1:
                column = 0
                yield Raw(first[0], 1)
            else:
                raise DeepproverbsError(
                    f"{source.path} has no column {field!r} but {', '.join(map(repr, first))}; "
                    "name the one with the texts with --field."
                )
            for row in rows:
                if len(row) > column:
                    yield Raw(row[column], rows.line_num)
        except csv.Error as error:
            raise DeepproverbsError(f"{source.path}, line {rows.line_num}: not CSV: {error}.") from error


TABLE = Form("table", "a table", recognise, read)
