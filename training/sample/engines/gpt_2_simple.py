"""Samples with gpt-2-simple on TensorFlow 1.15, straight from the checkpoint: the original way."""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from contextlib import closing
from pathlib import Path

from training.model.converted import Converted
from training.model.trainers import run_program
from training.sample.engine import CUT, ENDED, Drawn
from training.settings import SampleSettings


class SimpleEngine:
    """Args:
    checkpoint: a folder in gpt-2-simple's layout.
    vocabulary: the same model's tokenizer; not trimmed.
    batch: texts decoded side by side.
    """

    def __init__(
        self, checkpoint: Path, vocabulary: Converted, settings: SampleSettings, batch: int, log: Path
    ) -> None:
        self.checkpoint, self.vocabulary, self.settings = checkpoint, vocabulary, settings
        self.batch, self.log = batch, log

    @property
    def about(self) -> str:
        return f"gpt-2-simple on TensorFlow 1.15, {self.batch} texts"

    def draw(self, first: int) -> Generator[list[Drawn], None, None]:
        s = self.settings
        digest = hashlib.blake2b(f"{s.seed} {first}".encode(), digest_size=4).digest()
        arguments = {
            "folder": self.checkpoint.resolve(),
            "prefixes": [self.vocabulary.prompt(prefix) for prefix in s.prefixes or ("",)],
            "temperatures": s.temperatures,
            "first": first,
            "batch": self.batch,
            "length": s.max_tokens,
            "top_k": s.top_k,
            "top_p": s.top_p,
            "seed": int.from_bytes(digest, "big") >> 1,
        }
        with closing(run_program("sample", arguments, self.log)) as events:
            for event in events:
                if event["event"] == "texts":
                    fields = zip(event["numbers"], event["rows"], event["logprobs"], strict=True)
                    yield [Drawn(n, row, score, self._status(row)) for n, row, score in fields]

    def _status(self, row: list[int]) -> str:
        return ENDED if row[-1] == self.vocabulary.end else CUT
