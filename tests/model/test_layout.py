"""Folders in OpenAI's layout: taken as they are, or refused with what is wrong."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.helpers.base_models import HPARAMS, model_files, refused, write
from training.common.errors import WrongUse
from training.model.base import locate
from training.model.layout import checkpoint_name
from training.model.openai import FILES, WEIGHTS


def test_a_folder_of_gpt_2_simple_is_taken_as_it_is(tmp_path: Path) -> None:
    files = {name.replace("model.ckpt", "model-123"): body for name, body in model_files().items()}
    files["checkpoint"] = b'model_checkpoint_path: "model-123"\nall_model_checkpoint_paths: "model-123"\n'
    folder = write(tmp_path / "run1", {**files, "counter": b"123\n"})
    model = locate(str(folder), tmp_path / "cache")
    assert (model.folder, model.hparams, checkpoint_name(folder)) == (folder, HPARAMS, "model-123")
    assert {path.name for path in folder.iterdir()} == {*files, "counter"}
    (folder / "vocab.bpe").write_bytes(b"#version: 0.2\nb a\n")
    os.utime(folder / "vocab.bpe", (2, 2))
    assert locate(str(folder), tmp_path / "cache").sha != model.sha


@pytest.mark.parametrize("missing", [file for file in FILES if file != "model.ckpt.meta"])
def test_a_missing_file_is_named(tmp_path: Path, missing: str) -> None:
    folder = write(tmp_path / "model", model_files())
    (folder / missing).unlink()
    shown = "model.ckpt.data-*" if missing == WEIGHTS else missing
    assert refused(str(folder), tmp_path / "cache", WrongUse) == (
        f"{folder} is not a model in OpenAI's layout: {shown} is missing."
    )


@pytest.mark.parametrize(
    ("file", "body", "words"),
    [
        ("hparams.json", b"{", "must hold n_vocab"),
        ("hparams.json", json.dumps({**asdict(HPARAMS), "n_head": 3}).encode(), "n_embd a multiple of n_head"),
        ("hparams.json", json.dumps({**asdict(HPARAMS), "n_layer": 3}).encode(), "are cut short"),
        ("hparams.json", json.dumps({**asdict(HPARAMS), "n_embd": "128"}).encode(), "whole numbers"),
        ("encoder.json", b'{"a": 0}', "are not a vocabulary"),
        ("encoder.json", b"\xff", "are not a vocabulary"),
        ("vocab.bpe", b"", "are not a vocabulary"),
        ("model.ckpt.index", b"<html>", "index is damaged"),
        (WEIGHTS, b"short", "are cut short (5 bytes"),
        ("checkpoint", b"", 'write in it: model_checkpoint_path: "model.ckpt"'),
        ("checkpoint", b'model_checkpoint_path: "/content/run1/model.ckpt"', "in another folder; write in it"),
        ("checkpoint", b'model_checkpoint_path: "model-9"', "model-9.index, model-9.data-* are missing"),
        ("model.ckpt.data-00000-of-00002", b"", "2 of model.ckpt's"),
    ],
)
def test_a_folder_with_something_wrong(tmp_path: Path, file: str, body: bytes, words: str) -> None:
    folder = write(tmp_path / "model", {**model_files(), file: body})
    if file.endswith("-of-00002"):
        (folder / WEIGHTS).unlink()
        words = "1 of model.ckpt's 2 data files"
    assert words in refused(str(folder), tmp_path / "cache", WrongUse)


@pytest.mark.parametrize(
    "name", ["125M", "124m", "", " ", "gpt2", "no/such/folder", "~nobody-at-all/x", "a\0b", "x" * 5000]
)
def test_an_unknown_name(tmp_path: Path, name: str) -> None:
    message = refused(name, tmp_path / "cache", WrongUse)
    assert "choose 124M, 355M, 774M, 1558M, nano, smollm2-135m, hf:NAME, or a folder in OpenAI's or Hugging" in message


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "model").write_text("")
    assert "is a file, not a folder" in refused(str(tmp_path / "model"), tmp_path / "cache", WrongUse)
