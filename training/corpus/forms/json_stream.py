"""JSON, value by value: a file of gigabytes costs no more memory than its longest value.

The values are those one or two levels below the top, which is where texts lie: the entries of a list, of the lists of
an object, of the objects of an object.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple, NoReturn, TextIO

from training.common.errors import DeepproverbsError

PIECE = 1 << 20
"""Characters that are read at a time."""
LONGEST = 1 << 28
"""Characters of the longest value: some 2 GB of Python's objects."""
_SPACE = re.compile(r"[ \t\n\r\ufeff]*")
_NEAR = 16
"""Characters before the end of what was read in which "-Infinity" or "\\ud83d\\ude00" may be cut."""


class Item(NamedTuple):
    """A value and where it lies."""

    group: str
    """The key of the object's list or object that holds it; "" at the top."""
    name: str
    """Its own key; "" in a list."""
    value: Any
    line: int


class Values:
    """The values of a JSON text. `prefix`: what stands before it, as in "window.YTD.tweets.part0 = [".

    Every method that reads raises DeepproverbsError with line and column where the text is no JSON.
    """

    def __init__(self, file: TextIO, where: str, prefix: re.Pattern[str] | None = None) -> None:
        self._file, self._where = file, where
        self._text, self._at, self._ended = "", 0, False
        # Line and column of the place up to which lines were counted.
        self._counted, self._line, self._column = 0, 1, 1
        self._decode = json.JSONDecoder().raw_decode
        if prefix:
            self._more()
            found = prefix.match(self._text)
            self._at = found.end() if found else 0

    def next(self) -> str:
        """The next character that is no space, which stays unread; "" at the end."""
        while True:
            self._at = _SPACE.match(self._text, self._at).end()  # type: ignore[union-attr]  # it matches ""
            if self._at < len(self._text):
                return self._text[self._at]
            if self._ended:
                return ""
            self._more()

    @property
    def line(self) -> int:
        """The line of the place that is read next."""
        return self._count()

    def all(self) -> Iterator[Item]:
        """Whole values, one after the other, until the text ends."""
        while self.next():
            line = self._count()
            yield Item("", "", self._value(), line)

    def items(self) -> Iterator[Item]:
        """The values of the list or object that comes next."""
        if self.next() == "[":
            for line in self._entries():
                yield Item("", "", self._value(), line)
        elif self.next() == "{":
            for key, line in self._keys():
                if self.next() == "[":
                    for inner in self._entries():
                        yield Item(key, "", self._value(), inner)
                elif self.next() == "{":
                    for name, inner in self._keys():
                        yield Item(key, name, self._value(), inner)
                else:
                    yield Item("", key, self._value(), line)
        else:
            self._fail("expected a list or an object", self._at)

    def _entries(self) -> Iterator[int]:
        """The line of each entry of a list; the caller takes its value."""
        self._at += 1
        if self.next() == "]":
            self._at += 1
            return
        while True:
            self.next()
            yield self._count()
            if self._after("]"):
                return

    def _keys(self) -> Iterator[tuple[str, int]]:
        """(key, line) of each pair of an object; the caller takes its value."""
        self._at += 1
        if self.next() == "}":
            self._at += 1
            return
        while True:
            if self.next() != '"':
                self._fail("expected a name in double quotes", self._at)
            line = self._count()
            key = self._value()
            if self.next() != ":":
                self._fail("expected ':'", self._at)
            self._at += 1
            self.next()
            yield key, line
            if self._after("}"):
                return

    def _after(self, end: str) -> bool:
        """Step over what follows a value: True at the end of its list or object."""
        mark = self.next()
        if mark not in (",", end) or not mark:
            self._fail(f"expected ',' or '{end}'" if mark else f"it ends before its '{end}': cut off?", self._at)
        self._at += 1
        return mark == end

    def _value(self) -> Any:
        while True:
            try:
                value, end = self._decode(self._text, self._at)
            except json.JSONDecodeError as error:
                cut = error.msg.startswith("Unterminated") or error.pos + _NEAR > len(self._text)
                if not cut or self._ended:
                    end = error.msg.startswith("Unterminated") or error.pos >= len(self._text.rstrip())
                    self._fail("it ends inside a value: cut off?" if end else error.msg, error.pos)
            except ValueError as error:
                self._fail(str(error), self._at)  # a number of thousands of digits
            except RecursionError:
                self._fail("nested too deeply", self._at)
            else:
                # A number may go on behind what was read.
                if end < len(self._text) or self._ended:
                    self._at = end
                    return value
            if len(self._text) - self._at > LONGEST:
                self._fail(f"a single value is longer than {LONGEST:,} characters; cut it with jq into lines", self._at)
            self._more()

    def _more(self) -> None:
        """Read on, each time as much as is kept: a long value is begun again only as often as it doubles."""
        self._count()
        kept = self._text[self._at :]
        piece = self._file.read(max(PIECE, len(kept)))
        self._text, self._at, self._counted, self._ended = kept + piece, 0, 0, not piece

    def _count(self, to: int | None = None) -> int:
        """The line of a place; without one, of that which is read next."""
        to = self._at if to is None else to
        breaks = self._text.count("\n", self._counted, to)
        if breaks:
            self._line += breaks
            self._column = to - self._text.rindex("\n", self._counted, to)
        else:
            self._column += to - self._counted
        self._counted = to
        return self._line

    def _fail(self, why: str, at: int) -> NoReturn:
        line = self._count(max(at, self._counted))
        raise DeepproverbsError(
            f"{self._where} is JSON up to line {line}, column {self._column}: {why[:1].lower()}{why[1:]}."
        )
