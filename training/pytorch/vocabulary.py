"""Which tokens the output layer is trained over.

Its products are a fifth of SmolLM2's arithmetic and a third of 124M's, most of it for tokens that the texts never use.
Those stay that the project names (corpus, references, prefixes) and the most probable others, until the rest holds at
most TARGET of the probability on training texts; whether that was harmless is measured on the held-out ones after every
epoch, over the whole vocabulary.
"""

import numpy as np
import torch
from torch import Tensor

TARGET = 5e-4
"""Mean probability, at each token, of all the tokens left out, before any training; it falls from there."""
WORTH = 0.9
"""Nothing is left out where more than this share of the tokens would stay."""
ROUND = 32
"""As in training/model/trim.py: the number of rows is a multiple of a tile of the samplers' matrix product."""


class Vocabulary:
    """Some rows of `of`, in order; all of them at first."""

    def __init__(self, of: int) -> None:
        self.of = of
        self.restrict(range(of))

    @property
    def trimmed(self) -> bool:
        return len(self.rows) < self.of

    def restrict(self, rows) -> None:
        self.rows = sorted(int(row) for row in rows)
        self.index = torch.tensor(self.rows)
        self.place = torch.full((self.of,), -1).index_copy_(0, self.index, torch.arange(len(self.rows)))
        """Row → its place among those that stay."""

    def choose(self, share: Tensor, keep: np.ndarray) -> float:
        """Restrict it to `keep` and the most probable others by `share`, [of]. Returns what the rest holds."""
        share = share.double().cpu()
        wanted = share.clone()
        wanted[torch.from_numpy(keep)] += 2
        order = torch.argsort(wanted, descending=True, stable=True)
        left = 1 - torch.cumsum(share[order], 0)
        count = max(len(keep), int((left > TARGET).sum()) + 1)
        count = min(self.of, -(-count // ROUND) * ROUND)
        if count <= WORTH * self.of:
            self.restrict(order[:count].tolist())
        return float(left[len(self.rows) - 1])

    def rest(self, probabilities: Tensor) -> float:
        """Sum over some places, [N, of], of the probability of the tokens left out."""
        if not self.trimmed:
            return 0.0
        inside = probabilities[:, self.index.to(probabilities.device)].sum(dtype=torch.float64)
        return max(0.0, len(probabilities) - float(inside))
