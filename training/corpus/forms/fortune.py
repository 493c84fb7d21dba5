"""Fortune files: texts between lines that are only %, often with their source in the last line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from training.corpus.forms.choice import excerpt
from training.corpus.forms.delimited import between
from training.corpus.forms.form import Form, Found, Raw, Source
from training.corpus.forms.shape import joined
from training.corpus.ledger import Ledger

SOURCE = re.compile(r"\s*(?:--+|—|–|~)\s*\S")
"""How a line begins that tells where a text is from: 190 of 190 and 689 of 696 texts of two real files have one."""


class _Sources(NamedTuple):
    texts: int
    signed: int

    @property
    def off(self) -> bool:
        return self.signed >= 0.5 * self.texts and self.signed >= 3


def recognise(source: Source) -> Found | None:
    rule = source.shape.rules.get("%")
    return said(source) if rule and rule.count >= 3 and not source.is_table else None


def said(source: Source) -> Found | None:
    rule = source.shape.rules.get("%")
    if not rule:
        return None
    texts = signed = 0
    for raw in between(source, lambda line: line == "%", Ledger()):
        lines = _without_comments(raw.text)[0]
        texts += bool(lines)
        signed += _source_at(lines) < len(lines)
    sources = _Sources(texts, signed)
    more = f"; {signed:,} of {texts:,} end with a line that tells their source, which is taken off" * sources.off
    return Found(f"{rule.count:,} lines with % separate them{more}", details=sources)


def read(source: Source, found: Found, ledger: Ledger) -> Iterator[Raw]:
    wrapped = source.shape.wrapped
    for raw in between(source, lambda line: line == "%", ledger):
        lines, comments = _without_comments(raw.text)
        for comment in comments:
            ledger.drop("comments (%%)", comment, raw.line)
        at = _source_at(lines)
        if found.details.off and at < len(lines):
            ledger.alter("whose source was taken off", excerpt("\n".join(lines[at:])), raw.line)
            lines = lines[:at]
        if wrapped and len(lines) > 1:
            ledger.alter("whose wrapped lines were joined", excerpt("\n".join(lines)), raw.line)
            yield Raw(joined(lines, source.shape.width), raw.line)
        elif lines:
            yield Raw("\n".join(lines), raw.line)
        elif not comments:
            ledger.drop("empty texts", raw.text, raw.line)


def _without_comments(text: str) -> tuple[list[str], list[str]]:
    lines = text.split("\n")
    return [line for line in lines if not line.startswith("%%")], [line for line in lines if line.startswith("%%")]


def _source_at(lines: list[str]) -> int:
    """The line in which the text's source begins, one of the last three but not its first; their number if none
    does."""
    for at in range(len(lines) - 1, max(0, len(lines) - 4), -1):
        if SOURCE.match(lines[at]):
            return at
    return len(lines)


FORTUNE = Form("fortune", "a fortune file", recognise, read, said, takes=frozenset())
