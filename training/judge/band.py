"""How probable real texts are: a candidate should be about as probable, neither much less nor much more.

People judge likelier texts better up to a point and worse beyond it: Zhang et al. (2021), "Trading Off Diversity
and Quality in Natural Language Generation". So there is a band, not a maximum, and texts near its upper part are chosen
first: those as probable as the most probable real ones.

Real texts are the held-out ones, and, upwards, those that were learnt, too. What is sampled at 0.8 is more probable
than a text that the model has never read: of what it wrote after five small corpora 18 to 94 % lay above the band of
the held-out texts, 0 to 1 % above that of the learnt ones, and read no worse. Copies of those have rules of their own.
At 0.2 ("The man who lost his hat has been found", again and again) it is 23 %; at 1.6, gibberish, 95 % lie below.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.model.score import Floats, of_held_out, of_training
from training.settings import FilterSettings

LEARNT = 128
"""Training texts that are scored: their mean is known to a tenth of a deviation, in some seconds."""
FEW = 32
"""Fewer held-out texts say too little of the deviation to rank by."""
LIKELY, UNLIKELY = "too probable", "too improbable"
"""How an objection begins."""


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation, nats a token."""

    mean: float
    deviation: float
    count: int = 0
    """Texts that they were found from; 0: they are certain."""

    @classmethod
    def of(cls, values: Floats) -> Spread:
        deviation = float(max(values.std(ddof=1) if len(values) > 1 else 0, 1e-3))
        return cls(float(values.mean()), deviation, len(values))

    def reach(self, width: float) -> float:
        """How far from the mean one more text may be, nats a token: `width` deviations, more where they were found from
        few texts."""
        return self.deviation * deviations(width, self.count)


@lru_cache
def deviations(width: float, count: int) -> float:
    """Half of the interval that holds one more value as surely as `width` deviations of a normal distribution do, in
    deviations found from `count` values: Student's t times sqrt(1 + 1 / count). For a width of 3 and 100 values 3.1, 20
    values 3.5, 5 values 7.3, 2 values 289; infinite for one."""
    if not count:
        return width
    if count == 1:
        return math.inf
    at = min(width, 5.0)  # beyond, the tails are smaller than what is reckoned with; there it grows in proportion
    tail = math.erfc(at / math.sqrt(2))
    low, high = 0.0, math.pi / 2  # of the angle whose tangent is t / sqrt(degrees of freedom)
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if 1 - _within(middle, count - 1) > tail else (low, middle)
    return width / at * math.sqrt(count - 1) * math.tan(low) * math.sqrt(1 + 1 / count)


def _within(angle: float, freedom: int) -> float:
    """Probability of |t| < sqrt(freedom) tan(angle): Abramowitz and Stegun (1964), 26.7.3 and 26.7.4."""
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = freedom % 2
    term = cosine if odd else 1.0
    total = term if freedom > 1 else 0.0
    for n in range(2 + odd, freedom - 1, 2):
        term *= cosine * cosine * (n - 1) / n
        total += term
    return 2 / math.pi * (angle + sine * total) if odd else sine * total


