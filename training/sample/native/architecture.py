"""What a converted model is, read from the names and scalars of its variables, and whether the C decoder can sample it.

Two architectures: GPT-2, and Llama with its kin (SmolLM2, Qwen2, Mistral without a window): RMS norms, rotary positions
in halves, grouped keys and values, SwiGLU, any biases of products, and an output layer that may be the embeddings.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from training.common.errors import DeepproverbsError
from training.model.layout import Hparams, read_hparams
from training.sample.native.weights import Array, damaged, read_weights

LAYER = re.compile(r"decoder/layer_(0|[1-9][0-9]{0,3})/(.+)")
GELU_TANH, SWISH = 1, 2
"""CTranslate2's numbers of activations (ctranslate2/specs/common_spec.py)."""

IGNORED = {
    f"decoder/{name}" for name in ("alignment_heads", "alignment_layer", "alibi_use_positive_positions", "scale_alibi")
}
"""Without ALiBi and an encoder they change nothing."""
FLAGS = {
    "decoder/pre_norm": 1,
    "decoder/alibi": 0,
    "decoder/scale_embeddings": 0,
    "decoder/start_from_zero_embedding": 0,
}
"""What these must be."""
SCALARS = {"decoder/num_heads", "decoder/activation", *FLAGS}
OUTSIDE = {"decoder/embeddings/weight", "decoder/projection/weight", "decoder/layer_norm/gamma"}
PRODUCTS = [f"{part}/linear_{n}" for part in ("self_attention", "ffn") for n in (0, 1)]
NORMS = {f"{part}/layer_norm/gamma" for part in ("self_attention", "ffn")}
GATE = "ffn/linear_0_noact"
ROTARY = {"self_attention/rotary_base", "self_attention/rotary_dim", "self_attention/rotary_interleave"}

BETAS = {name.replace("gamma", "beta") for name in NORMS}
WEIGHTS, BIASES = ({f"{name}/{part}" for name in PRODUCTS} for part in ("weight", "bias"))
GPT2 = SCALARS | OUTSIDE | {"decoder/layer_norm/beta", "decoder/position_encodings/encodings"}
GPT2_LAYER = NORMS | BETAS | WEIGHTS | BIASES
LLAMA, LLAMA_LAYER = SCALARS | OUTSIDE, NORMS | WEIGHTS | ROTARY | {f"{GATE}/weight"}
LLAMA_MAY = BIASES | {f"{GATE}/bias", "self_attention/num_heads_kv", "self_attention/head_dim"}

RANKS = {"weight": 2, "encodings": 2, "bias": 1, "gamma": 1, "beta": 1}
"""Last part of a name → dimensions; all others are scalars."""
MOST = {
    "layers": 1 << 10,
    "size": 1 << 13,
    "width": 1 << 16,
    "hidden": 1 << 16,
    "queries": 1 << 16,
    "vocabulary": 1 << 22,
}
"""What decoder.c has room for (model.h says why)."""


@dataclass(frozen=True)
class Shape:
    """What decoder.c wants to know of a model, in the order of its struct."""

    llama: bool
    layers: int
    heads: int
    kv_heads: int
    """Heads with keys and values of their own; the others share them."""
    size: int
    """Of a head."""
    width: int
    hidden: int
    vocabulary: int

    @property
    def queries(self) -> int:
        """Numbers of all heads."""
        return self.heads * self.size

    @property
    def place(self) -> int:
        """Bytes of a token's keys and values."""
        return self.layers * 2 * self.kv_heads * self.size * 2


def unsupported(folder: Path, tokens: int | None = None) -> str | None:
    """What of the converted model in `folder` the C decoder cannot do; None if it can sample it. Reads no weights.
    `tokens`: how many it must have.

    Raises:
        DeepproverbsError: there is no such model, or its file is damaged: it says something else than hparams.json, or
            than it says itself elsewhere.
    """
    w = read_weights(folder / "model.bin")
    rows = w.get("decoder/embeddings/weight")
    if tokens is not None and rows is not None and rows.shape[:1] != (tokens,):
        raise damaged(
            folder / "model.bin", f"it has embeddings {rows.shape}, and kept.json and the tokenizer {tokens:,}"
        )
    return _unsupported(folder, w)


