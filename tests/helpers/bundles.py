"""Writes TensorFlow checkpoints byte by byte, with whatever is to be wrong in them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from training.model.layout import INDEX_END


def crc32c(data: bytes, register: int = 0xFFFFFFFF) -> int:
    """CRC-32C bit by bit, from its definition."""
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0x82F63B78 if register & 1 else 0)
    return register ^ 0xFFFFFFFF


def masked(data: bytes) -> bytes:
    crc = crc32c(data)
    return ((((crc >> 15) | (crc << 17)) + 0xA282EAD8) % 2**32).to_bytes(4, "little")


def varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out, value = out + bytes([value % 128 + 128]), value // 128
    return out + bytes([value])


def field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number * 8) + varint(value) if value else b""
    return varint(number * 8 + 2) + varint(len(value)) + value


def entry(shape: tuple[int, ...], shard: int, offset: int, data: bytes, dtype: int = 1, more: bytes = b"") -> bytes:
    """BundleEntryProto."""
    dims = b"".join(field(2, field(1, size)) for size in shape)
    places = field(1, dtype) + field(2, dims) + field(3, shard) + field(4, offset) + field(5, len(data))
    return places + varint(6 * 8 + 5) + masked(data) + more


def table(entries: dict[bytes, bytes], per_block: int = 3, compression: int = 0) -> bytes:
    """A LevelDB table; its keys are shortened within each block."""
    out, places = b"", {}

    def block(pairs: list[tuple[bytes, bytes]]) -> bytes:
        nonlocal out
        body, last = b"", b""
        for key, value in pairs:
            shared = next(
                (i for i, (a, b) in enumerate(zip(key, last, strict=False)) if a != b), min(map(len, (key, last)))
            )
            body += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
            last = key
        body += (0).to_bytes(4, "little") + (1).to_bytes(4, "little")
        place = varint(len(out)) + varint(len(body))
        out += body + bytes([compression]) + masked(body + bytes([compression]))
        return place

    pairs = sorted(entries.items())
    for at in range(0, len(pairs), per_block):
        some = pairs[at : at + per_block]
        places[some[-1][0]] = block(some)
    footer = block([]) + block(list(places.items()))
    return out + footer.ljust(40, b"\0") + INDEX_END


def write(
    folder: Path, arrays: dict[str, np.ndarray], shards: int = 1, changed: dict[str, bytes] | None = None
) -> Path:
    """A checkpoint `model-7` of these arrays, spread over the shards; `changed`: other entries instead."""
    folder.mkdir(parents=True, exist_ok=True)
    data, entries = [b""] * shards, {b"": field(1, shards) + field(3, field(1, 1))}
    for at, (name, values) in enumerate(sorted(arrays.items())):
        own, shard = values.astype("<f4").tobytes(), at % shards
        entries[name.encode()] = entry(values.shape, shard, len(data[shard]), own)
        data[shard] += own
    entries |= {name.encode(): value for name, value in (changed or {}).items()}
    (folder / "checkpoint").write_text('model_checkpoint_path: "model-7"\n')
    (folder / "model-7.index").write_bytes(table(entries))
    for shard, own in enumerate(data):
        (folder / f"model-7.data-{shard:05}-of-{shards:05}").write_bytes(own)
    return folder
