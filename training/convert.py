"""gpt-2-simple checkpoint → CTranslate2 model.

In:  RUN/checkpoint/run1/ (any folder in OpenAI's layout).
Out: RUN/model/ in float32; the compute type (int8, float16) is chosen when it is loaded.

`deepproverbs convert --run DIR`
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np
from ctranslate2.specs import common_spec, transformer_spec

from training.manifest import Manifest, key_of
from training.text import END_OF_TEXT
from training.tf1_process import run_program


class OpenAIConverter(ctranslate2.converters.Converter):  # type: ignore[misc]
    """GPT-2 weights under OpenAI's names → CTranslate2's specification of a decoder.

    `arrays` has `model/wte` [V, D], `model/wpe` [T, D], a layer's linear weights as [1, in, out]
    (CTranslate2 wants [out, in]) and the layer norms as `g`, `b`.
    """

    def __init__(self, arrays: Mapping[str, Any], hparams: dict[str, int], tokens: list[str]) -> None:
        self.arrays, self.hparams, self.tokens = arrays, hparams, tokens

    def _load(self) -> Any:
        a, n = self.arrays, self.hparams
        spec = transformer_spec.TransformerDecoderModelSpec.from_config(
            n["n_layer"], n["n_head"], pre_norm=True, activation=common_spec.Activation.GELUTanh
        )
        decoder = spec.decoder
        decoder.scale_embeddings = False
        decoder.embeddings.weight = a["model/wte"]
        decoder.position_encodings.encodings = a["model/wpe"]
        decoder.projection.weight = decoder.embeddings.weight
        self._norm(decoder.layer_norm, "model/ln_f")
        for i, layer in enumerate(decoder.layer):
            at = f"model/h{i}"
            self._norm(layer.self_attention.layer_norm, f"{at}/ln_1")
            self._linear(layer.self_attention.linear[0], f"{at}/attn/c_attn")
            self._linear(layer.self_attention.linear[1], f"{at}/attn/c_proj")
            self._norm(layer.ffn.layer_norm, f"{at}/ln_2")
            self._linear(layer.ffn.linear_0, f"{at}/mlp/c_fc")
            self._linear(layer.ffn.linear_1, f"{at}/mlp/c_proj")
        # Ids without a token (embeddings padded to a round number) still need a name.
        rows = len(a["model/wte"])
        spec.register_vocabulary(self.tokens + [f"<unused-{i}>" for i in range(len(self.tokens), rows)])
        spec.config.bos_token = spec.config.eos_token = spec.config.unk_token = END_OF_TEXT
        return spec

    def _norm(self, spec: Any, name: str) -> None:
        spec.gamma, spec.beta = self.arrays[f"{name}/g"], self.arrays[f"{name}/b"]

    def _linear(self, spec: Any, name: str) -> None:
        spec.weight = np.ascontiguousarray(self.arrays[f"{name}/w"][0].T)
        spec.bias = self.arrays[f"{name}/b"]


def vocabulary(folder: Path) -> list[str]:
    """The tokens of encoder.json in the order of their ids."""
    encoder = json.loads((folder / "encoder.json").read_text(encoding="utf-8"))
    return sorted(encoder, key=encoder.__getitem__)


def convert(run: Path, checkpoint: Path, say: Any = print) -> Path:
    """Convert `checkpoint`. Returns the model's folder, with encoder.json and vocab.bpe in it."""
    model = run / "model"
    manifest = Manifest(run)
    key = key_of({}, *sorted(p for p in checkpoint.iterdir() if p.is_file()))
    if manifest.done("convert", key, model / "model.bin"):
        say(f"Conversion: already done ({model}).")
        return model
    started = time.monotonic()
    weights, part = run / "weights.npz", run / ".model.part"
    run.mkdir(parents=True, exist_ok=True)
    facts = list(run_program("export", {"folder": checkpoint.resolve(), "out": weights.resolve()}, run / "tf1.log"))[-1]
    hparams = json.loads((checkpoint / "hparams.json").read_text(encoding="utf-8"))
    with np.load(weights) as arrays:
        OpenAIConverter(dict(arrays), hparams, vocabulary(checkpoint)).convert(str(part), force=True)
    for name in ("encoder.json", "vocab.bpe", "hparams.json"):
        shutil.copyfile(checkpoint / name, part / name)
    shutil.rmtree(model, ignore_errors=True)
    part.rename(model)
    weights.unlink()
    say(f"Converted {facts['parameters']:,} parameters to {model}.")
    manifest.record("convert", key, {}, started, parameters=facts["parameters"])
    return model


@dataclass(frozen=True)
class Precision:
    """How far a compute type is from float32 on the held-out texts."""

    compute_type: str
    loss: float
    loss_float32: float
    mean_difference: float
    """Mean absolute difference of a token's log-probability, nats."""


def precision(model: Path, corpus: Path, compute_type: str = "int8", most: int = 200) -> Precision:
    """Score held-out texts (the first `most`) in float32 and in `compute_type`."""
    tokens = vocabulary(model)
    with np.load(corpus) as arrays:
        held, offsets, end = arrays["held_out"], arrays["held_out_offsets"], int(arrays["end"])
    rows = [[tokens[end], *(tokens[t] for t in held[a:b])] for a, b in pairwise(offsets)]
    scores = {}
    for kind in ("float32", compute_type):
        generator = ctranslate2.Generator(str(model), compute_type=kind)
        results = generator.score_batch(rows[:most], max_batch_size=32)
        scores[kind] = np.concatenate([result.log_probs for result in results])
    difference = float(np.abs(scores[compute_type] - scores["float32"]).mean())
    return Precision(compute_type, -float(scores[compute_type].mean()), -float(scores["float32"].mean()), difference)
