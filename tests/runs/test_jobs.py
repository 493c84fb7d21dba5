"""What lies in a workspace is somebody else's: no name leads out of a folder, and damage is told or made good."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import tiny_run
from tests.runs.test_damage import KINDS, bytes_of, texts_in
from training.cli import main as cli
from training.common.errors import DeepproverbsError
from training.runs import jobs
from training.runs.shards import Parts
from training.runs.workspace import Workspace
from training.sample.candidates import Candidate

OUTSIDE = (
    *("../evil", "../../evil", "a/../../evil", "/tmp/evil", "//tmp/evil", "a//b", "a/./b", "a/..", "..", ".", "", "a/"),
    *("/", "a\\b", "..\\evil", "C:\\evil", "a\0b", "a\nb", "a\x7fb", "\x1b[2J"),
)


class Foreign:
    """A store in which somebody has put objects of these names."""

    url = "s3://theirs"

    def __init__(self, *keys: str) -> None:
        self.keys = keys

    def list(self, prefix: str) -> list[str]:
        return [key for key in self.keys if key.startswith(prefix)]

    def get(self, key: str) -> tuple[bytes, str]:
        return b'{"key": "k"}', ""

    def download(self, key: str, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"evil")


def of(store: Any) -> Workspace:
    work = Workspace("unused")
    work.store, work.url = store, store.url
    return work


@pytest.mark.parametrize("name", OUTSIDE)
def test_no_name_leads_out_of_the_folder(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b" / "run"
    for call in (
        lambda: jobs.fetch_bot(of(Foreign(f"bot/{name}")), folder),
        lambda: jobs.fetch_model(of(Foreign(f"run/{name}")), folder, lambda _: None),
    ):
        with pytest.raises(DeepproverbsError, match=r"leads out of the folder .*; nothing is written"):
            call()
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_part_that_is_damaged_is_drawn_again(tmp_path: Path) -> None:
    said: list[str] = []
    work = Workspace(str(tmp_path / "work"))
    some = [Candidate(f"text {n}", 5, -1.0, True, 1.0) for n in range(30)]
    for first in (0, 10, 20):
        Parts(work.store, "k").put(first, some[first : first + 10])
    path = next(tmp_path.rglob("000000010-*"))
    data = path.read_bytes()
    for kind, damage in KINDS.items():
        damaged = damage(data)
        path.unlink(missing_ok=True)
        if damaged is not None:
            path.write_bytes(damaged)
        parts = Parts(work.store, "k", said.append)
        assert parts.read(0) == some[:10] and parts.read(20) == some[20:], kind
        assert (f"{path} is not what was drawn: it is drawn again." in said) == (damaged is not None), kind
        said.clear()
    path.rename(path.with_name("000000010-000000020.jsonl"))  # a version that noted no digest
    path.with_name("000000010-000000020.jsonl").write_bytes(data)
    assert Parts(work.store, "k").read(0) == some


def test_a_workspace_damaged_one_file_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever lies there, the last job fills in what it would have, or nothing and says a sentence."""
    tiny_run.prepare(monkeypatch, tmp_path)
    bot, work = tiny_run.make(tmp_path), tmp_path / "work"

    def job(what: str, machine: str, *more: str, at: Path = work) -> int:
        line = ["job", what, "--work", str(at), "--run", str(tmp_path / machine), "--model", str(tmp_path / "base")]
        return cli.main([*line, *more])

    assert cli.main(["job", "place", "--bot", str(bot), "--work", str(work)]) == 0
    assert (job("train", "one"), job("sample", "two", "--shard", "1/1")) == (0, 0)
    assert job("fill", "three", "--pool", str(tmp_path / "pool")) == 0
    whole = texts_in(tmp_path / "pool")
    assert len(whole) == tiny_run.COUNT
    done = {"same": 0, "told": 0}
    for number, (name, data) in enumerate(sorted(bytes_of(work).items())):
        kind, damage = list(KINDS.items())[number % len(KINDS)]
        damaged = damage(data) if data else b"x"
        for folder in ("damaged", "four", "filled"):
            shutil.rmtree(tmp_path / folder, ignore_errors=True)
        shutil.copytree(work, tmp_path / "damaged")
        path = tmp_path / "damaged" / name
        path.unlink() if damaged is None else path.write_bytes(damaged)
        capsys.readouterr()
        code = job("fill", "four", "--pool", str(tmp_path / "filled"), at=tmp_path / "damaged")
        error = capsys.readouterr().err.strip()
        if code:
            assert code in (1, 2) and len(error.splitlines()) == 1, (name, kind, error)
            assert not texts_in(tmp_path / "filled")
        else:
            assert texts_in(tmp_path / "filled") == whole, (name, kind)
        done["told" if code else "same"] += 1
    print(done)
    assert done["told"] > 5 and done["same"] > 3
