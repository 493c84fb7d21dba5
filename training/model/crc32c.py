"""CRC-32C of large arrays with NumPy, at a gigabyte and more a second.

A message is a polynomial over GF(2), and its CRC the remainder by P, 0x11EDC6F41. P divides x^A + x^B + x^C + 1, so
also, squared three and five times, the same in x^8 and x^32: a byte or word far from the end may be deleted if it is
XORed to the three that stand A - B, A - C and A places behind it. A block of A - B words takes three calls; the last
A bytes are taken one by one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

A, B, C = 6777, 484, 100
"""Of the multiples of P with four terms and fewer than 9,000 places the one with the largest A - B."""
BLOCKS = 8
"""Blocks at a time: with their copy 0.4 MB, which a processor's cache holds."""


def _table() -> list[int]:
    table = list(range(256))
    for _ in range(8):
        table = [value >> 1 ^ (0x82F63B78 if value & 1 else 0) for value in table]  # P, its bits reversed
    return table


TABLE = _table()


def crc32c(data: Any) -> int:
    """CRC-32C (Castagnoli) of a bytes-like object or a contiguous array."""
    message = np.frombuffer(data, np.uint8)
    words = message[: len(message) // 4 * 4].view("<u4")
    state, register = words[:A].copy(), 0
    if len(state):
        state[0] ^= 0xFFFFFFFF
    else:
        register = 0xFFFFFFFF
    rest = np.concatenate([_fold(state, words[A:]).view(np.uint8), message[4 * len(words) :]])
    for byte in _fold(rest[:A], rest[A:]).tobytes():
        register = TABLE[(register ^ byte) & 255] ^ register >> 8
    return register ^ 0xFFFFFFFF


def masked(crc: int) -> int:
    """As TensorFlow and LevelDB store it: turned right by 15 bits, and a constant added."""
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _fold(state: NDArray[Any], more: NDArray[Any]) -> NDArray[Any]:
    """The message `state` and then `more`, shortened to A units (bytes or words) with the same remainder."""
    if not len(more):
        return state
    step, chunk = A - B, BLOCKS * (A - B)
    buffer = np.empty(A + chunk, state.dtype)
    buffer[:A] = state
    for at in range(0, len(more), chunk):
        count = min(chunk, len(more) - at)
        buffer[A : A + count] = more[at : at + count]
        for start in range(0, count, step):
            block = buffer[start : min(start + step, count)]
            for shift in (A - B, A - C, A):
                buffer[start + shift : start + shift + len(block)] ^= block
        buffer[:A] = buffer[count : count + A].copy()
    return buffer[:A]
