"""The Llamas of noise of tests/helpers/llama.py in Hugging Face's layout, with nano's tokenizer."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from tests.helpers import llama
from tests.helpers.llama import Size
from tests.helpers.nano import NANO
from tests.helpers.tiny import Arrays
from training.common.text import END_OF_TEXT
from training.corpus.tokenizer import load_tokenizer

END = 4095
TINY = Size(heads=2, kv_heads=1, size=16, width=32, hidden=64, vocabulary=12_288)
"""With so many rows that a step's softmax is over a part of them."""
MASSIVE = Size(layers=3, heads=4, kv_heads=2, size=16, width=64, hidden=128, vocabulary=4096)


def massive() -> Arrays:
    return llama.massive(MASSIVE, END)


def folder(path: Path, s: Size, a: Arrays | None = None) -> Path:
    """Write a model as transformers loads it."""
    from safetensors.numpy import save_file
    from tokenizers import AddedToken

    assert not s.biased
    a = llama.arrays(s) if a is None else a
    path.mkdir(parents=True, exist_ok=True)
    tensors = {"model.embed_tokens.weight": a["tokens"], "model.norm.weight": a["norm"]}
    tensors |= {} if s.tied else {"lm_head.weight": a["head"]}
    for i in range(s.layers):
        at, q = f"model.layers.{i}", s.heads * s.size
        k = q + s.kv_heads * s.size
        names = {"q": a[f"{i}/qkv"][:q], "k": a[f"{i}/qkv"][q:k], "v": a[f"{i}/qkv"][k:], "o": a[f"{i}/out"]}
        tensors |= {f"{at}.self_attn.{name}_proj.weight": values for name, values in names.items()}
        tensors |= {f"{at}.mlp.{name}_proj.weight": a[f"{i}/{name}"] for name in ("gate", "up", "down")}
        tensors[f"{at}.input_layernorm.weight"] = a[f"{i}/norm1"]
        tensors[f"{at}.post_attention_layernorm.weight"] = a[f"{i}/norm2"]
    tensors = {name: np.ascontiguousarray(values) for name, values in tensors.items()}
    save_file(tensors, path / "model.safetensors", metadata={"format": "pt"})
    tokenizer = load_tokenizer(NANO)
    tokenizer.add_special_tokens([AddedToken(END_OF_TEXT, special=True, normalized=False)])
    tokenizer.save(str(path / "tokenizer.json"))
    about = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": END_OF_TEXT, "bos_token": END_OF_TEXT}
    (path / "tokenizer_config.json").write_text(json.dumps(about))
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": s.vocabulary,
        "hidden_size": s.width,
        "intermediate_size": s.hidden,
        "num_hidden_layers": s.layers,
        "num_attention_heads": s.heads,
        "num_key_value_heads": s.kv_heads,
        "head_dim": s.size,
        "max_position_embeddings": 128,
        "rms_norm_eps": llama.EPSILON,
        "rope_theta": s.base,
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": s.tied,
        "bos_token_id": END,
        "eos_token_id": END,
        "dtype": "float32",
    }
    (path / "config.json").write_text(json.dumps(config))
    return path
