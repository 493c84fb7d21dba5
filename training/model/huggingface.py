"""GPT-2 between OpenAI's names of its weights and files and Hugging Face's.

write_gpt2        arrays, encoder.json, vocab.bpe  →  a folder that transformers loads
read_gpt2         the weights of such a folder  →  arrays under OpenAI's names
write_vocabulary  its tokenizer  →  encoder.json, vocab.bpe, hparams.json
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.common.errors import DeepproverbsError, WrongUse
from training.common.files import write_whole
from training.common.text import END_OF_TEXT
from training.corpus.tokenizer import load_tokenizer
from training.model.layout import Hparams
from training.model.tensors import WHOLE, read_tensors

PLAIN: dict[str, tuple[Any, ...]] = {
    "activation_function": ("gelu_new", "gelu_pytorch_tanh"),
    "scale_attn_weights": (True,),
    "scale_attn_by_inverse_layer_idx": (False,),
    "layer_norm_epsilon": (1e-5,),
    "add_cross_attention": (False,),
    "tie_word_embeddings": (True,),
    "quantization_config": (None,),
}
"""What config.json must say for the arithmetic to be that of OpenAI's GPT-2, the default first."""
SHAPE = ("n_vocab", "n_ctx", "n_embd", "n_head", "n_layer")
"""What OpenAI's hparams.json says."""
BUFFERS = r"h\.\d+\.attn\.(masked_)?bias$"
"""The causal mask, which older versions of transformers saved with the weights."""


def hf_names(layers: int) -> dict[str, str]:
    """OpenAI's name of each weight → Hugging Face's, without `transformer.`."""
    names = {"model/wte": "wte.weight", "model/wpe": "wpe.weight"}
    for norm in ["ln_f", *(f"h{i}/ln_{n}" for i in range(layers) for n in (1, 2))]:
        at = re.sub(r"^h(\d+)/", r"h.\1.", norm)
        names |= {f"model/{norm}/g": f"{at}.weight", f"model/{norm}/b": f"{at}.bias"}
    for i in range(layers):
        for linear in ("attn/c_attn", "attn/c_proj", "mlp/c_fc", "mlp/c_proj"):
            at = f"h.{i}.{linear.replace('/', '.')}"
            names |= {f"model/h{i}/{linear}/w": f"{at}.weight", f"model/h{i}/{linear}/b": f"{at}.bias"}
    return names


def shapes(hparams: Hparams) -> dict[str, tuple[int, ...]]:
    """OpenAI's name of each weight → its shape. Those of linear layers are [1, in, out]."""
    d = hparams.n_embd
    wide = {"attn/c_attn": (d, 3 * d), "attn/c_proj": (d, d), "mlp/c_fc": (d, 4 * d), "mlp/c_proj": (4 * d, d)}
    found: dict[str, tuple[int, ...]] = {}
    for name in hf_names(hparams.n_layer):
        linear = re.match(r"model/h\d+/(\w+/c_\w+)/([wb])", name)
        if linear:
            found[name] = (1, *wide[linear[1]]) if linear[2] == "w" else wide[linear[1]][1:]
        else:
            found[name] = {"model/wte": (hparams.n_vocab, d), "model/wpe": (hparams.n_ctx, d)}.get(name, (d,))
    return found


def write_gpt2(arrays: Mapping[str, NDArray[np.float32]], hparams: Hparams, source: Path, out: Path) -> None:
    """Write a GPT-2 into the folder `out` as transformers loads it, in float32.

    arrays: under OpenAI's names; others than the model's are left out. source: has encoder.json and vocab.bpe.
    """
    from safetensors.numpy import save_file

    out.mkdir(parents=True, exist_ok=True)
    tensors = {}
    for name, known in hf_names(hparams.n_layer).items():
        values = np.asarray(arrays[name], np.float32)
        tensors[f"transformer.{known}"] = np.ascontiguousarray(values[0] if name.endswith("/w") else values)
    save_file(tensors, out / WHOLE, metadata={"format": "pt"})
    end = _write_tokenizer(source, hparams, out)
    _write_json(out / "config.json", _config(hparams, end))
    _write_json(out / "generation_config.json", {"bos_token_id": end, "eos_token_id": end})


def _write_tokenizer(source: Path, hparams: Hparams, out: Path) -> int:
    """Write the tokenizer in both of Hugging Face's forms; the end token's id."""
    from tokenizers import AddedToken

    shutil.copyfile(source / "encoder.json", out / "vocab.json")
    shutil.copyfile(source / "vocab.bpe", out / "merges.txt")
    tokenizer = load_tokenizer(source)
    tokenizer.add_special_tokens([AddedToken(END_OF_TEXT, special=True, normalized=False)])
    tokenizer.save(str(out / "tokenizer.json"))
    kinds = dict.fromkeys(("bos_token", "eos_token", "unk_token"), END_OF_TEXT)
    about = {"tokenizer_class": "GPT2Tokenizer", "model_max_length": hparams.n_ctx, "add_prefix_space": False}
    _write_json(out / "tokenizer_config.json", about | kinds)
    end = tokenizer.token_to_id(END_OF_TEXT)
    assert end is not None  # just added, if encoder.json lacked it
    return end


def write_vocabulary(folder: Path, hparams: Hparams, out: Path) -> None:
    """Write encoder.json, vocab.bpe and hparams.json from a folder in Hugging Face's layout into `out`.

    Raises: as `_read_vocabulary`.
    """
    encoder, merges = _read_vocabulary(folder, hparams)
    out.mkdir(parents=True, exist_ok=True)
    shape = {name: value for name, value in asdict(hparams).items() if name in SHAPE}
    write_whole(out / "encoder.json", json.dumps(encoder))
    write_whole(out / "vocab.bpe", "".join(f"{line}\n" for line in ["#version: 0.2", *merges]))
    write_whole(out / "hparams.json", json.dumps(shape) + "\n")


