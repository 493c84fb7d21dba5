"""A GPT-2 in either layout, for either trainer; folders in Hugging Face's layout, taken as they are or refused; and
OpenAI's sizes from the hub while OpenAI does not answer."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.helpers import bundles, hf_llama, nano, tiny
from tests.helpers.base_models import HPARAMS, Cloud, content, refused
from tests.helpers.loopback_hub import LoopbackHub, Model, loopback_hub
from training.common.errors import DeepproverbsError, WrongUse
from training.corpus.tokenizer import load_tokenizer
from training.model import base as base_model
from training.model import bundle
from training.model.base import locate
from training.model.huggingface import read_gpt2, write_gpt2
from training.model.layout import HF_LAYOUT, OPENAI_LAYOUT, Hparams
from training.model.trainers import TORCH

OPENAI, HF = frozenset({OPENAI_LAYOUT}), frozenset({HF_LAYOUT})
SHAPE = Hparams(**tiny.HPARAMS)


def assert_same(found: Any, wanted: Any) -> None:
    assert set(found) == set(wanted)
    for name, values in found.items():
        assert np.asarray(values).tobytes() == wanted[name].astype("<f4").tobytes(), name


@pytest.fixture
def openai(tmp_path: Path) -> Path:
    """A GPT-2 of some thousand weights in OpenAI's layout."""
    return bundles.write(tiny.source(tmp_path / "openai"), tiny.arrays(), shards=2)


@pytest.fixture
def huggingface(tmp_path: Path) -> Path:
    """The same in Hugging Face's."""
    write_gpt2(tiny.arrays(), SHAPE, tiny.source(tmp_path / "source"), tmp_path / "huggingface")
    return tmp_path / "huggingface"


def test_nano_for_pytorch_needs_neither_library(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "training")
    found = locate("nano", tmp_path, HF)
    with np.load(nano.NANO / "weights.npz") as weights:
        assert_same(read_gpt2(found.folder)[0], {name: weights[name].astype(np.float32) for name in weights.files})
    theirs, ours = load_tokenizer(nano.NANO), load_tokenizer(found.folder)
    assert ours.encode("A wise son maketh").ids == theirs.encode("A wise son maketh").ids
    caplog.clear()
    assert locate("nano", tmp_path, HF) == found and "nothing to build" in caplog.text
    # A file that was damaged since, and what a kill left behind.
    (found.folder / "model.safetensors").write_bytes(b"x")
    (tmp_path / ".nano-huggingface-killed").mkdir()
    assert locate("nano", tmp_path, HF) == found
    assert {path.name for path in tmp_path.iterdir()} == {"nano-huggingface", ".nano-huggingface.lock"}


def test_a_folder_of_openai_s_for_pytorch(openai: Path, tmp_path: Path) -> None:
    before, cache = content(openai), tmp_path / "cache"
    own = locate(str(openai), cache)
    assert (own.folder, own.layout) == (openai, OPENAI_LAYOUT)
    found = locate(str(openai), cache, HF)
    assert (found.layout, found.sha, found.hparams) == (HF_LAYOUT, own.sha, SHAPE)
    assert cache in found.folder.parents and content(openai) == before
    assert_same(read_gpt2(found.folder)[0], tiny.arrays())
    assert locate(str(openai), cache, HF) == found


def test_a_folder_of_hugging_face_s_for_tensorflow(tf1: Path, huggingface: Path, tmp_path: Path) -> None:
    before, cache = content(huggingface), tmp_path / "cache"
    own = locate(str(huggingface), cache)
    assert (own.folder, own.layout) == (huggingface, HF_LAYOUT)
    found = locate(str(huggingface), cache, OPENAI)
    assert (found.layout, found.sha, found.hparams) == (OPENAI_LAYOUT, own.sha, SHAPE)
    assert cache in found.folder.parents and content(huggingface) == before
    assert_same(bundle.read(found.folder), tiny.arrays())
    assert json.loads((found.folder / "encoder.json").read_text())["<|endoftext|>"] == tiny.END
    assert locate(str(huggingface), cache, OPENAI) == found


def test_another_model_in_the_folder_is_another_base(huggingface: Path, tmp_path: Path) -> None:
    own = locate(str(huggingface), tmp_path / "cache")
    write_gpt2(tiny.arrays(seed=2), SHAPE, tmp_path / "source", huggingface)
    assert locate(str(huggingface), tmp_path / "cache").sha != own.sha


