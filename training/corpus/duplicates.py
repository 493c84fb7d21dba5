"""Which texts have been seen before, without holding them: 8 bytes a text.

A text is remembered by 64 bits of BLAKE2b, in sorted arrays of which each is at least twice as long as the next. Of 20
million texts two share their bits with a probability of 1 in 90,000.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np


class Seen:
    """The texts so far."""

    def __init__(self) -> None:
        self.levels: list[np.ndarray] = []

    def new(self, texts: Sequence[str]) -> list[bool]:
        """Whether each text is seen for the first time; from here on it has been. Best with thousands at a time."""
        keys = np.frombuffer(
            b"".join(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest() for text in texts),
            np.uint64,
        )
        fresh = np.zeros(len(keys), bool)
        if not len(keys):
            return []
        unique, first = np.unique(keys, return_index=True)
        known = np.zeros(len(unique), bool)
        for level in self.levels:
            at = np.searchsorted(level, unique)
            known |= level[np.minimum(at, len(level) - 1)] == unique
        fresh[first[~known]] = True
        self._keep(unique[~known])
        found: list[bool] = fresh.tolist()
        return found

    def _keep(self, keys: np.ndarray) -> None:
        while self.levels and len(self.levels[-1]) < 2 * len(keys):
            keys = np.sort(np.concatenate([self.levels.pop(), keys]), kind="stable")
        if len(keys):
            self.levels.append(keys)
