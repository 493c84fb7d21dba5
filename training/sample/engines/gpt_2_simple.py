"""Samples with gpt-2-simple on TensorFlow 1.15, straight from the checkpoint: the original way, for comparison."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing

from training.model.events import Texts
from training.model.trainers import TENSORFLOW
from training.sample.engine import FINISHED, UNFINISHED, Drawn, EngineKind, Plan, Task, seed_of


class SimpleEngine:
    def __init__(self, plan: Plan, task: Task, weights: None = None) -> None:
        self.task, self.batch, self.weights = task, plan.batch, weights

    @property
    def about(self) -> str:
        return f"gpt-2-simple on TensorFlow 1.15, {self.batch} texts"

    def draw(self, first: int) -> Generator[list[Drawn], None, None]:
        s, task = self.task.settings, self.task
        assert task.checkpoint is not None
        arguments = {
            "folder": task.checkpoint.resolve(),
            "prefixes": task.prompts,
            "temperatures": s.temperatures,
            "first": first,
            "batch": self.batch,
            "length": s.max_tokens,
            "top_k": s.top_k,
            "top_p": s.top_p,
            "seed": seed_of(s.seed, first),
        }
        with closing(TENSORFLOW.events("sample", arguments, task.run / TENSORFLOW.log)) as events:
            for event in events:
                if isinstance(event, Texts):
                    fields = zip(event.numbers, event.rows, event.logprobs, strict=True)
                    yield [Drawn(n, row, logprob, self._status(row)) for n, row, logprob in fields]

    def _status(self, row: tuple[int, ...]) -> str:
        return FINISHED if row[-1] == self.task.converted.end else UNFINISHED


KIND = EngineKind(
    name="gpt-2-simple",
    title="gpt-2-simple",
    devices=lambda: ("cuda", "cpu"),  # TensorFlow takes what there is
    compute_types=lambda device: ("float32",),
    plans=lambda settings, device: [Plan("gpt-2-simple", batch=settings.batch or 64)],
    make=SimpleEngine,
    automatic=False,
    top_k_with_top_p=False,
    samples_checkpoint=True,
)
