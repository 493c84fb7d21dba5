"""Stores beyond what test_store_model does with every one: files, many writers, and what each says when it fails."""

from __future__ import annotations

import contextlib
import errno
import filecmp
import multiprocessing
import os
import random
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import quote

import pytest
from botocore.exceptions import ClientError
from post_tweet import app
from post_tweet import store as stores
from post_tweet.errors import BadInput, Unreachable
from post_tweet.pool import Pool
from post_tweet.store import Conflict, DirectoryStore, Missing, S3Store, open_store

from tests.helpers.clones import two_clones
from tests.helpers.fakes import MemoryStore, MemoryX, records
from tests.helpers.locked_moto import BUCKET, locked_moto
from tests.helpers.loopback_aws import loopback_aws


@pytest.fixture(params=["memory", "directory", "s3", "git"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    if request.param == "s3":
        with locked_moto():
            yield open_store(f"s3://{BUCKET}/some/prefix")
    elif request.param == "git":
        yield two_clones(tmp_path / "git")[0]
    else:
        yield MemoryStore() if request.param == "memory" else open_store(str(tmp_path / "pool"))


def test_a_file_is_carried_as_a_whole(store: Any, tmp_path: Path) -> None:
    """Larger than the pieces in which S3 takes it."""
    source, target = tmp_path / "model.bin", tmp_path / "new" / "folder" / "model.bin"
    source.write_bytes(random.Random(1).randbytes(9 << 20))
    store.upload(source, "run/model/model.bin")
    assert store.list("run/") == ["run/model/model.bin"] and store.get_range("run/model/model.bin", 8 << 20, 9) != b""
    target.parent.mkdir(parents=True)
    target.write_bytes(b"old")
    store.download("run/model/model.bin", target)
    assert filecmp.cmp(source, target, shallow=False)
    with pytest.raises(Missing):
        store.download("run/none", target.with_name("none"))
    assert os.listdir(target.parent) == ["model.bin"]


def test_what_a_store_has(store: Any) -> None:
    """Neither a key that only begins like another, nor a folder."""
    store.put("posts/2026/10.json", b"1")
    store.put("posts/2026/1.json.old", b"1")
    before = store.requests
    there = {key: store.has(key) for key in ("posts/2026/10.json", "posts/2026/1.json", "posts/2026", "posts/", "p")}
    assert there == {key: key == "posts/2026/10.json" for key in there}
    assert store.requests == before + len(there)


def test_s3_says_forbidden_of_what_is_missing_where_only_a_prefix_may_be_listed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with loopback_aws() as aws:
        for name, value in aws.environment.items():
            monkeypatch.setenv(name, value)
        aws.lists_prefix_alone = True
        store = open_store(f"s3://{BUCKET}/p")
        store.put("there", b"1")
        calls: list[Callable[[str], object]] = [
            store.get,
            lambda key: store.get_range(key, 0, 1),
            lambda key: store.download(key, tmp_path / "file"),
        ]
        for call in calls:
            call("there")
            with pytest.raises(Missing):
                call("missing")
        aws.fault("GET", "/there", "403", times=2)
        with pytest.raises(Unreachable, match=r"does not allow get_object .*p/there \(AccessDenied\)"):
            store.get("there")
        aws.fault("GET", "list-type", "403")
        with pytest.raises(Unreachable, match=r"does not allow get_object .*missing"):
            store.get("missing")


def test_a_store_is_one_class_and_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shelves: dict[str, MemoryStore] = defaultdict(MemoryStore)
    monkeypatch.setitem(stores.STORES, "shelf", shelves.__getitem__)
    Pool(open_store("shelf://a/b")).append(records(2), "test")
    x = MemoryX()
    assert [app.run({"slot": "monday"}, "shelf://a/b", x).outcome for _ in "ab"] == ["posted", "already-settled"]
    (tmp_path / "one").write_bytes(b"a file")
    open_store("shelf://work").upload(tmp_path / "one", "run/one")
    open_store("shelf://work").download("run/one", tmp_path / "two" / "one")
    assert (tmp_path / "two" / "one").read_bytes() == b"a file" and sorted(shelves) == ["shelf://a/b", "shelf://work"]
    with pytest.raises(BadInput):
        open_store("shelf:work")


def test_of_many_writers_one_wins(store: Any) -> None:
    etag, wins = store.put_if("state", b"start", None), []

    def write(n: int) -> None:
        try:
            store.put_if("state", str(n).encode(), etag)
            wins.append(n)
        except Conflict:
            pass

    threads = [threading.Thread(target=write, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(wins) == 1 and store.get("state")[0] == str(wins[0]).encode()


def _append(folder: str, start: int) -> None:
    Pool(open_store(folder)).append(records(5, start=start), f"run {start}")


@pytest.mark.slow
def test_refills_by_several_processes_all_land(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_append, args=(str(tmp_path / "pool"), 100 * n)) for n in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    pool = Pool(open_store(str(tmp_path / "pool")))
    assert pool.load()[0].total == 20 and len({r["id"] for r in pool.records()}) == 20


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_directory_that_cannot_be_written_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    store = DirectoryStore(tmp_path)
    store.put("state", b"old")

    def full(*_: Any) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(stores.os, "fsync", full)
    with pytest.raises(Unreachable, match=os.strerror(code)):
        store.put("state", b"new")
    assert store.get("state")[0] == b"old" and sorted(os.listdir(tmp_path)) == [".lock", "state"]


def test_keys_stay_in_the_directory(tmp_path: Path) -> None:
    for key in ("../x", "/etc/x"):
        with pytest.raises(BadInput):
            DirectoryStore(tmp_path).get(key)


@pytest.mark.parametrize(
    "url",
    ["", " ", "http://x/y", "s3://", "s3:/b/p", "S3:b", "gs://bucket", "file:/x", "file://host/x", "a\0b", "a\ud800",
     "s3://b//p", "s3://b/p//", "s3://b//", "s3://b/p/../q", "s3://b/./p", "s3://b/a\tb", "s3://b/p\n", "s3://b/a\ud800",
     "s3:///p", "s3://user@b/p", "s3://b:80/p", "s3://b?x", "s3://b#x", "s3://b%20c/p", "s3:// b/p", "s3://bu\tcket/p",
     " s3://b/p", "file:///a#b", "file:///a?b", "file:///a%zz", "file:///a%00b", "file:///100%", "file://localhost",
     "file://a", "file:///a\0b", "s3:/\t/b/p"],
)  # fmt: skip
def test_addresses_that_are_no_pool(url: str) -> None:
    with pytest.raises(BadInput, match="git://remote/branch or a directory"):
        open_store(url)


NAMES = [
    "c#-bot",
    "c",
    "c?x=1#y",
    "a%20b",
    "a b",
    " a",
    "a ",
    "a+b",
    "Über",
    "U\u0308ber",
    "日本",
    "a;b",
    "a&b=c",
    "~",
    "*",
]
"""Each a pool of its own."""


@pytest.mark.parametrize("kind", ["folder", "file", "s3", "S3 over HTTP"])
def test_an_address_means_all_that_it_says(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ExitStack() as stack:
        if kind == "S3 over HTTP":
            for name, value in stack.enter_context(loopback_aws()).environment.items():
                monkeypatch.setenv(name, value)
        elif kind == "s3":
            stack.enter_context(locked_moto())
        begin = {"folder": f"{tmp_path}/", "file": f"FILE://{tmp_path}/"}.get(kind, f"S3://{BUCKET}/")
        addresses = [begin + (quote(name) if kind == "file" else name) for name in NAMES]
        for number, address in enumerate(addresses):
            pool = open_store(address)
            assert not pool.has("state.json") and pool.list("posts/") == []
            pool.put_if("state.json", str(number).encode(), None)
            pool.put("posts/#1?.json", b"1")
        for number, address in enumerate(addresses):
            for url in (address, f"{address}/", address.replace("S3:", "s3:").replace("FILE:", "file:")):
                assert open_store(url).get("state.json")[0] == str(number).encode()
                assert open_store(url).list("posts/") == ["posts/#1?.json"]
        if kind in ("folder", "file"):
            assert sorted(os.listdir(tmp_path)) == sorted(NAMES)


def test_a_name_that_is_none(store: Any) -> None:
    for key in ("a\ud800", "a\0b"):
        with contextlib.suppress(BadInput, Unreachable, Missing):
            store.get(key)


def refused(code: str, status: int, operation: str) -> ClientError:
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, operation)


@pytest.mark.parametrize(
    ("code", "status", "sentence"),
    [
        ("PermanentRedirect", 301, "set AWS_DEFAULT_REGION"),
        (
            "AccessDenied",
            403,
            r"does not allow get_object .* \(AccessDenied\)",
        ),  # no s3:ListBucket
    ],
)
def test_a_bucket_that_refuses_says_why(code: str, status: int, sentence: str) -> None:
    no = mock.Mock(side_effect=refused(code, status, "GetObject"))
    client = mock.Mock(get_object=no, list_objects_v2=no)
    with pytest.raises(Unreachable, match=sentence):
        S3Store("bucket", "p", client).get("state.json")


def test_a_wrong_bucket_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"1")
    with locked_moto():
        store = open_store("s3://no-such-bucket/x")
        for call in (lambda: store.get("state.json"), lambda: store.upload(tmp_path / "file", "file")):
            with pytest.raises(Unreachable, match="no-such-bucket does not exist"):
                call()


def test_no_credentials_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(Unreachable, match="aws configure"):
        open_store("s3://bucket/x").get("state.json")


def test_an_unreachable_endpoint_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
    }.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(Unreachable, match="check the network"):
        open_store("s3://bucket/x").get("state.json")


class FlakyClient:
    """A client whose put commits, but answers as if it had lost: what botocore's own retry looks like."""

    def __init__(self, client: Any, code: str, status: int) -> None:
        self.client, self.code, self.status = client, code, status

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)

    def put_object(self, **arguments: Any) -> Any:
        self.client.put_object(**arguments)
        raise refused(self.code, self.status, "PutObject")


@pytest.mark.parametrize(("code", "status"), [("PreconditionFailed", 412), ("ConditionalRequestConflict", 409)])
def test_a_conflict_with_our_own_write_is_a_success(code: str, status: int) -> None:
    with locked_moto() as client:
        pool = Pool(S3Store(BUCKET, "p", FlakyClient(client, code, status)))
        assert pool.append(records(3), "test").added == 3
        assert Pool(open_store(f"s3://{BUCKET}/p")).load()[0].total == 3
