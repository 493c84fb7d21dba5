"""A model.bin in parts, and every way in which such a file is damaged in these tests.

It knows the format from CTranslate2's documentation (ctranslate2/specs/model_spec.py), not from what it tests.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

HARMLESS_NUMBERS = ("rotary_base",)
"""Scalars that nothing can check: any base above 1 is one."""


@dataclass(frozen=True)
class Variable:
    name: bytes
    shape: tuple[int, ...]
    kind: int
    size: int
    data: bytes

    def written(self) -> bytes:
        head = text(self.name) + struct.pack(f"<B{len(self.shape)}I", len(self.shape), *self.shape)
        return head + struct.pack("<BI", self.kind, self.size) + self.data


@dataclass(frozen=True)
class File:
    start: bytes
    """Version, the name of the specification, its revision."""
    variables: tuple[Variable, ...]
    aliases: tuple[tuple[bytes, bytes], ...]
    counts: tuple[int, int] | None = None
    """What the file says of both; None: the truth."""

    def written(self) -> bytes:
        variables, aliases = self.counts or (len(self.variables), len(self.aliases))
        parts = [self.start, struct.pack("<I", variables), *(v.written() for v in self.variables)]
        return b"".join([*parts, struct.pack("<I", aliases), *(text(a) + text(b) for a, b in self.aliases)])

    def with_one(self, index: int, **changed: object) -> File:
        new = replace(self.variables[index], **changed)  # type: ignore[arg-type]
        return replace(self, variables=(*self.variables[:index], new, *self.variables[index + 1 :]))


def text(name: bytes) -> bytes:
    return struct.pack("<H", len(name) + 1) + name + b"\0"


def parsed(data: bytes) -> File:
    at = 0

    def take(form: str) -> tuple[int, ...]:
        nonlocal at
        at += struct.calcsize("<" + form)
        return struct.unpack_from("<" + form, data, at - struct.calcsize("<" + form))

    def name() -> bytes:
        nonlocal at
        (size,) = take("H")
        at += size
        return data[at - size : at - 1]

    take("I"), name(), take("I")
    start, variables = data[:at], []
    for _ in range(take("I")[0]):
        called, (rank,) = name(), take("B")
        shape = take(f"{rank}I")
        kind, size = take("BI")
        variables.append(Variable(called, shape, kind, size, data[at : at + size]))
        at += size
    file = File(start, tuple(variables), tuple((name(), name()) for _ in range(take("I")[0])))
    assert file.written() == data
    return file


@dataclass(frozen=True)
class Damaged:
    how: str
    data: bytes
    other: bool = False
    """It may be a whole model with other numbers; else it is told, or changes nothing."""


def bytes_damaged(file: File, rng: random.Random, flips: int = 60) -> Iterator[Damaged]:
    """Cut, lengthened, with other bits, with parts lost, doubled and moved."""
    data = file.written()
    free = []  # what lies in a file's numbers can change to others
    at = len(file.start) + 4
    for v in file.variables:
        end = at + len(v.written())
        if v.shape or v.name.rsplit(b"/", 1)[1].decode() in HARMLESS_NUMBERS:
            free.append(range(end - v.size, end))
        at = end
    heads = [place for place in range(len(data)) if not any(place in span for span in free)]
    yield Damaged("empty", b"")
    for keep in sorted({*range(0, 64, 5), *(rng.choice(heads) for _ in range(40)), len(data) // 2, len(data) - 1}):
        yield Damaged(f"cut to {keep}", data[:keep])
    for more in (b"\0", b"x" * 1000, data):
        yield Damaged(f"{len(more)} bytes more", data + more)
    for _ in range(flips):
        place, bit = rng.choice(heads), rng.randrange(8)
        yield Damaged(f"bit {bit} of byte {place}, no number's", flipped(data, place, bit))
        place = rng.choice(rng.choice(free))
        yield Damaged(f"bit {bit} of byte {place}, a number's", flipped(data, place, bit), True)
    for _ in range(20):
        a, b = sorted(rng.sample(heads, 2))
        yield Damaged(f"without bytes {a} to {b}", data[:a] + data[b:])
        yield Damaged(f"bytes {a} to {b} twice", data[:b] + data[a:])
        yield Damaged(f"zeros from {a} to {b}", data[:a] + bytes(b - a) + data[b:], True)


def flipped(data: bytes, place: int, bit: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :]


def parts_damaged(file: File) -> Iterator[Damaged]:
    """Each variable with another shape, type, length, name or value, in a file whose other parts are right."""
    for index, v in enumerate(file.variables):
        name = v.name.decode()
        shapes = {(*v.shape, 1), (1, *v.shape), v.shape[:-1], v.shape[::-1], (0,), (0, *v.shape[1:]), (2**32 - 1,) * 2}
        if v.shape:
            shapes |= {(2**31, *v.shape[1:]), (v.shape[0] - 1, *v.shape[1:]), (v.shape[0] + 1, *v.shape[1:])}
        for shape in sorted(shapes - {v.shape}):
            yield Damaged(f"{name} of shape {shape}", file.with_one(index, shape=shape).written())
            size = v.size // max(int(np.prod(v.shape)), 1) * int(np.prod(shape, dtype=object))
            if size < 10**6:  # the file is right in itself
                data = (v.data * (size // max(v.size, 1) + 1))[:size]
                other = name.rsplit("/", 1)[1] in ("alignment_heads", "alignment_layer", "scale_alibi")
                yield Damaged(
                    f"{name} is {shape}", file.with_one(index, shape=shape, size=size, data=data).written(), other
                )
        for kind in {0, 1, 2, 3, 4, 5, 6, 255} - {v.kind}:
            yield Damaged(f"{name} of type {kind}", file.with_one(index, kind=kind).written())
        for size in (0, v.size - 1, v.size + 1, 2**32 - 1):
            yield Damaged(f"{name} of {size} bytes", file.with_one(index, size=size).written())
        for other_name in (b"", b"\xff\xfe", v.name + b"x", b"decoder/layer_99999999999999/x", b"decoder/layer_07/x"):
            yield Damaged(f"{name} called {other_name!r}", file.with_one(index, name=other_name).written())
        renamed = v.name.replace(b"layer_1/", b"layer_900/")
        yield Damaged(f"{name} called {renamed!r}", file.with_one(index, name=renamed).written())
        twin = file.variables[index - 1].name
        yield Damaged(f"{name} called {twin!r}", file.with_one(index, name=twin).written())
        rest = (*file.variables[:index], *file.variables[index + 1 :])
        yield Damaged(f"no {name}", replace(file, variables=rest).written(), True)
        if not v.shape and name.rsplit("/", 1)[1] not in HARMLESS_NUMBERS:
            form = {1: "<b", 2: "<h", 3: "<i"}.get(v.kind)
            for value in (-128, -1, 0, 1, 2, 3, 5, 127) if form else ():
                data = struct.pack(form, value)  # type: ignore[arg-type]
                yield Damaged(f"{name} is {value}", file.with_one(index, data=data).written())
    for counts in ((0, 0), (2**32 - 1, 0), (len(file.variables) + 1, 1), (len(file.variables) - 1, 1)):
        yield Damaged(f"counts {counts}", replace(file, counts=counts).written())
    for pair in ((b"decoder/projection/weight", b"nothing"), (b"a", b"a"), (file.variables[0].name,) * 2):
        yield Damaged(f"alias {pair}", replace(file, aliases=(pair,)).written())
    yield Damaged("no aliases", replace(file, aliases=()).written(), True)


NUMBERS = (np.nan, -np.nan, np.inf, -np.inf, 1e18, -1e18, 3.4e38, 1e9, 1e6, 1e-30, 1e-38, 1e-45, -0.0)


def numbers_damaged(file: File, rng: random.Random) -> Iterator[Damaged]:
    """Each array with one number, or all, replaced."""
    for index, v in enumerate(file.variables):
        values = np.frombuffer(v.data, np.float32) if v.kind == 0 else np.zeros(0, np.float32)
        for number in NUMBERS if values.size else ():
            for all_of_it in (False, True):
                new = values.copy()
                new[slice(None) if all_of_it else rng.randrange(len(new))] = number
                yield Damaged(
                    f"{'all' if all_of_it else 'one'} of {v.name.decode()} is {number}",
                    file.with_one(index, data=new.tobytes()).written(),
                    True,
                )
