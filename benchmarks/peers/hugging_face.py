"""Hugging Face transformers' generate() on PyTorch, at its best batch size and number type (.venvs/bench)."""

import json

import common
import numpy as np
import torch
from transformers import GPT2Config, GPT2LMHeadModel

a = common.arguments()
with open(a["folder"] + "/checkpoint/hparams.json") as file:
    h = json.load(file)
with open(a["folder"] + "/checkpoint/encoder.json") as file:
    END = json.load(file)["<|endoftext|>"]
config = GPT2Config(
    vocab_size=h["n_vocab"],
    n_positions=h["n_ctx"],
    n_embd=h["n_embd"],
    n_layer=h["n_layer"],
    n_head=h["n_head"],
    bos_token_id=END,
    eos_token_id=END,
    pad_token_id=END,
)
model = GPT2LMHeadModel(config).eval()
state = {}
with np.load(a["folder"] + "/weights.npz") as arrays:
    for name, value in arrays.items():
        parts = name.split("/")[1:]
        if parts[0] in ("wte", "wpe"):
            key = f"transformer.{parts[0]}.weight"
        else:
            layer = f"h.{parts[0][1:]}." if parts[0] != "ln_f" else ""
            kind = {"g": "weight", "w": "weight", "b": "bias"}[parts[-1]]
            key = f"transformer.{layer}{'.'.join(parts[1:-1]) if layer else 'ln_f'}.{kind}"
        state[key] = torch.from_numpy(value[0] if value.ndim == 3 else value)
missing = model.load_state_dict(state, strict=False)
assert not missing.unexpected_keys and set(missing.missing_keys) <= {"lm_head.weight"}, missing
model.tie_weights()


def run(choice):
    size, kind = choice
    model.to(getattr(torch, kind))
    start = torch.full((size, 1), END)
    with torch.inference_mode():
        out = model.generate(
            start, attention_mask=torch.ones_like(start), do_sample=True, top_k=0, max_new_tokens=a["length"]
        )
    rows = out[:, 1:].numpy()
    ends = [int(np.argmax(row == END)) + 1 if END in row else len(row) for row in rows]
    return sum(ends), len(ends)


chosen = common.best([(size, kind) for kind in a["kinds"] for size in a["batches"]], run)
common.serve({"batch": chosen[0], "type": chosen[1]}, lambda: run(chosen))
