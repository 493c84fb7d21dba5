"""What the tests of base models share: a model of noise in OpenAI's layout, a mirror that has it, weights for nano."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from tests.helpers import tiny
from tests.helpers.loopback_mirror import LoopbackMirror, loopback_mirror
from training.common.errors import DeepproverbsError, WrongUse
from training.model import download
from training.model.base import locate
from training.model.layout import INDEX_END, Hparams
from training.model.openai import FILES, RELEASES, WEIGHTS, Release

HPARAMS = Hparams(n_vocab=4096, n_ctx=1024, n_embd=128, n_head=2, n_layer=2)
LENGTH = 4 * HPARAMS.parameters
"""4.2 MB: sixteen blocks, so that a download can break in its middle."""
DATA = f"124M/{WEIGHTS}"


def model_files() -> dict[str, bytes]:
    """A model in OpenAI's layout whose weights are noise."""
    return {
        "hparams.json": json.dumps(asdict(HPARAMS)).encode(),
        "checkpoint": b'model_checkpoint_path: "model.ckpt"\nall_model_checkpoint_paths: "model.ckpt"\n',
        "encoder.json": json.dumps({"a": 0, "<|endoftext|>": 1}).encode(),
        "vocab.bpe": b"#version: 0.2\na b\n",
        "model.ckpt.index": b"index" + INDEX_END,
        "model.ckpt.meta": b"meta",
        WEIGHTS: np.random.default_rng(1).bytes(LENGTH),
    }


def write(folder: Path, files: dict[str, bytes]) -> Path:
    """These files in `folder`; returns it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def release_of(files: dict[str, bytes], *published: str) -> Release:
    return Release(HPARAMS, {}, {name: hashlib.sha256(files[name]).hexdigest() for name in published})


class Cloud(NamedTuple):
    """A mirror, the files of each of its models, and the cache that they come into."""

    mirror: LoopbackMirror
    files: dict[str, bytes]
    cache: Path


@contextmanager
def mirrored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """A mirror that has a tiny 124M with published sums, and a tiny 774M with sums of the vocabulary only."""
    files = model_files()
    write(tmp_path / "mirror/124M", files)
    write(tmp_path / "mirror/774M", files)
    monkeypatch.setitem(RELEASES, "124M", release_of(files, *FILES))
    monkeypatch.setitem(RELEASES, "774M", release_of(files, "encoder.json", "vocab.bpe"))
    monkeypatch.setattr(download, "FIRST_PAUSE", 0.0)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with loopback_mirror(tmp_path / "mirror") as mirror:
        monkeypatch.setenv("DEEPPROVERBS_MIRROR", mirror.url + "/")
        yield Cloud(mirror, files, tmp_path / "cache")


def refused(name: str, cache: Path, kind: type[DeepproverbsError] = DeepproverbsError) -> str:
    """The one sentence that `locate` refuses with."""
    with pytest.raises(kind) as caught:
        locate(name, cache, progress=False)
    assert isinstance(caught.value, WrongUse) == (kind is WrongUse)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "sha256.json"}


TINY = Hparams(n_vocab=64, n_ctx=32, n_embd=8, n_head=2, n_layer=2)


def tiny_arrays(seed: int) -> dict[str, np.ndarray]:
    """Weights of shape TINY, in half precision as nano's are stored."""
    return {name: value.astype(np.float16) for name, value in tiny.arrays(seed, hparams=asdict(TINY)).items()}


def nano_source(folder: Path, seed: int = 1, changed: dict[str, np.ndarray] | None = None) -> Path:
    """A folder like data/base/nano, of shape TINY."""
    files = model_files()
    write(
        folder,
        {
            "hparams.json": json.dumps(asdict(TINY)).encode(),
            "encoder.json": files["encoder.json"],
            "vocab.bpe": files["vocab.bpe"],
        },
    )
    np.savez(folder / "weights.npz", **(tiny_arrays(seed) | (changed or {})))  # type: ignore[arg-type]
    return folder
