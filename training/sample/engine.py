"""The interface of what samples: an `Engine` draws texts by number; an `EngineKind` says where engines of one kind can
run and what they can do.

Text n has prefix n % P and temperature n // P % T of the settings, with any engine. To add an engine, write a module in
training/sample/engines with an `EngineKind` in it, and add that to the list in engines/__init__.py.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from training.common.errors import DeepproverbsError
from training.model.converted import Converted
from training.sample.stop_rules import StopRules
from training.settings import SampleSettings

Logits = NDArray[np.float32]
FINISHED = "finished"
UNFINISHED = "unfinished"


class Drawn(NamedTuple):
    """One sampled text."""

    number: int
    rows: Sequence[int]
    """Its tokens, without the prefix, with the end token."""
    logprob: float
    """Mean over the tokens, nats, at temperature 1."""
    status: str
    """FINISHED, UNFINISHED (no end token came), or the filters' rule that it broke while it was written."""
    hardest: float = math.nan
    """Log-probability of the least probable token, nats, at temperature 1; NaN where the engine does not tell."""


class Engine(Protocol):
    """Draws texts by number."""

    weights: Any
    """What another engine of the kind can share, to spare it loading the model; None: nothing."""

    @property
    def about(self) -> str:
        """What runs where, in a few words."""

    def draw(self, first: int) -> Generator[list[Drawn], None, None]:
        """Texts from number `first` on, without end, a batch at a time as they get done, so not quite in
        order. Closing the iterator stops all work."""


@dataclass(frozen=True)
class Plan:
    """Which engine samples and how, with nothing left open."""

    engine: str
    device: str = "cpu"
    compute_type: str = "int8"
    workers: int = 1
    threads: int = 1
    batch: int = 64
    """Texts that each worker writes side by side."""
    speed: float = 0.0
    """Tokens a second in the trial; 0: not tried."""


@dataclass(frozen=True)
class Task:
    """What is to be sampled."""

    converted: Converted
    settings: SampleSettings
    rules: StopRules | None
    """None for an engine that cannot follow them."""
    checkpoint: Path | None
    """For an engine that samples the checkpoint itself."""
    run: Path

    @property
    def prompts(self) -> list[list[int]]:
        """Rows of the end token and each prefix."""
        return [self.converted.prompt(prefix) for prefix in self.settings.prefixes or ("",)]


@dataclass(frozen=True)
class EngineKind:
    """An engine as the registry knows it. Its functions are called only when it may be used."""

    name: str
    """Its name for --engine."""
    title: str
    """Its name in messages."""
    devices: Callable[[], Sequence[str]]
    """Which of cuda and cpu it can run on here."""
    compute_types: Callable[[str], Sequence[str]]
    """The number types in which it can compute on a device."""
    plans: Callable[[SampleSettings, str, Converted], list[Plan]]
    """The plans worth trying on a device with a model under these settings. Raises Unavailable where it cannot run
    here."""
    make: Callable[[Plan, Task, Any], Engine]
    """The engine of a plan; the last argument is another engine's `weights`, or None."""
    logits: Callable[[Plan, Task, Sequence[Sequence[int]]], list[Logits]]
    """Of rows that each start with the end token: logits [n, vocabulary] after each of their n tokens."""
    takes: Callable[[Converted], str | None] = lambda converted: None
    """What of this model it cannot do, in some words, or None."""
    refusal: Callable[[SampleSettings, str], str | None] = lambda settings, device: None
    """Why it cannot do what the settings ask, in a sentence, or None."""
    automatic: bool = True
    """Whether --engine auto may choose it."""
    fastest: Callable[[], bool] = lambda: False
    """Whether it is known to be faster here than those after it in the registry, which then need no trial."""
    build: Callable[[], str] = lambda: ""
    """Identifies the build whose speed a trial measured, where the project compiles it."""
    memory: Callable[[Plan, Converted, SampleSettings], float] = lambda plan, converted, settings: 0
    """Bytes of main memory that a plan needs beside the weights."""
    stop_rules: bool = False
    """Can give a text up while it is written."""
    top_k_with_top_p: bool = True
    samples_checkpoint: bool = False
    """Samples the fine-tuned checkpoint, whose vocabulary is never trimmed, instead of the converted model."""


class Unavailable(DeepproverbsError):
    """The engine cannot run on this machine."""


def pair(number: int, temperatures: Sequence[float], prefixes: Sequence[str]) -> tuple[float, str]:
    """Temperature and prefix of text `number`."""
    return temperatures[number // len(prefixes) % len(temperatures)], prefixes[number % len(prefixes)]


def seed_of(*parts: int) -> int:
    """31 bits from the run's seed, the number at which this process starts, and whatever else tells streams apart."""
    return int.from_bytes(hashlib.blake2b(" ".join(map(str, parts)).encode(), digest_size=4).digest(), "big") >> 1


def given(value: int, *choices: int) -> list[int]:
    """The setting where there is one, else these choices, the largest first."""
    return [value] if value else sorted({max(1, choice) for choice in choices}, reverse=True)
