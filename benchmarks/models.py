"""The models that are measured: one set of weights in every peer's own format.

124M: OpenAI's weights where models/124M holds them, else random ones of the same shape: the arithmetic is the same,
and every text then runs to its last token. nano: the small model of this project, with texts that end by themselves.
smollm2-135m: as it comes, texts cut after so many tokens.
"""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from training.common.paths import MODELS
from training.model import base as base_model
from training.model import bundle, smollm2
from training.model.convert import source_of, write_model
from training.model.events import Written
from training.model.trainers import TENSORFLOW

TRIMMED = 8192
"""Rows of the trimmed vocabulary, about what a bot of proverbs needs of GPT-2's 50,257."""
SHAPE_124M = {"n_vocab": 50257, "n_ctx": 1024, "n_embd": 768, "n_head": 12, "n_layer": 12}


def random_weights(hparams: dict[str, int], seed: int = 1) -> dict[str, Any]:
    """Weights as GPT-2 starts its training with: normal, 0.02."""
    rng, d = np.random.default_rng(seed), hparams["n_embd"]

    def normal(*shape: int) -> Any:
        return rng.standard_normal(shape, dtype=np.float32) * np.float32(0.02)

    made = {"model/wte": normal(hparams["n_vocab"], d), "model/wpe": normal(hparams["n_ctx"], d)}
    norms = ["ln_f", *(f"h{i}/ln_{n}" for i in range(hparams["n_layer"]) for n in (1, 2))]
    for norm in norms:
        made[f"model/{norm}/g"], made[f"model/{norm}/b"] = np.ones(d, np.float32), np.zeros(d, np.float32)
    for i in range(hparams["n_layer"]):
        for name, ins, outs in (
            ("attn/c_attn", d, 3 * d),
            ("attn/c_proj", d, d),
            ("mlp/c_fc", d, 4 * d),
            ("mlp/c_proj", 4 * d, d),
        ):
            made[f"model/h{i}/{name}/w"], made[f"model/h{i}/{name}/b"] = (
                normal(1, ins, outs),
                np.zeros(outs, np.float32),
            )
    return made


def prepare_smollm2(folder: Path) -> dict[str, int]:
    """Write folder/{full/, trimmed/} for smollm2-135m, as it is. Returns the hparams, with how many weights are
    multiplied with beside the output layer's."""
    base = base_model.locate(smollm2.NAME, MODELS)
    parameters, write = source_of(base.folder, folder)
    if not (folder / "done").exists():
        write(folder / "full", None, math.inf)
        write(folder / "trimmed", list(range(TRIMMED)), math.inf)
        (folder / "done").touch()
    shape = base.hparams
    sizes = {name: value for name, value in asdict(shape).items() if isinstance(value, int)}
    return sizes | {"multiplied": parameters - shape.n_vocab * shape.n_embd}


def prepare(name: str, folder: Path) -> dict[str, int]:
    """Write folder/{weights.npz, checkpoint/, full/, trimmed/} for 124M or nano. Returns the hparams."""
    if name == smollm2.NAME:
        return prepare_smollm2(folder)
    log, weights, checkpoint = folder / "tf1.log", folder / "weights.npz", folder / "checkpoint"
    if name == "124M" and not (MODELS / "124M" / "checkpoint").exists():
        hparams = SHAPE_124M
        if not (folder / "done").exists():
            shutil.rmtree(folder, ignore_errors=True)
            checkpoint.mkdir(parents=True)
            _stand_in_vocabulary(checkpoint, hparams)
            np.savez(weights, **random_weights(hparams))
            arguments = {"weights": weights.resolve(), "folder": checkpoint.resolve()}
            TENSORFLOW.result("build_checkpoint", arguments, log, Written)
    else:
        base = base_model.locate(name, MODELS)
        hparams = asdict(base.hparams)
        if not (folder / "done").exists():
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(base.folder, checkpoint)
            np.savez(weights, **bundle.read(checkpoint))  # type: ignore[arg-type]
    if not (folder / "done").exists():
        with np.load(weights) as file:
            arrays = dict(file)
        write_model(arrays, checkpoint, folder / "full")
        # Any rows will do for the arithmetic; the end token must be one of them.
        rows = list(range(min(TRIMMED, hparams["n_vocab"])))
        end = json.loads((checkpoint / "encoder.json").read_text(encoding="utf-8"))["<|endoftext|>"]
        write_model(arrays, checkpoint, folder / "trimmed", [*rows[:-1], max(end, rows[-1])])
        (folder / "done").touch()
    return hparams


def _stand_in_vocabulary(folder: Path, hparams: dict[str, int]) -> None:
    """An encoder.json of the right size: 256 bytes, the end token last, pairs of bytes between."""
    signs = [chr(c) for c in [*range(33, 127), *range(161, 173), *range(174, 256), *range(256, 324)]]
    names = signs + [a + b for a in signs for b in signs]
    encoder = {name: i for i, name in enumerate(names[: hparams["n_vocab"] - 1])}
    encoder["<|endoftext|>"] = hparams["n_vocab"] - 1
    (folder / "encoder.json").write_text(json.dumps(encoder), encoding="utf-8")
    (folder / "vocab.bpe").write_text("#version: 0.2\n", encoding="utf-8")
    (folder / "hparams.json").write_text(json.dumps(hparams), encoding="utf-8")


def operations(hparams: dict[str, int], rows: int) -> float:
    """Floating-point operations a token in the matrix products; 248 million for 124M with all its rows."""
    d = hparams["n_embd"]
    return 2.0 * (hparams.get("multiplied", 12 * hparams["n_layer"] * d * d) + rows * d)
