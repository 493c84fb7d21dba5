"""Texts between lines of equals signs, each on any number of lines."""

from __future__ import annotations

import re
from collections.abc import Iterator

from training.corpus.forms.form import Form, Found, Raw, Source
from training.corpus.ledger import Ledger

_DELIMITER_LINE = re.compile(r"={10,}")


def recognise(source: Source) -> Found | None:
    with source.open() as lines:
        count = sum(bool(_DELIMITER_LINE.fullmatch(line.strip())) for line in lines)
    return Found(f"{count:,} lines of equals signs separate them") if count else None


def read(source: Source, found: Found, ledger: Ledger) -> Iterator[Raw]:
    text: list[str] = []
    start = 1
    with source.open() as lines:
        for number, line in enumerate(lines, 1):
            if _DELIMITER_LINE.fullmatch(line.strip()):
                yield Raw("".join(text), start)
                text, start = [], number + 1
            else:
                text.append(line)
    yield Raw("".join(text), start)


DELIMITED = Form("delimited", "texts between ========== lines", recognise, read)
