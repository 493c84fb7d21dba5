"""Samples with CTranslate2: on GPUs, and on processors for which the C decoder cannot be compiled."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import product

import numpy as np

from training.common.machine import cores
from training.model.converted import Converted
from training.model.generator import generator
from training.sample.engine import FINISHED, UNFINISHED, Drawn, EngineKind, Logits, Plan, Task, given, pair, seed_of
from training.sample.native.architecture import unsupported
from training.settings import SampleSettings

STAGE = 16
"""Tokens that a call adds on a GPU. CTranslate2 does not refill the place of a text that has ended, so a batch thins
out: with lengths like the proverbs' (20 tokens in the mean, 56 at most) and run to its end, to 36 % in the mean. So a
call adds 16 tokens, and unfinished texts wait until enough of the same length fill a batch again; a GPU reads them
in again in one step. On a processor that would cost as much as all those tokens: there a call goes to the end."""
LAG = 40
"""A text waits for others of its length until it is this many batches behind; then a call may run with fewer."""


@dataclass
class Partial:
    """An unfinished text."""

    number: int
    rows: list[int] = field(default_factory=list)
    logprob: float = 0.0
    """Sum over its tokens."""


@dataclass(frozen=True)
class Batch:
    """Texts of one length, for one call of CTranslate2."""

    texts: list[Partial]
    prefix: str
    temperature: float
    steps: int
    """Tokens to add to each."""


class Replica:
    """One copy of the model with one worker thread and a random stream of its own.

    CTranslate2 has a random generator for each thread, seeded at that thread's first draw from one global
    value: two workers inside one Generator would draw the same texts. So each worker is a
    Generator with a single worker thread, which draws once right after its own seed is set.
    """

    def __init__(self, converted: Converted, seed: int, device: str, compute_type: str, threads: int) -> None:
        import ctranslate2

        self.converted = converted
        ctranslate2.set_random_seed(seed)
        self.generator = generator(
            converted.folder, device=device, compute_type=compute_type, inter_threads=1, intra_threads=threads
        )
        self.generator.generate_batch([[converted.end_name]], max_length=2, sampling_topk=0)
        self.executor = ThreadPoolExecutor(1)

    def extend(self, batch: Batch, s: SampleSettings) -> None:
        """Draw up to `batch.steps` more tokens of each text."""
        names = self.converted.token_names()
        prompt = self.converted.prompt(batch.prefix)
        results = self.generator.generate_batch(
            [[names[row] for row in (*prompt, *text.rows)] for text in batch.texts],
            max_length=batch.steps,
            sampling_topk=min(s.top_k, len(names)),
            sampling_topp=s.top_p,
            sampling_temperature=batch.temperature,
            end_token=self.converted.end_name,
            return_scores=True,
            return_end_token=True,
            include_prompt_in_result=False,
        )
        for text, result in zip(batch.texts, results, strict=True):
            rows = result.sequences_ids[0]
            text.rows += rows
            text.logprob += result.scores[0] * len(rows)


class CTranslate2Engine:
    """The plan's workers are calls at a time, each over a copy of the weights."""

    def __init__(self, plan: Plan, task: Task, weights: None = None) -> None:
        self.plan, self.converted, self.settings, self.weights = plan, task.converted, task.settings, weights
        self.steps = STAGE if plan.device == "cuda" else task.settings.max_tokens

    @property
    def about(self) -> str:
        plan = self.plan
        many = f"{plan.workers} worker{'s' * (plan.workers != 1)}"
        threads = "" if plan.device == "cuda" else f" of {plan.threads} thread{'s' * (plan.threads != 1)}"
        return f"CTranslate2, {plan.device} {plan.compute_type}, {many}{threads} x {plan.batch} texts"

    def draw(self, first: int) -> Generator[list[Drawn], None, None]:
        plan = self.plan
        queue = Queue(self.settings, plan.batch, self.steps, first)
        replicas = [
            Replica(self.converted, seed_of(self.settings.seed, first, n), plan.device, plan.compute_type, plan.threads)
            for n in range(plan.workers)
        ]
        ahead: deque[tuple[Batch, Future[None]]] = deque()
        turn = 0
        try:
            while True:
                # Two batches in hand for every worker: it never waits for the writer or the filters.
                while len(ahead) < 2 * plan.workers:
                    batch, replica = queue.take(), replicas[turn % plan.workers]
                    ahead.append((batch, replica.executor.submit(replica.extend, batch, self.settings)))
                    turn += 1
                batch, done = ahead.popleft()
                done.result()
                queue.give_back([text for text in batch.texts if not self._ended(text)], batch)
                yield [self._drawn(text) for text in batch.texts if self._ended(text)]
        finally:
            for replica in replicas:
                replica.executor.shutdown(wait=True, cancel_futures=True)

    def _ended(self, text: Partial) -> bool:
        return text.rows[-1:] == [self.converted.end] or len(text.rows) >= self.settings.max_tokens

    def _drawn(self, text: Partial) -> Drawn:
        status = FINISHED if text.rows[-1] == self.converted.end else UNFINISHED
        return Drawn(text.number, text.rows, text.logprob / len(text.rows), status)


