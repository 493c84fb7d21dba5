"""Model → candidates.

In:  RUN/model/ (CTranslate2) and the sampling settings.
Out: RUN/candidates.jsonl, appended as sampled: {"text", "tokens" (with the end token), "logprob"
     (mean, nats a token, at temperature 1), "finished", "temperature", "chunk"}.

Candidates come in chunks of 256. A chunk is written at once; what a killed run left of an
unfinished chunk is cut off at the next start, which goes on with the next number and new seeds, so
no sample is ever drawn twice. `deepproverbs sample --run DIR --count N`
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import ctranslate2

from training.config import SampleSettings, plain
from training.corpus import load_tokenizer
from training.errors import DeepproverbsError
from training.manifest import key_of, write_whole
from training.text import END_OF_TEXT

CHUNK = 256
"""Candidates that share a seed position, a temperature and a prefix: half a second of nano on one
core, eight seconds of 124M. A kill costs at most this much."""
BATCH = 64
"""Texts decoded side by side: the fastest of 16, 32, 64 and 128 with 124M in int8 on two cores."""


@dataclass(frozen=True)
class Candidate:
    text: str
    tokens: int
    logprob: float
    finished: bool
    temperature: float
    chunk: int


class Replica:
    """One copy of the model with one thread and a random stream of its own.

    CTranslate2 keeps a generator a thread and seeds it at that thread's first draw from one global
    value: two workers inside one Generator would draw the same texts. So each worker is a
    Generator with a single worker thread, made and drawn from once under its own seed.
    """

    def __init__(self, model: Path, seed: int, compute_type: str, device: str) -> None:
        ctranslate2.set_random_seed(seed)
        self.generator = ctranslate2.Generator(
            str(model), device=device, compute_type=compute_type, inter_threads=1, intra_threads=1
        )
        self.generator.generate_batch([[END_OF_TEXT]], max_length=2, sampling_topk=0)
        self.tokenizer = load_tokenizer(model)
        self.executor = ThreadPoolExecutor(1)

    def draw(self, chunk: int, temperature: float, prefix: str, s: SampleSettings) -> list[Candidate]:
        """Sample one chunk: texts after the end token and `prefix`, up to the next end token."""
        start = [END_OF_TEXT, *self.tokenizer.encode(prefix).tokens]
        results = self.generator.generate_batch(
            [start] * CHUNK,
            max_batch_size=BATCH,
            max_length=s.max_tokens,
            sampling_topk=s.top_k,
            sampling_topp=s.top_p,
            sampling_temperature=temperature,
            end_token=END_OF_TEXT,
            return_scores=True,
            return_end_token=True,
            include_prompt_in_result=False,
        )
        ids = [result.sequences_ids[0] for result in results]
        ended = [result.sequences[0][-1:] == [END_OF_TEXT] for result in results]
        texts = self.tokenizer.decode_batch([row[:-1] if end else row for row, end in zip(ids, ended, strict=True)])
        return [
            Candidate(prefix + text, len(row), round(result.scores[0], 4), end, temperature, chunk)
            for text, row, end, result in zip(texts, ids, ended, results, strict=True)
        ]


class Candidates:
    """The candidate file: reads what is there, appends whole chunks."""

    def __init__(self, run: Path, model: Path, settings: SampleSettings) -> None:
        self.path, self.mark = run / "candidates.jsonl", run / "candidates.json"
        about = {**plain(settings), "budget": 0, "chunk": CHUNK, "batch": BATCH}
        self.key = key_of(about, model / "model.bin", model / "encoder.json")
        try:
            known = json.loads(self.mark.read_text(encoding="utf-8"))["key"]
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            known = None
        if known != self.key:
            # Other settings or another model: those samples are not of this run.
            self.path.unlink(missing_ok=True)
            write_whole(self.mark, json.dumps({"key": self.key, "settings": about}, default=str) + "\n")
        self.next_chunk = 0

    def read(self) -> Iterator[Candidate]:
        """Yield the candidates of every whole chunk, then cut off what follows the last one."""
        whole, size, held = 0, 0, list[Candidate]()
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            for line in file:
                try:
                    candidate = Candidate(**json.loads(line))
                except (ValueError, TypeError):
                    break
                if not line.endswith(b"\n") or candidate.chunk != self.next_chunk:
                    break
                held.append(candidate)
                size += len(line)
                if len(held) == CHUNK:
                    whole, self.next_chunk = size, self.next_chunk + 1
                    yield from held
                    held = []
        if whole < self.path.stat().st_size:
            os.truncate(self.path, whole)

    def append(self, chunk: list[Candidate]) -> None:
        """Write one chunk, whole or not at all."""
        data = "".join(json.dumps(asdict(c), ensure_ascii=False) + "\n" for c in chunk).encode()
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
        self.next_chunk += 1


def device_and_type() -> tuple[str, str]:
    """("cuda", "float16") where CTranslate2 sees a GPU, ("cpu", "int8") elsewhere."""
    return ("cuda", "float16") if ctranslate2.get_cuda_device_count() else ("cpu", "int8")


def sample(model: Path, settings: SampleSettings, first: int) -> Generator[list[Candidate], None, None]:
    """Yield chunks `first`, first + 1, … in order and without end; close the iterator to stop.

    Chunk n has temperature and prefix number n of all their pairs, in turn.
    """
    device, compute_type = device_and_type()
    workers = 1 if device == "cuda" else (os.cpu_count() or 1)
    replicas = [Replica(model, _seed(settings.seed, first, n), compute_type, device) for n in range(workers)]
    pairs = [(t, p) for t in settings.temperatures for p in settings.prefixes or ("",)]
    ahead: deque[Future[list[Candidate]]] = deque()
    number = first
    try:
        while True:
            # Two chunks in hand for every worker: it never waits for the writer or the filters.
            while len(ahead) < 2 * workers:
                replica, (temperature, prefix) = replicas[number % workers], pairs[number % len(pairs)]
                ahead.append(replica.executor.submit(replica.draw, number, temperature, prefix, settings))
                number += 1
            yield ahead.popleft().result()
    finally:
        for replica in replicas:
            replica.executor.shutdown(wait=True, cancel_futures=True)


def _seed(seed: int, first: int, worker: int) -> int:
    """31 bits from the run's seed, the chunk at which this process starts, and the worker."""
    digest = hashlib.blake2b(f"{seed} {first} {worker}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") >> 1
