"""Checkpoint → CTranslate2 model, with the tokens that the bot needs.

In:  RUN/checkpoint/run1/ (any folder in OpenAI's layout or Hugging Face's), and the texts whose tokens must stay.
Out: RUN/model/ in float32; the compute type (int8, float16) is chosen when it is loaded.

`deepproverbs convert --run DIR`
"""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from training.common.files import sync, write_whole
from training.common.manifest import Manifest, digest_of, key_of
from training.common.progress import Say, details
from training.common.text import END_OF_TEXT
from training.corpus.tokenizer import end_of_text, tokenizer_files
from training.model import bundle
from training.model.converted import Converted, held_out, named, vocabulary
from training.model.events import Written
from training.model.layout import HF_LAYOUT, Hparams, check_hf_layout, hf_parameters, layout_of, read_hparams
from training.model.trainers import TORCH
from training.model.trim import HARMLESS, Trimmed, choose_rows
from training.settings import SampleSettings


def convert(
    run: Path, checkpoint: Path, say: Say = print, originals: Sequence[str] = (), sampling: SampleSettings | None = None
) -> Path:
    """Convert `checkpoint`, in either layout. Returns the model's folder, with its tokenizer and hparams.json in it.

    With `sampling`, tokens that this bot does not need are left out where that is harmless: those that the trainer left
    out and found harmless, else those that training/model/trim.py chooses; the tokens of `originals` stay.
    """
    model, settings = run / "model", sampling or SampleSettings(vocabulary="full")
    manifest = Manifest(run, say)
    matters: dict[str, Any] = {"vocabulary": settings.vocabulary}
    if settings.vocabulary != "full":
        matters |= {
            "originals": digest_of(originals),
            "prefixes": settings.prefixes,
            "hottest": max(settings.temperatures),
        }
    key = key_of(matters, *sorted(p for p in checkpoint.iterdir() if p.is_file()))
    if (model / "model.bin").exists() and manifest.done("convert", key, model):
        say(f"Conversion: already done ({model}).")
        return model
    started = time.monotonic()
    part, full = run / ".model.part", run / ".model.full"
    run.mkdir(parents=True, exist_ok=True)
    cut: dict[str, Any] = {}
    parameters, write = source_of(checkpoint, run)
    trained = trained_rows(checkpoint) if settings.vocabulary != "full" else None
    trimmed: Trimmed | None = None
    if trained and trained.harmless:
        details(say)(
            f"Vocabulary: {len(trained.rows):,} of {trained.of:,} tokens; the others hold "
            f"{trained.cut_held_out:.1e} of the probability a token on held-out texts."
        )
        write(part, trained.rows, math.inf)
    else:
        write(full, None, math.inf)
        if trained:
            details(say)(
                f"Vocabulary: all {trained.of:,} tokens stay; those that the texts do not need hold "
                f"{trained.cut_held_out:.1e} of the probability a token on held-out texts."
            )
            trained = None  # to choose others would take longer than it saves
        elif settings.vocabulary != "full":
            texts = [row[1:-1] for row in held_out(Converted(full), run / "corpus.npz")]
            trimmed = choose_rows(full, originals, texts, settings, say)
        shutil.rmtree(part, ignore_errors=True)
        if trimmed is None:
            full.rename(part)
        else:
            write(part, trimmed.rows, max(settings.temperatures))
            shutil.rmtree(full)
    _put(part, model)
    if cut_off := trained or trimmed:
        cut = {"trimmed": asdict(cut_off) | {"rows": len(cut_off.rows)}}
    details(say)(f"Converted {parameters:,} parameters to {model}.")
    manifest.record(
        "convert", key, matters, started, [model], parameters=parameters, checkpoint=str(checkpoint.resolve()), **cut
    )
    return model


def _put(part: Path, model: Path) -> None:
    """Let a folder that has been written whole take a model's place."""
    sync(part)
    shutil.rmtree(model, ignore_errors=True)
    part.rename(model)
    sync(model)


def convert_base(
    run: Path, base: Path, model: Path, say: Say = print, check: Callable[[], object] = lambda: None
) -> Path:
    """RUN/base: the base model, converted with the tokens of `model`, so that both can score a text. `check`: raises
    where the base is damaged."""
    manifest, out, part = Manifest(run, say), run / "base", run / ".base.part"
    rows = [int(row) for row in Converted(model).ids]
    key = key_of(rows, *sorted(p for p in base.iterdir() if p.is_file()))
    if (out / "model.bin").exists() and manifest.done("base", key, out):
        return out
    check()
    started = time.monotonic()
    source_of(base, run)[1](part, rows, math.inf)
    _put(part, out)
    manifest.record("base", key, {"tokens": len(rows)}, started, [out])
    return out


@dataclass(frozen=True)
class TrainedRows:
    """The tokens that the trainer found samplers to need, and what the others hold of the probability."""

    rows: list[int]
    of: int
    cut_held_out: float

    @property
    def harmless(self) -> bool:
        """Whether some are left out, and hardly any probability with them."""
        return len(self.rows) < self.of and self.cut_held_out <= HARMLESS


def trained_rows(checkpoint: Path) -> TrainedRows | None:
    """The tokens that a PyTorch trainer chose; None: it chose none."""
    try:
        known = json.loads((checkpoint / "rows.json").read_text(encoding="utf-8"))
        return TrainedRows(known["rows"], known["of"], known["rest"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


Write = Callable[[Path, list[int] | None, float], None]
"""Writes a CTranslate2 model: where; the tokens that stay, None: all; the highest temperature for which they do."""


def source_of(checkpoint: Path, run: Path) -> tuple[int, Write]:
    """(how many weights a checkpoint has, what converts it)."""
    if layout_of(checkpoint) == HF_LAYOUT:
        return hf_parameters(checkpoint), partial(write_from_hf, checkpoint, run / TORCH.log)
    arrays = bundle.read(checkpoint)
    return sum(values.size for values in arrays.values()), partial(write_model, arrays, checkpoint)


def write_model(
    arrays: dict[str, Any], source: Path, out: Path, rows: list[int] | None = None, hottest: float = math.inf
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
    note_rows(out, rows, hottest)


def write_from_hf(checkpoint: Path, log: Path, out: Path, rows: list[int] | None, hottest: float) -> None:
    """Write the CTranslate2 model of a folder in Hugging Face's layout. CTranslate2's converter, which knows dozens of
    architectures, needs PyTorch: a program runs it."""
    hparams = check_hf_layout(checkpoint)
    names = named(vocabulary(checkpoint), hparams.n_vocab)
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    kept, listed = out / "rows.npy", out / "names.json"
    if rows is not None:
        np.save(kept, np.array(rows, dtype=np.int64))
        names = [names[row] for row in rows]
    listed.write_text(json.dumps(names), encoding="utf-8")
    arguments = {
        "folder": checkpoint.resolve(),
        "out": out.resolve(),
        "rows": kept.resolve() if rows is not None else None,
        "names": listed.resolve(),
        "end": end_of_text(checkpoint),
    }
    TORCH.result("convert", arguments, log, Written)
    kept.unlink(missing_ok=True)
    listed.unlink()
    for path in tokenizer_files(checkpoint):
        shutil.copyfile(path, out / path.name)
    (out / "hparams.json").write_text(json.dumps(asdict(hparams)) + "\n", encoding="utf-8")
    note_rows(out, rows, hottest)


def note_rows(out: Path, rows: list[int] | None, hottest: float) -> None:
    """Write which tokens a converted model has, unless it has all."""
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
