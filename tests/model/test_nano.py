"""nano as a base model, through TensorFlow 1.15."""

from __future__ import annotations

import logging
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.base_models import TINY, model_files, nano_source, refused, tiny_arrays
from training.common.errors import DeepproverbsError
from training.model import base as base_model
from training.model.base import locate
from training.model.layout import check_layout
from training.model.trainers import TENSORFLOW

LOAD = """
import sys, warnings; warnings.filterwarnings("ignore")
import gpt_2_simple as gpt2, numpy as np, tensorflow as tf
session = gpt2.start_tf_sess()
gpt2.load_gpt2(session, model_name="nano", model_dir=sys.argv[1])
variables = tf.compat.v1.global_variables()
np.savez(sys.argv[2], **dict(zip([v.op.name for v in variables], session.run(variables))))
"""


def test_nano_is_built_and_gpt_2_simple_loads_the_same_values(
    tf1: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(base_model, "NANO_SOURCE", nano_source(tmp_path / "source"))
    cache = tmp_path / "cache"
    model = locate("nano", cache)
    assert (model.folder, model.hparams) == (cache / "nano", TINY)
    assert check_layout(model.folder) == TINY
    assert (model.folder / "checkpoint").read_bytes() == model_files()["checkpoint"]  # no path of this machine
    assert f"nano: built in {cache / 'nano'}, " in caplog.text
    assert {path.name for path in cache.iterdir()} == {"nano", ".nano.lock"}

    subprocess.run([tf1, "-c", LOAD, str(cache), str(tmp_path / "loaded.npz")], check=True, capture_output=True)
    with np.load(tmp_path / "loaded.npz") as loaded:
        assert set(loaded.files) == set(tiny_arrays(1))
        for name, value in tiny_arrays(1).items():
            assert loaded[name].dtype == np.float32
            assert np.array_equal(loaded[name], value.astype(np.float32)), name

    with monkeypatch.context() as patch:
        patch.setattr(base_model, "TENSORFLOW", replace(TENSORFLOW, python=Path(sys.executable)))  # has no TensorFlow
        # Ready: TensorFlow is not started again.
        assert locate("nano", cache) == model
        # Other weights, or a damaged copy: built anew, and the old one stays until the new one is whole.
        nano_source(tmp_path / "source", seed=2)
        with pytest.raises(DeepproverbsError):
            locate("nano", cache)
    assert check_layout(cache / "nano") == TINY
    (cache / ".nano-killed").mkdir()
    other = locate("nano", cache)
    assert other.sha != model.sha and not (cache / ".nano-killed").exists()


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"model/wte": np.zeros((3, 8), np.float16)}, "model/wte has shape (3, 8), not (64, 8)"),
        ({"model/wpe": np.full((32, 8), np.nan, np.float16)}, "model/wpe holds values that are no finite floats"),
        ({"model/h2/ln_1/g": np.zeros(8, np.float16)}, "model/h2/ln_1/g is no variable of this model"),
    ],
)
def test_weights_that_do_not_fit(
    tf1: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: dict[str, np.ndarray], words: str
) -> None:
    monkeypatch.setattr(base_model, "NANO_SOURCE", nano_source(tmp_path / "source", changed=changed))
    assert words in refused("nano", tmp_path / "cache")
    assert not (tmp_path / "cache/nano").exists()


def test_damaged_weights(tf1: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = nano_source(tmp_path / "source")
    (source / "weights.npz").write_bytes((source / "weights.npz").read_bytes()[:5000])
    monkeypatch.setattr(base_model, "NANO_SOURCE", source)
    assert "weights.npz is damaged" in refused("nano", tmp_path / "cache")


def test_nano_without_its_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = nano_source(tmp_path / "source")
    monkeypatch.setattr(base_model, "NANO_SOURCE", source)
    with monkeypatch.context() as patch:
        patch.setattr(base_model, "TENSORFLOW", replace(TENSORFLOW, python=tmp_path / "python"))
        assert "TensorFlow 1.15 environment is missing; run `scripts/setup" in refused("nano", tmp_path / "cache")
    (source / "weights.npz").unlink()
    assert "weights.npz is missing" in refused("nano", tmp_path / "cache")
