"""An engine as anyone would add one: text n is one letter, out of order within a batch."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from itertools import count

import numpy as np

from training.sample.engine import FINISHED, Drawn, EngineKind, Logits, Plan, Task


class ToyEngine:
    about = "toy"

    def __init__(self, plan: Plan, task: Task, weights: None = None) -> None:
        self.batch, self.end, self.weights = plan.batch, task.converted.end, weights

    def draw(self, first: int) -> Generator[list[Drawn], None, None]:
        for start in count(first, self.batch):
            numbers = reversed(range(start, start + self.batch))
            yield [Drawn(n, [ord("a") + n % 26, self.end], -1.0, FINISHED) for n in numbers]


def _logits(plan: Plan, task: Task, rows: Sequence[Sequence[int]]) -> list[Logits]:
    return [np.zeros((len(row), len(task.converted.ids)), np.float32) for row in rows]


KIND = EngineKind(
    name="toy",
    title="The toy",
    devices=lambda: ("cpu",),
    compute_types=lambda device: ("roman",),
    plans=lambda settings, device, converted: [Plan("toy", compute_type="roman", batch=settings.batch or 3)],
    logits=_logits,
    make=ToyEngine,
    top_k_with_top_p=False,
)
