"""What a stage wrote is known by its digests; a manifest of before there were any goes on working."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

import pytest

from training.common.errors import DeepproverbsError
from training.common.files import copy_of
from training.common.manifest import Manifest


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """One stage that wrote a file and a folder."""
    (tmp_path / "model" / "deep").mkdir(parents=True)
    for name in ("a.txt", "model/model.bin", "model/deep/part"):
        (tmp_path / name).write_text(name)
    Manifest(tmp_path).record("stage", "key", {}, time.monotonic(), [tmp_path / "a.txt", tmp_path / "model"], n=1)
    return tmp_path


def done(run: Path, *said: str) -> bool:
    heard: list[str] = []
    found = Manifest(run, heard.append).done("stage", "key", run / "a.txt", run / "model")
    assert heard == list(said)
    return found


def test_what_is_as_it_was_is_done(run: Path) -> None:
    assert done(run)
    assert not Manifest(run).done("stage", "other", run / "a.txt")
    (run / "model" / "calibration.json").write_text("measured later")
    (run / "model" / ".part").write_text("left by a kill")
    assert done(run)


@pytest.mark.parametrize("name", ["a.txt", "model/model.bin", "model/deep/part"])
@pytest.mark.parametrize("how", ["other", "cut", "gone", "same size and time"])
def test_what_is_not_is_made_again_and_that_is_said(run: Path, name: str, how: str) -> None:
    path, status = run / name, (run / name).stat()
    match how:
        case "other":
            path.write_text("something else")
        case "cut":
            path.write_text(name[:-1])
        case "gone":
            path.unlink()
        case _:
            path.write_text(name[::-1])
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert not done(run, f"{path} is not what the stage stage wrote: it is made again.")
    with pytest.raises(DeepproverbsError, match=r"is not what the stage stage wrote; cry\."):
        Manifest(run).rely(run / "a.txt", run / "model", cure="cry")
    Manifest(run).rely(run / "else", cure="cry")


def test_what_was_put_beside_it_is_not_what_it_wrote(run: Path) -> None:
    """A tokenizer.json in a model's folder would be read before its encoder.json."""
    (run / "model" / "tokenizer.json").write_text("{}")
    assert not done(run, f"{run}/model/tokenizer.json is not what the stage stage wrote: it is made again.")
    shutil.rmtree(run / "model")
    (run / "model").write_text("a file")
    assert not done(run, f"{run}/model is not what the stage stage wrote: it is made again.")


def test_a_manifest_without_digests_goes_on_and_notes_them(run: Path) -> None:
    path = run / "manifest.json"
    stages = json.loads(path.read_text())
    del stages["stage"]["outputs"], stages["sum"]
    path.write_text(json.dumps(stages))
    copy_of(path).unlink()
    assert done(run, "What the stage stage made is noted as it is now; from here on it is noticed if it changes.")
    assert done(run) and Manifest(run).stages["stage"]["n"] == 1
    (run / "a.txt").write_text("b.txt")
    assert not done(run, f"{run}/a.txt is not what the stage stage wrote: it is made again.")


def test_a_damaged_manifest_is_taken_from_its_copy(run: Path) -> None:
    path, heard = run / "manifest.json", list[str]()
    data = path.read_bytes()
    for damaged in (b"", b"{}", b"[]", b"{", b"\xff", data[:-9], data.replace(b'"n": 1', b'"n": 3'), None):
        path.unlink() if damaged is None else path.write_bytes(damaged)
        assert Manifest(run, heard.append).stages["stage"]["n"] == 1 and path.read_bytes() == data
    assert len(heard) == 8 and all(line.endswith("taken from its copy.") for line in heard)
    for each in (path, copy_of(path)):
        each.write_text("{")
    with pytest.raises(DeepproverbsError, match=r"cannot be read .* delete both and start again"):
        Manifest(run)


def test_an_output_that_nothing_can_make_again_has_a_copy(run: Path) -> None:
    path, heard = run / "a.txt", list[str]()
    manifest = Manifest(run, heard.append)
    manifest.keep("stage", path)
    assert copy_of(path).read_text() == "a.txt" and not heard
    path.write_text("damaged")
    manifest.keep("stage", path)
    assert path.read_text() == "a.txt" and heard.pop().endswith("taken from its copy.")
    copy_of(path).write_text("damaged")
    manifest.keep("stage", path)
    assert copy_of(path).read_text() == "a.txt"
    for each in (path, copy_of(path)):
        each.write_text("damaged")
    with pytest.raises(DeepproverbsError, match="remove both to go on without"):
        manifest.keep("stage", path)
    for each in (path, copy_of(path)):
        each.unlink()
    manifest.keep("stage", path)
