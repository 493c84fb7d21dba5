"""Reads the weights of a converted model: CTranslate2's model.bin, binary version 6.

The file: uint32 version, string name, uint32 revision, uint32 count; then a variable each: string name,
uint8 rank, uint32 dimensions, uint8 type (0 is float32), uint32 bytes, data; then aliases. A string is
uint16 length, bytes, NUL. (ctranslate2/specs/model_spec.py, `_serialize`.)
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from training.common.errors import DeepproverbsError

VERSION = 6
FLOAT32 = 0

Array = np.ndarray


def read_weights(path: Path) -> dict[str, Array]:
    """The float32 variables of a model.bin by name; they stay on the disk until they are used.

    Raises:
        DeepproverbsError: it is not such a file, or is cut short.
    """
    try:
        data = np.memmap(path, dtype=np.uint8, mode="r")
        return _parse(data)
    except (OSError, ValueError, struct.error, UnicodeDecodeError, IndexError) as error:
        raise DeepproverbsError(
            f"{path} is no converted model ({error}); delete its folder and convert again."
        ) from error


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
        at += size
        return data[at - size : at - 1].tobytes().decode()

    version = number("I")
    if version != VERSION:
        raise ValueError(f"binary version {version}, not {VERSION}")
    string(), number("I")
    found: dict[str, Array] = {}
    for _ in range(number("I")):
        name, rank = string(), number("B")
        shape = [number("I") for _ in range(rank)]
        kind, size = number("B"), number("I")
        if at + size > len(data):
            raise ValueError(f"cut short in {name}")
        if kind == FLOAT32 and rank:
            found[name] = _floats(data, at, shape)
        at += size
    for _ in range(number("I")):  # equal arrays are stored once
        alias, name = string(), string()
        if name in found:
            found[alias] = found[name]
    return found


def _floats(data: Array, at: int, shape: list[int]) -> Array:
    # The variables begin at any byte; NumPy can read unaligned floats, the C code gets aligned copies.
    return np.ndarray(tuple(shape), dtype="<f4", buffer=data, offset=at)