class Queue:
    """The texts that wait for a call, by temperature, prefix and length, for a batch has one of each."""

    def __init__(self, settings: SampleSettings, size: int, steps: int, first: int) -> None:
        self.settings, self.size, self.steps, self.number = settings, size, steps, first
        self.prefixes = settings.prefixes or ("",)
        self.waiting: dict[tuple[float, str, int], list[Partial]] = {}

    def take(self) -> Batch:
        """A full batch of texts that wait, or one of new texts."""
        while (key := self._most_urgent()) is None:
            pairs = len(self.settings.temperatures) * len(self.prefixes)
            for _ in range(self.size * pairs):
                self._add(*pair(self.number, self.settings.temperatures, self.prefixes), Partial(self.number))
                self.number += 1
        temperature, prefix, length = key
        texts, rest = self.waiting[key][: self.size], self.waiting[key][self.size :]
        self.waiting[key] = rest
        if not rest:
            del self.waiting[key]
        return Batch(texts, prefix, temperature, min(self.steps, self.settings.max_tokens - length))

    def give_back(self, texts: list[Partial], batch: Batch) -> None:
        """Let unfinished texts of this batch wait for their next call."""
        for text in texts:
            self._add(batch.temperature, batch.prefix, text)

    def _add(self, temperature: float, prefix: str, text: Partial) -> None:
        self.waiting.setdefault((temperature, prefix, len(text.rows)), []).append(text)

    def _most_urgent(self) -> tuple[float, str, int] | None:
        full = [key for key, texts in self.waiting.items() if len(texts) >= self.size]
        if full:
            return max(full, key=lambda key: key[2])  # the longest have waited longest
        oldest = min(self.waiting, key=lambda key: min(text.number for text in self.waiting[key]), default=None)
        late = oldest and self.number - min(text.number for text in self.waiting[oldest]) > LAG * self.size
        return oldest if late else None


def gpu() -> bool:
    import ctranslate2

    return bool(ctranslate2.get_cuda_device_count())


def supported(device: str) -> list[str]:
    """The number types in which CTranslate2 can compute there."""
    import ctranslate2

    return sorted(ctranslate2.get_supported_compute_types(device))


def refusal(settings: SampleSettings, device: str) -> str | None:
    """The sentence why CTranslate2 cannot do what the settings ask, or None."""
    if device == "cuda" and not gpu():
        return "CTranslate2 sees no GPU with CUDA 12 here; set [sample] device to cpu or auto."
    if settings.compute_type not in ("auto", *(kinds := supported(device))):
        known = ", ".join(kinds)
        return f"CTranslate2 cannot compute in {settings.compute_type!r} here; [sample] compute_type: {known}."
    return None


def _plans(settings: SampleSettings, device: str, converted: Converted) -> list[Plan]:
    likely: tuple[str, ...] = ("float16", "int8_float16", "float32") if device == "cuda" else ("int8", "float32")
    if converted.hparams.architecture != "gpt2":  # Converted.compute_type says why
        likely = (converted.compute_type(device == "cuda"),)
    kinds = [kind for kind in likely if kind in supported(device)][:2]
    if settings.compute_type != "auto":
        kinds = [settings.compute_type]
    n, gpu = cores(), device == "cuda"
    workers, batches = ((1, 3), (64, 256)) if gpu else ((n, 1), (64, 128))
    return [
        Plan("ctranslate2", device, kind, many, 1 if gpu else settings.threads or max(1, n // many), batch)
        for kind, many, batch in product(kinds, given(settings.workers, *workers), given(settings.batch, *batches))
    ]


def _takes(converted: Converted) -> str | None:
    """Any model; one whose file says something else than hparams.json is told here."""
    unsupported(converted.folder, len(converted.ids))
    return None


def _logits(plan: Plan, task: Task, rows: Sequence[Sequence[int]]) -> list[Logits]:
    return forward(task.converted, plan.device, plan.compute_type, rows)


def forward(converted: Converted, device: str, compute_type: str, rows: Sequence[Sequence[int]]) -> list[Logits]:
    """Logits [n, vocabulary] after each of the n tokens of each of `rows`."""
    import ctranslate2

    loaded = generator(converted.folder, device=device, compute_type=compute_type)
    found: list[Logits] = []
    for row in rows:
        logits = loaded.forward_batch([list(row)]).to(ctranslate2.DataType.float32)
        found.append(np.array(logits.to_device(ctranslate2.Device.cpu))[0])
    return found


KIND = EngineKind(
    name="ctranslate2",
    title="CTranslate2",
    devices=lambda: ("cuda", "cpu") if gpu() else ("cpu",),
    compute_types=lambda device: supported(device),
    refusal=refusal,
    plans=_plans,
    logits=_logits,
    takes=_takes,
    make=CTranslate2Engine,
)