def is_plain_gpt2(folder: Path) -> bool:
    """Whether a folder in Hugging Face's layout describes a GPT-2 that can be had in OpenAI's; no weights are read."""
    try:
        _read_vocabulary(folder, _read_config(folder / "config.json"))
    except DeepproverbsError:
        return False
    return True


def _read_vocabulary(folder: Path, hparams: Hparams) -> tuple[dict[str, int], list[str]]:
    """(token → id, merges)

    Raises:
        WrongUse: its tokenizer is not built as GPT-2's.
        DeepproverbsError: tokenizer.json is damaged.
    """
    path = folder / "tokenizer.json"
    try:
        tokenizer = json.loads(path.read_text(encoding="utf-8"))
        model, split = tokenizer["model"], tokenizer["pre_tokenizer"] or {}
        merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in model.get("merges", [])]
        encoder = {**model["vocab"], **{token["content"]: token["id"] for token in tokenizer["added_tokens"]}}
        plain = (
            (model.get("type", "BPE"), split.get("type"), split.get("add_prefix_space", False))
            == ("BPE", "ByteLevel", False)
            and split.get("use_regex", True)
            and not (tokenizer.get("normalizer") or model.get("byte_fallback") or model.get("ignore_merges"))
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DeepproverbsError(f"{path} cannot be read as a tokenizer ({error}); copy it again.") from error
    if not plain or END_OF_TEXT not in encoder or sorted(encoder.values()) != [*range(len(encoder))]:
        raise WrongUse(f"{path} is not a tokenizer like GPT-2's, which encoder.json and vocab.bpe can describe.")
    if len(encoder) > hparams.n_vocab:
        raise WrongUse(f"{path} has {len(encoder):,} tokens, more than the model's {hparams.n_vocab:,}.")
    return encoder, merges


def _config(hparams: Hparams, end: int) -> dict[str, Any]:
    return {
        "model_type": "gpt2",
        "architectures": ["GPT2LMHeadModel"],
        "activation_function": "gelu_new",
        "vocab_size": hparams.n_vocab,
        **{name: value for name, value in asdict(hparams).items() if name in SHAPE[1:]},
        "n_positions": hparams.n_ctx,
        "n_inner": None,
        "attn_pdrop": 0.1,
        "embd_pdrop": 0.1,
        "resid_pdrop": 0.1,
        "initializer_range": 0.02,
        "layer_norm_epsilon": 1e-5,
        "scale_attn_weights": True,
        "scale_attn_by_inverse_layer_idx": False,
        "reorder_and_upcast_attn": False,
        "tie_word_embeddings": True,
        "use_cache": True,
        "bos_token_id": end,
        "eos_token_id": end,
        "dtype": "float32",
    }


def _write_json(path: Path, content: dict[str, Any]) -> None:
    write_whole(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def read_gpt2(folder: Path) -> tuple[dict[str, NDArray[np.float32]], Hparams]:
    """The weights of a GPT-2 in Hugging Face's layout under OpenAI's names, as float32, and its shape.

    Raises:
        WrongUse: another kind of model, or one that computes otherwise than OpenAI's GPT-2.
        DeepproverbsError: a file is damaged.
    """
    hparams = _read_config(folder / "config.json")
    tensors = {name.removeprefix("transformer."): values for name, values in read_tensors(folder, BUFFERS).items()}
    head = tensors.pop("lm_head.weight", None)
    names = hf_names(hparams.n_layer)
    for name in sorted({*names.values()} ^ {*tensors}):
        is_there = "has" if name in tensors else "lacks"
        raise WrongUse(f"The model in {folder} {is_there} {name}: it is not a plain GPT-2 of {hparams.n_layer} layers.")
    if head is not None and not np.array_equal(head, tensors["wte.weight"]):
        raise WrongUse(f"The model in {folder} has its own output layer, lm_head.weight: it is not a plain GPT-2.")
    arrays = {name: tensors[known][None] if name.endswith("/w") else tensors[known] for name, known in names.items()}
    for name, shape in shapes(hparams).items():
        if arrays[name].shape != shape:
            raise WrongUse(
                f"{names[name]} in {folder} has the shape {arrays[name].shape}, not {shape}, as config.json "
                "describes it; copy both again."
            )
    return arrays, hparams


def _read_config(path: Path) -> Hparams:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        if config.get("model_type") != "gpt2":
            raise WrongUse(f"{path.parent} holds a model of type {config.get('model_type')!r}, not a GPT-2.")
        for name, values in PLAIN.items():
            if config.get(name, values[0]) not in values:
                raise WrongUse(f"The model in {path.parent} is not a plain GPT-2: {name} is {config[name]!r}.")
        shape = [config[name] for name in ("vocab_size", "n_positions", "n_embd", "n_head", "n_layer")]
        if any(type(value) is not int or value < 1 for value in shape):
            raise ValueError("its numbers must be whole")
        hparams = Hparams(*shape)
        if config.get("n_inner") not in (None, 4 * hparams.n_embd):
            raise WrongUse(f"The model in {path.parent} is not a plain GPT-2: n_inner is {config['n_inner']!r}.")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise WrongUse(f"{path} cannot be read as a GPT-2's description ({error}); copy it again.") from error
    return hparams
