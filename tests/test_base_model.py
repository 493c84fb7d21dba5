"""Base models: the download with every way it can break, the checks of a folder, and nano through TensorFlow 1.15."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from tests.loopback_mirror import Fault, LoopbackMirror
from training import base_model, download
from training.base_model import FILES, RELEASES, SIZES, WEIGHTS, Release, locate
from training.errors import DeepproverbsError, WrongUse
from training.model_folder import INDEX_END, check_layout, parameters
from training.tf1_process import tf1_python

ROOT = Path(__file__).resolve().parents[1]
HPARAMS = {"n_vocab": 4096, "n_ctx": 1024, "n_embd": 128, "n_head": 2, "n_layer": 2}
LENGTH = 4 * parameters(HPARAMS)
"""4.2 MB: sixteen blocks, so that a download can break in its middle."""
DATA = f"124M/{WEIGHTS}"


def model_files() -> dict[str, bytes]:
    """A model in OpenAI's layout whose weights are noise."""
    return {
        "hparams.json": json.dumps(HPARAMS).encode(),
        "checkpoint": b'model_checkpoint_path: "model.ckpt"\nall_model_checkpoint_paths: "model.ckpt"\n',
        "encoder.json": json.dumps({"a": 0, "<|endoftext|>": 1}).encode(),
        "vocab.bpe": b"#version: 0.2\na b\n",
        "model.ckpt.index": b"index" + INDEX_END,
        "model.ckpt.meta": b"meta",
        WEIGHTS: np.random.default_rng(1).bytes(LENGTH),
    }


def write(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def release_of(files: dict[str, bytes], *published: str) -> Release:
    return Release(HPARAMS, {}, {name: hashlib.sha256(files[name]).hexdigest() for name in published})


class Cloud(NamedTuple):
    mirror: LoopbackMirror
    files: dict[str, bytes]
    cache: Path


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """A mirror that has a tiny 124M with published sums, and a tiny 774M with sums of the vocabulary only."""
    files = model_files()
    write(tmp_path / "mirror/124M", files)
    write(tmp_path / "mirror/774M", files)
    monkeypatch.setitem(RELEASES, "124M", release_of(files, *FILES))
    monkeypatch.setitem(RELEASES, "774M", release_of(files, "encoder.json", "vocab.bpe"))
    monkeypatch.setattr(download, "FIRST_PAUSE", 0.0)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with LoopbackMirror(tmp_path / "mirror") as mirror:
        monkeypatch.setenv("DEEPPROVERBS_MIRROR", mirror.url + "/")
        yield Cloud(mirror, files, tmp_path / "cache")


def refused(name: str, cache: Path, kind: type[DeepproverbsError] = DeepproverbsError) -> str:
    """The one sentence that `locate` refuses with."""
    with pytest.raises(kind) as caught:
        locate(name, cache, progress=False)
    assert type(caught.value) is kind
    assert "\n" not in str(caught.value)
    return str(caught.value)


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "sha256.json"}


# -- download ------------------------------------------------------------------------------------


