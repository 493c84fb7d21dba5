"""Three ways to sample one model, behind one interface.

`native`: C on this processor, the fastest on a CPU. `ctranslate2`: GPUs, and CPUs without a C compiler.
`gpt-2-simple`: the original sampler on TensorFlow 1.15, for comparison and for checkpoints that cannot be
converted. Each turns numbers into texts: text n has prefix n % P and temperature n // P % T of the settings.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import NamedTuple, Protocol

ENDED = "finished"
CUT = "unfinished"


class Drawn(NamedTuple):
    """One text as it was sampled."""

    number: int
    rows: Sequence[int]
    """Its tokens, without the prefix, with the end token."""
    logprob: float
    """Mean over the tokens, nats, at temperature 1."""
    status: str
    """ENDED, CUT (no end token came), or the filters' rule that it broke while it was written."""


class Engine(Protocol):
    """Draws texts by number."""

    @property
    def about(self) -> str:
        """What runs where, in a few words."""

    def draw(self, first: int) -> Generator[list[Drawn], None, None]:
        """Texts from number `first` on, without end, a batch at a time as they get done, so not quite in
        order. Closing the iterator stops all work."""


def pair(number: int, temperatures: Sequence[float], prefixes: Sequence[str]) -> tuple[float, str]:
    """Temperature and prefix of text `number`."""
    return temperatures[number // len(prefixes) % len(temperatures)], prefixes[number % len(prefixes)]
