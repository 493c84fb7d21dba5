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
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from training.common.files import write_whole
from training.common.manifest import Manifest, digest_of, key_of
from training.common.progress import Say
from training.common.text import END_OF_TEXT
from training.model import bundle
from training.model.converted import Converted, held_out, named, vocabulary
from training.model.layout import Hparams, read_hparams
from training.model.trim import choose_rows
from training.settings import SampleSettings


def convert(
    run: Path, checkpoint: Path, say: Say = print, originals: Sequence[str] = (), sampling: SampleSettings | None = None
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
    part, full = run / ".model.part", run / ".model.full"
    arrays = bundle.read(checkpoint)
    parameters = sum(values.size for values in arrays.values())
    write_model(arrays, checkpoint, full)
    trimmed = None
    if settings.vocabulary != "full":
        texts = [row[1:-1] for row in held_out(Converted(full), run / "corpus.npz")]
        trimmed = choose_rows(full, originals, texts, settings, say)
    for folder in (part, model):
        shutil.rmtree(folder, ignore_errors=True)
    if trimmed is None:
        full.rename(part)
    else:
        write_model(arrays, checkpoint, part, trimmed.rows, max(settings.temperatures))
        shutil.rmtree(full)
    part.rename(model)
    say(f"Converted {parameters:,} parameters to {model}.")
    cut = {"trimmed": asdict(trimmed) | {"rows": len(trimmed.rows)}} if trimmed else {}
    manifest.record(
        "convert", key, matters, started, parameters=parameters, checkpoint=str(checkpoint.resolve()), **cut
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
    write_model(bundle.read(base), base, part, rows)
    shutil.rmtree(out, ignore_errors=True)
    part.rename(out)
    manifest.record("base", key, {"tokens": len(rows)}, started)
    return out


def write_model(
    arrays: Mapping[str, Any], source: Path, out: Path, rows: list[int] | None = None, hottest: float = math.inf
) -> None:
    """Write the CTranslate2 model of a checkpoint's arrays to `out`.

    source: has the encoder.json, vocab.bpe and hparams.json that belong to the arrays.
    rows: the tokens that stay; None: all. hottest: the highest temperature for which they suffice.
    """
    names = named(vocabulary(source), len(arrays["model/wte"]))
    if rows is not None:
        arrays = {**arrays, "model/wte": np.ascontiguousarray(arrays["model/wte"][rows])}
        names = [names[row] for row in rows]
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    spec = _specification(arrays, read_hparams(source), names)
    spec.validate()
    spec.optimize()
    spec.save(str(out))
    for name in ("encoder.json", "vocab.bpe", "hparams.json"):
        shutil.copyfile(source / name, out / name)
    if rows is not None:
        write_whole(out / "kept.json", json.dumps({"rows": rows, "hottest": hottest}) + "\n")


def _specification(arrays: Mapping[str, Any], hparams: Hparams, tokens: list[str]) -> Any:
    """GPT-2's weights under OpenAI's names → CTranslate2's specification of a decoder.

    arrays: `model/wte` [V, D], `model/wpe` [T, D], a layer's linear weights as [1, in, out] (CTranslate2 wants
    [out, in]), layer norms as `g` and `b`. tokens: names of the rows of wte.
    """
    from ctranslate2.specs import common_spec, transformer_spec

    def norm(spec: Any, name: str) -> None:
        spec.gamma, spec.beta = arrays[f"{name}/g"], arrays[f"{name}/b"]

    def linear(spec: Any, name: str) -> None:
        spec.weight, spec.bias = np.ascontiguousarray(arrays[f"{name}/w"][0].T), arrays[f"{name}/b"]

    spec = transformer_spec.TransformerDecoderModelSpec.from_config(
        hparams.n_layer, hparams.n_head, pre_norm=True, activation=common_spec.Activation.GELUTanh
    )
    decoder = spec.decoder
    decoder.scale_embeddings = False
    decoder.embeddings.weight = arrays["model/wte"]
    decoder.position_encodings.encodings = arrays["model/wpe"]
    decoder.projection.weight = decoder.embeddings.weight
    norm(decoder.layer_norm, "model/ln_f")
    for i, layer in enumerate(decoder.layer):
        at = f"model/h{i}"
        norm(layer.self_attention.layer_norm, f"{at}/ln_1")
        linear(layer.self_attention.linear[0], f"{at}/attn/c_attn")
        linear(layer.self_attention.linear[1], f"{at}/attn/c_proj")
        norm(layer.ffn.layer_norm, f"{at}/ln_2")
        linear(layer.ffn.linear_0, f"{at}/mlp/c_fc")
        linear(layer.ffn.linear_1, f"{at}/mlp/c_proj")
    spec.register_vocabulary(tokens)
    spec.config.bos_token = spec.config.eos_token = spec.config.unk_token = END_OF_TEXT
    return spec
