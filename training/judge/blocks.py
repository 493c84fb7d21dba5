"""A file of candidates → a verdict on each, and where in the file the passed ones are.

Worker processes judge blocks of whole lines; results come back in file order. A candidate that passed takes 28 bytes of
memory, and its text is read again when needed: ten million candidates fit on a laptop.
"""

from __future__ import annotations

import json
import multiprocessing
import signal
from collections import Counter, deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from training.common import jsonl
from training.common.errors import DeepproverbsError
from training.common.machine import cores
from training.judge.band import LIKELY, UNLIKELY
from training.judge.judge import Judge, Judging, Verdict
from training.judge.rules import PASSED
from training.sample.candidates import Candidate, text_of

BLOCK = 1 << 18
"""Bytes judged at a time: some 1,300 candidates."""
WORTH_A_PROCESS = 8 << 20
"""Bytes of a file from which more processes pay: each takes a second or two to index the originals."""


@dataclass(frozen=True)
class Passed:
    """The candidates that passed, in the order of the file; arrays of one length."""

    offsets: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    """Where the line begins, bytes."""
    ids: NDArray[np.uint64] = field(default_factory=lambda: np.empty(0, np.uint64))
    logprobs: NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32))
    """Nats a token; NaN where the file has none."""
    hardest: NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32))
    """Of the least probable token, nats; NaN where the file has none."""
    names: NDArray[np.uint32] = field(default_factory=lambda: np.empty(0, np.uint32))
    """The number (Names.numbers) of the name for which a person must see the text; 0: none."""

    def __len__(self) -> int:
        return len(self.offsets)

    @classmethod
    def joined(cls, parts: Sequence[Passed]) -> Passed:
        if not parts:
            return cls()
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in cls.__dataclass_fields__))

    def first(self, count: int) -> Passed:
        return Passed(*(getattr(self, name)[:count] for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class Judged:
    """The results for some candidates."""

    counts: Counter[str] = field(default_factory=Counter)
    """How many each rule rejected."""
    candidates: int = 0
    tokens: int = 0
    left_out: int = 0
    """Candidates given up under other stop rules: what these would say of them is unknown."""
    passed: Passed = field(default_factory=Passed)
    verdicts: str = ""
    """Lines of verdicts.jsonl for the rejected ones."""
    broken: int = 0
    """Candidates that the model ended and in which bytes make no character."""
    likely: int = 0
    """Candidates that are out of the band because they are too probable."""
    size: int = 0
    """Bytes of the file that were read for them; 0: they have just been sampled."""


@dataclass
class Tally:
    """The results for all candidates so far."""

    counts: Counter[str] = field(default_factory=Counter)
    candidates: int = 0
    tokens: int = 0
    left_out: int = 0
    broken: int = 0
    likely: int = 0
    parts: list[Passed] = field(default_factory=list)
    repeated: int = 0
    """Duplicates found among those that passed."""

    def add(self, judged: Judged) -> None:
        self.counts.update(judged.counts)
        self.candidates += judged.candidates
        self.tokens += judged.tokens
        self.left_out += judged.left_out
        self.broken += judged.broken
        self.likely += judged.likely
        self.parts.append(judged.passed)

    @property
    def sides(self) -> dict[str, int]:
        """How many candidates are out of the band on either side."""
        return {LIKELY: self.likely, UNLIKELY: self.counts["band"] - self.likely}

    @property
    def count_passed(self) -> int:
        return sum(map(len, self.parts))

    def passed(self) -> Passed:
        self.parts = [Passed.joined(self.parts)]
        return self.parts[0]

    def first(self, wanted: int) -> Passed | None:
        """What passed, up to the `wanted`th different text; None while there are fewer."""
        if self.count_passed - self.repeated < wanted:
            return None  # certainly; so the sorting below is rare
        passed = self.passed()
        firsts = np.sort(np.unique(passed.ids, return_index=True)[1])
        self.repeated = len(passed) - len(firsts)
        return passed.first(int(firsts[wanted - 1]) + 1) if len(firsts) >= wanted else None


def judge_some(judge: Judge, stop_id: str, candidates: Sequence[Candidate], offsets: Sequence[int]) -> Judged:
    """Judge candidates whose lines begin at these offsets. `stop_id`: as in Judging."""
    places = [i for i, candidate in enumerate(candidates) if not candidate.stopped or candidate.rules in ("", stop_id)]
    verdicts = judge.verdicts([candidates[i] for i in places])
    rejected = [verdict for verdict in verdicts if verdict.verdict != PASSED]
    passed = [(i, verdict) for i, verdict in zip(places, verdicts, strict=True) if verdict.verdict == PASSED]
    number_of = judge.context.names.numbers
    return Judged(
        Counter(verdict.verdict for verdict in rejected),
        len(places),
        sum(candidates[i].tokens for i in places),
        len(candidates) - len(places),
        Passed(
            np.array([offsets[i] for i, _ in passed], np.int64),
            np.array([verdict.id for _, verdict in passed], np.uint64),
            np.array([candidates[i].logprob for i, _ in passed], np.float32),
            np.array([candidates[i].hardest for i, _ in passed], np.float32),
            np.array([number_of[verdict.detail] if verdict.detail else 0 for _, verdict in passed], np.uint32),
        ),
        verdict_lines(rejected),
        broken=sum(candidates[i].finished and "\ufffd" in candidates[i].text for i in places),
        likely=sum(verdict.verdict == "band" and verdict.detail.startswith(LIKELY) for verdict in rejected),
    )


def verdict_lines(verdicts: Iterable[Verdict]) -> str:
    """Lines of verdicts.jsonl."""
    dump = json.dumps
    return "".join(
        f'{{"text": {dump(v.text, ensure_ascii=False)}, "verdict": "{v.verdict}"'
        + (f', "detail": {dump(v.detail, ensure_ascii=False)}}}\n' if v.detail else "}\n")
        for v in verdicts
    )


def read_text(file: BinaryIO, offset: int) -> str:
    """The text of the candidate whose line begins at `offset`: a third of the time of `read_candidate`."""
    return text_of(jsonl.value_at(file, offset))


def read_candidate(file: BinaryIO, offset: int) -> Candidate:
    """The candidate whose line begins at `offset`."""
    return Candidate.of(jsonl.value_at(file, offset))


@dataclass(frozen=True)
class Block:
    """Whole lines of a file: bytes `start` to `stop`."""

    path: Path
    start: int
    stop: int


def judge_file(
    path: Path, judging: Judging, size: int, workers: int = 0, start: int = 0
) -> Generator[Judged, None, None]:
    """Judge the bytes `start` to `size` of `path`; yield the results of each block, in file order.

    `workers`: processes; 0: as many as pay. `start`: where a line begins.

    Raises:
        DeepproverbsError: a line is no candidate; the sentence names it.
    """
    if start >= size:
        return
    blocks = (Block(path, first, stop) for first, stop in jsonl.blocks(path, size, BLOCK, start))
    count = workers or (cores() if size - start > WORTH_A_PROCESS else 1)
    if count == 1:
        judge = judging.judge()
        yield from (judge_block(judge, judging.stop_id, block) for block in blocks)
        return
    # Not forked: the samplers' threads may be running.
    spawned = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(count, mp_context=spawned, initializer=_start, initargs=(judging,))
    try:
        # Only some blocks ahead: results wait in memory until they are asked for.
        ahead = deque(executor.submit(_work, block) for block in islice(blocks, 12 * count))
        while ahead:
            result = ahead.popleft().result()
            ahead.extend(executor.submit(_work, block) for block in islice(blocks, 1))
            yield result
    except BrokenProcessPool as error:
        raise DeepproverbsError(
            "A process that judged candidates was killed, perhaps for lack of memory; start again."
        ) from error
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def judge_block(judge: Judge, stop_id: str, block: Block) -> Judged:
    found = list(read_candidates(block.path, block.start, block.stop))
    judged = judge_some(judge, stop_id, [candidate for _, candidate in found], [offset for offset, _ in found])
    return replace(judged, size=block.stop - block.start)


def read_candidates(path: Path, start: int = 0, stop: int | None = None) -> Iterator[tuple[int, Candidate]]:
    """(where its line begins, candidate) of each line between two offsets, bytes.

    Raises:
        DeepproverbsError: a line is no candidate; the sentence names it.
    """
    for offset, line in jsonl.lines(path, start, stop):
        try:
            yield offset, Candidate.of(json.loads(line))
        except (ValueError, TypeError, OverflowError) as error:
            raise DeepproverbsError(
                f"{path}, line {jsonl.number_at(path, offset)}: no candidate ({error}); JSONL holds one object with a "
                '"text" a line.'
            ) from error


_worker: tuple[Judge, str]
"""A worker process's judge, and the id of its stop rules."""


def _start(judging: Judging) -> None:
    global _worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent deals with Ctrl-C
    _worker = judging.judge(), judging.stop_id


def _work(block: Block) -> Judged:
    return judge_block(*_worker, block)
