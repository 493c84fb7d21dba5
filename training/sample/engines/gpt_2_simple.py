"""Samples with gpt-2-simple on TensorFlow 1.15, straight from the checkpoint: the original way, for comparison."""

from __future__ import annotations

import tempfile
from collections.abc import Generator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from training.model.converted import Converted
from training.model.events import Texts
from training.model.trainers import TENSORFLOW
from training.sample.engine import FINISHED, UNFINISHED, Drawn, EngineKind, Logits, Plan, Task, seed_of
from training.settings import SampleSettings


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


def _logits(plan: Plan, task: Task, rows: Sequence[Sequence[int]]) -> list[Logits]:
    assert task.checkpoint is not None
    longest = max(map(len, rows))
    end = task.converted.end
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "logits.npy"
        padded = [[*row, *[end] * (longest - len(row))] for row in rows]
        arguments = {"folder": task.checkpoint.resolve(), "rows": padded, "out": out}
        for _ in TENSORFLOW.events("logits", arguments, task.run / TENSORFLOW.log):
            pass
        found = np.load(out)
    return [logits[: len(row)] for logits, row in zip(found, rows, strict=True)]


def _plans(settings: SampleSettings, device: str, converted: Converted) -> list[Plan]:
    return [Plan("gpt-2-simple", compute_type="float32", batch=settings.batch or 64)]


def _takes(converted: Converted) -> str | None:
    architecture = converted.hparams.architecture
    return None if architecture == "gpt2" else f"the architecture {architecture}"


KIND = EngineKind(
    name="gpt-2-simple",
    title="gpt-2-simple",
    devices=lambda: ("cuda", "cpu"),  # TensorFlow takes what there is
    compute_types=lambda device: ("float32",),
    plans=_plans,
    logits=_logits,
    takes=_takes,
    make=SimpleEngine,
    automatic=False,
    top_k_with_top_p=False,
    samples_checkpoint=True,
)
