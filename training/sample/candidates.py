"""The candidate file: RUN/candidates.jsonl, a line a sampled text, in the order of their numbers.

{"text", "tokens" (with the end token), "logprob" (mean, nats a token, at temperature 1), "finished",
"temperature"}; and where a text was given up while it was written, "stopped", the filters' rule that it broke, and
"rules", the id of the settings and originals that the rule had.

Line n is text n, so the number of whole lines says where to go on. What a killed run left of a line is cut off.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from training.common.errors import DeepproverbsError
from training.common.files import write_whole
from training.common.manifest import key_of
from training.settings import SampleSettings, plain

HOW = ("budget", "engine", "device", "compute_type", "workers", "threads", "batch", "vocabulary", "early_stop")
"""Settings that say how and how much to sample, not from which distribution: with others, the same file goes on."""


@dataclass(frozen=True, slots=True)
class Candidate:
    text: str
    tokens: int
    logprob: float
    finished: bool
    temperature: float
    stopped: str = ""
    rules: str = ""

    def line(self) -> str:
        stopped = f', "stopped": "{self.stopped}", "rules": "{self.rules}"' if self.stopped else ""
        return (
            f'{{"text": {json.dumps(self.text, ensure_ascii=False)}, "tokens": {self.tokens}, "logprob": '
            f'{self.logprob:.4f}, "finished": {"true" if self.finished else "false"}, "temperature": '
            f"{self.temperature!r}{stopped}}}\n"
        )


class Candidates:
    """Reads what is there, appends what comes."""

    def __init__(self, run: Path, model: Path, settings: SampleSettings) -> None:
        self.path, self.mark = run / "candidates.jsonl", run / "candidates.json"
        about = {name: value for name, value in plain(settings).items() if name not in HOW}
        self.key = key_of(about, model / "model.bin", model / "encoder.json")
        try:
            known = json.loads(self.mark.read_text(encoding="utf-8"))["key"]
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            known = None
        if known != self.key:
            # Other settings or another model: those samples are not of this run. The last such file is kept aside.
            if self.path.exists():
                self.path.replace(run / "candidates-before.jsonl")
            write_whole(self.mark, json.dumps({"key": self.key, "settings": about}, default=str) + "\n")
        self.count = 0
        """Candidates read and appended so far; the next one's number, once all are read."""

    def read(self) -> Iterator[Candidate]:
        """Yield the candidates that are there; then cut off what a killed run left of a line."""
        whole = 0
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            for line in file:
                try:
                    candidate = Candidate(**json.loads(line))
                except (ValueError, TypeError):
                    break
                if not line.endswith(b"\n"):
                    break
                whole += len(line)
                self.count += 1
                yield candidate
        if whole < self.path.stat().st_size:
            os.truncate(self.path, whole)

    def recover(self, most: int | None = None) -> int:
        """Cut off what a killed run left of a line; return the number of bytes that are there, or of the first `most`
        candidates."""
        if not self.path.exists():
            return 0
        with self.path.open("rb") as file:
            whole = count = first = 0
            for line in file:
                if line.endswith(b"\n"):
                    whole, count = whole + len(line), count + 1
                    first = whole if count == most else first
        if whole < self.path.stat().st_size:
            os.truncate(self.path, whole)
        self.count = count
        return first or whole

    def append(self, candidates: list[Candidate]) -> list[int]:
        """Write some candidates, all or none. Returns where each line begins, bytes."""
        lines = [candidate.line().encode() for candidate in candidates]
        data = b"".join(lines)
        before = self.path.stat().st_size if self.path.exists() else 0
        try:
            with self.path.open("ab", buffering=0) as file:
                if file.write(data) != len(data):
                    raise OSError(28, os.strerror(28))
        except OSError as error:
            if self.path.exists():
                os.truncate(self.path, before)
            raise DeepproverbsError(
                f"Cannot write {self.path}: {error.strerror}; free some space and start "
                "again, sampling goes on from there."
            ) from error
        self.count += len(candidates)
        return [before, *(before + end for end in accumulate(map(len, lines[:-1])))]