def shape_of(folder: Path, w: Mapping[str, Array] | None = None) -> Shape:
    """The shape of a model; `w`: its variables, if they are at hand.

    Raises:
        DeepproverbsError: it is none that the C decoder can sample, or damaged.
    """
    w = w or read_weights(folder / "model.bin")
    if reason := _unsupported(folder, w):
        raise DeepproverbsError(
            f"The native engine cannot sample the model in {folder} ({reason}); set [sample] engine to ctranslate2."
        )
    return _shape(w)


def epsilon(folder: Path) -> float | None:
    """What the norms add to the mean square, if config.json says so."""
    path = folder / "config.json"
    try:
        value = json.loads(path.read_text(encoding="utf-8")).get("layer_norm_epsilon")
        if value is not None and not (type(value) in (int, float) and 0 <= value <= 1):
            raise ValueError(f"layer_norm_epsilon is {str(value)[:20]}")
        return None if value is None else float(value)
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise DeepproverbsError(
            f"{path} is not part of a converted model ({error}); delete its folder, and the next run converts again."
        ) from error


def _unsupported(folder: Path, w: Mapping[str, Array]) -> str | None:
    added, path = epsilon(folder), folder / "model.bin"
    llama = "decoder/position_encodings/encodings" not in w
    layers = 1 + max((int(found[1]) for name in w if (found := LAYER.fullmatch(name))), default=-1)
    outside, inside, may = (LLAMA, LLAMA_LAYER, LLAMA_MAY) if llama else (GPT2, GPT2_LAYER, set())
    wanted = outside | {f"decoder/layer_{i}/{name}" for i in range(layers) for name in inside}
    known = wanted | IGNORED | {f"decoder/layer_{i}/{name}" for i in range(layers) for name in may}
    declared = read_hparams(folder) if (folder / "hparams.json").is_file() else None
    names = next((f"it has {name}" for name in w if name not in known), None)
    names = names or next((f"it has no {name}" for name in sorted(wanted - w.keys())), None)
    if names and declared and declared.architecture == "gpt2":
        raise damaged(path, names)  # the conversion gives every GPT-2 these variables and no others
    if names:
        return names
    if not layers:
        raise damaged(path, "it has no layers")
    of_rank = ((name, RANKS.get(name.rpartition("/")[2], 0)) for name in sorted(w.keys() - IGNORED))
    if wrong := next((name for name, rank in of_rank if w[name].ndim != rank or not w[name].size), None):
        raise damaged(path, f"{wrong} has the shape {w[wrong].shape}")
    if coded := next((name for name, array in w.items() if array.ndim and array.dtype != np.float32), None):
        return f"{coded} is not in float32"
    if wrong := next((name for name, value in FLAGS.items() if w[name] != value), None):
        return f"{wrong} is {w[wrong]}"
    if w["decoder/activation"] != (SWISH if llama else GELU_TANH):
        return f"its activation is CTranslate2's number {w['decoder/activation']}"
    if not llama and added not in (None, 1e-5) and not np.isclose(added, 1e-5):
        return f"its norms add {added}"
    if reason := _misshapen(w, layers) or (declared and _other_than_declared(declared, w)):
        raise damaged(path, reason)
    shape = _shape(w)
    if large := next((name for name, most in MOST.items() if getattr(shape, name) > most), None):
        return f"its {large} are {getattr(shape, large):,}, more than {MOST[large]:,}"
    return _rotary(w, layers) if llama else None


