"""Texts between lines that are all alike and hold no word: ==========, ----------, ***, %.

`delimited` is the project's own form, lines of ten and more equals signs; `separated` is any other line that recurs.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator

from training.common.errors import DeepproverbsError, WrongUse
from training.corpus.forms.choice import ask, first_lines
from training.corpus.forms.form import Form, Found, Raw, Source
from training.corpus.ledger import Ledger

DELIMITER_LINE = re.compile(r"={10,}")
LONGEST_TEXT = 20
"""Lines a text, on average, from where on a line of marks may as well end a chapter."""
WORDS = frozenset({"END", "NEXT", "SEP", "[SEP]", "<sep>", "<SEP>", "END OF TEXT", "</s>", "<s>", "<|sep|>", "EOF"})
"""Lines with letters that separate texts where they recur; others are asked about."""


def _number(count: int, what: str) -> str:
    return f"{count:,} line{'s' * (count != 1)} {what} separate{'s' * (count == 1)} them"


def recognise(source: Source) -> Found | None:
    count, headings = source.shape.equals
    rest = source.shape.filled - count
    if not count or headings > 0.6 * count or source.is_table:
        return None  # none, or they underline headings, or stand in a table's cells
    if count >= 3 or rest <= 6 * (count + 1):
        return Found(_number(count, "of equals signs"))
    raise ask(
        source,
        ("delimited", f"{count + 1:,} texts between lines of equals signs", first_lines(source, "=" * 10)),
        ("lines", f"{rest:,} lines, a text each", first_lines(source)),
    )


def said(source: Source) -> Found | None:
    if not source.shape.equals[0]:
        return None
    return Found(_number(source.shape.equals[0], "of equals signs") + ", as said")


def read(source: Source, found: Found, ledger: Ledger) -> Iterator[Raw]:
    return between(source, lambda line: bool(DELIMITER_LINE.fullmatch(line)), ledger)


def recognise_separated(source: Source) -> Found | None:
    if source.settings.delimiter:
        return said_separated(source)
    shape = source.shape
    best = max(shape.rules, key=lambda text: shape.rules[text].count, default="")
    if best and shape.rules[best].count >= 3 and not DELIMITER_LINE.fullmatch(best):
        rule = shape.rules[best]
        rest = shape.filled - rule.count
        alike = len(best) >= 3 and len(set(best.replace(" ", ""))) == 1 and best[0] in "-=*_~#+<>/\\^:%"
        if alike and rule.headings <= 0.6 * rule.count and rest <= LONGEST_TEXT * (rule.count + 1):
            return Found(_number(rule.count, repr(best)), {"delimiter": best})
        if (alike and rule.headings <= 0.6 * rule.count) or (rule.count >= 5 and rest <= 4 * (rule.count + 1)):
            raise _which(source, best, rule.count)
    for text in WORDS & shape.repeated.keys():
        count = shape.repeated[text]
        if count >= 3 and shape.filled <= LONGEST_TEXT * (count + 1):
            return Found(_number(count, repr(text)), {"delimiter": text})
    return None


def ask_of_words(source: Source) -> None:
    """A line with words that is a quarter of all may separate texts, or be what somebody likes to say.

    Raises:
        DeepproverbsError: there is one.
    """
    for text, count in source.shape.repeated.most_common(1):
        if count >= 5 and source.shape.filled > count >= 0.25 * source.shape.filled:
            raise _which(source, text, count)


def _which(source: Source, line: str, count: int) -> DeepproverbsError:
    said = f"separated --delimiter {shlex.quote(line)}"
    return ask(
        source,
        (said, f"about {count + 1:,} texts between the lines {line!r}", first_lines(source, line)),
        ("lines", f"{source.shape.filled:,} lines, a text each; {line!r} stands {count:,} times", first_lines(source)),
    )


def said_separated(source: Source) -> Found:
    line = source.settings.delimiter.strip()
    if not line:
        raise WrongUse("Say which line separates the texts, with --delimiter.")
    count = sum(text.strip() == line for _, text in source.lines())
    if not count:
        raise DeepproverbsError(
            f"{source.name} has no line {line!r}; name the line that stands between texts with --delimiter."
        )
    return Found(_number(count, repr(line)) + ", as said", {"delimiter": line})


def read_separated(source: Source, found: Found, ledger: Ledger) -> Iterator[Raw]:
    line = found.options["delimiter"]
    return between(source, lambda text: text == line, ledger)


def between(source: Source, ends: Callable[[str], bool], ledger: Ledger) -> Iterator[Raw]:
    """The texts between the lines that `ends` knows, with their line breaks. Nothing at the file's ends is no text."""
    text: list[str] = []
    start = 0
    """Where this text begins; 0: at its next line that is not blank."""
    after = 0
    """The last separator."""
    for number, line in source.lines():
        if not ends(line.strip()):
            start = start or (number if line.strip() else 0)
            text.append(line)
            continue
        if start:
            yield Raw("\n".join(text).strip("\n"), start)
        elif after:
            ledger.drop("empty texts", "", after)
        text, start, after = [], 0, number
    if start:
        yield Raw("\n".join(text).strip("\n"), start)


DELIMITED = Form("delimited", "texts between ========== lines", recognise, read, said, takes=frozenset())
SEPARATED = Form(
    "separated",
    "texts between lines that are alike",
    recognise_separated,
    read_separated,
    said_separated,
    takes=frozenset({"delimiter"}),
)
