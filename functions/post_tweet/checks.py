"""Checksums that the pool's files carry inside them, and the kinds of what they hold, so that a flipped bit, a foreign
file and an impossible value are noticed where they are read. Pure.

A checksum is the first 8 digits of a SHA-256: it guards against damage, not against a forger. What an older version
wrote has none, and an older version reads what has one.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from typing import Any

MOST = 2**53
"""No number in a pool is larger."""
SEALED = 20
"""Digits of the id of a batch whose lines carry checksums. Those of older versions have 16 digits, and none."""
_SEAL = re.compile(rb', "check": "([0-9a-f]{8})"\}')
_SIGNED = re.compile(r"(.*) ([0-9a-f]{8})", re.DOTALL)
_KINDS: dict[str, Any] = {"str": str, "int": int, "str | None": str | None, "tuple[str, ...]": tuple}


def read_object(data: bytes) -> dict[str, Any]:
    """A JSON object. Raises ValueError for anything else, however it is damaged."""
    try:
        raw = json.loads(data.decode())
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(raw, dict):
        raise ValueError("it is no JSON object")
    return raw


def check_kinds(holder: Any) -> None:
    """Hold a dataclass of texts and numbers to what its fields say.

    Raises:
        ValueError: a value is of another kind, a number is negative or huge, or a text cannot be written as UTF-8.
    """
    for field in dataclasses.fields(holder):
        value, kind = getattr(holder, field.name), _KINDS.get(str(field.type))
        if kind is None:
            continue
        good = isinstance(value, kind) and not isinstance(value, bool)
        if not good or (isinstance(value, int) and not 0 <= value < MOST):
            raise ValueError(f"{field.name} is {str(value)[:40]!r}")
        for text in value if isinstance(value, tuple) else (value,):
            if isinstance(text, str):
                text.encode()


def said(error: Exception) -> str:
    """What an error says, which may quote damaged data: short, and without what a terminal cannot show."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(error)[:200])


def digest(*parts: bytes) -> str:
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:8]


def checksum(values: dict[str, Any], name: str) -> str:
    """Of all that a JSON object says, whatever its layout; and of the name under which it is stored."""
    said = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return digest(name.encode(), said.encode())


def sign(values: dict[str, Any], key: str, name: str) -> dict[str, Any]:
    """With the checksum behind the text at `key`, which no reader takes apart: older versions know no key for it."""
    return {**values, key: f"{values[key]} {checksum(values, name)}"}


def unsign(values: dict[str, Any], key: str, name: str) -> dict[str, Any]:
    """Without the checksum. Raises ValueError: it differs."""
    if not (signed := _SIGNED.fullmatch(str(values.get(key)))):
        return values
    plain = {**values, key: signed[1]}
    if checksum(plain, name) != signed[2]:
        raise ValueError("its checksum differs")
    return plain


def seal(records: list[bytes]) -> tuple[str, list[bytes]]:
    """A batch's id and its lines: each record with a checksum of what it says, of the batch and of its place there."""
    batch = hashlib.sha256(b"\n".join(records)).hexdigest()[:SEALED]
    return batch, [
        record.rstrip()[:-1] + f', "check": "{digest(batch.encode(), str(at).encode(), record)}"}}'.encode()
        for at, record in enumerate(records)
    ]


def unseal(line: bytes, batch: str, at: int) -> bytes:
    """The record in a line of a batch; of an older version's, the line. Raises ValueError: its checksum differs."""
    if len(batch) < SEALED:
        return line
    line = line.rstrip(b" \n")
    record, found = line[:-22] + b"}", _SEAL.fullmatch(line[-22:])
    if not found or found[1].decode() != digest(batch.encode(), str(at).encode(), record):
        raise ValueError("its checksum differs")
    return record


def read_line(line: bytes, batch: str, at: int) -> dict[str, Any]:
    """The record number `at` of a batch. Raises ValueError: it is damaged."""
    record = read_object(unseal(line, batch, at))
    allow = record.get("allow") or ()
    if not (isinstance(record.get("id"), str) and isinstance(record.get("text"), str)):
        raise ValueError("id and text must be texts")
    if not isinstance(allow, list | tuple) or not all(isinstance(name, str) for name in allow):
        raise ValueError("allow must be a list of texts")
    return record
