"""Reads the weights of a converted model: CTranslate2's model.bin, binary version 6.

The file: uint32 version, string name, uint32 revision, uint32 count; then a variable each: string name,
uint8 rank, uint32 dimensions, uint8 type, uint32 bytes, data; then aliases. A string is
uint16 length with the NUL, bytes, NUL. (ctranslate2/specs/model_spec.py, `_serialize`.)
"""

from __future__ import annotations

import math
import struct
from pathlib import Path

import numpy as np

from training.common.errors import DeepproverbsError

VERSION = 6
TYPES = ("<f4", "i1", "<i2", "<i4", "<f2", "<u2")
"""NumPy's names of the types; the last one is bfloat16, as bits."""

Array = np.ndarray


def read_weights(path: Path) -> dict[str, Array]:
    """The variables of a model.bin by name, scalars with no dimension; they stay on the disk until they are used.

    Raises:
        DeepproverbsError: it is not such a file, or is damaged: every variable must lie in the file, with as many bytes
            as its shape and type need, and the file must end after the last alias.
    """
    try:
        data = np.memmap(path, dtype=np.uint8, mode="r")
        return _parse(data)
    except (OSError, ValueError, struct.error) as error:
        raise damaged(path, str(error)) from error


def damaged(path: Path, reason: str) -> DeepproverbsError:
    return DeepproverbsError(f"{path} is not a converted model ({reason}); delete it, and the next run converts again.")


def _parse(data: Array) -> dict[str, Array]:
    at = 0

    def number(form: str) -> int:
        nonlocal at
        size = struct.calcsize(form)
        (value,) = struct.unpack("<" + form, data[at : at + size].tobytes())
        at += size
        return int(value)

    def string() -> str:
        nonlocal at
        size = number("H")
        text = data[at : at + size].tobytes()
        at += size
        if len(text) < size or size < 2 or not text.endswith(b"\0"):
            raise ValueError(f"no name at byte {at - size}")
        return text[:-1].decode("ascii")

    version = number("I")
    if version != VERSION:
        raise ValueError(f"binary version {version}, not {VERSION}")
    string(), number("I")
    found: dict[str, Array] = {}
    for _ in range(number("I")):
        name, rank = string(), number("B")
        shape = [number("I") for _ in range(rank)]
        kind, size = number("B"), number("I")
        if name in found or kind >= len(TYPES) or size != math.prod(shape) * np.dtype(TYPES[kind]).itemsize:
            raise ValueError(f"{name!r} has type {kind}, shape {shape} and {size} bytes")
        if at + size > len(data):
            raise ValueError(f"cut short in {name}")
        # The variables begin at any byte; NumPy can read unaligned numbers, the C code gets aligned copies.
        found[name] = np.ndarray(tuple(shape), dtype=TYPES[kind], buffer=data, offset=at)
        at += size
    for _ in range(number("I")):  # equal arrays are stored once
        alias, name = string(), string()
        if alias in found or name not in found:
            raise ValueError(f"{alias!r} stands for {name!r}")
        found[alias] = found[name]
    if at != len(data):
        raise ValueError(f"{len(data) - at} bytes too many")
    return found
