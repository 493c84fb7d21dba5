"""Llama-like models of a few thousand weights, and a second implementation in NumPy to judge the others by."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.helpers.tiny import END, Arrays, halves
from training.common.text import END_OF_TEXT

EPSILON = 1e-5


@dataclass(frozen=True)
class Size:
    layers: int = 2
    heads: int = 2
    kv_heads: int = 1
    size: int = 64
    width: int = 128
    hidden: int = 100
    tied: bool = True
    biased: bool = False
    """Whether the product of queries, keys and values has biases, as Qwen2's has."""
    base: float = 10_000.0
    """Of the rotary positions."""
    vocabulary: int = 257


USUAL = Size()
ODD = Size(layers=3, heads=3, kv_heads=3, size=20, width=60, hidden=72, tied=False, biased=True, base=500.0)


def arrays(s: Size, seed: int = 1) -> Arrays:
    """Weights [out, in]; inputs of unit size give outputs of about that size."""
    rng = np.random.default_rng(seed)

    def random(*shape: int, by: float = 1.0) -> Any:
        return (rng.standard_normal(shape) * by).astype(np.float32)

    def product(out: int, inputs: int) -> Any:
        return random(out, inputs, by=inputs**-0.5)

    made: Arrays = {"tokens": random(s.vocabulary, s.width), "norm": random(s.width, by=2 * s.width**-0.5)}
    made["head"] = made["tokens"] if s.tied else random(s.vocabulary, s.width)
    for i in range(s.layers):
        made |= {f"{i}/norm{n}": 1 + random(s.width, by=0.2) for n in (1, 2)}
        made[f"{i}/qkv"] = product((s.heads + 2 * s.kv_heads) * s.size, s.width)
        made[f"{i}/qkv bias"] = random(len(made[f"{i}/qkv"]), by=0.5 if s.biased else 0)
        made[f"{i}/out"] = product(s.width, s.heads * s.size)
        made[f"{i}/gate"], made[f"{i}/up"] = product(s.hidden, s.width), product(s.hidden, s.width)
        made[f"{i}/down"] = product(s.width, s.hidden)
    return made


def massive(s: Size, end: int = END) -> Arrays:
    """As in real models, the network of a layer computes numbers of another order: 10,000 for the end token at the
    start, and 30 for every token. What follows has small weights for them, so that the others count as much."""
    made = arrays(s)
    start, always = 7, 8  # places of the residual stream that say so
    made["tokens"] = made["tokens"].copy()
    made["tokens"][:, [start, always]] = 0, 3
    made["tokens"][end, start] = s.width**0.5
    made["0/norm2"][[start, always]], made["0/out"][[start, always]] = 1, 0
    for name in ("0/gate", "0/up"):
        made[name][:2] = 0
        made[name][0, start], made[name][1, always] = 12, 2
    made["0/down"] *= 3
    made["0/down"][:, :2] /= 10_000, 30
    if s.tied:
        made["head"] = made["tokens"]
    return made


def specification(s: Size, a: Arrays, **settings: Any) -> Any:
    """CTranslate2's specification, as its converter makes it of a Llama; `settings` changes what it takes."""
    from ctranslate2.specs import common_spec, transformer_spec

    usual = {"pre_norm": True, "activation": common_spec.Activation.SWISH, "ffn_glu": True, "rms_norm": True}
    usual |= {"rotary_dim": 0, "rotary_interleave": False, "rotary_base": s.base}
    usual |= {} if s.kv_heads == s.heads else {"num_heads_kv": s.kv_heads}
    usual |= {} if s.size * s.heads == s.width else {"head_dim": s.size}
    spec = transformer_spec.TransformerDecoderModelSpec.from_config(s.layers, s.heads, **(usual | settings))
    decoder = spec.decoder
    decoder.scale_embeddings = False
    decoder.embeddings.weight, decoder.projection.weight, decoder.layer_norm.gamma = a["tokens"], a["head"], a["norm"]
    for i, layer in enumerate(decoder.layer):
        attention, network = layer.self_attention, layer.ffn
        attention.layer_norm.gamma, network.layer_norm.gamma = a[f"{i}/norm1"], a[f"{i}/norm2"]
        attention.linear[0].weight, attention.linear[1].weight = a[f"{i}/qkv"], a[f"{i}/out"]
        if s.biased:
            attention.linear[0].bias = a[f"{i}/qkv bias"]
        network.linear_0.weight, network.linear_0_noact.weight = a[f"{i}/gate"], a[f"{i}/up"]
        network.linear_1.weight = a[f"{i}/down"]
    spec.register_vocabulary(names(s))
    spec.config.bos_token = spec.config.eos_token = spec.config.unk_token = END_OF_TEXT
    spec.config.layer_norm_epsilon = EPSILON
    return spec


