"""Which tokens a step's softmax is over, and which the samplers need.

The output layer is a fifth of SmolLM2's arithmetic and a third of 124M's, nearly all of it for tokens that the texts
never use. So a step has the likely tokens in its softmax (those of the texts, and what the base model thought likely
there), and of the others a sample that is drawn anew for each step and stands for all of them: its logits are raised by
the logarithm of how many each one stands for, which keeps the softmax's sum right in the mean (Jean et al. 2015, "On
Using Very Large Target Vocabulary"). Losses are measured over the whole vocabulary.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

LIKELY = 4096
"""Tokens that are in the softmax of every step, at least: with those of the texts there may be more."""
DRAWN = 4096
"""Others, drawn anew for each step."""
TARGET = 5e-4
"""Mean probability, at each token, that the samplers may lose on texts of the choice; on others it is three times as
much, and training/model/trim.py's HARMLESS is the limit."""
WORTH = 0.9
"""Nothing is left out where more than this share of the tokens would stay."""
ROUND = 32
"""As in training/model/trim.py: the number of rows is a multiple of a tile of the samplers' matrix product."""


class Softmax:
    """The softmax of the training steps."""

    def __init__(self, of: int, likely: list[int], seed: int) -> None:
        """of: size of the vocabulary. likely: those that are always there; all others are drawn, or none if there are
        few."""
        self.of, self.seed = of, seed
        self.likely = likely if len(likely) + DRAWN <= WORTH * of else list(range(of))
        self.index = torch.tensor(self.likely)
        self.place = torch.full((of,), -1).index_copy_(0, self.index, torch.arange(len(self.likely)))
        self.others = torch.nonzero(self.place < 0).flatten()

    @property
    def size(self) -> int:
        """Tokens in a step's softmax."""
        return len(self.likely) + min(DRAWN, len(self.others))

    def rows(self, step: int) -> Tensor | None:
        """The tokens of this step, the likely ones first; None: all."""
        if not len(self.others):
            return None
        generator = torch.Generator().manual_seed((self.seed << 32) + step)
        drawn = torch.randint(len(self.others), (DRAWN,), generator=generator)
        return torch.cat([self.index, self.others[drawn]])

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Mean over N tokens, nats. logits: [N, rows of the step], targets: [N] ids."""
        if not len(self.others):
            return F.cross_entropy(logits, targets)
        raised = F.pad(logits.new_full((DRAWN,), math.log(len(self.others) / DRAWN)), (len(self.likely), 0))
        return F.cross_entropy(logits + raised, self.place.to(targets.device)[targets])


def likely_tokens(share: Tensor, texts: np.ndarray) -> list[int]:
    """`texts`, the tokens that occur, and the most probable others by `share` [of]."""
    wanted = share.clone()
    wanted[torch.from_numpy(texts)] += 2
    order = torch.argsort(wanted, descending=True, stable=True)
    return sorted(order[: max(LIKELY, len(texts))].tolist())


def needed_tokens(share: Tensor, keep: np.ndarray) -> list[int]:
    """`keep` and the most probable others, until the rest holds at most TARGET; all where that would save little."""
    of = len(share)
    wanted = share.clone()
    wanted[torch.from_numpy(keep)] += 2
    order = torch.argsort(wanted, descending=True, stable=True)
    left = 1 - torch.cumsum(share[order], 0)
    count = max(len(keep), int((left > TARGET).sum()) + 1)
    count = -(-count // ROUND) * ROUND
    return sorted(order[:count].tolist()) if count <= WORTH * of else list(range(of))
