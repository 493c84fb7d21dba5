"""gpt-2-simple checkpoint → CTranslate2 model, with the tokens that the bot needs.

In:  RUN/checkpoint/run1/ (any folder in OpenAI's layout), and the texts whose tokens must stay.
Out: RUN/model/ in float32; the compute type (int8, float16) is chosen when it is loaded.

`deepproverbs convert --run DIR`
"""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np
from ctranslate2.specs import common_spec, transformer_spec

from training.common.files import write_whole
from training.common.manifest import Manifest, digest_of, key_of
from training.common.text import END_OF_TEXT
from training.model import trim
from training.model.converted import Converted, held_out, named, vocabulary
from training.model.trainers import run_program
from training.settings import SampleSettings


class OpenAIConverter(ctranslate2.converters.Converter):  # type: ignore[misc]
    """GPT-2 weights under OpenAI's names → CTranslate2's specification of a decoder.

    `arrays` has `model/wte` [V, D], `model/wpe` [T, D], a layer's linear weights as [1, in, out]
    (CTranslate2 wants [out, in]) and the layer norms as `g`, `b`. `tokens` names the rows of wte.
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
        spec.register_vocabulary(self.tokens)
        spec.config.bos_token = spec.config.eos_token = spec.config.unk_token = END_OF_TEXT
        return spec

    def _norm(self, spec: Any, name: str) -> None:
        spec.gamma, spec.beta = self.arrays[f"{name}/g"], self.arrays[f"{name}/b"]

    def _linear(self, spec: Any, name: str) -> None:
        spec.weight = np.ascontiguousarray(self.arrays[f"{name}/w"][0].T)
        spec.bias = self.arrays[f"{name}/b"]


def convert(
    run: Path, checkpoint: Path, say: Any = print, originals: Sequence[str] = (), sampling: SampleSettings | None = None
) -> Path:
    """Convert `checkpoint`. Returns the model's folder, with encoder.json and vocab.bpe in it.

    With `sampling`, tokens that this bot does not need are left out where that is harmless (training/model/trim.py);
    those of `originals` stay.
    """
    model, settings = run / "model", sampling or SampleSettings(vocabulary="full")
    manifest = Manifest(run)
    matters: dict[str, Any] = {"vocabulary": settings.vocabulary}
    if settings.vocabulary != "full":
        matters |= {
            "originals": digest_of(originals),
            "prefixes": settings.prefixes,
            "hottest": max(settings.temperatures),
        }
    key = key_of(matters, *sorted(p for p in checkpoint.iterdir() if p.is_file()))
    if manifest.done("convert", key, model / "model.bin"):
        say(f"Conversion: already done ({model}).")
        return model
    started = time.monotonic()
    weights, part, full = run / "weights.npz", run / ".model.part", run / ".model.full"
    run.mkdir(parents=True, exist_ok=True)
    facts = list(run_program("export", {"folder": checkpoint.resolve(), "out": weights.resolve()}, run / "tf1.log"))[-1]
    with np.load(weights) as arrays:
        loaded = dict(arrays)
    write_model(loaded, checkpoint, full)
    trimmed = None
    if settings.vocabulary != "full":
        texts = [row[1:-1] for row in held_out(Converted(full), run / "corpus.npz")]
        trimmed = trim.choose(full, originals, texts, settings, say)
    for folder in (part, model):
        shutil.rmtree(folder, ignore_errors=True)
    if trimmed is None:
        full.rename(part)
    else:
        write_model(loaded, checkpoint, part, trimmed.rows, max(settings.temperatures))
        shutil.rmtree(full)
    part.rename(model)
    weights.unlink()
    say(f"Converted {facts['parameters']:,} parameters to {model}.")
    cut = {"trimmed": asdict(trimmed) | {"rows": len(trimmed.rows)}} if trimmed else {}
    manifest.record(
        "convert", key, matters, started, parameters=facts["parameters"], checkpoint=str(checkpoint.resolve()), **cut
    )
    return model


def convert_base(run: Path, base: Path, model: Path) -> Path:
    """RUN/base: the base model, converted with the tokens of `model`, so that both can score a text."""
    manifest, out, part = Manifest(run), run / "base", run / ".base.part"
    rows = [int(row) for row in Converted(model).ids]
    key = key_of(rows, *sorted(p for p in base.iterdir() if p.is_file()))
    if manifest.done("base", key, out / "model.bin"):
        return out
    started = time.monotonic()
    weights = run / "weights.npz"
    list(run_program("export", {"folder": base.resolve(), "out": weights.resolve()}, run / "tf1.log"))
    with np.load(weights) as arrays:
        write_model(dict(arrays), base, part, rows)
    shutil.rmtree(out, ignore_errors=True)
    part.rename(out)
    weights.unlink()
    manifest.record("base", key, {"tokens": len(rows)}, started)
    return out


def write_model(
    arrays: dict[str, Any], source: Path, out: Path, rows: list[int] | None = None, hottest: float = math.inf
) -> None:
    """Write the CTranslate2 model of a checkpoint's arrays to `out`; `rows`: the tokens that stay, all without it;
    `hottest`: up to which temperature they are enough.

    `source` has the encoder.json, vocab.bpe and hparams.json that go with the arrays.
    """
    names = named(vocabulary(source), len(arrays["model/wte"]))
    if rows is not None:
        arrays = {**arrays, "model/wte": np.ascontiguousarray(arrays["model/wte"][rows])}
        names = [names[row] for row in rows]
    hparams = json.loads((source / "hparams.json").read_text(encoding="utf-8"))
    shutil.rmtree(out, ignore_errors=True)
    OpenAIConverter(arrays, hparams, names).convert(str(out))
    for name in ("encoder.json", "vocab.bpe", "hparams.json"):
        shutil.copyfile(source / name, out / name)
    if rows is not None:
        write_whole(out / "kept.json", json.dumps({"rows": rows, "hottest": hottest}) + "\n")


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
    rows = held_out(Converted(model), corpus)
    scores = {}
    for kind in ("float32", compute_type):
        generator = ctranslate2.Generator(str(model), compute_type=kind)
        results = generator.score_batch(rows[:most], max_batch_size=32)
        scores[kind] = np.concatenate([result.log_probs for result in results])
    difference = float(np.abs(scores[compute_type] - scores["float32"]).mean())
    return Precision(compute_type, -float(scores[compute_type].mean()), -float(scores["float32"].mean()), difference)
