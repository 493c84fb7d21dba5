"""JSON Lines: one value a line, UTF-8, each line ended by a line feed.

Lines are split at line feeds alone: `str.splitlines` would also split where a text holds U+2028.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from training.common.files import part_file

MARK = b"\xef\xbb\xbf"
"""The byte order mark that some editors put first."""


class BadLine(ValueError):
    """A line that holds no such record: `number`, from 1, and `reason`."""

    def __init__(self, number: int, reason: object) -> None:
        super().__init__(f"line {number}: {reason}")
        self.number, self.reason = number, reason


def line(value: object) -> str:
    """`value` as one line."""
    return json.dumps(value, ensure_ascii=False) + "\n"


def lines(path: Path, start: int = 0, stop: int | None = None) -> Iterator[tuple[int, bytes]]:
    """(byte offset, line) of each line that begins between two offsets; blank lines are skipped.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        file.seek(start)
        for data in file:
            if stop is not None and start >= stop:
                return
            text = data if start else data.removeprefix(MARK)
            if text.strip():
                yield start, text
            start += len(data)


def records(path: Path) -> Iterator[Any]:
    """The values of a file; blank lines are skipped.

    Raises:
        OSError: the file cannot be read.
        BadLine: a line is not JSON, or not UTF-8.
    """
    for offset, data in lines(path):
        try:
            yield json.loads(data)
        except ValueError as error:
            raise BadLine(number_at(path, offset), error) from error


def value_at(file: BinaryIO, offset: int) -> Any:
    """The value of the line that begins at `offset`."""
    file.seek(offset)
    return json.loads(file.readline().removeprefix(MARK))


def number_at(path: Path, offset: int) -> int:
    """Which line, from 1, begins at `offset`."""
    count = 1
    with path.open("rb") as file:
        while offset > 0:
            count += file.read(min(offset, 1 << 20)).count(b"\n")
            offset -= 1 << 20
    return count


def blocks(path: Path, size: int, about: int, start: int = 0) -> Iterator[tuple[int, int]]:
    """(start, stop) of blocks of whole lines, `about` bytes or a little more: together the bytes `start` to `size`."""
    with path.open("rb") as file:
        while start < size:
            file.seek(min(size, start + about))
            file.readline()
            stop = min(size, file.tell())
            yield start, stop
            start = stop


def write(path: Path, values: Iterable[object]) -> None:
    """Write the file, whole or not at all."""
    with part_file(path) as file:
        file.writelines(map(line, values))


def cut_half_line(path: Path) -> int:
    """Cut off what a killed program left of its last line. Returns the bytes that stay; 0 for a missing file."""
    if not path.exists():
        return 0
    size = whole = path.stat().st_size
    with path.open("rb") as file:
        while whole:
            start = max(0, whole - (1 << 16))
            file.seek(start)
            end = file.read(whole - start).rfind(b"\n") + 1
            whole = start + end
            if end or not start:
                break
    if whole < size:
        os.truncate(path, whole)
    return whole
