"""What a converted model is, read from the names and scalars of its variables, and whether the C decoder can sample it.

Two architectures: GPT-2, and Llama with its kin (SmolLM2, Qwen2, Mistral without a window): RMS norms, rotary positions
in halves, grouped keys and values, SwiGLU, any biases of products, and an output layer that may be the embeddings.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from training.common.errors import DeepproverbsError
from training.sample.native.weights import Array, read_weights

LAYER = re.compile(r"decoder/layer_(\d+)/(.+)")
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
    def place(self) -> int:
        """Bytes of a token's keys and values."""
        return self.layers * 2 * self.kv_heads * self.size * 2


def unsupported(folder: Path) -> str | None:
    """What of the converted model in `folder` the C decoder cannot do; None if it can sample it. Reads no weights.

    Raises:
        DeepproverbsError: there is no such model, or its file is damaged.
    """
    return _unsupported(read_weights(folder / "model.bin"), epsilon(folder))


def shape_of(folder: Path, w: Mapping[str, Array] | None = None) -> Shape:
    """The shape of a model; `w`: its variables, if they are at hand.

    Raises:
        DeepproverbsError: it is none that the C decoder can sample.
    """
    w = w or read_weights(folder / "model.bin")
    if reason := _unsupported(w, epsilon(folder)):
        raise DeepproverbsError(
            f"The native engine cannot sample the model in {folder} ({reason}); set [sample] engine to ctranslate2."
        )
    return _shape(w)


def epsilon(folder: Path) -> float | None:
    """What the norms add to the mean square, if config.json says so."""
    try:
        value = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("layer_norm_epsilon")
        return None if value is None else float(value)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise DeepproverbsError(
            f"{folder / 'config.json'} is none of a converted model ({error}); delete the folder and convert again."
        ) from error


def _unsupported(w: Mapping[str, Array], added: float | None) -> str | None:
    llama = "decoder/position_encodings/encodings" not in w
    layers = 1 + max((int(found[1]) for name in w if (found := LAYER.fullmatch(name))), default=-1)
    outside, inside, may = (LLAMA, LLAMA_LAYER, LLAMA_MAY) if llama else (GPT2, GPT2_LAYER, set())
    wanted = outside | {f"decoder/layer_{i}/{name}" for i in range(layers) for name in inside}
    known = wanted | IGNORED | {f"decoder/layer_{i}/{name}" for i in range(layers) for name in may}
    if unknown := next((name for name in w if name not in known), None):
        return f"it has {unknown}"
    if missing := min(wanted - w.keys(), default=None):
        return f"it has no {missing}"
    if coded := next((name for name, array in w.items() if array.ndim and array.dtype != np.float32), None):
        return f"{coded} is not in float32"
    if wrong := next((name for name, value in FLAGS.items() if w[name] != value), None):
        return f"{wrong} is {w[wrong]}"
    if w["decoder/activation"] != (SWISH if llama else GELU_TANH):
        return f"its activation is CTranslate2's number {w['decoder/activation']}"
    if not llama and added not in (None, 1e-5) and not np.isclose(added, 1e-5):
        return f"its norms add {added}"
    return _misshapen(w, layers) or (_rotary(w, layers) if llama else None)


def _rotary(w: Mapping[str, Array], layers: int) -> str | None:
    for name in sorted(ROTARY | {"self_attention/num_heads_kv"}):
        if len({w[at].item() for i in range(layers) if (at := f"decoder/layer_{i}/{name}") in w}) > 1:
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
    queries, qkv = s.heads * s.size, (s.heads + 2 * s.kv_heads) * s.size
    products = {
        "self_attention/linear_0": (qkv, s.width),
        "self_attention/linear_1": (s.width, queries),
        "ffn/linear_0": (s.hidden, s.width),
        GATE: (s.hidden, s.width),
        "ffn/linear_1": (s.width, s.hidden),
    }
    wanted: dict[str, tuple[int, ...]] = {"decoder/projection/weight": (s.vocabulary, s.width)}
    wanted |= {f"decoder/layer_norm/{part}": (s.width,) for part in ("gamma", "beta")}
    for i in range(layers):
        at = f"decoder/layer_{i}"
        for name, (outputs, inputs) in products.items():
            wanted |= {f"{at}/{name}/weight": (outputs, inputs), f"{at}/{name}/bias": (outputs,)}
        wanted |= {f"{at}/{name}": (s.width,) for name in NORMS | BETAS}
    wrong = next((name for name, shape in wanted.items() if name in w and w[name].shape != shape), None)
    return f"{wrong} has the shape {w[wrong].shape}" if wrong else None
