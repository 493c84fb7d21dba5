"""Whole texts of a corpus.npz as batches: the same ones, in the same order, as training/tf1/common.py makes."""

from itertools import pairwise

import numpy as np
import torch
from torch import Tensor


class Texts:
    """The texts of one part of a corpus, each ended by the end token."""

    def __init__(self, corpus, part: str, longest: int) -> None:
        self.end = int(corpus["end"])
        tokens, offsets = corpus[part], corpus[part + "_offsets"]
        self.rows = [tokens[a:b][:longest] for a, b in pairwise(offsets)]

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, indexes) -> tuple[Tensor, Tensor]:
        """(tokens [B, T+1], mask [B, T]): row = end token, the text, its own end token, padding. The mask is true where
        the next token is one of the text's."""
        width = max(len(self.rows[i]) for i in indexes)
        tokens = np.full((len(indexes), width + 1), self.end, dtype=np.int64)
        mask = np.zeros((len(indexes), width), dtype=bool)
        for row, i in enumerate(indexes):
            tokens[row, 1 : len(self.rows[i]) + 1] = self.rows[i]
            mask[row, : len(self.rows[i])] = True
        return torch.from_numpy(tokens), torch.from_numpy(mask)

    def by_length(self, size: int) -> list[list[int]]:
        order = sorted(range(len(self.rows)), key=lambda i: len(self.rows[i]))
        return [order[i : i + size] for i in range(0, len(order), size)]

    def epoch(self, size: int, seed: int, number: int) -> list:
        """Batches of epoch `number`: the same for the same seed, so that a resumed run goes on with the very batches
        that were left. Texts of eight batches at a time are sorted by length: three quarters of the padding gone, the
        order still random."""
        rng = np.random.RandomState([seed, number])
        order = rng.permutation(len(self.rows))
        batches = []
        for start in range(0, len(order), 8 * size):
            group = sorted(order[start : start + 8 * size], key=lambda i: len(self.rows[i]))
            batches += [group[i : i + size] for i in range(0, len(group), size)]
        rng.shuffle(batches)
        return batches
