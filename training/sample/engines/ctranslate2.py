"""Samples with CTranslate2: on GPUs, and on processors for which the C decoder cannot be compiled."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import ctranslate2

from training.common.text import END_OF_TEXT
from training.model.converted import Converted
from training.sample.engine import CUT, ENDED, Drawn, pair
from training.settings import SampleSettings

STAGE = 16
"""Steps of a call on a GPU. CTranslate2 lets nobody in where a text has ended, so a batch thins out: with lengths like
the proverbs' (20 tokens in the mean, 56 at most), run to its end, to 36 % in the mean. So a call takes its texts 16
tokens further, and those not at their end wait until as many of the same length fill a batch again; reading them
in anew is one step for a GPU. For a processor it would cost as much as all those tokens: there a call goes to the
end."""
LAG = 40
"""A text waits for others of its length until it is this many batches behind; then a call may run with fewer."""


@dataclass
class Partial:
    """A text under way."""

    number: int
    rows: list[int] = field(default_factory=list)
    logprob: float = 0.0
    """Sum over its tokens."""


class Replica:
    """One copy of the model with one stream of work and a random stream of its own.

    CTranslate2 keeps a generator a thread and seeds it at that thread's first draw from one global
    value: two workers inside one Generator would draw the same texts. So each worker is a
    Generator with a single worker thread, made and drawn from once under its own seed.
    """

    def __init__(self, converted: Converted, seed: int, device: str, compute_type: str, threads: int) -> None:
        self.converted = converted
        ctranslate2.set_random_seed(seed)
        self.generator = ctranslate2.Generator(
            str(converted.folder), device=device, compute_type=compute_type, inter_threads=1, intra_threads=threads
        )
        self.generator.generate_batch([[END_OF_TEXT]], max_length=2, sampling_topk=0)
        self.executor = ThreadPoolExecutor(1)

    def further(self, texts: list[Partial], prefix: str, temperature: float, steps: int, s: SampleSettings) -> None:
        """Take texts of one length up to `steps` tokens further, all in one batch."""
        names = self.converted.token_names()
        prompt = self.converted.prompt(prefix)
        results = self.generator.generate_batch(
            [[names[row] for row in (*prompt, *text.rows)] for text in texts],
            max_length=steps,
            sampling_topk=min(s.top_k, len(names)),
            sampling_topp=s.top_p,
            sampling_temperature=temperature,
            end_token=END_OF_TEXT,
            return_scores=True,
            return_end_token=True,
            include_prompt_in_result=False,
        )
        for text, result in zip(texts, results, strict=True):
            rows = result.sequences_ids[0]
            text.rows += rows
            text.logprob += result.scores[0] * len(rows)


@dataclass(frozen=True)
class Call:
    """Texts of one length to be taken `steps` further; `back` takes those that are then not at their end."""

    texts: list[Partial]
    prefix: str
    temperature: float
    steps: int
    back: Callable[[list[Partial]], None]


class CTranslate2Engine:
    """Args:
    device: cpu or cuda.
    compute_type: int8, float32, float16, int8_float16 …
    workers: calls at a time, each over a copy of the weights.
    threads: processor threads of a call.
    batch: texts that a call decodes side by side.
    """

    def __init__(
        self,
        converted: Converted,
        settings: SampleSettings,
        device: str,
        compute_type: str,
        workers: int,
        threads: int,
        batch: int,
    ) -> None:
        self.converted, self.settings, self.device, self.compute_type = converted, settings, device, compute_type
        self.workers, self.threads, self.batch = workers, threads, batch
        self.steps = STAGE if device == "cuda" else settings.max_tokens

    @property
    def about(self) -> str:
        many = f"{self.workers} worker{'s' * (self.workers != 1)}"
        threads = "" if self.device == "cuda" else f" of {self.threads} thread{'s' * (self.threads != 1)}"
        return f"CTranslate2, {self.device} {self.compute_type}, {many}{threads} x {self.batch} texts"

    def draw(self, first: int) -> Generator[list[Drawn], None, None]:
        seeds = [_seed(self.settings.seed, first, n) for n in range(self.workers)]
        replicas = [Replica(self.converted, seed, self.device, self.compute_type, self.threads) for seed in seeds]
        calls = self._calls(first)
        ahead: deque[tuple[Call, Future[None]]] = deque()
        turn = 0
        try:
            while True:
                # Two calls in hand for every worker: it never waits for the writer or the filters.
                while len(ahead) < 2 * self.workers:
                    call, replica = calls(), replicas[turn % self.workers]
                    work = (call.texts, call.prefix, call.temperature, call.steps, self.settings)
                    ahead.append((call, replica.executor.submit(replica.further, *work)))
                    turn += 1
                call, done = ahead.popleft()
                done.result()
                ended = [self._drawn(text) for text in call.texts if self._over(text)]
                call.back([text for text in call.texts if not self._over(text)])
                yield ended
        finally:
            for replica in replicas:
                replica.executor.shutdown(wait=True, cancel_futures=True)

    def _over(self, text: Partial) -> bool:
        return text.rows[-1:] == [self.converted.end] or len(text.rows) >= self.settings.max_tokens

    def _drawn(self, text: Partial) -> Drawn:
        status = ENDED if text.rows[-1] == self.converted.end else CUT
        return Drawn(text.number, text.rows, text.logprob / len(text.rows), status)

    def _calls(self, first: int) -> Callable[[], Call]:
        """What to run next: a full batch of texts that wait, or one of new texts.

        Texts wait by temperature, prefix and length, for one call has one of each.
        """
        s, prefixes = self.settings, self.settings.prefixes or ("",)
        waiting: dict[tuple[float, str, int], list[Partial]] = {}
        number = first

        def most_urgent() -> tuple[float, str, int] | None:
            full = [key for key, texts in waiting.items() if len(texts) >= self.batch]
            if full:
                return max(full, key=lambda key: key[2])  # the longest have waited longest
            oldest = min(waiting, key=lambda key: min(text.number for text in waiting[key]), default=None)
            late = oldest and number - min(text.number for text in waiting[oldest]) > LAG * self.batch
            return oldest if late else None

        def call() -> Call:
            nonlocal number
            while (key := most_urgent()) is None:
                pairs = len(s.temperatures) * len(prefixes)
                for _ in range(self.batch * pairs):
                    temperature, prefix = pair(number, s.temperatures, prefixes)
                    waiting.setdefault((temperature, prefix, 0), []).append(Partial(number))
                    number += 1
            temperature, prefix, length = key
            texts = waiting[key][: self.batch]
            waiting[key] = waiting[key][self.batch :]
            if not waiting[key]:
                del waiting[key]

            def back(rest: list[Partial]) -> None:
                if rest:
                    waiting.setdefault((temperature, prefix, length + steps), []).extend(rest)

            steps = min(self.steps, s.max_tokens - length)
            return Call(texts, prefix, temperature, steps, back)

        return call


def _seed(seed: int, first: int, worker: int) -> int:
    """31 bits from the run's seed, the number at which this process starts, and the worker."""
    digest = hashlib.blake2b(f"{seed} {first} {worker}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") >> 1


def gpu() -> bool:
    return bool(ctranslate2.get_cuda_device_count())


def supported(device: str) -> list[str]:
    """The number types in which CTranslate2 can compute there."""
    return sorted(ctranslate2.get_supported_compute_types(device))


def compute_types(device: str) -> list[str]:
    """Those worth trying, the likely best first."""
    wanted = ("float16", "int8_float16", "float32") if device == "cuda" else ("int8", "float32")
    return [kind for kind in wanted if kind in supported(device)]