def names(s: Size) -> list[str]:
    return [END_OF_TEXT if row == END else f"<{row}>" for row in range(s.vocabulary)]


def save(spec: Any, folder: Path, quantization: str | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    spec.validate()
    spec.optimize(quantization=quantization)
    spec.save(str(folder))
    return folder


def model(folder: Path, s: Size, a: Arrays | None = None, **settings: Any) -> Path:
    return save(specification(s, a or arrays(s), **settings), folder)


def spreading(k: int) -> Any:
    """The orthogonal matrix of training/sample/native/vector.h for inputs of `k` numbers, [k, k rounded up to 64]."""
    four = np.array([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]]) / 2
    room = -(-k // 64) * 64
    far, near = np.kron(four, np.eye(room // 4)), np.kron(np.eye(room // 64), np.kron(four, np.eye(16)))
    return (far @ near)[:k]


def logits(s: Size, a: Arrays, tokens: list[int], rounding: str = "exact") -> Any:
    """Logits [n, vocabulary] after each token, in float64. rounding: "int8", products in int8 as GPT-2's are; "native",
    with the native engine's spreading, its bfloat16 keys and values, and its exact start."""

    def times(x: Any, w: Any) -> Any:  # [n, in] x [out, in]
        exact, w = x @ w.T.astype(np.float64), w.astype(np.float64)
        if rounding == "exact":
            return exact
        spread = spreading(x.shape[1]) if rounding == "native" else np.eye(x.shape[1])
        x, w = x @ spread, w @ spread
        xs, ws = (np.maximum(np.abs(m).max(axis=1, keepdims=True), 1e-9) / 127 for m in (x, w))
        found = (np.rint(x / xs) @ np.rint(w / ws).T) * xs * ws.T
        return np.concatenate([exact[:1], found[1:]]) if rounding == "native" else found

    def norm(x: Any, gamma: Any) -> Any:
        return x / np.sqrt((x**2).mean(axis=1, keepdims=True) + EPSILON) * gamma

    def turned(x: Any) -> Any:  # [head, n, size], as complex numbers
        half = s.size // 2
        angle = np.arange(x.shape[1])[:, None] * s.base ** (-np.arange(half) / half)
        z = (x[..., :half] + 1j * x[..., half:]) * np.exp(1j * angle)
        return np.concatenate([z.real, z.imag], axis=-1)

    n, group = len(tokens), s.heads // s.kv_heads
    x = a["tokens"][tokens].astype(np.float64)
    for i in range(s.layers):
        qkv = times(norm(x, a[f"{i}/norm1"]), a[f"{i}/qkv"]) + a[f"{i}/qkv bias"]
        heads = qkv.reshape(n, -1, s.size).transpose(1, 0, 2)
        q, k, v = np.split(heads, [s.heads, s.heads + s.kv_heads])
        q, k = turned(q), turned(k)
        start = np.repeat(v[:, 0], group, axis=0)
        if rounding == "native":
            k, v = halves(k), halves(v)
        scores = q @ np.repeat(k, group, axis=0).transpose(0, 2, 1) / np.sqrt(s.size)
        scores[:, ~np.tri(n, dtype=bool)] = -np.inf
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        attended = weights / weights.sum(axis=-1, keepdims=True) @ np.repeat(v, group, axis=0)
        attended[:, 0] = start
        x = x + times(attended.transpose(1, 0, 2).reshape(n, -1), a[f"{i}/out"])
        h = norm(x, a[f"{i}/norm2"])
        gate = times(h, a[f"{i}/gate"])
        x = x + times(gate / (1 + np.exp(-gate)) * times(h, a[f"{i}/up"]), a[f"{i}/down"])
    return times(norm(x, a["norm"]), a["head"])


def divergence(exact: Any, found: Any) -> Any:
    """KL(exact || found) of rows of logits, nats."""
    log_p, log_q = (row - np.logaddexp.reduce(row, axis=1, keepdims=True) for row in (exact, found))
    return (np.exp(log_p) * (log_p - log_q)).sum(axis=1)
