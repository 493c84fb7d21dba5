"""What the lines of a file have in common, counted in one pass; the forms that are not tables are decided by it.

Memory does not grow with the file: blocks and lengths are counted, and of repeated lines only short ones, 20,000 of
them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from training.corpus.forms.form import Source

LIST_MARK = re.compile(r"(?:[-*+•‣◦▪·–—]|\(?\d{1,7}[.)])[ \t]+(?=\S)")
"""What begins an item of a list: "- ", "* ", "+ ", "• ", "1. ", "1) "."""
CLOSING = frozenset(".!?…。！？।؟۔»”\"'’)]}")
"""What a finished sentence ends with."""
LONGEST_LINE = 400
"""Lengths are counted up to here."""
MOST_REPEATED = 20_000


@dataclass
class Rule:
    """A line without letters or numbers that may separate texts."""

    count: int = 0
    headings: int = 0
    """How many underline a heading: a short line that itself stands below a blank one, with text below it."""
    first: int = 0
    """The line of the first."""


@dataclass
class Shape:
    """Counts over all lines of a file."""

    lines: int = 0
    first: str = ""
    last: str = ""
    """Lines that are not blank, their first and last 200 characters."""
    filled: int = 0
    """Lines that are not blank."""
    blocks: Counter[int] = field(default_factory=Counter)
    """Lines in a block between blank lines → how many such blocks."""
    rules: dict[str, Rule] = field(default_factory=dict)
    repeated: Counter[str] = field(default_factory=Counter)
    """Short lines with letters → how often."""
    listed: int = 0
    """Lines with a list's mark."""
    hashes: int = 0
    """Markdown's headings: "# …"."""
    indented: int = 0
    """Lines that begin with white space and are not blank."""
    markers: int = 0
    """Lines with `<|startoftext|>` or `<|endoftext|>`."""
    first_marker: int = 0
    broken_marker: int = 0
    """The first line with a half of one."""
    arrows: int = 0
    """Lines with the times of a subtitle."""
    cards: int = 0
    """Lines that begin a block with |, or end one."""
    sections: int = 0
    """Lines such as [Chorus]."""
    gutenberg: int = 0
    """The first line that says where a book of Project Gutenberg starts."""
    open_breaks: int = 0
    """Ends of lines within a block after which the sentence goes on."""
    needed: Counter[int] = field(default_factory=Counter)
    """For each end of a line within a block: its length had it held the next word, too."""
    lengths: Counter[int] = field(default_factory=Counter)

    @property
    def breaks(self) -> int:
        return sum(self.needed.values())

    @property
    def width(self) -> int:
        """The width at which lines were wrapped, if they were: hardly any is longer."""
        rest = sum(self.lengths.values()) * 0.002
        for length in sorted(self.lengths, reverse=True):
            rest -= self.lengths[length]
            if rest < 0:
                return length
        return 0

    @property
    def wrapped(self) -> bool:
        """Whether lines were broken because the next word did not fit, which verse and lists are not."""
        width = self.width
        if not 40 <= width <= 120 or self.breaks < 3:
            return False
        slack = 6 if width >= 60 else 2  # editors leave some room; verse of pentameters is 35 to 50 wide
        full = sum(count for need, count in self.needed.items() if need > width - slack)
        return full >= 0.85 * self.breaks

    @property
    def equals(self) -> tuple[int, int]:
        """(lines of ten and more equals signs, how many of them underline a heading)"""
        rules = [rule for text, rule in self.rules.items() if len(text) >= 10 and not text.strip("=")]
        return sum(rule.count for rule in rules), sum(rule.headings for rule in rules)


MARKER = re.compile(r"<\|(?:start|end)oftext\|>")
HALF_MARKER = re.compile(r"[<|>][<|> ]{0,2}(?:start|end)oftext|(?:start|end)oftext[ ]{0,1}[<|>]", re.I)
ARROW = re.compile(r"\d\d:\d\d[.,:]\d\d.*-->.*\d\d:\d\d[.,:]\d\d")
SECTION = re.compile(
    r"\[(?:verse|chorus|refrain|bridge|intro|outro|hook|pre-chorus|post-chorus|interlude|strophe|couplet|part|break|"
    r"instrumental|skit|produced)\b[^\]]*\]\s*$",
    re.I,
)
GUTENBERG = re.compile(r"\*\*\* ?START OF (?:THE|THIS) PROJECT GUTENBERG|\*END\*? ?THE SMALL PRINT!", re.I)


