"""A file of candidates → verdicts on each, and where those lie that passed.

The file is cut into blocks of whole lines, which worker processes judge; results come back in the order of the file.
Of a candidate that passed only numbers stay in memory (21 bytes), its text is read again when it is wanted: ten million
candidates fit on a laptop.
"""

from __future__ import annotations

import json
import math
import multiprocessing
import signal
from collections import Counter, deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from training.common.errors import DeepproverbsError
from training.common.machine import cores
from training.judge.band import Band
from training.judge.judge import PASSED, Screen, Verdict
from training.sample.candidates import Candidate
from training.settings import FilterSettings

BLOCK = 1 << 20
"""Bytes of a block: 5,000 candidates, half a second of work."""
BATCH = 1024
"""Candidates that are judged at a time."""
WORTH_A_PROCESS = 8 << 20
"""Bytes from which a second process pays: each builds its own index of the originals, in a second or two."""


@dataclass
class Passed:
    """The candidates that passed, in the order of the file; arrays of one length."""

    offsets: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    """Where the line begins, bytes."""
    ids: NDArray[np.uint64] = field(default_factory=lambda: np.empty(0, np.uint64))
    logprobs: NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32))
    apart: NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, np.bool_))
    """True where the text names a people or a religion."""

    def __len__(self) -> int:
        return len(self.offsets)

    @classmethod
    def joined(cls, parts: Sequence[Passed]) -> Passed:
        if not parts:
            return cls()
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in cls.__dataclass_fields__))

    def cut(self, count: int) -> Passed:
        return Passed(*(getattr(self, name)[:count] for name in self.__dataclass_fields__))


@dataclass
class Judged:
    """What a block, or all of them, came to."""

    counts: Counter[str] = field(default_factory=Counter)
    candidates: int = 0
    tokens: int = 0
    left_out: int = 0
    """Candidates that were given up under other rules: nobody knows what they would have become."""
    passed: list[Passed] = field(default_factory=list)
    again: int = 0
    """Of those that passed, how many were seen to be the same as one before."""

    @property
    def count_passed(self) -> int:
        return sum(map(len, self.passed))

    def first(self, wanted: int) -> Passed | None:
        """What passed, up to the `wanted`th different text; None while there are fewer."""
        if self.count_passed - self.again < wanted:
            return None  # for sure; so the sorting below is rare
        passed = Passed.joined(self.passed)
        self.passed = [passed]
        firsts = np.sort(np.unique(passed.ids, return_index=True)[1])
        self.again = len(passed) - len(firsts)
        return passed.cut(int(firsts[wanted - 1]) + 1) if len(firsts) >= wanted else None

    def add(self, other: Judged) -> None:
        self.counts.update(other.counts)
        self.candidates += other.candidates
        self.tokens += other.tokens
        self.left_out += other.left_out
        self.passed += other.passed


@dataclass(frozen=True)
class Case:
    """Everything that a screen is made of, to be made again in another process."""

    settings: FilterSettings
    originals: Sequence[str]
    history: Sequence[str]
    folder: Path
    band: Band | None
    rules: str
    """Id of the rules under which texts may have been given up; "" when none are believed."""

    def screen(self) -> Screen:
        return Screen(self.settings, self.originals, self.history, self.folder, self.band)


def judge_some(
    screen: Screen, rules: str, candidates: Sequence[Candidate], offsets: Sequence[int]
) -> tuple[Judged, list[Verdict]]:
    """Verdicts on some candidates, and where those lie that passed."""
    result = Judged()
    believed = [i for i, candidate in enumerate(candidates) if not candidate.stopped or candidate.rules in ("", rules)]
    result.left_out = len(candidates) - len(believed)
    verdicts = screen.judge([candidates[i] for i in believed])
    places = [i for i, verdict in zip(believed, verdicts, strict=True) if verdict.verdict == PASSED]
    kept = [verdict for verdict in verdicts if verdict.verdict == PASSED]
    result.counts.update(verdict.verdict for verdict in verdicts if verdict.verdict != PASSED)
    result.candidates = len(believed)
    result.tokens = sum(candidates[i].tokens for i in believed)
    if places:
        result.passed.append(
            Passed(
                np.array([offsets[i] for i in places], np.int64),
                np.array([verdict.id for verdict in kept], np.uint64),
                np.array([candidates[i].logprob for i in places], np.float32),
                np.array([bool(verdict.detail) for verdict in kept]),
            )
        )
    return result, [verdict for verdict in verdicts if verdict.verdict != PASSED]


def verdict_lines(verdicts: Iterable[Verdict]) -> str:
    """Lines of verdicts.jsonl."""
    dump = json.dumps
    return "".join(
        f'{{"text": {dump(v.text, ensure_ascii=False)}, "verdict": "{v.verdict}"'
        + (f', "detail": {dump(v.detail, ensure_ascii=False)}}}\n' if v.detail else "}\n")
        for v in verdicts
    )