def test_a_llama_is_for_pytorch_alone(tmp_path: Path) -> None:
    folder = hf_llama.folder(tmp_path / "llama", hf_llama.TINY)
    found = locate(str(folder), tmp_path / "cache", HF)
    shape = Hparams(12_288, 128, 32, 2, 2, n_head_kv=1, architecture="llama")
    assert (found.folder, found.hparams) == (folder, shape)
    with pytest.raises(WrongUse, match=r"is not a GPT-2, which is all that TensorFlow 1.15 can train; set --trainer"):
        locate(str(folder), tmp_path / "cache", OPENAI)


@pytest.mark.parametrize(
    ("file", "body", "words"),
    [
        ("config.json", b"{", "cannot be read as a model's description"),
        ("config.json", b"[]", "cannot be read as a model's description"),
        ("config.json", b'{"model_type": "t5"}', "describes no causal language model that this project knows"),
        ("config.json", b'{"vocab_size": 9, "n_ctx": 9, "n_embd": 9, "n_head": 9, "n_layer": 9}', "cannot be read"),
        ("tokenizer.json", None, "has no tokenizer.json; write one there with transformers"),
        ("model.safetensors", None, "has no model.safetensors; weights in other forms are not read"),
        ("model.safetensors", b"", "is missing, damaged or cut short; copy it again"),
        ("model.safetensors", b"<html>not found</html>", "is missing, damaged or cut short; copy it again"),
        ("model.safetensors", -1, "is missing, damaged or cut short; copy it again"),
        ("model.safetensors.index.json", b"{}", "model.safetensors.index.json is damaged"),
        ("model.safetensors.index.json", b'{"weight_map": {"a": "part.safetensors"}}', "part.safetensors is missing"),
    ],
)
def test_a_folder_with_something_wrong(
    huggingface: Path, tmp_path: Path, file: str, body: bytes | int | None, words: str
) -> None:
    path = huggingface / file
    if body is None:
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:body] if isinstance(body, int) else body)
    assert words in refused(str(huggingface), tmp_path / "cache", WrongUse)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, huggingface: Path) -> Iterator[LoopbackHub]:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    with loopback_hub(tmp_path / "served") as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        server.models["openai-community/gpt2"] = Model(content(huggingface))
        yield server


def test_124m_comes_from_the_hub_while_openai_does_not_answer(
    torch: Path, cloud: Cloud, hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("DEEPPROVERBS_MIRROR", "http://127.0.0.1:9")
    found = locate("124M", cloud.cache, progress=False)
    assert (found.name, found.layout, found.hparams) == ("124M", HF_LAYOUT, SHAPE)
    assert_same(read_gpt2(found.folder)[0], tiny.arrays())
    assert "Trying Hugging Face's hub." in caplog.text and "127.0.0.1:9" in caplog.text
    asked = len(hub.tokens)
    assert locate("124M", cloud.cache, HF, progress=False) == found and len(hub.tokens) == asked
    # Later OpenAI's may be had all the same, for TensorFlow.
    monkeypatch.setenv("DEEPPROVERBS_MIRROR", cloud.mirror.url)
    assert locate("124M", cloud.cache, OPENAI, progress=False).hparams == HPARAMS


def test_neither_openai_nor_the_hub(
    torch: Path, cloud: Cloud, hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEEPPROVERBS_MIRROR", "http://127.0.0.1:9")
    hub.models.clear()
    told = refused("124M", cloud.cache)
    assert told.startswith("Cannot reach http://127.0.0.1:9/") and "Hugging Face's hub does not help: " in told
    assert "There is no model openai-community/gpt2 on the hub" in told


def test_without_pytorch_the_hub_is_not_asked(
    cloud: Cloud, hub: LoopbackHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base_model, "TORCH", replace(TORCH, python=tmp_path / "python"))
    monkeypatch.setenv("DEEPPROVERBS_MIRROR", "http://127.0.0.1:9")
    with pytest.raises(DeepproverbsError, match=r"127\.0\.0\.1:9"):
        locate("124M", cloud.cache, progress=False)
    assert not hub.tokens
