"""Texts that the base model would have written, out of the fine-tuned one's mouth.

A model that has learnt its corpus finds real texts far more probable than its base does, and its own texts, too. A text
that it finds hardly more probable was the base's already: it comes out when there were too few texts, or too few
epochs. So may one that the base finds far more probable than any real text, whatever the fine-tuned model thinks.

Measured on 400 texts each of nano and SmolLM2, fine-tuned on the Proverbs, 300 German sayings, 300 posts and 40 modern
sayings (docs/benchmarks.md): a third of the real texts' gain takes 0 % of SmolLM2's proverbs and posts and 7 % of
nano's proverbs ("he that hath an ear, let him hear what the spirit saith unto the churches": the Bible, no proverb), of
nano's texts after four epochs on 40 modern sayings all, after thirteen the 12 % that were still the Bible, of
SmolLM2's the 3 % that were articles.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.judge.band import Spread
from training.model.score import Floats, of_held_out, of_training
from training.settings import FilterSettings

GAIN = 1 / 3
"""Of the mean by which real texts are more probable under the fine-tuned model than under its base, nats a token."""
FAR = 4.0
"""Deviations above the real texts' mean under the base. Of nano's proverbs 0.5 % came that far, of SmolLM2's none; of
what nano wrote after four epochs on 40 modern sayings, all Bible, everything did."""
FEW = 32
"""Fewer held-out texts say too little of the deviation: as many of the training texts are asked, too."""


@dataclass(frozen=True)
class BaseLike:
    """What real texts are to the base model."""

    real: Spread
    """Their log-probability under it, nats a token."""
    gain: float
    """How much more probable the held-out ones are under the fine-tuned model, nats a token, in the mean."""

    def among(self, logprobs: Floats, base: Floats) -> NDArray[np.bool_]:
        """Which texts are the base's. logprobs, base: of each under the two models; NaN, where not known, is none."""
        with np.errstate(invalid="ignore"):
            hardly = (logprobs - base < GAIN * self.gain) & (self.gain > 0)
            return hardly | (base > self.real.mean + FAR * self.real.deviation)


def wanted(settings: FilterSettings) -> bool:
    return "base-like" not in settings.skip


def measure(settings: FilterSettings, model: Path, corpus: Path, base: Path | None) -> BaseLike | None:
    """By the texts of a corpus.npz under a converted model and its base; None without a base, or where the settings do
    not ask for it."""
    if base is None or not wanted(settings):
        return None
    held_out = of_held_out(base, corpus)
    real = held_out
    if len(held_out) < FEW:
        real = np.concatenate([held_out, of_training(base, corpus, FEW)])
    return BaseLike(Spread.of(real), float((of_held_out(model, corpus) - held_out).mean()))