@dataclass(frozen=True)
class Band:
    """What the held-out texts say of real ones."""

    logprob: Spread
    aim: float
    """The mean log-probability of the best texts, nats a token."""
    width: float
    """Half the band's width in deviations."""
    ratio: Spread | None = None
    """Fine-tuned less base log-probability: how typical of this corpus a text is. None without a base model."""
    learnt: Spread | None = None
    """As `logprob`, of training texts. None where they are not known."""

    @classmethod
    def of(
        cls, settings: FilterSettings, held_out: Floats, base: Floats | None = None, learnt: Floats | None = None
    ) -> Band:
        """`held_out`, `base`: mean log-probability of each held-out text under the two models, nats a token; `learnt`:
        of training texts under the fine-tuned one."""
        ratio = Spread.of(held_out - base) if base is not None else None
        aim = float(np.quantile(held_out, settings.aim))
        if learnt is None or not len(learnt):
            return cls(Spread.of(held_out), aim, settings.band, ratio)
        # Where all that is sampled is more probable than the held-out texts, the nearest to those would be the worst.
        # A reader who knew no source found good, of texts by 40 posts' bot, 12 of 32 chosen by that aim and 26 of 40 by
        # the learnt ones'; by 300 posts' bot 29 of 40 and 31 of 40; of the real posts, 40 of 40.
        aim = max(aim, float(np.median(learnt)))
        return cls(Spread.of(held_out), aim, settings.band, ratio, Spread.of(learnt))

    @cached_property
    def edges(self) -> tuple[float, float]:
        """The least and the greatest log-probability of a text, nats a token."""
        reach = self.logprob.reach(self.width)
        tops = [spread.mean + spread.reach(self.width) for spread in (self.logprob, self.learnt) if spread]
        return self.logprob.mean - reach, max(tops)

    def objection(self, logprob: float) -> str | None:
        """Why a text is out of the band, or None; also for NaN, where nobody knows."""
        least, most = self.edges
        if logprob < least:
            return f"{UNLIKELY}: {logprob:.2f} nats a token, real texts reach down to {least:.2f}"
        return f"{LIKELY}: {logprob:.2f} nats a token, real texts reach up to {most:.2f}" if logprob > most else None

    def leave_one_out(self, held_out: Floats) -> list[bool]:
        """Which of the held-out texts are out of the band that the others make."""
        if len(held_out) < 2:
            return [False] * len(held_out)
        others = (replace(self, logprob=Spread.of(np.delete(held_out, n))) for n in range(len(held_out)))
        return [bool(band.objection(value)) for band, value in zip(others, held_out.tolist(), strict=True)]

    def distance(self, logprobs: Floats, base: Floats | None = None) -> Floats:
        """How far each text is from the best, in deviations: smaller is better. `base`: NaN where not known."""
        few = self.learnt and 0 < self.logprob.count < FEW
        far = (logprobs - self.aim) / (self.learnt if self.learnt and few else self.logprob).deviation
        if self.ratio is None or base is None:
            return np.abs(far)
        # Half the weight: it says whether the text is of this corpus, not whether it is well written.
        style = (logprobs - base - self.ratio.mean) / self.ratio.deviation / 2
        return np.hypot(far, np.nan_to_num(style))

    def out_of_style(self, logprobs: Floats, base: Floats) -> NDArray[np.bool_]:
        """True where the ratio lies outside the band."""
        if self.ratio is None:
            return np.zeros(len(logprobs), bool)
        return np.nan_to_num(np.abs(logprobs - base - self.ratio.mean)) > self.ratio.reach(self.width)


def hardness(hardest: Floats) -> Floats:
    """How much less probable the hardest token of each text is than that of the best tenth, in deviations of these
    texts; 0 where it is not known.

    One word that does not belong shows in it and hardly in the mean of twenty. Of 190 unranked texts of SmolLM2 that a
    reader marked as grammatical and sensible or not, the mean log-probability put 68 % of the pairs in the right order,
    the hardest token 70 %, both together 71 %, and the better half held 90 % good texts instead of 78 %.
    """
    known = hardest[np.isfinite(hardest)]
    if known.size < 2 or not (deviation := float(known.std())):
        return np.zeros(len(hardest))
    return np.nan_to_num(np.maximum(0, (np.quantile(known, 0.9) - hardest) / deviation))


def measure(settings: FilterSettings, model: Path, corpus: Path, base: Path | None = None) -> Band | None:
    """The band of the texts of a corpus.npz under a converted model, and under its base; None when the settings do not
    ask for a band."""
    if "band" in settings.skip:
        return None
    second = of_held_out(base, corpus) if base and settings.ratio else None
    return Band.of(settings, of_held_out(model, corpus), second, of_training(model, corpus, LEARNT))
