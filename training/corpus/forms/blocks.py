"""Blank lines between texts: poems of as many lines each, paragraphs that were wrapped, or blocks of any size."""

from __future__ import annotations

from collections.abc import Iterator

from training.corpus.forms.choice import ask, excerpt, first_lines
from training.corpus.forms.form import Form, Found, Raw, Source
from training.corpus.forms.shape import blocks_of, joined
from training.corpus.ledger import Ledger

LONGEST_POEM = 14
LARGE = 12
"""Lines a block, on average, from where on blank lines part chapters, not texts."""


def recognise_poems(source: Source) -> Found | None:
    """≥ 80 % of the blocks have the same number of lines, 2 to 14."""
    blocks = source.shape.blocks
    total = sum(blocks.values())
    lines, count = blocks.most_common(1)[0] if blocks else (0, 0)
    if total < 3 or not 2 <= lines <= LONGEST_POEM or count < 0.8 * total or source.shape.wrapped:
        return None
    return Found(f"{count:,} of {total:,} blocks between blank lines have {lines} lines")


def recognise_paragraphs(source: Source) -> Found | None:
    """Lines end where the next word did not fit."""
    shape = source.shape
    total = sum(shape.blocks.values())
    if not shape.wrapped or total < 3:
        return None
    return Found(f"{total:,} paragraphs between blank lines, wrapped at {shape.width} characters", details=shape.width)


def recognise_blocks(source: Source) -> Found | None:
    """Blocks of differing size are texts where sentences go on from line to line."""
    shape = source.shape
    total = sum(shape.blocks.values())
    if total < 3 or not shape.breaks:
        return None  # no blank lines to speak of, or nothing but single lines
    size = shape.filled / total
    going = shape.open_breaks / shape.breaks
    single = shape.blocks[1] / total
    found = Found(
        f"{total:,} blocks between blank lines, of {min(shape.blocks)} to {max(shape.blocks)} lines; "
        f"or {shape.filled:,} lines, with --form lines"
    )
    if size <= LARGE and (going >= 0.5 or single >= 0.8):
        return found
    headed = any(rule.headings for rule in shape.rules.values())
    if (size > LARGE and going <= 0.1) or (headed and going <= 0.3):
        return None  # finished texts in lines, with blank lines here and there, or under headings
    raise ask(
        source,
        ("blocks", f"{total:,} texts between blank lines", first_lines(source, "")),
        ("lines", f"{shape.filled:,} lines, a text each", first_lines(source)),
    )


def said_blocks(source: Source) -> Found:
    return Found(f"{sum(source.shape.blocks.values()):,} blocks between blank lines, as said")


def said_paragraphs(source: Source) -> Found:
    total = sum(source.shape.blocks.values())
    return Found(f"{total:,} paragraphs between blank lines, as said", details=source.shape.width)


def read_blocks(source: Source, found: Found, ledger: Ledger) -> Iterator[Raw]:
    for start, lines in blocks_of(source.lines()):
        yield Raw("\n".join(lines), start)


def read_paragraphs(source: Source, found: Found, ledger: Ledger) -> Iterator[Raw]:
    for start, lines in blocks_of(source.lines()):
        text = joined(lines, found.details)
        if len(lines) > 1:
            ledger.alter("whose wrapped lines were joined", excerpt(text), start)
        yield Raw(text, start)


POEMS = Form("poems", "poems", recognise_poems, read_blocks, said_blocks, weak=True, takes=frozenset())
PARAGRAPHS = Form(
    "paragraphs", "wrapped paragraphs", recognise_paragraphs, read_paragraphs, said_paragraphs, True, frozenset()
)
BLOCKS = Form("blocks", "texts between blank lines", recognise_blocks, read_blocks, said_blocks, True, frozenset())
