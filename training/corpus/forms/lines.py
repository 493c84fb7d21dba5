"""One text a line."""

from __future__ import annotations

import re
from collections.abc import Iterator

from training.common.errors import DeepproverbsError
from training.corpus.forms.columns import is_known_field
from training.corpus.forms.delimited import ask_of_words
from training.corpus.forms.form import Form, Found, Raw, Source
from training.corpus.ledger import Ledger

RULE = re.compile(r"([-=*_~#+])(?:\s*\1){2,}")
"""A line of marks alone is no text."""


PRINTED = re.compile(r"(?:Name: .*, )?(?:Length: \d+, )?dtype: \w+|\[\d+ rows x \d+ columns\]")
"""The last line of what pandas prints."""


PAGE = re.compile(r"<(?:!doctype|html|\?xml|rss|feed|svg)\b", re.I)
TAG = re.compile(r"<([a-z][\w:.-]*)\b[^>]*>", re.I)
SQL = re.compile(r"(?:insert into|create table|drop table|begin transaction|pragma)\b|-- \w+ dump", re.I)


def _refuse_printed(source: Source) -> None:
    """
    Raises:
        DeepproverbsError: a program printed its data, which is not how to save it; or it is a page, or SQL.
    """
    first, last = source.shape.first, source.shape.last
    if PRINTED.fullmatch(last):
        raise DeepproverbsError(
            f"{source.name} is what pandas prints, which cuts texts short: write the table with to_csv, and give that."
        )
    if first[:2] in ("['", '["', "{'", '{"', "('", '("') and last[-2:] in ("']", '"]', "'}", '"}', "')", '")'):
        raise DeepproverbsError(
            f"{source.name} is a list or dictionary as Python prints it: write it with json.dump, and give that."
        )
    tag = TAG.match(first)
    end = f"</{tag[1]}>" if tag else " "
    # Lines that each are an element are texts, with markup to be warned of.
    if PAGE.match(first) or (last.endswith(end) and (source.shape.filled == 1 or not first.endswith(end))):
        raise DeepproverbsError(
            f"{source.name} is HTML or XML, whose tags are not text: copy the texts out of it, one a line, or give a "
            "table or JSON of them. (--form lines reads it as it is.)"
        )
    if SQL.match(first) and last.endswith((";", "*/")):
        raise DeepproverbsError(
            f"{source.name} is SQL: export the table as CSV, and give that. (--form lines reads it as it is.)"
        )


def recognise(source: Source) -> Found:
    shape = source.shape
    _refuse_printed(source)
    ask_of_words(source)
    blank = shape.lines - shape.filled
    return Found(
        f"nothing else fits its {shape.filled:,} line{'s' * (shape.filled != 1)}"
        + (f"; {blank:,} more are blank" if blank else "")
    )


def said(source: Source) -> Found:
    return Found(f"{source.shape.filled:,} lines, as said")


def read(source: Source, found: Found, ledger: Ledger) -> Iterator[Raw]:
    """Every line that is not blank, but a first one that is a heading, and what is underlined by a line of marks."""
    held: Raw | None = None
    above = ""
    first = True
    headed = any(rule.headings for rule in source.shape.rules.values())
    for number, line in source.lines():
        text = line.strip()
        if not text:
            above = ""
            if held:
                yield held
                held = None
            continue
        if RULE.fullmatch(text):
            if held and headed and text[0] in "-=" and not above:
                ledger.drop("headings", held.text, held.line)
                held = None
            ledger.drop("lines of marks alone", text, number)
            above = text
            continue
        if held:
            above = held.text
            yield held
        if first and is_known_field(text):
            ledger.drop("headings", text, number)
            held = None
        else:
            held = Raw(line, number)
        first = False
    if held:
        yield held


LINES = Form("lines", "one text a line", recognise, read, said, weak=True, takes=frozenset())
