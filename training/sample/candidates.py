"""The candidate file: RUN/candidates.jsonl, one sampled text a line, in the order of their numbers.

This is the only place that writes and reads such a line: the fields of `Candidate` as JSON, `stopped` and `rules` only
where a text was given up.

Line n is text n, so the number of whole lines says where to continue. What a killed run left of a line is cut off.
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

from training.common.errors import DeepproverbsError
from training.common.files import write_whole
from training.common.jsonl import cut_half_line
from training.common.manifest import key_of
from training.corpus.tokenizer import tokenizer_files
from training.settings import SampleSettings, plain

NOT_IN_KEY = ("budget", "engine", "device", "compute_type", "workers", "threads", "batch", "vocabulary", "early_stop")
"""Settings that say how and how much to sample, not from which distribution: a run with others continues the file."""


@dataclass(frozen=True, slots=True)
class Candidate:
    text: str
    tokens: int
    """With the end token."""
    logprob: float
    """Mean over the tokens, nats, at temperature 1; NaN where it is not known."""
    finished: bool
    """The end token came."""
    temperature: float
    stopped: str = ""
    """The filters' rule that it broke while it was written, when it was given up."""
    rules: str = ""
    """The id of the stop rules that it was given up under."""
    hardest: float = math.nan
    """As `logprob`, of the least probable token."""

    def line(self) -> str:
        hardest = "" if math.isnan(self.hardest) else f', "hardest": {self.hardest:.4f}'
        stopped = f', "stopped": "{self.stopped}", "rules": "{self.rules}"' if self.stopped else ""
        return (
            f'{{"text": {json.dumps(self.text, ensure_ascii=False)}, "tokens": {self.tokens}, "logprob": '
            f'{self.logprob:.4f}, "finished": {"true" if self.finished else "false"}, "temperature": '
            f"{self.temperature!r}{hardest}{stopped}}}\n"
        )

    @classmethod
    def of(cls, value: Any) -> Candidate:
        """The candidate that a line's JSON holds, ours or anyone's: a candidate, any object with a "text", or a string.

        Raises:
            ValueError, TypeError, OverflowError: it is none of these.
        """
        record = value if isinstance(value, dict) else {}
        return cls(
            text_of(value),
            int(record.get("tokens", 0)),
            float(record["logprob"] if "logprob" in record else record.get("score", math.nan)),
            bool(record.get("finished", True)),
            float(record.get("temperature", 1.0)),
            str(record.get("stopped", "")),
            str(record.get("rules", "")),
            float(record.get("hardest", math.nan)),
        )


def text_of(value: Any) -> str:
    """The text that a line's JSON holds. JSON may have half a character (`"\\ud83d"`), which no file can: it becomes
    U+FFFD.

    Raises:
        ValueError: it holds none.
    """
    text = value.get("text") if isinstance(value, dict) else value
    if not isinstance(text, str):
        raise ValueError('neither a string nor an object with a "text"')
    if text.isascii() or not any("\ud800" <= c <= "\udfff" for c in text):
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


class Candidates:
    """A run's candidate file."""

    def __init__(self, run: Path, model: Path, settings: SampleSettings) -> None:
        self.path, self.mark = run / "candidates.jsonl", run / "candidates.json"
        about = {name: value for name, value in plain(settings).items() if name not in NOT_IN_KEY}
        self.key = key_of(about, model / "model.bin", tokenizer_files(model)[0])
        try:
            known = json.loads(self.mark.read_text(encoding="utf-8"))["key"]
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            known = None
        if known != self.key:
            # Other settings or another model: those samples do not belong to this run. The last such file is kept.
            if self.path.exists():
                self.path.replace(run / "candidates-before.jsonl")
            write_whole(self.mark, json.dumps({"key": self.key, "settings": about}, default=str) + "\n")
        self.count = 0
        """Candidates in the file, once `recover` has been called; the next one's number."""

    def recover(self, most: int | None = None) -> int:
        """Cut off what a killed run left of a line. Returns the bytes that are there, or those of the first `most`
        candidates."""
        whole, first = cut_half_line(self.path), 0
        if whole:
            with self.path.open("rb") as file:
                for self.count, line in enumerate(file, 1):
                    if most is None or self.count <= most:
                        first += len(line)
        return first

    def begins(self, number: int) -> int:
        """Where the line of candidate `number` begins, bytes; the file's end if there are fewer."""
        if not number or not self.path.exists():
            return 0
        with self.path.open("rb") as file:
            return sum(len(line) for line, _ in zip(file, range(number), strict=False))

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
