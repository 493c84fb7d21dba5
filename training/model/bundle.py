"""TensorFlow checkpoint → arrays, without TensorFlow.

A checkpoint is a "tensor bundle" (tensorflow/core/util/tensor_bundle, version 1): PREFIX.index, a LevelDB table from
the variables' names to protocol buffers that say type, shape, place and checksum, and PREFIX.data-NNNNN-of-NNNNN, the
values one after the other, little-endian.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.common.errors import DeepproverbsError, WrongUse
from training.model.crc32c import crc32c, masked
from training.model.layout import INDEX_END, checkpoint_path

FOOTER = 48
"""Bytes: where the table's two last blocks are, padding, and INDEX_END."""
TRAILER = 5
"""Bytes behind each block: how it is compressed (0: it is not), and the CRC of both."""
FLOAT = 1
"""DT_FLOAT, 32 bits."""
SLOT = re.compile(r"/Adam(_\d+)?$")
"""The optimizer's moments have the name of their variable and this."""


class _Damaged(Exception):
    """The bytes are no table or protocol buffer."""


class _Compressed(Exception):
    """A block is compressed."""


@dataclass(frozen=True)
class _Entry:
    """Where a variable's values are: BundleEntryProto."""

    dtype: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    """Bytes."""
    crc: int
    """Masked."""
    sliced: bool
    """A partitioned variable, whose slices are entries of their own."""


def read(folder: Path) -> dict[str, NDArray[np.float32]]:
    """The model's variables of the checkpoint in `folder`: those whose names start with `model/`, without the
    optimizer's. Read-only, and mapped from the files: what is not used takes no memory.

    Every value is read once to check its CRC-32C.

    Raises:
        WrongUse: no checkpoint, or one of a kind that is not read here.
        DeepproverbsError: a file is damaged or cut short.
    """
    prefix = checkpoint_path(folder).name  # the folder may have moved since it was written
    index = folder / f"{prefix}.index"
    try:
        table = dict(_entries(index.read_bytes()))
        shards, endianness = _header(table.pop(b"", b""))
        entries = {
            name: _entry(value)
            for key, value in sorted(table.items())
            if (name := key.decode(errors="replace")).startswith("model/") and not SLOT.search(name)
        }
    except OSError as error:
        raise WrongUse(f"{index} cannot be read ({error.strerror}); copy {prefix}.* again.") from error
    except _Compressed as error:
        raise WrongUse(f"{index} is compressed, which TensorFlow never does; save it again with TensorFlow.") from error
    except (_Damaged, IndexError, TypeError, ValueError) as error:
        raise DeepproverbsError(f"{index} is damaged ({error}); copy {prefix}.* again.") from error
    if not entries or endianness:
        raise WrongUse(f"{index} names no variables model/… that are little-endian; name a checkpoint of GPT-2.")
    files: dict[int, NDArray[np.uint8]] = {}
    for name, entry in entries.items():
        if entry.dtype != FLOAT or entry.sliced:
            raise WrongUse(f"{name} in {folder} is not stored whole in float32; save the checkpoint again that way.")
        if entry.shard not in files:
            files[entry.shard] = _mapped(folder / f"{prefix}.data-{entry.shard:05}-of-{shards:05}")
    return {name: _values(folder, prefix, name, entry, files[entry.shard]) for name, entry in entries.items()}


def _mapped(path: Path) -> NDArray[np.uint8]:
    try:
        return np.memmap(path, np.uint8, "r")
    except ValueError:  # an empty file cannot be mapped
        return np.zeros(0, np.uint8)
    except OSError as error:
        raise WrongUse(f"{path} cannot be read ({error.strerror}); copy it again.") from error


def _values(folder: Path, prefix: str, name: str, entry: _Entry, file: NDArray[np.uint8]) -> NDArray[np.float32]:
    data = file[entry.offset : entry.offset + entry.size]
    if len(data) != entry.size or entry.size != 4 * math.prod(entry.shape) or masked(crc32c(data)) != entry.crc:
        raise DeepproverbsError(f"The values of {name} in {folder} are damaged or cut short; copy {prefix}.* again.")
    return np.ndarray(entry.shape, "<f4", data)


def _entries(table: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Key and value of each entry of a LevelDB table."""
    if len(table) < FOOTER or not table.endswith(INDEX_END):
        raise _Damaged("its end is missing")
    footer, at = table[-FOOTER:], 0
    for _ in range(2):  # of the metaindex, which is empty
        _, at = _varint(footer, at)
    for _, place in _block(table, footer[at:]):
        yield from _block(table, place)


def _block(table: bytes, place: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Key and value of each entry of the block at `place`. A key is stored without what it shares with the last."""
    offset, at = _varint(place, 0)
    size, _ = _varint(place, at)
    block, trailer = table[offset : offset + size], table[offset + size : offset + size + TRAILER]
    if len(trailer) < TRAILER or masked(crc32c(block + trailer[:1])) != int.from_bytes(trailer[1:], "little"):
        raise _Damaged("a block's checksum")
    if trailer[0]:
        raise _Compressed
    end = size - 4 - 4 * int.from_bytes(block[-4:], "little")  # before the places where keys are whole
    at, key = 0, b""
    while at < end:
        shared, at = _varint(block, at)
        own, at = _varint(block, at)
        length, at = _varint(block, at)
        key = key[:shared] + block[at : at + own]
        yield key, block[at + own : at + own + length]
        at += own + length


def _header(message: bytes) -> tuple[int, int]:
    """BundleHeaderProto: the number of data files, and 1 for big-endian."""
    fields = dict(_fields(message))
    if 1 not in fields:
        raise _Damaged("its header is missing")
    return int(fields[1]), int(fields.get(2, 0))


def _entry(message: bytes) -> _Entry:
    fields = list(_fields(message))
    number = {field: value for field, value in fields if isinstance(value, int)}
    shape: list[int] = []
    for field, value in fields:
        if field == 2 and isinstance(value, bytes):  # TensorShapeProto: dim (2), of which size (1)
            dims = [dict(_fields(dim)) for tag, dim in _fields(value) if tag == 2 and isinstance(dim, bytes)]
            shape = [int(dim.get(1, 0)) for dim in dims]
    dtype, shard, offset, size, crc = (number.get(field, 0) for field in (1, 3, 4, 5, 6))
    return _Entry(dtype, tuple(shape), shard, offset, size, crc, sliced=any(field == 7 for field, _ in fields))


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Number and value of each field of a protocol buffer."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        match tag & 7:
            case 0:
                value, at = _varint(message, at)
                yield tag >> 3, value
            case 2:
                length, at = _varint(message, at)
                yield tag >> 3, message[at : at + length]
                at += length
            case 1 | 5 as kind:
                length = 8 if kind == 1 else 4
                yield tag >> 3, int.from_bytes(message[at : at + length], "little")
                at += length
            case _:
                raise _Damaged("a field of no known type")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """The number at `at`, seven bits a byte, the low ones first, and where it ends."""
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        shift += 7
        at += 1
        if data[at - 1] < 128:
            return value, at