def _rotary(w: Mapping[str, Array], layers: int) -> str | None:
    for name in sorted(ROTARY):
        if len({w[f"decoder/layer_{i}/{name}"].item() for i in range(layers)}) > 1:
            return f"{name} differs from layer to layer"
    at, size = "decoder/layer_0/self_attention", _shape(w).size
    if w[f"{at}/rotary_interleave"]:
        return "its rotary positions turn neighbours, not halves"
    if w[f"{at}/rotary_dim"] not in (0, size) or size % 2:
        return f"its rotary positions turn {w[f'{at}/rotary_dim']} of {size} numbers of a head"
    return None


def _shape(w: Mapping[str, Array]) -> Shape:
    at = "decoder/layer_0"
    heads = int(w["decoder/num_heads"])
    kv_heads = int(w.get(f"{at}/self_attention/num_heads_kv", heads))
    size = len(w[f"{at}/self_attention/linear_0/weight"]) // max(heads + 2 * kv_heads, 1)
    hidden, (vocabulary, width) = len(w[f"{at}/ffn/linear_0/weight"]), w["decoder/embeddings/weight"].shape
    layers = sum(name.endswith("ffn/linear_0/weight") for name in w)
    return Shape(f"{at}/{GATE}/weight" in w, layers, heads, kv_heads, size, width, hidden, vocabulary)


def _misshapen(w: Mapping[str, Array], layers: int) -> str | None:
    """The decoder reads as many numbers as the shape says: every array must have them."""
    s = _shape(w)
    if min(s.heads, s.kv_heads, s.size) < 1 or s.heads % s.kv_heads:
        return f"it has {s.heads} heads and {s.kv_heads} of keys"
    qkv = (s.heads + 2 * s.kv_heads) * s.size
    products = {
        "self_attention/linear_0": (qkv, s.width),
        "self_attention/linear_1": (s.width, s.queries),
        "ffn/linear_0": (s.hidden, s.width),
        GATE: (s.hidden, s.width),
        "ffn/linear_1": (s.width, s.hidden),
    }
    wanted: dict[str, tuple[int, ...]] = {"decoder/projection/weight": (s.vocabulary, s.width)}
    wanted |= {f"decoder/layer_norm/{part}": (s.width,) for part in ("gamma", "beta")}
    if (places := "decoder/position_encodings/encodings") in w:
        wanted[places] = (len(w[places]), s.width)
    for i in range(layers):
        at = f"decoder/layer_{i}"
        for name, (outputs, inputs) in products.items():
            wanted |= {f"{at}/{name}/weight": (outputs, inputs), f"{at}/{name}/bias": (outputs,)}
        wanted |= {f"{at}/{name}": (s.width,) for name in NORMS | BETAS}
        for name, number in (("num_heads_kv", s.kv_heads), ("head_dim", s.size)):
            if w.get(f"{at}/self_attention/{name}", number) != number:
                return f"{at}/self_attention/{name} is not {number}"
        if not 1 <= w.get(f"{at}/self_attention/rotary_base", 1) < math.inf:
            return f"{at}/self_attention/rotary_base is {w[f'{at}/self_attention/rotary_base']}"
    wrong = next((name for name, shape in wanted.items() if name in w and w[name].shape != shape), None)
    return f"{wrong} has the shape {w[wrong].shape}" if wrong else None


def _other_than_declared(declared: Hparams, w: Mapping[str, Array]) -> str | None:
    """Where hparams.json, which the conversion writes beside, says something else."""
    s = _shape(w)
    places = w.get("decoder/position_encodings/encodings")
    numbers = {
        "layers": (s.layers, declared.n_layer),
        "heads": (s.heads, declared.n_head),
        "heads of keys": (s.kv_heads, declared.n_head_kv or declared.n_head),
        "numbers a token": (s.width, declared.n_embd),
        "positions": (declared.n_ctx if places is None else len(places), declared.n_ctx),
        "tokens": (max(s.vocabulary, declared.n_vocab), declared.n_vocab),
    }
    told = (f"{here} {what}, {there} in hparams.json" for what, (here, there) in numbers.items() if here != there)
    return next(told, None)
