"""A mirror that sends what it should not: endless, compressed or unknown files, without encryption."""

from __future__ import annotations

import gzip
import hashlib
import shutil

import pytest
import requests

from tests.helpers.base_models import DATA, LENGTH, Cloud, content, refused
from tests.helpers.loopback_mirror import Fault
from training.common.errors import DeepproverbsError
from training.model import download, mirror, openai
from training.model.base import locate
from training.model.layout import Record
from training.model.openai import FILES, WEIGHTS

ENDLESS = 100_000_000
"""Bytes after the end: far more than the system keeps for a connection."""


def test_what_goes_on_after_its_end_is_broken_off(cloud: Cloud, caplog: pytest.LogCaptureFixture) -> None:
    cloud.mirror.faults[DATA] = [Fault(body=cloud.files[WEIGHTS] + bytes(ENDLESS), no_length=True)]
    assert content(locate("124M", cloud.cache, progress=False).folder) == cloud.files
    assert f"it goes on after {LENGTH:,} bytes; deleted" in caplog.text
    assert cloud.mirror.asked(DATA)[0].sent < ENDLESS / 2


def test_a_file_of_unknown_length_may_not_be_endless(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    meta = "124M/model.ckpt.meta"
    monkeypatch.setattr(download, "MOST", 1000)
    for fault, words in (
        (Fault(body=bytes(ENDLESS), no_length=True), "it goes on after 1,000 bytes"),
        (Fault(body=bytes(5000)), "it has 5,000 bytes, and no more than 1,000 are taken"),
        (Fault(headers=(("Content-Length", "9" * 5000),), body=bytes(5000)), "it goes on after 1,000 bytes"),
    ):
        cloud.mirror.faults[meta] = [fault] * 2
        assert words in refused("124M", cloud.cache)
        assert not list((cloud.cache / "124M").glob("model.ckpt.meta*"))
    assert all(request.sent < ENDLESS / 2 for request in cloud.mirror.asked(meta))


def test_an_endless_file_of_a_folder(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPPROVERBS_MIRROR", str(cloud.mirror.folder))
    small = cloud.mirror.folder / "124M/hparams.json"
    small.unlink()
    small.symlink_to("/dev/zero")
    assert "it goes on after 0 bytes" in refused("124M", cloud.cache)


def test_what_comes_compressed_is_not_unpacked(cloud: Cloud) -> None:
    packed = gzip.compress(bytes(ENDLESS))
    cloud.mirror.faults[DATA] = [Fault(body=packed, headers=(("Content-Encoding", "gzip"),))]
    assert content(locate("124M", cloud.cache, progress=False).folder) == cloud.files


def test_what_has_no_published_sum_is_told_once(cloud: Cloud, caplog: pytest.LogCaptureFixture) -> None:
    locate("124M", cloud.cache, progress=False)
    assert "unverified" not in caplog.text
    locate("774M", cloud.cache, progress=False)
    told = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    unknown = set(FILES) - {"encoder.json", "vocab.bpe"}
    sums = {file: hashlib.sha256(cloud.files[file]).hexdigest() for file in unknown}
    assert sorted(told) == sorted(
        f"774M: {file} is unverified, for its SHA-256 is not published; it is {sums[file]}, and a later download must "
        "have the same"
        for file in unknown
    )
    caplog.clear()
    (cloud.cache / "774M" / WEIGHTS).unlink()
    locate("774M", cloud.cache, progress=False)
    assert "unverified" not in caplog.text
    # What somebody has put there himself is told, too.
    shutil.copytree(cloud.mirror.folder / "774M", cloud.cache / "other")
    shutil.rmtree(cloud.cache / "774M")
    (cloud.cache / "other").rename(cloud.cache / "774M")
    locate("774M", cloud.cache, progress=False)
    assert caplog.text.count("is unverified") == len(unknown)


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("http://mirror.example", True),
        ("http://10.0.0.7:8000/models", True),
        ("http://127.0.0.1.example", True),
        ("http://127.0.0.1:8000", False),
        ("http://[::1]:8000", False),
        ("http://localhost/", False),
        ("https://mirror.example", False),
        ("file:///models", False),
        ("/models", False),
        ("", False),
    ],
)
def test_an_address_without_encryption_is_told_once(address: str, told: bool, caplog: pytest.LogCaptureFixture) -> None:
    mirror.warn_if_open.cache_clear()
    for _ in range(3):
        mirror.warn_if_open(address, "DEEPPROVERBS_MIRROR")
    assert caplog.text.count("is not encrypted") == told


def test_the_mirror_that_is_asked_is_looked_at(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    mirror.warn_if_open.cache_clear()
    monkeypatch.setenv("DEEPPROVERBS_MIRROR", "http://nowhere.invalid/models")
    monkeypatch.setenv("NO_PROXY", "*")
    with pytest.raises(mirror.Unreachable, match=r"Cannot reach http://nowhere\.invalid"):
        openai.download("124M", openai.RELEASES["124M"], Record(cloud.cache / "124M"), False)
    assert "http://nowhere.invalid is not encrypted" in caplog.text and "name an https address" in caplog.text


def led(*addresses: str) -> requests.Response:
    """An answer that came after being sent from each address to the next."""
    answers = [requests.Response() for _ in addresses]
    for answer, address in zip(answers, addresses, strict=True):
        answer.url = address
    answers[-1].history = answers[:-1]
    return answers[-1]


def test_nobody_is_led_from_https_to_http() -> None:
    start = "https://mirror.example/a"
    for way in ([start, "http://mirror.example/b"], [start, "http://x.example/b", "https://y.example/c"]):
        with pytest.raises(DeepproverbsError, match=r"redirects to http://.*not encrypted; name another mirror"):
            mirror._check_way(start, led(*way))
    mirror._check_way(start, led(start, "https://cdn.example/b"))
    mirror._check_way(start, led(start))


def test_being_led_on_without_encryption_is_told(caplog: pytest.LogCaptureFixture) -> None:
    mirror.warn_if_open.cache_clear()
    start = "http://127.0.0.1:8000/a"
    mirror._check_way(start, led(start, "http://cdn.example/b"))
    assert "http://cdn.example is not encrypted" in caplog.text
