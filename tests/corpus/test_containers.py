"""Archives and folders: what is none, or worse, and what is never opened."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers.exports import (
    OUTBOX,
    TWEETS,
    archive,
    js,
    texts,
)
from training.common.errors import DeepproverbsError
from training.common.manifest import key_of
from training.corpus import members
from training.corpus.read import open_corpus
from training.settings import CorpusSettings


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz"])
def test_an_archive_of_one_file_is_that_file(tmp_path: Path, name: str) -> None:
    lines = "\n".join(f"A patient kettle number {n}." for n in range(30))
    path = archive(tmp_path / name, {"sayings.txt": lines, "__MACOSX/._sayings.txt": b"\0\5"})
    assert [text.strip() for text in texts(open_corpus(path))] == lines.split("\n")
    path = archive(tmp_path / f"b{name}", {"a/data.json": json.dumps({"sayings": lines.split("\n")}), "a/x.png": b"\0"})
    assert texts(open_corpus(path)) == lines.split("\n")


def test_other_archives_are_refused_with_what_is_in_them(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"a.txt": "x", "b.txt": "y"})
    with pytest.raises(
        DeepproverbsError, match=r"a.zip is not an export .* holds 2 files of texts \(a.txt, b.txt\); give the"
    ):
        open_corpus(path)
    with pytest.raises(DeepproverbsError, match=r"holds 0 files of texts; give the files"):
        open_corpus(archive(tmp_path / "empty.zip", {}))
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(DeepproverbsError, match=r"a.zip cannot be unpacked \(.*\); download it again"):
        open_corpus(path)


def _zip_bomb(path: Path, size: int) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed, packed.open("data/tweets.js", "w") as file:
        file.write(b'window.YTD.tweets.part0 = [{"full_text": "a b"},')
        for _ in range(size >> 20):
            file.write(b" " * (1 << 20))
        file.write(b"]")


def _tar_bomb(path: Path, size: int) -> None:
    with tarfile.open(path, "w:gz") as packed:
        info = tarfile.TarInfo("data/tweets.js")
        head = b'window.YTD.tweets.part0 = [{"full_text": "a b"},'
        info.size = size
        packed.addfile(info, io.BytesIO(head + b" " * (size - len(head))))


@pytest.mark.parametrize(("name", "make"), [("a.zip", _zip_bomb), ("a.tar.gz", _tar_bomb)])
def test_a_bomb_is_not_unpacked(
    tmp_path: Path, name: str, make: Callable[[Path, int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """30 MiB in some 30 kB, where 4 MiB are free."""
    monkeypatch.setattr(members, "FREE", 4 << 20)
    make(tmp_path / name, 30 << 20)
    with pytest.raises(DeepproverbsError, match=r"data/tweets.js unpacks to more than 100 times its size"):
        texts(open_corpus(tmp_path / name))


def test_a_member_with_a_password_is_told(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"data/tweets.js": js("tweets", TWEETS)})
    data = bytearray(path.read_bytes())
    # Bit 0 of the flags, in the member's head and in the directory.
    data[6] |= 1
    data[data.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(DeepproverbsError, match=r"data/tweets.js has a password; unpack it yourself"):
        texts(open_corpus(path))


@pytest.mark.parametrize("setting", ["field", "author"])
def test_what_is_said_is_never_ignored(tmp_path: Path, setting: str) -> None:
    said = CorpusSettings(field="nosuch") if setting == "field" else CorpusSettings(author="nosuch")
    archive(tmp_path / "x.zip", {"data/tweets.js": js("tweets", TWEETS)})
    (tmp_path / "tweets.js").write_text(js("tweets", TWEETS))
    (tmp_path / "outbox.json").write_text(json.dumps(OUTBOX))
    (tmp_path / "a.json").write_text(json.dumps([{"text": "a b"}]))
    (tmp_path / "comments.csv").write_text(
        "id,permalink,date,ip,subreddit,gildings,link,parent,body,media\na1,r,2020,,tea,0,,,A kettle,\n"
    )
    (tmp_path / "lines.txt").write_text("one line\nanother line\n")
    for name in ("x.zip", "tweets.js", "outbox.json", "a.json", "comments.csv", "lines.txt"):
        with pytest.raises(DeepproverbsError, match=rf"(no {setting}|column) 'nosuch'"):
            open_corpus(tmp_path / name, said)


def test_bluesky_s_archive_is_refused_with_advice(tmp_path: Path) -> None:
    (tmp_path / "repo.car").write_bytes(b"\x3a\xa2eroots\x81\xd8*X%\0\x01q\x12 " + bytes(32) + b"gversion\x01")
    with pytest.raises(DeepproverbsError, match=r"Bluesky's archive \(.car\), not text: .*listRecords"):
        open_corpus(tmp_path / "repo.car")


def test_documents_are_no_archives(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"[Content_Types].xml": "<x/>", "xl/workbook.xml": "<x/>", "a.txt": "no"})
    with pytest.raises(DeepproverbsError, match=r"Excel"):
        open_corpus(path)


def test_a_folder_s_key_changes_with_what_is_in_it(tmp_path: Path) -> None:
    folder = archive(tmp_path / "a", {"data/tweets.js": js("tweets", TWEETS)})
    before = key_of({}, folder)
    assert key_of({}, folder) == before
    (folder / "data" / "tweets.js").write_text(js("tweets", TWEETS[1:]))
    assert key_of({}, folder) != before
