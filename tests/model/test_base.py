"""OpenAI's sizes: downloaded once, and which sums hold; what breaks on the way is in test_download.py."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.helpers.base_models import (
    DATA,
    HPARAMS,
    LENGTH,
    Cloud,
    content,
    model_files,
    nano_source,
    refused,
    write,
)
from tests.helpers.loopback_mirror import Fault
from training.model import base as base_model
from training.model.base import locate
from training.model.huggingface import SHAPE
from training.model.openai import FILES, RELEASES, SIZES, WEIGHTS


def test_a_size_is_downloaded_once(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "training")
    model = locate("124M", cloud.cache, progress=False)
    assert (model.name, model.folder, model.hparams) == ("124M", cloud.cache / "124M", HPARAMS)
    assert content(model.folder) == cloud.files
    assert "downloading 7 files, 4.2 MB of weights" in caplog.text
    asked = len(cloud.mirror.requests)
    assert asked == 7

    def no_sum(path: Path) -> str:
        raise AssertionError(f"{path} was read again")

    monkeypatch.setattr(base_model, "digest", no_sum)
    assert locate("124M", cloud.cache) == model
    assert len(cloud.mirror.requests) == asked
    assert "nothing to download" in caplog.text


def test_a_model_has_the_same_sha_in_the_cache_and_in_a_folder(cloud: Cloud, tmp_path: Path) -> None:
    elsewhere = write(tmp_path / "elsewhere", cloud.files)
    assert locate("124M", cloud.cache, progress=False).sha == locate(str(elsewhere), cloud.cache).sha


def test_two_runs_at_once_download_once(cloud: Cloud) -> None:
    cloud.mirror.faults[DATA] = [Fault(block_pause=0.005)]
    runs = [threading.Thread(target=locate, args=("124M", cloud.cache), kwargs={"progress": False}) for _ in range(3)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert len(cloud.mirror.requests) == 7


def test_a_cache_that_cannot_be_written(cloud: Cloud, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for name in ("124M", "nano"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(base_model, "NANO_SOURCE", nano_source(tmp_path / "source"))
            assert refused(name, tmp_path / "file").startswith(f"Cannot write in the cache {tmp_path / 'file'}")


def test_a_touched_file_is_summed_again_and_a_damaged_one_fetched_again(cloud: Cloud) -> None:
    folder = locate("124M", cloud.cache, progress=False).folder
    os.utime(folder / WEIGHTS, (1, 1))
    locate("124M", cloud.cache, progress=False)
    assert len(cloud.mirror.asked(DATA)) == 1
    (folder / WEIGHTS).write_bytes(b"x" * LENGTH)
    locate("124M", cloud.cache, progress=False)
    assert len(cloud.mirror.asked(DATA)) == 2 and content(folder) == cloud.files


def test_sums_that_nobody_published_hold_from_the_first_time(cloud: Cloud, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    folder = locate("774M", cloud.cache, progress=False).folder
    noted = json.loads((folder / "sha256.json").read_text())["files"]
    assert {file: facts["from"] for file, facts in noted.items()} == {
        file: "published" if file in ("encoder.json", "vocab.bpe") else "seen first" for file in FILES
    }
    assert f"its SHA-256 is not published; it is {noted[WEIGHTS]['sha256']}, and a later" in caplog.text
    (folder / WEIGHTS).unlink()
    cloud.mirror.faults[f"774M/{WEIGHTS}"] = [Fault(body=b"x" * LENGTH)] * 2
    assert f"the first one seen, in {folder / 'sha256.json'}, is" in refused("774M", cloud.cache)
    assert content(locate("774M", cloud.cache, progress=False).folder) == cloud.files


@pytest.mark.parametrize(
    ("file", "body"),
    [
        ("hparams.json", b"<html>"),
        ("hparams.json", json.dumps({**asdict(HPARAMS), "n_layer": 3}).encode()),
        ("checkpoint", b"<html>"),
        ("model.ckpt.index", b"<html>"),
    ],
)
def test_an_error_page_is_noticed_before_the_weights(cloud: Cloud, file: str, body: bytes) -> None:
    cloud.mirror.faults[f"774M/{file}"] = [Fault(body=body)]
    assert "holds another model than 774M, or error pages" in refused("774M", cloud.cache)
    assert cloud.mirror.asked(f"774M/{WEIGHTS}") == []
    assert content(locate("774M", cloud.cache, progress=False).folder) == cloud.files


def test_what_is_known_of_the_sizes() -> None:
    assert tuple(RELEASES) == SIZES
    assert [RELEASES[size].hparams.parameters for size in SIZES] == [
        124_439_808,
        354_823_168,
        774_030_080,
        1_557_611_200,
    ]
    for release in RELEASES.values():
        assert {"encoder.json", "vocab.bpe"} <= set(release.sha256) <= set(FILES)
        assert all(len(bytes.fromhex(value)) == 32 for value in release.sha256.values())
    small = RELEASES["124M"]
    assert set(small.sha256) == set(FILES)
    assert small.sha256["checkpoint"] == hashlib.sha256(model_files()["checkpoint"]).hexdigest()
    text = json.dumps({name: getattr(small.hparams, name) for name in SHAPE}, indent=2) + "\n"
    assert small.sha256["hparams.json"] == hashlib.sha256(text.encode()).hexdigest()
