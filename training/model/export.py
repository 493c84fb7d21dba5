"""A run's checkpoint → a folder that transformers or gpt-2-simple loads.

    deepproverbs export --to hf --out proverbs            deepproverbs export --to openai --out checkpoint/run1

The folder is written beside and then renamed: it is whole or not there.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from training.common.errors import DeepproverbsError, WrongUse
from training.common.files import write_whole
from training.common.manifest import Manifest
from training.corpus.tokenizer import end_of_text
from training.model import bundle, huggingface
from training.model.card import card
from training.model.events import Written
from training.model.layout import (
    HF_LAYOUT,
    check_folder,
    check_layout,
    checkpoint_path,
    layout_of,
    read_hparams,
)
from training.model.trainers import TENSORFLOW

FORMS = ("hf", "openai")
OUR_OWN = ("rows.json", "commit.json", "sha256.json")
"""Files of this project in a folder in Hugging Face's layout."""


def checkpoint_of(run: Path) -> Path:
    """The folder of the run's checkpoint.

    Raises:
        WrongUse: there is none.
    """
    checkpoint = run / "checkpoint" / "run1"
    if not checkpoint.is_dir():
        raise WrongUse(f"No checkpoint in {run}; run `deepproverbs finetune` first.")
    return checkpoint


def export(run: Path, form: str, out: Path, name: str, language: str, cache: Path) -> None:
    """Write the run's checkpoint to the new or empty folder `out`.

    form: one of FORMS. name, language: the bot's, for the model card. cache: where base models are kept.

    Raises:
        WrongUse: no checkpoint, `out` holds something, or gpt-2-simple cannot have such a model.
        DeepproverbsError: the disk does not take it, or TensorFlow is missing or failed.
    """
    checkpoint = checkpoint_of(run)
    Manifest(run).rely(checkpoint, cure="`deepproverbs finetune` makes it again")
    layout = layout_of(checkpoint)

    def fill(part: Path) -> None:
        if form == "openai":
            (_openai_from_hf if layout == HF_LAYOUT else _openai_from_openai)(checkpoint, part)
            return
        (_hf_from_hf if layout == HF_LAYOUT else _hf_from_openai)(checkpoint, part)
        hparams = check_folder(part)
        end = end_of_text(checkpoint)
        text = card(run, name, out.resolve().name, hparams.architecture, language, end, cache)
        write_whole(part / "README.md", text)

    _write_folder(out, fill)


def _write_folder(out: Path, fill: Callable[[Path], None]) -> None:
    out = out.resolve()
    part = out.with_name(f".{out.name}.part")
    try:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise WrongUse(f"{out} is there already; name a new or empty folder with --out.")
        shutil.rmtree(part, ignore_errors=True)  # left by a kill
        part.mkdir(parents=True)
        try:
            fill(part)
            part.replace(out)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    except OSError as error:
        raise DeepproverbsError(
            f"Cannot write {out}: {error.strerror or error}; make room or name another folder with --out."
        ) from error


def _hf_from_openai(checkpoint: Path, part: Path) -> None:
    huggingface.write_gpt2(bundle.read(checkpoint), read_hparams(checkpoint), checkpoint, part)


def _hf_from_hf(checkpoint: Path, part: Path) -> None:
    check_folder(checkpoint)
    for path in sorted(checkpoint.iterdir()):
        if path.is_file() and path.name not in OUR_OWN and not path.name.startswith("."):
            shutil.copyfile(path, part / path.name)


def _openai_from_openai(checkpoint: Path, part: Path) -> None:
    prefix = checkpoint_path(checkpoint).name
    for path in sorted(checkpoint.iterdir()):
        if path.name in ("encoder.json", "hparams.json", "vocab.bpe", "counter") or path.name.startswith(f"{prefix}."):
            shutil.copyfile(path, part / path.name)
    # Relative, so that the folder may be moved; TensorFlow wrote where the run was.
    text = f'model_checkpoint_path: "{prefix}"\nall_model_checkpoint_paths: "{prefix}"\n'
    write_whole(part / "checkpoint", text)
    check_layout(part)


def _openai_from_hf(checkpoint: Path, part: Path) -> None:
    arrays, hparams = huggingface.read_gpt2(checkpoint)
    huggingface.write_vocabulary(checkpoint, hparams, part)
    weights, log = part / "weights.npz", part / "tf1.log"
    TENSORFLOW.interpreter()  # before gigabytes are written
    np.savez(weights, allow_pickle=False, **arrays)
    TENSORFLOW.result("build_checkpoint", {"weights": weights, "folder": part}, log, Written)
    for path in (weights, log):
        path.unlink()
    check_layout(part)
