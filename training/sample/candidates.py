"""The candidate file: RUN/candidates.jsonl, one sampled text a line, in the order of their numbers.

This is the only place that writes and reads such a line: the fields of `Candidate` as JSON, `stopped` and `rules` only
where a text was given up.

Line n is text n, so the number of whole lines says where to continue. What a killed run left of a line is cut off.

RUN/candidates.sums has a line for each part that was appended: where it ends, bytes, and the hash of the part under the
run's key. What is not what was appended is cut off, with all after it, and sampled again. A crash or a power failure
loses at most the last part.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

from training.common import progress
from training.common.errors import DeepproverbsError
from training.common.files import write_whole
from training.common.jsonl import blocks, cut_half_line
from training.common.manifest import key_of
from training.common.progress import Say
from training.corpus.tokenizer import tokenizer_files
from training.settings import SampleSettings, plain

NOT_IN_KEY = ("budget", "engine", "device", "compute_type", "workers", "threads", "batch", "vocabulary", "early_stop")
"""Settings that say how and how much to sample, not from which distribution: a run with others continues the file."""

PART = 1 << 20
"""Bytes of a part of a file that came without sums."""


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
    """A run's candidate file. `say`: is told of what was damaged, or is another's."""

    def __init__(self, run: Path, model: Path, settings: SampleSettings, say: Say = progress.say) -> None:
        self.path, self.mark, self.sums = (run / f"candidates.{end}" for end in ("jsonl", "json", "sums"))
        self.say = say
        about = {name: value for name, value in plain(settings).items() if name not in NOT_IN_KEY}
        self.key = key_of(about, model / "model.bin", tokenizer_files(model)[0])
        mark = json.dumps({"key": self.key, "settings": about}, default=str) + "\n"
        known = self.mark.read_bytes() if self.mark.is_file() else b""
        if known != mark.encode():
            if self.path.exists() and not self._first_is_ours(known):
                # Other settings or another model: those samples do not belong to this run. The last such file is kept.
                before = run / "candidates-before.jsonl"
                say(f"The candidates in {self.path} are of other settings or another model: they are in {before} now.")
                self.path.replace(before)
                self.sums.unlink(missing_ok=True)
            write_whole(self.mark, mark)
        self.count = 0
        """Candidates in the file, once `recover` has been called; the next one's number."""

    def _first_is_ours(self, mark: bytes) -> bool:
        """Whether the file was sampled under this key: its first part proves it, or the mark says so."""
        for end, known in _parts(self.sums)[:1]:
            with self.path.open("rb") as file:
                if end <= self.path.stat().st_size and _sum(self.key, file.read(end)) == known:
                    return True
        try:
            return bool(json.loads(mark)["key"] == self.key)
        except (ValueError, KeyError, TypeError, RecursionError):
            return False

    def recover(self, most: int | None = None) -> int:
        """Cut off what a killed run left of a line, and what is not what was appended. Returns the bytes that are
        there, or those of the first `most` candidates."""
        whole, first, self.count = self._sound(), 0, 0
        if whole:
            with self.path.open("rb") as file:
                for self.count, line in enumerate(file, 1):
                    if most is None or self.count <= most:
                        first += len(line)
        return first

    def _sound(self) -> int:
        """Leave of the file what the sums agree with. Returns its bytes."""
        if not self.path.exists():
            if self.sums.exists():
                self.say(f"{self.path} is gone: it is sampled again.")
                self.sums.unlink()
            return 0
        if not self.sums.exists():  # of a version that wrote none: the file is taken as it is
            if size := cut_half_line(self.path):
                self.say(f"{self.sums} is missing: the candidates are taken as they are, and noted.")
            with self.path.open("rb") as file:
                for start, stop in blocks(self.path, size, PART):
                    self._note(stop, file.read(stop - start))
            return size
        sound, size, whole = 0, self.path.stat().st_size, ""
        with self.path.open("rb") as file:
            parts = _parts(self.sums)
            for end, known in parts:
                if not sound < end <= size or _sum(self.key, file.read(end - sound)) != known:
                    break
                sound, whole = end, f"{whole}{end} {known}\n"
        if sound < max([size, *(end for end, _ in parts)]):
            self.say(f"{self.path}: from byte {sound:,} on it is not known to be what was sampled, and sampled again.")
            os.truncate(self.path, sound)
        if self.sums.read_bytes() != whole.encode():
            write_whole(self.sums, whole)
        return sound

    def _note(self, end: int, data: bytes) -> None:
        with self.sums.open("a", encoding="ascii") as file:
            file.write(f"{end} {_sum(self.key, data)}\n")

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
            self._note(before + len(data), data)
        except OSError as error:
            if self.path.exists():
                os.truncate(self.path, before)
            raise DeepproverbsError(
                f"Cannot write {self.path}: {error.strerror}; free some space and start "
                "again, sampling goes on from there."
            ) from error
        self.count += len(candidates)
        return [before, *(before + end for end in accumulate(map(len, lines[:-1])))]


def check_candidates(run: Path) -> None:
    """Before a run's candidates are read by a command that samples none. The last ones may be on their way.

    Raises:
        DeepproverbsError: they are not what was sampled.
    """
    path, mark, sums = (run / f"candidates.{end}" for end in ("jsonl", "json", "sums"))
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        key, sound = str(json.loads(mark.read_bytes())["key"]), 0
        with path.open("rb") as file:
            for end, known in _parts(sums):
                if end <= sound or _sum(key, file.read(end - sound)) != known:
                    raise DeepproverbsError(f"{path} is not what was sampled; `deepproverbs run` samples it again.")
                sound = end


def _parts(sums: Path) -> list[tuple[int, str]]:
    """(where it ends, its sum) of each part, as far as the lines of the file are whole."""
    found: list[tuple[int, str]] = []
    for line in (sums.read_bytes() if sums.is_file() else b"").split(b"\n")[:-1]:
        end, _, known = line.decode("ascii", "replace").partition(" ")
        if not end.isdecimal() or len(end) > 15:
            break
        found.append((int(end), known))
    return found


def _sum(key: str, data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=8, key=key.encode()).hexdigest()
