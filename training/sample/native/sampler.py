"""decoder.c for Python: a Model that all cores share, a Watch over what is written, and a Sampler for each core.

Text number n of a run depends on the weights, the settings, the seed and n alone, so runs repeat
exactly, whatever the number of cores and seats and however often they are stopped.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Sequence
from ctypes import POINTER, c_char_p, c_double, c_float, c_int, c_int32, c_int64, c_uint8, c_uint64, c_void_p
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from training.common.errors import DeepproverbsError
from training.sample.native.architecture import Shape, epsilon, shape_of
from training.sample.native.build import library
from training.sample.native.weights import Array, damaged, read_weights
from training.sample.stop_rules import StopRules

STATUSES = ("finished", "unfinished", "characters", "length", "vocabulary", "copied-run")
"""How a text ended: with the end token, at the greatest length, or by breaking one of the filters' rules."""
PARTS = ("norms and rounding", "products", "attention", "output layer", "drawing", "taking seats")
UNLIMITED = 2**62
OUT_OF_MEMORY = b"Out of memory in the sampler: set a smaller [sample] batch or max_tokens."
LARGEST = 1e6
"""No weight of a model that works is larger; a bit that flipped makes 1e18 or 1e38 of one."""
RMS_EPSILON = 1e-6
"""CTranslate2's own, where config.json names none."""


class _Shape(ctypes.Structure):
    _fields_ = (
        *((field.name, c_int) for field in fields(Shape)),
        ("end", c_int),
        ("context", c_int),
        ("base", c_float),
        ("epsilon", c_float),
    )


class _Array(ctypes.Structure):
    _fields_ = (("data", c_void_p), ("count", c_int64))


class _Texts(ctypes.Structure):
    _fields_ = tuple((name, c_void_p) for name in ("number", "length", "status", "tokens", "logprob", "hardest"))