def test_a_size_is_downloaded_once(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    model = locate("124M", cloud.cache, progress=False)
    assert (model.name, model.folder, model.hparams) == ("124M", cloud.cache / "124M", HPARAMS)
    assert model.checkpoint == cloud.cache / "124M/model.ckpt"
    assert content(model.folder) == cloud.files
    assert "downloading 7 files, 4.2 MB of weights" in caplog.text
    asked = len(cloud.mirror.requests)
    assert asked == 7

    def no_sum(path: Path) -> str:
        raise AssertionError(f"{path} was read again")

    monkeypatch.setattr(base_model, "digest", no_sum)
    started = time.perf_counter()
    assert locate("124M", cloud.cache) == model
    assert time.perf_counter() - started < 0.1
    assert len(cloud.mirror.requests) == asked
    assert "nothing to download" in caplog.text


def test_a_model_has_the_same_sha_in_the_cache_and_in_a_folder(cloud: Cloud, tmp_path: Path) -> None:
    elsewhere = write(tmp_path / "elsewhere", cloud.files)
    assert locate("124M", cloud.cache, progress=False).sha == locate(str(elsewhere), cloud.cache).sha


def test_after_a_drop_only_the_rest_is_asked_for(cloud: Cloud) -> None:
    cloud.mirror.faults[DATA] = [Fault(drop_after=2_000_000), Fault(drop_after=1_000_000)]
    model = locate("124M", cloud.cache, progress=False)
    assert content(model.folder) == cloud.files
    first, second, third = cloud.mirror.asked(DATA)
    assert first.range is None and first.if_range is None
    for request, before in ((second, 2_000_000), (third, 3_000_000)):
        assert request.range and request.if_range
        start = int(request.range.removeprefix("bytes=").removesuffix("-"))
        assert before - 2 * download.BLOCK <= start <= before
    assert third.sent == LENGTH - int(str(third.range)[6:-1])


def test_a_server_without_ranges_sends_all_of_it_again(cloud: Cloud) -> None:
    cloud.mirror.faults[DATA] = [Fault(drop_after=2_000_000), Fault(ignore_range=True)]
    assert content(locate("124M", cloud.cache, progress=False).folder) == cloud.files
    assert cloud.mirror.asked(DATA)[1].sent == LENGTH


def leave_part(cloud: Cloud, path: str, body: bytes, tag: str | None, total: int) -> Path:
    """A broken-off download of `path` in the cache."""
    part = cloud.cache / f"{path}.part"
    write(part.parent, {part.name: body, f"{part.name}.json": json.dumps({"tag": tag, "total": total}).encode()})
    return part


def test_a_file_that_changed_meanwhile_is_not_mixed(cloud: Cloud) -> None:
    """No published sum would notice it: If-Range does."""
    data = f"774M/{WEIGHTS}"
    cloud.mirror.faults[data] = [Fault(drop_after=2_000_000, body=b"x" * LENGTH)]
    assert content(locate("774M", cloud.cache, progress=False).folder) == cloud.files
    second = cloud.mirror.asked(data)[1]
    assert second.range and second.if_range and second.sent == LENGTH


@pytest.mark.parametrize("total", [LENGTH - 1, LENGTH + 2000])
def test_nor_when_the_server_knows_no_if_range(cloud: Cloud, total: int) -> None:
    """A longer file answers 206 with another length, one shorter than the part 416."""
    data = f"774M/{WEIGHTS}"
    leave_part(cloud, data, b"x" * (total - 1000), None, total)
    cloud.mirror.faults[data] = [Fault(ignore_if_range=True)]
    assert content(locate("774M", cloud.cache, progress=False).folder) == cloud.files


def test_a_part_without_its_mark_is_not_trusted(cloud: Cloud) -> None:
    leave_part(cloud, f"774M/{WEIGHTS}", b"x" * 1000, None, LENGTH).with_name(WEIGHTS + ".part.json").unlink()
    assert content(locate("774M", cloud.cache, progress=False).folder) == cloud.files


def test_a_whole_part_is_only_checked(cloud: Cloud) -> None:
    leave_part(cloud, DATA, cloud.files[WEIGHTS], None, LENGTH)
    assert content(locate("124M", cloud.cache, progress=False).folder) == cloud.files
    assert cloud.mirror.asked(DATA) == []


def test_an_unknown_length_is_taken_as_it_comes(cloud: Cloud) -> None:
    cloud.mirror.faults = {path: [Fault(no_length=True)] for path in (DATA, "124M/model.ckpt.meta")}
    assert content(locate("124M", cloud.cache, progress=False).folder) == cloud.files


def test_wrong_content_is_deleted_and_asked_for_once_more(cloud: Cloud) -> None:
    cloud.mirror.faults[DATA] = [Fault(body=b"x" * LENGTH)]
    assert content(locate("124M", cloud.cache, progress=False).folder) == cloud.files
    assert len(cloud.mirror.asked(DATA)) == 2


@pytest.mark.parametrize(("body", "reason"), [(b"x" * LENGTH, "its SHA-256 is"), (b"<html>", "it has 6 bytes, not")])
def test_twice_wrong_content_is_an_error_and_leaves_nothing(cloud: Cloud, body: bytes, reason: str) -> None:
    cloud.mirror.faults[DATA] = [Fault(body=body)] * 5
    message = refused("124M", cloud.cache)
    assert "came twice with wrong content" in message and reason in message
    assert len(cloud.mirror.asked(DATA)) == 2
    assert not list((cloud.cache / "124M").glob(f"{WEIGHTS}*"))
    # What was right is kept, and the next start asks for no more than the rest.
    cloud.mirror.faults.clear()
    locate("124M", cloud.cache, progress=False)
    assert len(cloud.mirror.requests) == 6 + 2 + 1


def test_server_errors_are_tried_again_but_not_for_ever(cloud: Cloud) -> None:
    cloud.mirror.faults[DATA] = [Fault(status=503), Fault(status=500), Fault(status=429)]
    locate("124M", cloud.cache, progress=False)
    shutil.rmtree(cloud.cache)
    cloud.mirror.requests.clear()
    cloud.mirror.faults[DATA] = [Fault(status=500)] * 50
    assert "broke off again and again (the server answered 500)" in refused("124M", cloud.cache)
    assert len(cloud.mirror.asked(DATA)) == download.TRIES


def test_drops_without_progress_end(cloud: Cloud) -> None:
    """A server without ranges that always drops at the same place must not be asked for ever."""
    cloud.mirror.faults[DATA] = [Fault(drop_after=1_000_000, ignore_range=True)] * 50
    assert "broke off again and again" in refused("124M", cloud.cache)
    assert len(cloud.mirror.asked(DATA)) == download.TRIES


@pytest.mark.parametrize(
    ("status", "words"),
    [(404, "is not there (answer 404); check DEEPPROVERBS_MIRROR"), (403, "was refused (answer 403)")],
)
def test_a_file_that_is_not_given_is_not_asked_for_again(cloud: Cloud, status: int, words: str) -> None:
    cloud.mirror.faults[DATA] = [Fault(status=status)] * 5
    assert words in refused("124M", cloud.cache)
    assert len(cloud.mirror.asked(DATA)) == 1


def test_unreachable(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:  # bound, and nobody listens
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("DEEPPROVERBS_MIRROR", f"http://127.0.0.1:{free.getsockname()[1]}")
        message = refused("124M", cloud.cache)
    assert message.startswith("Cannot reach http://127.0.0.1:") and "(connection refused)" in message


@pytest.mark.parametrize("mirror", ["ftp://example.org", "http://[", "http://", "s3://bucket/models"])
def test_an_address_that_is_none(cloud: Cloud, monkeypatch: pytest.MonkeyPatch, mirror: str) -> None:
    monkeypatch.setenv("DEEPPROVERBS_MIRROR", mirror)
    assert "correct DEEPPROVERBS_MIRROR" in refused("124M", cloud.cache, WrongUse)


def test_a_server_that_speaks_no_tls(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPPROVERBS_MIRROR", cloud.mirror.url.replace("http", "https"))
    assert refused("124M", cloud.cache).startswith("No secure connection to 127.0.0.1:")


def test_an_unknown_length_that_breaks_off_is_noticed(cloud: Cloud) -> None:
    cloud.mirror.faults[DATA] = [Fault(no_length=True, drop_after=1_000_000)]
    assert content(locate("124M", cloud.cache, progress=False).folder) == cloud.files
    assert [request.sent for request in cloud.mirror.asked(DATA)] == [1_000_000, LENGTH]


def test_a_full_disk_is_noticed_before(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1_000_000))
    message = refused("124M", cloud.cache)
    assert "4.2 MB more are needed and 1.0 MB are free" in message
    assert cloud.mirror.requests == []


def test_a_disk_that_fills_up_meanwhile(cloud: Cloud) -> None:
    """/dev/full takes no byte and says ENOSPC, as a full disk does."""
    folder = write(cloud.cache / "124M", {})
    (folder / (WEIGHTS + ".part")).symlink_to("/dev/full")
    message = refused("124M", cloud.cache)
    assert message.startswith(f"The disk of {folder} is full") and "start again" in message
    (folder / (WEIGHTS + ".part")).unlink()
    assert content(locate("124M", cloud.cache, progress=False).folder) == cloud.files


def test_a_cache_that_cannot_be_written(cloud: Cloud, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for name in ("124M", "nano"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(base_model, "NANO_SOURCE", nano_source(tmp_path / "source"))
            assert refused(name, tmp_path / "file").startswith(f"Cannot write in the cache {tmp_path / 'file'}")


LOCATE = """
import logging, sys
from pathlib import Path
from training import base_model
from tests.test_base_model import model_files, release_of
logging.basicConfig(level="INFO", format="%(message)s")
base_model.RELEASES["124M"] = release_of(model_files(), *base_model.FILES)
base_model.locate("124M", Path(sys.argv[1]))
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_download_goes_on(cloud: Cloud, how: signal.Signals) -> None:
    cloud.mirror.faults[DATA] = [Fault(block_pause=0.1)]  # 7 s for the whole
    process = subprocess.Popen(
        [sys.executable, "-c", LOCATE, str(cloud.cache)],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        text=True,
        # A shell's background jobs ignore SIGINT and hand that down; a terminal's do not.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    part = cloud.cache / "124M" / (WEIGHTS + ".part")
    deadline = time.monotonic() + 30
    while not (part.exists() and part.stat().st_size >= 2 * download.BLOCK):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(how)
    _, errors = process.communicate(timeout=10)
    have = part.stat().st_size
    assert process.returncode != 0 and 2 * download.BLOCK <= have < LENGTH
    assert ("are kept" in errors) == (how == signal.SIGINT)
    assert content(locate("124M", cloud.cache, progress=False).folder) == cloud.files
    _, second = cloud.mirror.asked(DATA)
    assert (second.range, second.sent) == (f"bytes={have}-", LENGTH - have)
    assert len(cloud.mirror.requests) == 8  # each of the six other files once


def test_two_runs_at_once_download_once(cloud: Cloud) -> None:
    cloud.mirror.faults[DATA] = [Fault(block_pause=0.005)]
    runs = [threading.Thread(target=locate, args=("124M", cloud.cache, None, False)) for _ in range(3)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert len(cloud.mirror.requests) == 7


@pytest.mark.parametrize("scheme", ["file://", ""])
def test_a_folder_as_mirror(cloud: Cloud, monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    monkeypatch.setenv("DEEPPROVERBS_MIRROR", f"{scheme}{cloud.mirror.folder}")
    leave_part(cloud, DATA, cloud.files[WEIGHTS][:1000], f"{(cloud.mirror.folder / DATA).stat().st_mtime_ns}", LENGTH)
    assert content(locate("124M", cloud.cache, progress=False).folder) == cloud.files
    (cloud.mirror.folder / DATA).unlink()
    (cloud.cache / DATA).unlink()
    assert refused("124M", cloud.cache).startswith(f"There is no file {cloud.mirror.folder / DATA}; correct")


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
    assert f"{noted[WEIGHTS]['sha256']}, not published, noted as seen first" in caplog.text
    (folder / WEIGHTS).unlink()
    cloud.mirror.faults[f"774M/{WEIGHTS}"] = [Fault(body=b"x" * LENGTH)] * 2
    assert f"the first one seen, in {folder / 'sha256.json'}, is" in refused("774M", cloud.cache)
    assert content(locate("774M", cloud.cache, progress=False).folder) == cloud.files


@pytest.mark.parametrize(
    ("file", "body"),
    [
        ("hparams.json", b"<html>"),
        ("hparams.json", json.dumps({**HPARAMS, "n_layer": 3}).encode()),
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
    assert [parameters(RELEASES[size].hparams) for size in SIZES] == [
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
    text = json.dumps(small.hparams, indent=2) + "\n"
    assert small.sha256["hparams.json"] == hashlib.sha256(text.encode()).hexdigest()


# -- folders -------------------------------------------------------------------------------------


def test_a_folder_of_gpt_2_simple_is_taken_as_it_is(tmp_path: Path) -> None:
    files = {name.replace("model.ckpt", "model-123"): body for name, body in model_files().items()}
    files["checkpoint"] = b'model_checkpoint_path: "model-123"\nall_model_checkpoint_paths: "model-123"\n'
    folder = write(tmp_path / "run1", {**files, "counter": b"123\n"})
    model = locate(str(folder), tmp_path / "cache")
    assert (model.folder, model.hparams, model.checkpoint) == (folder, HPARAMS, folder / "model-123")
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
        ("hparams.json", json.dumps({**HPARAMS, "n_head": 3}).encode(), "n_embd a multiple of n_head"),
        ("hparams.json", json.dumps({**HPARAMS, "n_layer": 3}).encode(), "are cut short"),
        ("hparams.json", json.dumps({**HPARAMS, "n_embd": "128"}).encode(), "whole numbers"),
        ("encoder.json", b'{"a": 0}', "are no vocabulary"),
        ("encoder.json", b"\xff", "are no vocabulary"),
        ("vocab.bpe", b"", "are no vocabulary"),
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
    assert "choose 124M, 355M, 774M, 1558M, nano, or a folder in OpenAI's layout" in message


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "model").write_text("")
    assert "is a file, not a folder" in refused(str(tmp_path / "model"), tmp_path / "cache", WrongUse)


# -- nano, through TensorFlow 1.15 -----------------------------------------------------------------

TINY = {"n_vocab": 64, "n_ctx": 32, "n_embd": 8, "n_head": 2, "n_layer": 2}


def tiny_arrays(seed: int) -> dict[str, np.ndarray]:
    d = TINY["n_embd"]
    shapes: dict[str, tuple[int, ...]] = {
        "model/wte": (TINY["n_vocab"], d),
        "model/wpe": (TINY["n_ctx"], d),
        "model/ln_f/g": (d,),
        "model/ln_f/b": (d,),
    }
    for layer in range(TINY["n_layer"]):
        for name, width in (("ln_1", 0), ("ln_2", 0), ("attn/c_attn", 3 * d), ("attn/c_proj", d), ("mlp/c_fc", 4 * d)):
            key = f"model/h{layer}/{name}"
            shapes |= {f"{key}/w": (1, d, width)} if width else {f"{key}/g": (d,)}
            shapes[f"{key}/b"] = (width or d,)
        shapes |= {f"model/h{layer}/mlp/c_proj/w": (1, 4 * d, d), f"model/h{layer}/mlp/c_proj/b": (d,)}
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=shape).astype(np.float16) for name, shape in shapes.items()}


def nano_source(folder: Path, seed: int = 1, changed: dict[str, np.ndarray] | None = None) -> Path:
    files = model_files()
    write(
        folder,
        {
            "hparams.json": json.dumps(TINY).encode(),
            "encoder.json": files["encoder.json"],
            "vocab.bpe": files["vocab.bpe"],
        },
    )
    np.savez(folder / "weights.npz", **(tiny_arrays(seed) | (changed or {})))  # type: ignore[arg-type]
    return folder


LOAD = """
import sys, warnings; warnings.filterwarnings("ignore")
import gpt_2_simple as gpt2, numpy as np, tensorflow as tf
session = gpt2.start_tf_sess()
gpt2.load_gpt2(session, model_name="nano", model_dir=sys.argv[1])
variables = tf.compat.v1.global_variables()
np.savez(sys.argv[2], **dict(zip([v.op.name for v in variables], session.run(variables))))
"""


def test_nano_is_built_and_gpt_2_simple_loads_the_same_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(base_model, "NANO_SOURCE", nano_source(tmp_path / "source"))
    cache = tmp_path / "cache"
    model = locate("nano", cache)
    assert (model.folder, model.hparams) == (cache / "nano", TINY)
    assert check_layout(model.folder) == TINY
    assert (model.folder / "checkpoint").read_bytes() == model_files()["checkpoint"]  # no path of this machine
    assert f"nano: built in {cache / 'nano'}, {parameters(TINY):,} parameters" in caplog.text
    assert {path.name for path in cache.iterdir()} == {"nano", ".nano.lock"}

    subprocess.run(
        [str(tf1_python()), "-c", LOAD, str(cache), str(tmp_path / "loaded.npz")], check=True, capture_output=True
    )
    with np.load(tmp_path / "loaded.npz") as loaded:
        assert set(loaded.files) == set(tiny_arrays(1))
        for name, value in tiny_arrays(1).items():
            assert loaded[name].dtype == np.float32
            assert np.array_equal(loaded[name], value.astype(np.float32)), name

    # Ready: TensorFlow is not started again.
    no_tf1 = Path(sys.executable)
    assert locate("nano", cache, no_tf1) == model
    # Other weights, or a damaged copy: built anew, and the old one stays until the new one is whole.
    nano_source(tmp_path / "source", seed=2)
    with pytest.raises(DeepproverbsError):
        locate("nano", cache, no_tf1)
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
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: dict[str, np.ndarray], words: str
) -> None:
    monkeypatch.setattr(base_model, "NANO_SOURCE", nano_source(tmp_path / "source", changed=changed))
    assert words in refused("nano", tmp_path / "cache")
    assert not (tmp_path / "cache/nano").exists()


def test_damaged_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = nano_source(tmp_path / "source")
    (source / "weights.npz").write_bytes((source / "weights.npz").read_bytes()[:5000])
    monkeypatch.setattr(base_model, "NANO_SOURCE", source)
    assert "weights.npz is damaged" in refused("nano", tmp_path / "cache")


def test_nano_without_its_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = nano_source(tmp_path / "source")
    monkeypatch.setattr(base_model, "NANO_SOURCE", source)
    with pytest.raises(DeepproverbsError, match=r"TensorFlow 1\.15 is not installed, .* run `make setup`"):
        locate("nano", tmp_path / "cache", tmp_path / "python")
    (source / "weights.npz").unlink()
    assert "weights.npz is missing" in refused("nano", tmp_path / "cache")
