"""Texts between lines of equals signs, each on any number of lines."""

from __future__ import annotations

import re
from collections.abc import Iterator

from training.corpus.forms.form import Form, Source

_DELIMITER_LINE = re.compile(r"={10,}")


def recognise(source: Source) -> bool:
    with source.open() as lines:
        return any(_DELIMITER_LINE.fullmatch(line.strip()) for line in lines)


def read(source: Source) -> Iterator[str]:
    text: list[str] = []
    with source.open() as lines:
        for line in lines:
            if _DELIMITER_LINE.fullmatch(line.strip()):
                yield " ".join(text)
                text = []
            else:
                text.append(line)
    yield " ".join(text)


DELIMITED = Form("texts between ========== lines", recognise, read)
