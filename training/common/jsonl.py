"""JSON Lines: one value a line, UTF-8, each line ended by a line feed.

Lines are split at line feeds alone: `str.splitlines` would also split where a text holds U+2028.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from training.common.files import part_file


class BadLine(ValueError):
    """A line that holds no such record: `number`, from 1, and `reason`."""

    def __init__(self, number: int, reason: object) -> None:
        super().__init__(f"line {number}: {reason}")
        self.number, self.reason = number, reason


def line(value: object) -> str:
    """`value` as one line."""
    return json.dumps(value, ensure_ascii=False) + "\n"


def records(path: Path) -> Iterator[Any]:
    """The values of a file; blank lines are none.

    Raises:
        OSError: the file cannot be read.
        BadLine: a line is not JSON, or not UTF-8.
    """
    with path.open("rb") as file:
        for number, data in enumerate(file, 1):
            if data.strip():
                try:
                    yield json.loads(data.removeprefix(b"\xef\xbb\xbf") if number == 1 else data)
                except ValueError as error:
                    raise BadLine(number, error) from error


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
