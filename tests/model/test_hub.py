"""Models of Hugging Face's hub, from a hub on loopback: fetched whole or not at all, and only once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.helpers import tiny
from tests.helpers.loopback_hub import LoopbackHub, Model, loopback_hub
from tests.helpers.loopback_mirror import Fault
from training.common.errors import DeepproverbsError, WrongUse
from training.common.paths import ROOT
from training.corpus.tokenizer import load_tokenizer
from training.model import hub
from training.model.events import Event, Fetched, Progress
from training.model.huggingface import write_gpt2
from training.model.layout import Hparams
from training.model.mirror import warn_if_open
from training.model.trainers import TORCH, Trainer

NAME = "owner/model"
WEIGHTS = np.random.default_rng(1).bytes(3_000_000)
DATA = f"{NAME}/model.safetensors"
BLOCK = 1 << 18
OTHERS = ("README.md", "pytorch_model.bin", "tf_model.h5", "onnx/model.onnx", "model.fp16.safetensors", "train.py")
"""Nothing that a causal model needs."""


@pytest.fixture
def trainer(torch: Path) -> Trainer:
    return replace(TORCH, python=torch)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, bytes]:
    write_gpt2(tiny.arrays(), Hparams(**tiny.HPARAMS), tiny.source(tmp_path / "source"), tmp_path / "made")
    return {path.name: path.read_bytes() for path in (tmp_path / "made").iterdir()} | {"model.safetensors": WEIGHTS}


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, bytes]) -> Iterator[LoopbackHub]:
    for name in [name for name in os.environ if name.startswith("HF_") or name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    with loopback_hub(tmp_path / "served") as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        server.models[NAME] = Model(files | {name: b"x" for name in OTHERS})
        yield server


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != hub.RECORD}


def starts(server: LoopbackHub, path: str = DATA) -> list[int]:
    """The first byte that each request for a file asked for."""
    return [int((request.range or "bytes=0-")[6:-1]) for request in server.asked(path)]


def refused(wanted: str, cache: Path, trainer: Trainer) -> str:
    with pytest.raises(DeepproverbsError) as caught:
        hub.fetch(wanted, cache, trainer)
    assert "\n" not in str(caught.value) and not hub.known(wanted, cache)
    return str(caught.value)


def test_a_model_is_fetched_once(
    server: LoopbackHub,
    files: dict[str, bytes],
    trainer: Trainer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert not hub.known(NAME, tmp_path)
    folder = hub.fetch(NAME, tmp_path, trainer)
    assert content(folder) == files
    known = hub.read(folder)
    assert known and (known.name, known.commit, known.licence) == (NAME, server.models[NAME].commit, "mit")
    assert {path.name for path in folder.parent.iterdir()} == {folder.name, f".{folder.name}.lock"}
    told = {token for path, token in server.tokens if not path.startswith("/cdn")}
    assert told == {"Bearer hf_secret"}
    assert [token for path, token in server.tokens if path.startswith("/cdn")] == [None]  # it is no business of theirs

    # Without network and environment, and though the branch has moved on.
    server.models.clear()
    asked = len(server.tokens)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert hub.fetch(NAME, tmp_path, replace(trainer, python=tmp_path / "python")) == folder
    assert len(server.tokens) == asked and hub.known(NAME, tmp_path)
    # A folder that lost a file is none.
    (folder / "config.json").unlink()
    assert not hub.known(NAME, tmp_path)
    assert "HF_HUB_OFFLINE is set; unset it" in refused(NAME, tmp_path, trainer)


def test_a_revision_is_a_folder_of_its_own(server: LoopbackHub, trainer: Trainer, tmp_path: Path) -> None:
    server.models[NAME].revisions = ("main", "refs/pr/1")
    commit = server.models[NAME].commit
    for wanted in (f"{NAME}@refs/pr/1", f"{NAME}@{commit}"):
        folder = hub.fetch(wanted, tmp_path, trainer)
        found = hub.read(folder)
        assert found and (found.name, found.commit) == (wanted, commit)
    assert not hub.known(NAME, tmp_path)


def test_the_bytes_are_told_as_they_come(
    server: LoopbackHub, files: dict[str, bytes], trainer: Trainer, tmp_path: Path
) -> None:
    server.faults[DATA] = [Fault(block_pause=0.02)]
    events: list[Event] = []
    arguments = {"name": NAME, "revision": None, "folder": tmp_path / "part"}
    fetched = trainer.result("fetch", arguments, tmp_path / "log", Fetched, events.append)
    assert set(fetched.files) == set(files)
    told = [event.done for event in events if isinstance(event, Progress)]
    total = sum(map(len, files.values()))
    assert {event.total for event in events if isinstance(event, Progress)} == {total}
    assert told == sorted(told) and told[-1] == total
    assert any(total - len(WEIGHTS) < done < total for done in told)


def test_after_a_drop_only_the_rest_is_asked_for(
    server: LoopbackHub, files: dict[str, bytes], trainer: Trainer, tmp_path: Path
) -> None:
    server.faults[DATA] = [Fault(drop_after=1_000_000), Fault(drop_after=1_000_000)]
    assert content(hub.fetch(NAME, tmp_path, trainer)) == files
    first, second, third = starts(server)
    assert first == 0 and 1_000_000 - BLOCK <= second <= 1_000_000 and second + 1_000_000 - BLOCK <= third


def test_a_server_without_ranges_sends_all_of_it_again(
    server: LoopbackHub, files: dict[str, bytes], trainer: Trainer, tmp_path: Path
) -> None:
    server.faults[DATA] = [Fault(drop_after=1_000_000), Fault(ignore_range=True)]
    assert content(hub.fetch(NAME, tmp_path, trainer)) == files


@pytest.mark.slow
def test_kill_9_in_the_middle_and_again(
    server: LoopbackHub, files: dict[str, bytes], trainer: Trainer, tmp_path: Path
) -> None:
    """The program outlives its parent for a moment, and writes nothing more."""
    server.faults[DATA] = [Fault(block_pause=0.1)]
    code = (
        "import sys; from dataclasses import replace; from pathlib import Path; from training.model import hub; "
        "from training.model.trainers import TORCH; "
        f"hub.fetch({NAME!r}, Path(sys.argv[1]), replace(TORCH, python=Path(sys.argv[2])))"
    )
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'functions'}"}
    process = subprocess.Popen([sys.executable, "-c", code, tmp_path, trainer.python], env=environment)
    part = tmp_path / "hub" / ".owner--model.part"
    while not any(path.stat().st_size > 2 * BLOCK for path in part.glob("model.safetensors.*")):
        assert process.poll() is None
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not hub.known(NAME, tmp_path)
    assert content(hub.fetch(NAME, tmp_path, trainer)) == files
    assert max(starts(server)) >= 2 * BLOCK


def test_what_another_commit_left_is_replaced(
    server: LoopbackHub, files: dict[str, bytes], trainer: Trainer, tmp_path: Path
) -> None:
    server.faults[DATA] = [Fault(status=503)]
    assert "the answer was 503; try again later" in refused(NAME, tmp_path, trainer)
    part = tmp_path / "hub" / ".owner--model.part"
    assert (part / "config.json").read_bytes() == files["config.json"]
    (part / "vocab.json").write_bytes(b"x" * len(files["vocab.json"]))  # as a crash of the machine may leave it
    (part / "model.safetensors.0.part").write_bytes(b"of a commit that is no more")
    server.models[NAME].files["config.json"] += b"\n"
    assert content(hub.fetch(NAME, tmp_path, trainer)) == files | {"config.json": files["config.json"] + b"\n"}
    assert len(server.asked(f"{NAME}/merges.txt")) == 1


def test_wrong_content_is_asked_for_once_more(
    server: LoopbackHub, files: dict[str, bytes], trainer: Trainer, tmp_path: Path
) -> None:
    wrong = Fault(body=b"x" * len(WEIGHTS))
    server.faults[DATA] = [wrong, wrong]
    assert "model.safetensors came twice with wrong content and was deleted" in refused(NAME, tmp_path, trainer)
    server.faults[DATA] = [wrong]
    assert content(hub.fetch(NAME, tmp_path, trainer)) == files


def test_what_goes_on_after_its_end_is_broken_off(
    server: LoopbackHub, files: dict[str, bytes], trainer: Trainer, tmp_path: Path
) -> None:
    endless = 100_000_000  # bytes: far more than the system keeps for a connection
    server.faults[DATA] = [Fault(body=WEIGHTS + bytes(endless), no_length=True)]
    assert content(hub.fetch(NAME, tmp_path, trainer)) == files
    assert server.asked(DATA)[0].sent < endless / 2


@pytest.mark.parametrize("blob", [None, "", "../../../x", "A" * 40, "0" * 39])
def test_a_hash_that_is_none_names_no_file(
    server: LoopbackHub, trainer: Trainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, blob: str | None
) -> None:
    described = [sibling | {"blobId": blob} for sibling in server.models[NAME].siblings()]
    monkeypatch.setattr(Model, "siblings", lambda self: described)
    assert "The hub gives no hash of config.json; choose another model" in refused(NAME, tmp_path, trainer)


def test_a_hub_without_encryption_is_told(
    trainer: Trainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    warn_if_open.cache_clear()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_ENDPOINT", "http://hub.example")
    refused(NAME, tmp_path, trainer)
    assert "http://hub.example is not encrypted" in caplog.text and "in HF_ENDPOINT" in caplog.text


def test_a_full_disk(server: LoopbackHub, files: dict[str, bytes], trainer: Trainer, tmp_path: Path) -> None:
    """/dev/full takes no byte and says ENOSPC."""
    blob = next(file["blobId"] for file in server.models[NAME].siblings() if file["rfilename"] == "model.safetensors")
    part = tmp_path / "hub" / ".owner--model.part" / f"model.safetensors.{blob}.part"
    part.parent.mkdir(parents=True)
    part.symlink_to("/dev/full")
    assert "The disk is full: free some space and start again" in refused(NAME, tmp_path, trainer)
    part.unlink()
    assert content(hub.fetch(NAME, tmp_path, trainer)) == files


def test_weights_in_parts(server: LoopbackHub, files: dict[str, bytes], trainer: Trainer, tmp_path: Path) -> None:
    parts = {f"model-0000{i}-of-00002.safetensors": WEIGHTS[i:] for i in (1, 2)} | {
        "model.safetensors.index.json": b"{}"
    }
    server.models[NAME].files |= parts  # transformers takes the whole file where both are there
    assert content(hub.fetch(NAME, tmp_path, trainer)) == files
    del server.models[NAME].files["model.safetensors"]
    del files["model.safetensors"]
    assert content(hub.fetch(f"{NAME}@main", tmp_path, trainer)) == files | parts


def test_a_fast_tokenizer_is_made_where_it_is_missing(server: LoopbackHub, trainer: Trainer, tmp_path: Path) -> None:
    del server.models[NAME].files["tokenizer.json"]
    folder = hub.fetch(NAME, tmp_path, trainer)
    made, ours = load_tokenizer(folder), load_tokenizer(tmp_path / "source")
    for text in ("A wise son", "  ünï\n\n🙂"):
        assert made.encode(text).ids == ours.encode(text).ids
    assert made.token_to_id("<|endoftext|>") == tiny.END
    server.models[NAME].files.pop("vocab.json")
    assert "has no tokenizer.json, and transformers cannot make one" in refused(f"{NAME}@main", tmp_path, trainer)


def test_models_that_cannot_be_had(
    server: LoopbackHub, trainer: Trainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert f"There is no model owner/other on the hub ({server.url}), or it is private" in refused(
        "owner/other", tmp_path, trainer
    )
    assert "owner/model has no revision 'v9'" in refused(f"{NAME}@v9", tmp_path, trainer)
    server.models[NAME].gated = True
    assert "only for those who have accepted its terms" in refused(NAME, tmp_path, trainer)
    server.models["owner/pickle"] = Model({"config.json": b"{}", "pytorch_model.bin": b"x"})
    assert "no model.safetensors, the only form" in refused("owner/pickle", tmp_path, trainer)
    server.models["owner/adapter"] = Model({"model.safetensors": b"x"})
    assert "has no config.json" in refused("owner/adapter", tmp_path, trainer)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert "Cannot reach the hub (http://127.0.0.1:9)" in refused(NAME, tmp_path, trainer)


@pytest.mark.parametrize("wanted", ["", "a/b/c", "../up", "a b", "owner/model@", "https://huggingface.co/gpt2", "a/.."])
def test_what_is_no_name(tmp_path: Path, wanted: str) -> None:
    with pytest.raises(WrongUse, match="is not the name of a model on Hugging Face's hub: those are OWNER/MODEL"):
        hub.fetch(wanted, tmp_path, TORCH)
    assert not list(tmp_path.iterdir())


def test_without_the_environment(tmp_path: Path) -> None:
    with pytest.raises(DeepproverbsError, match="The PyTorch environment is missing"):
        hub.fetch(NAME, tmp_path, replace(TORCH, python=tmp_path / "python"))


def test_a_damaged_record_is_none(tmp_path: Path) -> None:
    for text in ("", "[]", "{}", json.dumps({"name": NAME, "commit": "1", "licence": None, "files": 3})):
        (tmp_path / hub.RECORD).write_text(text)
        assert hub.read(tmp_path) is None
