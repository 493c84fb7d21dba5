"""Samples with the C decoder: one thread a core, all over one copy of the weights."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Sequence
from itertools import product

from training.common.machine import cores, physical_cores
from training.model.converted import Converted
from training.sample.engine import Drawn, EngineKind, Logits, Plan, Task, given
from training.sample.engines import ctranslate2
from training.sample.native.architecture import shape_of, unsupported
from training.sample.native.build import library
from training.sample.native.sampler import STATUSES, Counter, Model, Sampler, Texts, Watch, decoder
from training.settings import SampleSettings

BEGINNINGS = 64 << 20
"""Bytes in which a worker remembers common beginnings (training/sample/native/decoder.c)."""
FAST = ("avx512-vnni", "avx-vnni", "avx2")
"""Kernels that were measured to be faster than CTranslate2."""


class NativeEngine:
    """Each of the plan's workers is a thread with a sampler of its own."""

    def __init__(self, plan: Plan, task: Task, weights: Model | None = None) -> None:
        converted, settings = task.converted, task.settings
        self.weights = weights or Model(converted.folder, converted.end)
        self.seats = plan.batch
        watch = Watch(converted.token_bytes(), task.rules) if task.rules else None
        self.samplers = [
            Sampler(
                self.weights,
                seats=self.seats,
                most=settings.max_tokens,
                prefixes=task.prompts,
                temperatures=settings.temperatures,
                top_k=settings.top_k,
                top_p=settings.top_p,
                seed=settings.seed,
                watch=watch,
            )
            for _ in range(plan.workers)
        ]

    @property
    def about(self) -> str:
        return (
            f"native, int8 ({decoder().kernel().decode()}), {len(self.samplers)} "
            f"worker{'s' * (len(self.samplers) != 1)} x {self.seats} texts"
        )

    def draw(self, first: int) -> Generator[list[Drawn], None, None]:
        counter = Counter(first)
        # Room for some batches a worker: it waits for the consumer only when it is far ahead.
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
    scores = texts.logprob.tolist(), names, texts.hardest.tolist()
    return [Drawn(*fields) for fields in zip(texts.number.tolist(), rows, *scores, strict=True)]


def _refusal(settings: SampleSettings, device: str) -> str | None:
    # Device and compute type are CTranslate2's terms, so what it does not know is wrong here, too; the type itself is
    # ignored, since this engine always computes in int8.
    if sentence := ctranslate2.refusal(settings, device):
        return sentence
    if device != "cpu":
        return "The native engine runs on processors; set [sample] engine to ctranslate2 for a GPU."
    return None


def _plans(settings: SampleSettings, device: str, converted: Converted) -> list[Plan]:
    decoder()  # or NoCompiler
    tries = product(given(settings.workers, cores(), physical_cores()), given(settings.batch, 24, 48, 96))
    return [Plan("native", workers=workers, batch=batch) for workers, batch in tries]


def _memory(plan: Plan, converted: Converted, settings: SampleSettings) -> float:
    """Keys and values, two numbers of 2 bytes a position, layer and width of the heads, and logits. 96 texts of 1558M
    are 3 GB a worker."""
    text = (settings.max_tokens + 8) * shape_of(converted.folder).place + 4 * len(converted.ids)
    return plan.workers * (plan.batch * text + BEGINNINGS)


def _logits(plan: Plan, task: Task, rows: Sequence[Sequence[int]]) -> list[Logits]:
    converted, longest = task.converted, max(map(len, rows))
    model = Model(converted.folder, converted.end)
    sampler = Sampler(model, seats=len(rows), most=longest, prefixes=[[converted.end]], temperatures=[1.0])
    return sampler.logits_of(rows)


KIND = EngineKind(
    name="native",
    title="the native engine",
    devices=lambda: ("cpu",),
    compute_types=lambda device: ("int8",),
    refusal=_refusal,
    plans=_plans,
    logits=_logits,
    takes=lambda converted: unsupported(converted.folder, len(converted.ids)),
    make=NativeEngine,
    fastest=lambda: decoder().kernel().decode() in FAST,
    build=lambda: library().name,
    memory=_memory,
    stop_rules=True,
)
