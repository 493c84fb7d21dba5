"""A GPT-2 of a few thousand weights, and a second implementation of it in NumPy to judge the others by."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from training.common.text import END_OF_TEXT
from training.model.convert import write_model
from training.model.converted import byte_of_character

HPARAMS = {"n_vocab": 257, "n_ctx": 64, "n_embd": 64, "n_head": 2, "n_layer": 2}
END = 256
Arrays = dict[str, Any]


def arrays(seed: int = 1, spread: float = 0.25, hparams: dict[str, int] = HPARAMS) -> Arrays:
    """Weights under the checkpoint's names; `spread` makes the distributions pointed enough to test."""
    rng, d = np.random.default_rng(seed), hparams["n_embd"]

    def random(*shape: int, by: float = spread) -> Any:
        return (rng.standard_normal(shape) * by).astype(np.float32)

    made: Arrays = {"model/wte": random(hparams["n_vocab"], d), "model/wpe": random(hparams["n_ctx"], d)}
    for norm in ["ln_f", *(f"h{i}/ln_{n}" for i in range(hparams["n_layer"]) for n in (1, 2))]:
        made[f"model/{norm}/g"], made[f"model/{norm}/b"] = 1 + random(d), random(d)
    for i in range(hparams["n_layer"]):
        shapes = {"attn/c_attn": (d, 3 * d), "attn/c_proj": (d, d), "mlp/c_fc": (d, 4 * d), "mlp/c_proj": (4 * d, d)}
        for name, shape in shapes.items():
            made[f"model/h{i}/{name}/w"], made[f"model/h{i}/{name}/b"] = random(1, *shape), random(shape[1])
    return made


def source(folder: Path, heads: int = HPARAMS["n_head"]) -> Path:
    """encoder.json, vocab.bpe and hparams.json: a token a byte, and the end token."""
    folder.mkdir(parents=True, exist_ok=True)
    byte_of = byte_of_character()
    encoder = {character: byte for character, byte in byte_of.items()} | {END_OF_TEXT: END}
    (folder / "encoder.json").write_text(json.dumps(encoder))
    (folder / "vocab.bpe").write_text("#version: 0.2\n")
    (folder / "hparams.json").write_text(json.dumps(HPARAMS | {"n_head": heads}))
    return folder


def model(folder: Path, rows: list[int] | None = None, seed: int = 1, heads: int = HPARAMS["n_head"]) -> Path:
    """A converted model in `folder`/model."""
    write_model(arrays(seed), source(folder / "source", heads), folder / "model", rows)
    return folder / "model"


def halves(x: Any) -> Any:
    """Rounded to bfloat16, to nearest."""
    bits = np.ascontiguousarray(x, dtype=np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)).view(np.float32).astype(np.float64)


def logits(a: Arrays, tokens: list[int], int8: bool = False, heads: int = HPARAMS["n_head"]) -> Any:
    """Logits [n, vocabulary] after each token, in float64; `int8`: as the native engine rounds, matrix products to
    int8 and keys and values to bfloat16."""

    def times(x: Any, w: Any) -> Any:  # [n, in] x [out, in]
        if not int8:
            return x @ w.T
        xs, ws = (np.abs(m).max(axis=1, keepdims=True) / 127 for m in (x, w))
        return (np.rint(x / xs) @ np.rint(w / ws).T) * xs * ws.T

    def norm(x: Any, name: str) -> Any:
        centred = x - x.mean(axis=1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-5)
        return scaled * a[f"model/{name}/g"] + a[f"model/{name}/b"]

    def linear(x: Any, name: str) -> Any:
        return times(x, a[f"model/{name}/w"][0].T.astype(np.float64)) + a[f"model/{name}/b"]

    def softmax(x: Any) -> Any:
        e = np.exp(x - x.max(axis=-1, keepdims=True))
        return e / e.sum(axis=-1, keepdims=True)

    n, d = len(tokens), HPARAMS["n_embd"]
    x = (a["model/wte"][tokens] + a["model/wpe"][:n]).astype(np.float64)
    for i in range(HPARAMS["n_layer"]):
        qkv = linear(norm(x, f"h{i}/ln_1"), f"h{i}/attn/c_attn").reshape(n, 3, heads, d // heads)
        q, k, v = (qkv[:, part].transpose(1, 0, 2) for part in range(3))
        if int8:
            k, v = halves(k), halves(v)
        scores = q @ k.transpose(0, 2, 1) / np.sqrt(d // heads)
        scores[:, ~np.tri(n, dtype=bool)] = -np.inf
        x = x + linear((softmax(scores) @ v).transpose(1, 0, 2).reshape(n, d), f"h{i}/attn/c_proj")
        h = linear(norm(x, f"h{i}/ln_2"), f"h{i}/mlp/c_fc")
        h = 0.5 * h * (1 + np.tanh(np.sqrt(2 / np.pi) * (h + 0.044715 * h**3)))
        x = x + linear(h, f"h{i}/mlp/c_proj")
    return times(norm(x, "ln_f"), a["model/wte"].astype(np.float64))


def distribution(row: Any, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0) -> Any:
    """Exact probabilities of the next token, by sorting: the k most probable, then as many as hold top_p."""
    p = np.exp((row - row.max()) / temperature)
    p /= p.sum()
    order = np.argsort(-p, kind="stable")
    if top_k:
        p[order[top_k:]] = 0
        p /= p.sum()
    before = np.cumsum(p[order]) - p[order]
    p[order[before >= top_p]] = 0
    return p / p.sum()
