"""CSV: the texts in one column."""

from __future__ import annotations

import csv
from collections.abc import Iterator

from training.common.errors import DeepproverbsError
from training.corpus.forms.form import Form, Source


def read(source: Source) -> Iterator[str]:
    """The column of that name. A single column without such a heading is all texts, its first row too
    (gpt-2-simple's own loader drops it)."""
    with source.open(newline="") as file:
        rows = csv.reader(file)
        try:
            first = next(rows, [])
            if source.field in first:
                column = first.index(source.field)
            elif len(first) == 1:
                column = 0
                yield first[0]
            else:
                raise DeepproverbsError(
                    f"{source.path} has no column {source.field!r} but {', '.join(map(repr, first))}; "
                    "name the one with the texts with --field."
                )
            for row in rows:
                if len(row) > column:
                    yield row[column]
        except csv.Error as error:
            raise DeepproverbsError(f"{source.path}, line {rows.line_num}: not CSV: {error}.") from error


TABLE = Form("CSV", lambda source: source.path.suffix.lower() == ".csv", read)