@functools.cache
def decoder() -> Any:
    """The compiled library with its functions' types.

    Raises:
        NoCompiler: it cannot be built here.
    """
    lib = ctypes.CDLL(str(library()))
    floats, ints, why = POINTER(c_float), POINTER(c_int32), POINTER(c_char_p)
    signatures: dict[str, tuple[Any, list[Any]]] = {
        "kernel": (c_char_p, []),
        "model_new": (c_void_p, [POINTER(_Shape), POINTER(_Array), why]),
        "model_layer": (c_char_p, [c_void_p] + [POINTER(_Array)] * 3),
        "model_head": (c_char_p, [c_void_p, POINTER(_Array)]),
        "model_free": (None, [c_void_p]),
        "watch_new": (c_void_p, [c_char_p, c_int64, ints, c_int, POINTER(c_uint8), c_int, c_int, c_int]),
        "watch_learn": (c_int, [c_void_p, c_char_p, c_int64]),
        "watch_free": (None, [c_void_p]),
        "sampler_new": (
            c_void_p,
            [
                c_void_p,
                c_void_p,
                c_int,
                c_int,
                ints,
                c_int64,
                ints,
                c_int,
                floats,
                c_int,
                c_int,
                c_float,
                c_uint64,
                why,
            ],
        ),
        "sampler_run": (c_int, [c_void_p, c_void_p, c_int64, c_int, c_void_p, POINTER(_Texts)]),
        "sampler_logits": (c_int, [c_void_p, ints, c_int64, ints, c_int, floats]),
        "sampler_spent": (None, [c_void_p, POINTER(c_double)]),
        "sampler_reset": (None, [c_void_p]),
        "sampler_free": (None, [c_void_p]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    return lib


def _aligned(array: Array | None) -> Array | None:
    return None if array is None else np.require(array, dtype=np.float32, requirements=["C", "A"])


def _arrays(arrays: Sequence[Array | None]) -> Any:
    """For C, with their sizes; the arrays must live as long as they are used."""
    known = (_Array() if array is None else _Array(array.ctypes.data, array.size) for array in arrays)
    return (_Array * len(arrays))(*known)


def _sane(array: Array) -> bool:
    """Whether all of it are numbers that a weight may be."""
    if array.dtype != np.float32 or not array.size:
        return True
    return bool(array.min() >= -LARGEST and array.max() <= LARGEST)


def _check(why: bytes | None) -> None:
    if why:
        raise DeepproverbsError(why.decode())


def _made(handle: int | None, why: c_char_p) -> int:
    if not handle:
        raise DeepproverbsError((why.value or OUT_OF_MEMORY).decode())
    return handle


class Model:
    """A converted model with its weights rounded to int8: a byte a weight, and the embeddings in float32.

    Args:
        folder: a CTranslate2 model in float32.
        end: id of the end token.

    Raises:
        DeepproverbsError: the decoder cannot sample it (training/sample/native/architecture.py), or it has diverged.
    """

    def __init__(self, folder: Path, end: int) -> None:
        self.lib = decoder()
        self.path = folder / "model.bin"
        w = read_weights(self.path)
        self.shape = shape_of(folder, w)
        if broken := next((name for name, array in w.items() if not _sane(array)), None):
            raise self.diverged(f"holds weights that are no numbers, or beyond {LARGEST:g} ({broken})")
        if not 0 <= end < self.shape.vocabulary:
            raise damaged(self.path, f"it has {self.shape.vocabulary:,} tokens and no number {end:,}, which ends texts")
        self.vocabulary, llama = self.shape.vocabulary, self.shape.llama
        self.tokens, self.places = (
            _aligned(w.get(f"decoder/{name}")) for name in ("embeddings/weight", "position_encodings/encodings")
        )
        self.context = UNLIMITED if self.places is None else len(self.places)
        base = w.get("decoder/layer_0/self_attention/rotary_base", 0)
        context = 0 if self.places is None else len(self.places)
        shape = _Shape(*astuple(self.shape), end, context, base, epsilon(folder) or RMS_EPSILON)
        why, outside = c_char_p(), _arrays([self.tokens, self.places])
        self.handle = _made(self.lib.model_new(ctypes.byref(shape), outside, ctypes.byref(why)), why)
        feed_forward = ("linear_0_noact", "linear_1", "linear_0") if llama else ("linear_0", "linear_1")
        products = ["self_attention/linear_0", "self_attention/linear_1", *(f"ffn/{name}" for name in feed_forward)]
        norms = [f"{name}/layer_norm/{part}" for name in ("self_attention", "ffn") for part in ("gamma", "beta")]
        for i in range(self.shape.layers):
            wanted = [f"{name}/weight" for name in products], [f"{name}/bias" for name in products], norms
            parts = [[_aligned(w.get(f"decoder/layer_{i}/{name}")) for name in names] for names in wanted]
            _check(self.lib.model_layer(self.handle, *map(_arrays, parts)))
        last = [_aligned(w.get(f"decoder/{name}")) for name in ("layer_norm/gamma", "layer_norm/beta")]
        head = _aligned(w["decoder/projection/weight"])
        _check(self.lib.model_head(self.handle, _arrays([*last, head])))

    def diverged(self, what: str) -> DeepproverbsError:
        return DeepproverbsError(
            f"{self.path} {what}; delete it and convert again, and if the new one does, too, its fine-tuning has "
            "diverged. Fine-tune again with a smaller --learning-rate."
        )

    def __del__(self) -> None:
        if handle := getattr(self, "handle", None):
            self.lib.model_free(handle)


class Watch:
    """Follows texts as they are written and stops those that break a rule.

    Args:
        tokens: the bytes of every token, by row.
    """

    def __init__(self, tokens: Sequence[bytes], rules: StopRules) -> None:
        self.lib = decoder()
        self.bytes = b"".join(tokens)
        self.offsets = np.cumsum([0, *map(len, tokens)]).astype(np.int32)
        table = np.zeros(256, dtype=np.uint8)
        table[list(rules.allowed)] = 1
        known, why = (self.bytes, len(self.bytes), _ints(self.offsets), len(tokens)), c_char_p()
        what = _bytes(table), rules.longest, rules.vocabulary, rules.run
        self.handle = _made(self.lib.watch_new(*known, *what), why)
        text = ("\n".join(rules.originals) + "\n").encode()
        _made(self.lib.watch_learn(self.handle, text, len(text)), why)

    def __del__(self) -> None:
        if handle := getattr(self, "handle", None):
            self.lib.watch_free(handle)


def _ints(array: Array) -> Any:
    return array.ctypes.data_as(POINTER(c_int32))


def _bytes(array: Array) -> Any:
    return array.ctypes.data_as(POINTER(c_uint8))


def _floats(array: Array) -> Any:
    return array.ctypes.data_as(POINTER(c_float))


@dataclass(frozen=True)
class Texts:
    """n texts, in the order in which they ended."""

    number: Array
    """int64 [n]"""
    length: Array
    """int32 [n], tokens drawn, the end token among them"""
    status: Array
    """int32 [n], an index into STATUSES"""
    tokens: Array
    """int32 [n, most]"""
    logprob: Array
    """float32 [n], mean over the drawn tokens, nats, at temperature 1"""
    hardest: Array
    """float32 [n], the same of the least probable token"""


class Counter:
    """The next number that no sampler has taken, and a flag that stops them all."""

    def __init__(self, first: int) -> None:
        if not 0 <= first < UNLIMITED:
            raise ValueError(f"text number {first}")
        self.next, self.stop = c_int64(first), c_int32(0)


class Sampler:
    """Samples on one core. Not for two threads at once.

    Args:
        seats: texts decoded side by side.
        most: tokens drawn a text at most.
        prefixes: token ids, each starting with the end token.
        temperatures: with the prefixes they make pairs, which the numbers take in turn: number n has prefix
            n % P and temperature n // P % T.
    """

    def __init__(
        self,
        model: Model,
        *,
        seats: int,
        most: int,
        prefixes: Sequence[Sequence[int]],
        temperatures: Sequence[float],
        top_k: int = 0,
        top_p: float = 1.0,
        seed: int = 1,
        watch: Watch | None = None,
    ) -> None:
        longest = max(map(len, prefixes))
        if longest + most > model.context:
            raise DeepproverbsError(
                f"A prefix of {longest} tokens and {most} more do not fit the model's {model.context}; "
                "lower [sample] max_tokens."
            )
        self.lib, self.model, self.watch, self.seats, self.most = model.lib, model, watch, seats, most
        self.longest = longest + most
        flat = np.array([t for prefix in prefixes for t in prefix], dtype=np.int32)
        offsets = np.cumsum([0, *map(len, prefixes)]).astype(np.int32)
        warm = np.array(temperatures, dtype=np.float32)
        starts = _ints(flat), len(flat), _ints(offsets), len(prefixes)
        drawing = _floats(warm), len(warm), top_k, top_p, seed % 2**64
        why, given = c_char_p(), (model.handle, watch.handle if watch else None, seats, most)
        self.handle = _made(self.lib.sampler_new(*given, *starts, *drawing, ctypes.byref(why)), why)

    def run(self, counter: Counter, want: int, limit: int = UNLIMITED) -> Texts:
        """Sample until `want` texts have ended, no number below `limit` is left, or the counter's flag is set.

        Unfinished texts stay for the next call. Other threads run meanwhile.
        """
        room = want + self.seats
        texts = Texts(
            np.empty(room, np.int64),
            np.empty(room, np.int32),
            np.empty(room, np.int32),
            np.empty((room, self.most), np.int32),
            np.empty(room, np.float32),
            np.empty(room, np.float32),
        )
        order = (texts.number, texts.length, texts.status, texts.tokens, texts.logprob, texts.hardest)
        out = _Texts(*(array.ctypes.data for array in order))
        stop = ctypes.addressof(counter.stop)
        n = self.lib.sampler_run(self.handle, ctypes.addressof(counter.next), limit, want, stop, ctypes.byref(out))
        if n < 0:
            raise self.model.diverged("gives no probabilities")
        return Texts(*(array[:n] for array in order))

    def spent(self) -> dict[str, float]:
        """Seconds in each part so far; all 0 unless the decoder was compiled with -DPROFILE."""
        out = (c_double * len(PARTS))()
        self.lib.sampler_spent(self.handle, out)
        return dict(zip(PARTS, out, strict=True))

    def reset(self) -> None:
        """Forget the unfinished texts."""
        self.lib.sampler_reset(self.handle)

    def logits(self, tokens: Sequence[int]) -> Array:
        """Logits [n, vocabulary] after each of n tokens. Spoils the unfinished texts."""
        return self.logits_of([tokens])[0]

    def logits_of(self, texts: Sequence[Sequence[int]]) -> list[Array]:
        """The logits of some texts, at most as many as there are seats, computed side by side."""
        longest = max(map(len, texts))
        if longest > self.longest or len(texts) > self.seats:
            raise ValueError(f"{len(texts)} texts of {longest} tokens in a sampler for {self.seats} of {self.longest}")
        given = np.array([token for text in texts for token in text], dtype=np.int32)
        offsets = np.cumsum([0, *map(len, texts)]).astype(np.int32)
        out = np.empty((len(given), self.model.vocabulary), np.float32)
        if not self.lib.sampler_logits(self.handle, _ints(given), len(given), _ints(offsets), len(texts), _floats(out)):
            raise ValueError("a text without tokens, or one with a token that the model does not have")
        return np.split(out, offsets[1:-1])

    def __del__(self) -> None:
        if handle := getattr(self, "handle", None):
            self.lib.sampler_free(handle)
