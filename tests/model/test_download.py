"""The download of a base model with every way it can break: from an HTTP mirror, and from a folder."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest

from tests.helpers.base_models import DATA, LENGTH, Cloud, content, refused, write
from tests.helpers.loopback_mirror import Fault, tag_of
from training.common.errors import WrongUse
from training.common.paths import ROOT
from training.model import download
from training.model.base import locate
from training.model.mirror import BLOCK, Mark
from training.model.openai import WEIGHTS


def test_after_a_drop_only_the_rest_is_asked_for(cloud: Cloud) -> None:
    cloud.mirror.faults[DATA] = [Fault(drop_after=2_000_000), Fault(drop_after=1_000_000)]
    model = locate("124M", cloud.cache, progress=False)
    assert content(model.folder) == cloud.files
    first, second, third = cloud.mirror.asked(DATA)
    assert first.range is None and first.if_range is None
    for request, before in ((second, 2_000_000), (third, 3_000_000)):
        assert request.range and request.if_range
        start = int(request.range.removeprefix("bytes=").removesuffix("-"))
        assert before - 2 * BLOCK <= start <= before
    assert third.sent == LENGTH - int(str(third.range)[6:-1])


def test_a_server_without_ranges_sends_all_of_it_again(cloud: Cloud) -> None:
    cloud.mirror.faults[DATA] = [Fault(drop_after=2_000_000), Fault(ignore_range=True)]
    assert content(locate("124M", cloud.cache, progress=False).folder) == cloud.files
    assert cloud.mirror.asked(DATA)[1].sent == LENGTH


def leave_part(cloud: Cloud, path: str, body: bytes, tag: str | None, total: int | None) -> None:
    """A broken-off download of `path` in the cache."""
    part = download.part_path(cloud.cache / path, Mark(tag, total))
    write(part.parent, {part.name: body})


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
    leave_part(cloud, f"774M/{WEIGHTS}", b"x" * 1000, None, None)
    leave_part(cloud, f"774M/{WEIGHTS}", b"x" * 1000, "0" * 300, LENGTH)  # too long for a file's name
    write(cloud.cache / "774M", {f"{WEIGHTS}.part.json": b"", f"{WEIGHTS}.new.part": b"x"})
    assert content(locate("774M", cloud.cache, progress=False).folder) == cloud.files


def test_a_whole_part_is_only_checked(cloud: Cloud) -> None:
    leave_part(cloud, DATA, cloud.files[WEIGHTS], None, LENGTH)
    assert content(locate("124M", cloud.cache, progress=False).folder) == cloud.files
    assert cloud.mirror.asked(DATA) == []


def test_a_whole_part_of_another_length_is_none(cloud: Cloud) -> None:
    """No published sum would notice it."""
    leave_part(cloud, f"774M/{WEIGHTS}", b"x" * 1000, tag_of(b"x" * 1000), 1000)
    assert content(locate("774M", cloud.cache, progress=False).folder) == cloud.files


@pytest.mark.parametrize("tag", [None, "Wed, 21 Oct 2015 07:28:00 GMT"])
def test_a_part_that_may_be_another_file_s_is_continued_only_where_a_sum_would_show_it(
    cloud: Cloud, tag: str | None
) -> None:
    """Another mirror's file may have the same length and date."""
    for name, starts in (("774M", None), ("124M", "bytes=1000-")):
        data = f"{name}/{WEIGHTS}"
        leave_part(cloud, data, cloud.files[WEIGHTS][:1000], tag, LENGTH)
        cloud.mirror.faults[data] = [Fault(ignore_if_range=True)]
        assert content(locate(name, cloud.cache, progress=False).folder) == cloud.files
        assert [request.range for request in cloud.mirror.asked(data)] == [starts]


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
    part = download.part_path(folder / WEIGHTS, Mark(tag_of(cloud.files[WEIGHTS]), LENGTH))
    part.symlink_to("/dev/full")
    message = refused("124M", cloud.cache)
    assert message.startswith(f"The disk of {folder} is full") and "start again" in message
    part.unlink()
    assert content(locate("124M", cloud.cache, progress=False).folder) == cloud.files


LOCATE = """
import logging, sys
from pathlib import Path
from tests.helpers.base_models import model_files, release_of
from training.model import base as base_model, openai
logging.basicConfig(level="INFO", format="%(message)s")
openai.RELEASES["124M"] = release_of(model_files(), *openai.FILES)
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
    part = download.part_path(cloud.cache / DATA, Mark(tag_of(cloud.files[WEIGHTS]), LENGTH))
    deadline = time.monotonic() + 60
    while not (part.exists() and part.stat().st_size >= 2 * BLOCK):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(how)
    _, errors = process.communicate(timeout=60)
    have = part.stat().st_size
    assert process.returncode != 0 and 2 * BLOCK <= have < LENGTH
    assert ("are kept" in errors) == (how == signal.SIGINT)
    assert content(locate("124M", cloud.cache, progress=False).folder) == cloud.files
    _, second = cloud.mirror.asked(DATA)
    assert (second.range, second.sent) == (f"bytes={have}-", LENGTH - have)
    assert len(cloud.mirror.requests) == 8  # each of the six other files once


@pytest.mark.parametrize("scheme", ["file://", ""])
def test_a_folder_as_mirror(cloud: Cloud, monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    monkeypatch.setenv("DEEPPROVERBS_MIRROR", f"{scheme}{cloud.mirror.folder}")
    leave_part(cloud, DATA, cloud.files[WEIGHTS][:1000], f"{(cloud.mirror.folder / DATA).stat().st_mtime_ns}", LENGTH)
    assert content(locate("124M", cloud.cache, progress=False).folder) == cloud.files
    (cloud.mirror.folder / DATA).unlink()
    (cloud.cache / DATA).unlink()
    assert refused("124M", cloud.cache).startswith(f"There is no file {cloud.mirror.folder / DATA}; correct")
