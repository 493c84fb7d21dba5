"""One text a line."""

from __future__ import annotations

from collections.abc import Iterator

from training.corpus.forms.form import Form, Found, Raw, Source
from training.corpus.ledger import Ledger


def recognise(source: Source) -> Found | None:
    return Found("nothing else fits")


def read(source: Source, found: Found, ledger: Ledger) -> Iterator[Raw]:
    with source.open() as lines:
        for number, line in enumerate(lines, 1):
            yield Raw(line, number)


LINES = Form("lines", "one text a line", recognise, read)
