"""Markdown lists and numbered lists: an item a text."""

from __future__ import annotations

import re
from collections.abc import Iterator

from training.corpus.forms.form import Form, Found, Raw, Source
from training.corpus.forms.lines import RULE
from training.corpus.forms.shape import LIST_MARK
from training.corpus.ledger import Ledger

QUOTED = re.compile(r'"(?:[^"\\]|\\.)+"|\'[^\']+\'')
"""An item as YAML quotes it."""


def recognise(source: Source) -> Found | None:
    shape = source.shape
    texts = shape.filled - shape.hashes - sum(r.count + r.headings for r in shape.rules.values())
    # Lines that are indented may go on with an item, or be items themselves.
    if shape.listed < 3 or shape.listed < 0.9 * max(1, texts - max(0, shape.indented - shape.listed // 10)):
        return None
    ledger = Ledger()
    items = quoted = 0
    for raw in read(source, Found(""), ledger):
        items += 1
        quoted += bool(QUOTED.fullmatch(raw.text))
    lost = sum(each.count for each in ledger.dropped.values())
    if items < 0.9 * (items + lost - shape.hashes):
        return None
    every = quoted == items
    marks = ", and each stands in quotes, which are taken off" * every
    return Found(f"{items:,} items begin with a mark such as - or 1.{marks}", details=every)


def said(source: Source) -> Found | None:
    if not source.shape.listed:
        return None
    every = all(QUOTED.fullmatch(raw.text) for raw in _items(source, Ledger()))
    marks = ", and each stands in quotes, which are taken off" * every
    return Found(f"{source.shape.listed:,} lines begin with a list's mark, as said{marks}", details=every)


def read(source: Source, found: Found, ledger: Ledger) -> Iterator[Raw]:
    """Items without their marks, and without the quotes that YAML writes around them. A line that is indented below one
    goes on with it."""
    for raw in _items(source, ledger):
        if found.details:
            ledger.alter("whose quotes around them were taken off", raw.text, raw.line)
            yield Raw(raw.text[1:-1].replace('\\"', '"'), raw.line)
        else:
            yield raw


def _items(source: Source, ledger: Ledger) -> Iterator[Raw]:
    item: list[str] = []
    start = 0
    blank = False
    for number, line in source.lines():
        text = line.strip()
        if not text:
            blank = True
            continue
        if RULE.fullmatch(text):
            ledger.drop("lines of marks alone", text, number)
        elif mark := LIST_MARK.match(text):
            if item:
                yield Raw("\n".join(item), start)
            item, start = [text[mark.end() :]], number
        elif item and line[0].isspace():
            item.append(text)
        elif text.startswith("#") and text.lstrip("#")[:1] == " ":
            ledger.drop("headings", text, number)
        elif item and not blank and text[0].islower():
            item.append(text)  # Markdown's lazy continuation
        else:
            ledger.drop("lines without the list's mark", text, number)
        blank = False
    if item:
        yield Raw("\n".join(item), start)


LIST = Form("list", "a list", recognise, read, said, takes=frozenset())
