"""What a trainer's program tells us: one JSON object a line on its standard output, `{"event": "step", …}`.

`parse` is the only place that knows the lines; everything else sees the frozen dataclasses below. The field names are
the keys of the JSON.
"""

from __future__ import annotations

import json
import types
from dataclasses import dataclass
from typing import Any, get_args, get_origin, get_type_hints


class BadEvent(ValueError):
    """A line that is no event; the message says why."""


@dataclass(frozen=True)
class Epoch:
    """A finished epoch; also a line of metrics.jsonl. Epoch 0 is the base model before any training."""

    epoch: int
    step: int
    """Steps so far."""
    training: float | None
    """Mean training loss, nats a token; None where it is not known."""
    held_out: float
    """Nats a token, each held-out text alone after the end token."""
    seconds: float
    """Of training so far."""


@dataclass(frozen=True)
class Step:
    step: int
    """From 1, over all epochs."""
    steps: int
    """Of the whole run, as far as is known: the end may be put off."""
    loss: float
    """Nats a token."""
    tokens: int


@dataclass(frozen=True)
class Trimmed:
    """A step's softmax is over `rows` of the `of` tokens, some of which stand for the rest."""

    rows: int
    of: int


@dataclass(frozen=True)
class Resumed:
    """An interrupted run continues in `epoch`, after its first `batch` batches."""

    epoch: int
    batch: int


@dataclass(frozen=True)
class Interrupted:
    """Ctrl-C came; everything is saved."""

    epoch: int
    batch: int


@dataclass(frozen=True)
class Done:
    """Fine-tuning has ended; the checkpoint is that of the best epoch."""

    epochs: tuple[Epoch, ...]
    """The base as epoch 0 and at least one more, those before an interruption included."""

    def __post_init__(self) -> None:
        if len(self.epochs) < 2:
            raise BadEvent("done must have epoch 0, which is the base, and at least one more")


@dataclass(frozen=True)
class Written:
    """A file or checkpoint of so many weights has been written."""

    parameters: int


@dataclass(frozen=True)
class Progress:
    """So many of `total` bytes are there."""

    done: int
    total: int


@dataclass(frozen=True)
class Fetched:
    """A model of Hugging Face's hub is there."""

    commit: str
    """Which version of it."""
    files: tuple[str, ...]
    licence: str | None
    """As its page names it: `apache-2.0`."""


@dataclass(frozen=True)
class Texts:
    """Sampled texts; lists of equal length."""

    numbers: tuple[int, ...]
    rows: tuple[tuple[int, ...], ...]
    """Token ids after the prefix."""
    logprobs: tuple[float, ...]
    """Mean over a text's tokens, nats, at temperature 1."""


Event = Epoch | Step | Trimmed | Resumed | Interrupted | Done | Written | Progress | Fetched | Texts
EVENTS: dict[str, type[Any]] = {kind.__name__.lower(): kind for kind in get_args(Event)}


def parse(line: str) -> Event:
    """The event of one line.

    Raises:
        BadEvent: it is not JSON, no event that we know, or its fields are not those of the event.
    """
    try:
        fields = json.loads(line)
        name = str(fields.pop("event"))
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        raise BadEvent(f"not a JSON object with an event: {line.strip()[:200]!r}") from error
    if name not in EVENTS:
        raise BadEvent(f"unknown event {name!r}; known are {', '.join(EVENTS)}")
    event: Event = _read(fields, EVENTS[name], name)
    return event


def _read(value: Any, kind: Any, where: str) -> Any:
    """`value`, as JSON has it, as the type `kind`."""
    if get_origin(kind) is types.UnionType:
        if value is None:
            return None
        kind = get_args(kind)[0]
    if get_origin(kind) is tuple and isinstance(value, list):
        return tuple(_read(item, get_args(kind)[0], where) for item in value)
    if type(value) is kind or (kind is float and type(value) is int):
        return value
    if isinstance(value, dict) and kind in EVENTS.values():
        hints = get_type_hints(kind)
        if set(value) != set(hints):
            raise BadEvent(f"{where} has the fields {', '.join(value)}, not {', '.join(hints)}")
        return kind(**{field: _read(value[field], hint, f"{where}.{field}") for field, hint in hints.items()})
    raise BadEvent(f"{where} is {value!r}, not {getattr(kind, '__name__', kind)}")
