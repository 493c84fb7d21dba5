"""A Llama of a few thousand weights in Hugging Face's layout, and a second implementation of it in NumPy.

    folder(tmp_path, vocabulary=8192, width=32)        folder(tmp_path, massive=True)

With `massive` the first token of a text carries one huge number through the layers, as in SmolLM2 and most Llamas: in
int8 nothing else of it is left.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.helpers.nano import NANO
from training.common.text import END_OF_TEXT
from training.corpus.tokenizer import load_tokenizer

Arrays = dict[str, Any]
FLAG, HUGE = 0, 1
"""Of a massive model's width: +1 in the end token's embedding and -1 in all others; the huge number."""
SIZE = 3000.0
EPSILON, BASE = 1e-5, 10_000.0


@dataclass(frozen=True)
class Shape:
    vocabulary: int = 4096
    """Rows; the tokens are nano's 4,096."""
    width: int = 64
    inner: int = 128
    layers: int = 3
    heads: int = 4
    heads_kv: int = 2
    longest: int = 128
    tied: bool = True


def arrays(shape: Shape, seed: int = 1, spread: float = 1.0, massive: bool = False) -> Arrays:
    """Weights under Hugging Face's names. spread: of the logits, about, in nats."""
    rng, d = np.random.default_rng(seed), shape.width
    size = d // shape.heads

    def random(rows: int, columns: int, by: float = 1.0) -> Any:
        return (rng.standard_normal((rows, columns)) * by / math.sqrt(columns)).astype(np.float32)

    made: Arrays = {"model.embed_tokens.weight": random(shape.vocabulary, d, spread)}
    made["model.norm.weight"] = (1 + 0.1 * rng.standard_normal(d)).astype(np.float32)
    if not shape.tied:
        made["lm_head.weight"] = random(shape.vocabulary, d, spread)
    for i in range(shape.layers):
        at = f"model.layers.{i}"
        for name in ("input_layernorm", "post_attention_layernorm"):
            made[f"{at}.{name}.weight"] = (1 + 0.1 * rng.standard_normal(d)).astype(np.float32)
        for name, heads in (("q", shape.heads), ("k", shape.heads_kv), ("v", shape.heads_kv)):
            made[f"{at}.self_attn.{name}_proj.weight"] = random(heads * size, d)
        made[f"{at}.self_attn.o_proj.weight"] = random(d, d, 0.3)
        for name in ("gate", "up"):
            made[f"{at}.mlp.{name}_proj.weight"] = random(shape.inner, d)
        made[f"{at}.mlp.down_proj.weight"] = random(d, shape.inner, 0.3)
    if massive:
        _make_massive(made, shape)
    return made


def _make_massive(made: Arrays, shape: Shape) -> None:
    """The first layer's first unit turns the flag into the huge number, the last layer's takes it away again."""
    end = load_tokenizer(NANO).token_to_id(END_OF_TEXT)
    embeddings = made["model.embed_tokens.weight"]
    embeddings *= 8  # beside the flags they must be seen
    embeddings[:, FLAG], embeddings[end, FLAG], embeddings[:, HUGE] = -1, 1, 0
    made["model.norm.weight"] /= 8
    made["model.norm.weight"][[FLAG, HUGE]] = 0
    for i in range(shape.layers):
        for name in ("self_attn.o_proj", "mlp.down_proj"):
            made[f"model.layers.{i}.{name}.weight"][[FLAG, HUGE]] = 0
    last = shape.layers - 1
    for layer, reads, by, target in ((0, FLAG, 40, SIZE), (last, HUGE, 4, -SIZE)):
        at = f"model.layers.{layer}.mlp"
        for name in ("gate", "up"):
            made[f"{at}.{name}_proj.weight"][0] = 0
            made[f"{at}.{name}_proj.weight"][0, reads] = by
        inner = forward(made, [end], shape)[1][layer][0, 0]
        made[f"{at}.down_proj.weight"][:, 0] = 0
        made[f"{at}.down_proj.weight"][HUGE, 0] = target / inner


