"""One text a line."""

from __future__ import annotations

from collections.abc import Iterator

from training.corpus.forms.form import Form, Source


def read(source: Source) -> Iterator[str]:
    with source.open() as lines:
        yield from lines


LINES = Form("one text a line", lambda source: True, read)
