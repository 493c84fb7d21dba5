"""How far an engine's probabilities are from those of the float32 model: the divergence on held-out texts, nats.

Kullback and Leibler's: the mean, under float32, of what the logarithms differ by. 0.02 nats a token are 1 bit in 35
tokens: a reader could tell the two apart after hundreds of texts. What is measured to be worse is not chosen unless the
settings name it; the measures are kept in model/precision.json.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.common.errors import DeepproverbsError
from training.common.files import read_note, write_note
from training.model.converted import Converted, held_out
from training.sample.engine import Logits, Plan
from training.sample.engines import ENGINES, task_of
from training.sample.engines.ctranslate2 import forward
from training.settings import SampleSettings

MEAN, FIRST = 0.02, 0.05
"""Most that a way of sampling may be off, nats a token: in the mean, and at the first one after the end token."""
TEXTS = 48
"""Held-out texts that are measured, some 1,000 tokens."""
NAME = "precision.json"


@dataclass(frozen=True)
class Precision:
    """The divergence of one way of sampling, nats a token."""

    mean: float
    first: float
    """At the first token of a text."""

    @property
    def fine(self) -> bool:
        return self.mean <= MEAN and self.first <= FIRST


def divergence(exact: Logits, found: Logits) -> NDArray[np.float64]:
    """Of logits [n, vocabulary] each, at each of n places."""
    p, q = (logits.astype(np.float64) for logits in (exact, found))
    with np.errstate(invalid="ignore"):  # `measure` says so
        p, q = (logits - np.logaddexp.reduce(logits, axis=1, keepdims=True) for logits in (p, q))
        result: NDArray[np.float64] = (np.exp(p) * (p - q)).sum(axis=1)
    return result


def rows_of(converted: Converted, corpus: Path) -> list[list[int]]:
    """The held-out texts as rows, each with the end token before it."""
    row_of = {name: row for row, name in enumerate(converted.token_names())}
    return [[row_of[name] for name in text[:-1]] for text in held_out(converted, corpus)]


def compare(exact: Sequence[Logits], found: Sequence[Logits]) -> Precision:
    """The precision of the logits of some texts."""
    each = [divergence(a, b) for a, b in zip(exact, found, strict=True)]
    return Precision(float(np.concatenate(each).mean()), float(np.mean([values[0] for values in each])))


def key_of_plan(plan: Plan) -> str:
    return f"{plan.engine} {plan.device} {plan.compute_type}"


def measured(folder: Path) -> dict[str, Precision]:
    """What has been measured of a converted model, by engine, device and compute type."""

    def precisions(note: dict[str, Any]) -> dict[str, Precision]:
        return {key: Precision(float(about["mean"]), float(about["first"])) for key, about in note.items()}

    try:
        return read_note(folder / NAME, precisions)
    except (OSError, ValueError):
        return {}


def measure(plan: Plan, converted: Converted, corpus: Path, run: Path) -> Precision:
    """Measure a plan on held-out texts, and note it beside the model.

    Raises:
        DeepproverbsError: the engine's logits are not numbers.
    """
    known = measured(converted.folder)
    if (key := key_of_plan(plan)) in known:
        return known[key]
    longest = converted.hparams.n_ctx
    rows = [row[:longest] for row in rows_of(converted, corpus)[:TEXTS]]
    exact = forward(converted, "cpu", "float32", rows)
    task = task_of(plan, converted, SampleSettings(), None, run)
    found = compare(exact, ENGINES[plan.engine].logits(plan, task, rows))
    if not np.isfinite(found.mean):
        raise DeepproverbsError(f"{key} gives no numbers for the model in {converted.folder}; choose another --engine.")
    known[key] = found
    write_note(converted.folder / NAME, {key: asdict(value) for key, value in known.items()})
    return found