def forward(a: Arrays, tokens: list[int], shape: Shape) -> tuple[Any, list[Any]]:
    """(logits [n, vocabulary] after each token, each layer's inner values [n, inner]) in float64."""
    n, size = len(tokens), shape.width // shape.heads
    angles = np.arange(n)[:, None] / BASE ** (np.arange(size // 2) * 2 / size)
    cos, sin = (np.concatenate([f(angles), f(angles)], axis=1) for f in (np.cos, np.sin))

    def norm(x: Any, name: str) -> Any:
        return x / np.sqrt((x**2).mean(axis=1, keepdims=True) + EPSILON) * a[f"{name}.weight"]

    def heads(x: Any, name: str, count: int) -> Any:  # [heads, n, size]
        return (x @ a[f"{name}.weight"].T).reshape(n, count, size).transpose(1, 0, 2)

    def turned(x: Any) -> Any:
        return x * cos + np.concatenate([-x[..., size // 2 :], x[..., : size // 2]], axis=-1) * sin

    x, inner = a["model.embed_tokens.weight"][tokens].astype(np.float64), []
    for i in range(shape.layers):
        at = f"model.layers.{i}"
        y = norm(x, f"{at}.input_layernorm")
        q = turned(heads(y, f"{at}.self_attn.q_proj", shape.heads))
        k, v = (heads(y, f"{at}.self_attn.{name}_proj", shape.heads_kv) for name in "kv")
        k, v = (np.repeat(values, shape.heads // shape.heads_kv, axis=0) for values in (turned(k), v))
        scores = q @ k.transpose(0, 2, 1) / math.sqrt(size)
        scores[:, ~np.tri(n, dtype=bool)] = -np.inf
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        weights /= weights.sum(axis=-1, keepdims=True)
        x = x + (weights @ v).transpose(1, 0, 2).reshape(n, -1) @ a[f"{at}.self_attn.o_proj.weight"].T
        y = norm(x, f"{at}.post_attention_layernorm")
        gate = y @ a[f"{at}.mlp.gate_proj.weight"].T
        inner.append(gate / (1 + np.exp(-gate)) * (y @ a[f"{at}.mlp.up_proj.weight"].T))
        x = x + inner[-1] @ a[f"{at}.mlp.down_proj.weight"].T
    head = a["model.embed_tokens.weight" if shape.tied else "lm_head.weight"]
    return norm(x, "model.norm") @ head.T, inner


def write(folder: Path, made: Arrays, shape: Shape) -> Path:
    """These weights as transformers loads them, with nano's tokenizer."""
    from safetensors.numpy import save_file
    from tokenizers import AddedToken

    folder.mkdir(parents=True, exist_ok=True)
    save_file(made, folder / "model.safetensors", metadata={"format": "pt"})
    tokenizer = load_tokenizer(NANO)
    tokenizer.add_special_tokens([AddedToken(END_OF_TEXT, special=True, normalized=False)])
    tokenizer.save(str(folder / "tokenizer.json"))
    end = tokenizer.token_to_id(END_OF_TEXT)
    about = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": END_OF_TEXT, "bos_token": END_OF_TEXT}
    (folder / "tokenizer_config.json").write_text(json.dumps(about))
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": shape.vocabulary,
        "hidden_size": shape.width,
        "intermediate_size": shape.inner,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.heads_kv,
        "max_position_embeddings": shape.longest,
        "rms_norm_eps": EPSILON,
        "rope_theta": BASE,
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": shape.tied,
        "bos_token_id": end,
        "eos_token_id": end,
        "dtype": "float32",
    }
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def folder(path: Path, massive: bool = False, seed: int = 1, **shape: Any) -> Path:
    """A model of this shape in `path`."""
    made = Shape(**shape)
    return write(path, arrays(made, seed, massive=massive), made)
