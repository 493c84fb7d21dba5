"""Samples with the C decoder: one thread a core, all over one copy of the weights."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator

from training.model.converted import Converted
from training.sample.engine import Drawn
from training.sample.native.sampler import STATUSES, Counter, Model, Sampler, Texts, Watch, decoder
from training.sample.stop_rules import StopRules
from training.settings import SampleSettings


class NativeEngine:
    """Args:
    workers: threads, each with a sampler of its own.
    seats: texts that each decodes side by side.
    """

    def __init__(
        self,
        converted: Converted,
        settings: SampleSettings,
        workers: int,
        seats: int,
        rules: StopRules | None = None,
        model: Model | None = None,
    ) -> None:
        self.model = model or Model(converted.folder, converted.hparams["n_head"], converted.end)
        self.seats = seats
        watch = Watch(converted.token_bytes(), rules) if rules else None
        self.samplers = [
            Sampler(
                self.model,
                seats=seats,
                most=settings.max_tokens,
                prefixes=[converted.prompt(prefix) for prefix in settings.prefixes or ("",)],
                temperatures=settings.temperatures,
                top_k=settings.top_k,
                top_p=settings.top_p,
                seed=settings.seed,
                watch=watch,
            )
            for _ in range(workers)
        ]

    @property
    def about(self) -> str:
        return (
            f"native, int8 ({decoder().kernel().decode()}), {len(self.samplers)} "
            f"worker{'s' * (len(self.samplers) != 1)} x {self.seats} texts"
        )

    def draw(self, first: int) -> Generator[list[Drawn], None, None]:
        counter = Counter(first)
        # Room for some batches a worker: it never waits for whoever takes them, unless it is far ahead.
        done: queue.Queue[Texts | BaseException] = queue.Queue(8 * len(self.samplers))

        def work(sampler: Sampler) -> None:
            try:
                while not counter.stop.value:
                    done.put(sampler.run(counter, self.seats))
            except BaseException as error:
                done.put(error)

        threads = [threading.Thread(target=work, args=(s,), name="sampler", daemon=True) for s in self.samplers]
        try:
            for sampler, thread in zip(self.samplers, threads, strict=True):
                sampler.reset()
                thread.start()
            while True:
                texts = done.get()
                if isinstance(texts, BaseException):
                    raise texts
                yield _drawn(texts)
        finally:
            counter.stop.value = 1
            while any(thread.is_alive() for thread in threads):
                try:
                    done.get(timeout=0.05)
                except queue.Empty:
                    continue


def _drawn(texts: Texts) -> list[Drawn]:
    lengths = texts.length.tolist()
    rows = [row[:n] for row, n in zip(texts.tokens.tolist(), lengths, strict=True)]
    names = [STATUSES[status] for status in texts.status.tolist()]
    return [Drawn(*fields) for fields in zip(texts.number.tolist(), rows, texts.logprob.tolist(), names, strict=True)]