def measure(source: Source) -> Shape:
    """Count. About two microseconds a line."""
    shape = Shape()
    block = since = previous = 0
    """Lines in this block; lines with words since the last rule; the length of the line above."""
    above, before, final = "", "", ""
    """The line above, without white space at its ends, the one before that, and the last that was not blank."""
    pending: tuple[Rule, int] | None = None
    for number, line in source.lines():
        text = line.strip()
        shape.lines = number
        if not text:
            if block:
                shape.blocks[block] += 1
                shape.cards += above.endswith("|")
            block, before, above = 0, above, ""
            continue
        shape.filled += 1
        first = text[0]
        if not first.isalnum():
            if len(text) < 200 and not any(map(str.isalnum, text)):
                rule = shape.rules.get(text)
                if rule is None and len(shape.rules) < MOST_REPEATED:
                    rule = shape.rules[text] = Rule(first=number)
                if rule:
                    rule.count += 1
                    under = bool(above) and not before and len(above) <= 80 and (since >= 2 or since == block)
                    pending = (rule, number) if under and above not in shape.rules else None
                since = 0
            else:
                since += 1
                if pending and since == 2:
                    pending[0].headings += 1
                    pending = None
            if first == "#" and text.lstrip("#")[:1] == " ":
                shape.hashes += 1
            elif first == "|" and not block:
                shape.cards += 1
            elif first == "[" and SECTION.match(text):
                shape.sections += 1
            elif first == "*" and not shape.gutenberg and GUTENBERG.search(text):
                shape.gutenberg = number
            if LIST_MARK.match(text):
                shape.listed += 1
        else:
            since += 1
            if pending and since == 2:
                pending[0].headings += 1
                pending = None
            if first.isdigit() and LIST_MARK.match(text):
                shape.listed += 1
        if "oftext" in text.lower():
            if MARKER.search(text):
                shape.markers += 1
                shape.first_marker = shape.first_marker or number
            if not shape.broken_marker and HALF_MARKER.search(MARKER.sub(" ", text)):
                shape.broken_marker = number
        if "-->" in text and ARROW.search(text):
            shape.arrows += 1
        if len(text) <= 30 and (text in shape.repeated or len(shape.repeated) < MOST_REPEATED):
            shape.repeated[text] += 1
        length = min(len(line.rstrip()), LONGEST_LINE)
        if line[0].isspace():
            shape.indented += 1
        if block:
            word = text.find(" ")
            shape.needed[min(LONGEST_LINE, previous + 1 + (word if word > 0 else len(text)))] += 1
            shape.open_breaks += above[-1] not in CLOSING and above not in shape.rules
        shape.lengths[length] += 1
        previous = length
        block += 1
        before, above = above, text
        shape.first = shape.first or text[:200]
        final = text
    if block:
        shape.blocks[block] += 1
        shape.cards += above.endswith("|")
    shape.last = final[-200:]
    return shape


def blocks_of(lines: Iterator[tuple[int, str]]) -> Iterator[tuple[int, list[str]]]:
    """(line where it begins, its lines) of each block between blank lines."""
    block: list[str] = []
    start = 0
    for number, line in lines:
        if line.strip():
            start = start if block else number
            block.append(line)
        elif block:
            yield start, block
            block = []
    if block:
        yield start, block


def joined(lines: list[str], width: int) -> str:
    """Lines that were wrapped at `width`, joined where the next word would not have fitted; others stay apart."""
    text = lines[0].strip()
    for above, line in pairwise(lines):
        word = line.split(None, 1)[0]
        fits = len(above.rstrip()) + 1 + len(word) <= width - 8
        text += ("\n" if fits or (line[:1].isspace() and not above[:1].isspace()) else " ") + line.strip()
    return text