def candidate_of(line: bytes) -> Candidate:
    """One line of a candidate file: a candidate, any object with a "text", or a bare string.

    Raises:
        ValueError: it is none of these.
    """
    value = json.loads(line)
    record = value if isinstance(value, dict) else {"text": value}
    if not isinstance(record.get("text"), str):
        raise ValueError('neither a string nor an object with a "text"')
    return Candidate(
        _whole_characters(record["text"]),
        int(record.get("tokens", 0)),
        float(record["logprob"] if "logprob" in record else record.get("score", math.nan)),
        bool(record.get("finished", True)),
        float(record.get("temperature", 1.0)),
        str(record.get("stopped", "")),
        str(record.get("rules", "")),
    )


def _whole_characters(text: str) -> str:
    """JSON may hold half a character (`"\\ud83d"`), which no file can: U+FFFD stands for it."""
    if text.isascii() or not any("\ud800" <= c <= "\udfff" for c in text):
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def screened(path: Path, case: Case, size: int, workers: int = 0) -> Generator[tuple[Judged, str, int], None, None]:
    """Judge the first `size` bytes of `path`; yield (what a block came to, lines of verdicts on the rejected ones,
    its bytes) in the order of the file.

    `workers`: processes; 0: as many as pay.

    Raises:
        DeepproverbsError: a line is no candidate; the sentence names it.
    """
    if not size:
        return
    pieces = ((path, start, stop) for start, stop in blocks(path, size))
    count = workers or (cores() if size > WORTH_A_PROCESS else 1)
    if count == 1:
        screen = case.screen()
        yield from (_judge_block(screen, case.rules, piece) for piece in pieces)
        return
    # Not forked: the samplers' threads may be running.
    spawned = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(count, mp_context=spawned, initializer=_start, initargs=(case,))
    try:
        # A few blocks ahead and no more: what is done waits in memory until it is asked for.
        ahead = deque(executor.submit(_work, piece) for piece in islice(pieces, 3 * count))
        while ahead:
            result = ahead.popleft().result()
            ahead.extend(executor.submit(_work, piece) for piece in islice(pieces, 1))
            yield result
    except BrokenProcessPool as error:
        raise DeepproverbsError(
            "A process that judged candidates was ended from outside, perhaps for want of memory; start again."
        ) from error
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def blocks(path: Path, size: int) -> Iterator[tuple[int, int]]:
    """Byte ranges of whole lines, about BLOCK bytes each."""
    start = 0
    with path.open("rb") as file:
        while start < size:
            file.seek(min(size, start + BLOCK))
            file.readline()
            stop = min(size, file.tell())
            yield start, stop
            start = stop


def _judge_block(screen: Screen, rules: str, block: tuple[Path, int, int]) -> tuple[Judged, str, int]:
    path, start, stop = block
    with path.open("rb") as file:
        file.seek(start)
        data = file.read(stop - start)
    total, lines = Judged(), []
    some: list[Candidate] = []
    offsets: list[int] = []

    def flush() -> None:
        result, rejected = judge_some(screen, rules, some, offsets)
        total.add(result)
        lines.append(verdict_lines(rejected))
        some.clear()
        offsets.clear()

    offset = start
    for line in data.splitlines(keepends=True):
        if line.strip(b" \t\r\n\xef\xbb\xbf"):
            try:
                some.append(candidate_of(line.removeprefix(b"\xef\xbb\xbf") if not offset else line))
            except (ValueError, TypeError, OverflowError) as error:
                raise DeepproverbsError(
                    f"{path}, line {_number(path, offset)}: no candidate ({error}); JSONL holds one object with a "
                    '"text" a line.'
                ) from error
            offsets.append(offset)
        offset += len(line)
        if len(some) >= BATCH:
            flush()
    flush()
    return total, "".join(lines), stop - start


def _number(path: Path, offset: int) -> int:
    with path.open("rb") as file:
        return file.read(offset).count(b"\n") + 1


_own: tuple[Screen, str]
"""A worker process's screen."""


def _start(case: Case) -> None:
    global _own
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent says what there is to say
    _own = case.screen(), case.rules


def _work(block: tuple[Path, int, int]) -> tuple[Judged, str, int]:
    return _judge_block(*_own, block)


def text_at(file: BinaryIO, offset: int) -> str:
    """The text of the candidate whose line begins at `offset`: a third of the time of all of it."""
    file.seek(offset)
    value = json.loads(file.readline().removeprefix(b"\xef\xbb\xbf"))
    return _whole_characters(value["text"] if isinstance(value, dict) else value)


def read_at(file: BinaryIO, offset: int) -> Candidate:
    """The candidate whose line begins at `offset`."""
    file.seek(offset)
    return candidate_of(file.readline().removeprefix(b"\xef\xbb\xbf"))
