"""What lies in a workspace is somebody else's: no name leads out of a folder, and damage is told or made good."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path
from typing import Any

import pytest
from post_tweet.pool import Pool
from post_tweet.store import DirectoryStore, open_store

from tests.helpers import tiny_run
from tests.helpers.fakes import Crash
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


@pytest.mark.slow
def test_refills_go_on_wherever_one_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two refills, each on a machine of its own; then again, ended before and after each thing that they write."""
    tiny_run.prepare(monkeypatch, tmp_path)
    bot, machines = tiny_run.make(tmp_path), itertools.count()

    def job(what: str, at: str, *more: str) -> int:
        line = ["job", what, "--work", str(tmp_path / at / "work"), "--run", str(tmp_path / f"run-{next(machines)}")]
        line += ["--pool", str(tmp_path / at / "pool")] * (what in ("fill", "refill"))
        return cli.main([*line, "--model", str(tmp_path / "base"), *more])

    def texts(at: str) -> list[str]:
        return [record["text"] for record in Pool(open_store(str(tmp_path / at / "pool"))).records()]

    def drawn(at: str) -> list[str]:
        """Candidates of the refills' shards."""
        found = (tmp_path / at / "work" / "shards").rglob("*.jsonl")
        return sorted(line for path in found for line in path.read_text().splitlines())

    first, count = tmp_path / "first", tiny_run.COUNT
    assert cli.main(["job", "place", "--bot", str(bot), "--work", str(first / "work")]) == 0
    assert (job("train", "first"), job("sample", "first")) == (0, 0)
    assert job("refill", "first") == 2 and "There is no pool at" in capsys.readouterr().err
    assert job("fill", "first") == 0 and len(texts("first")) == count
    shutil.copytree(first, tmp_path / "whole")
    assert (job("refill", "whole", "--days", "13"), len(texts("whole"))) == (0, 2 * count)
    capsys.readouterr()
    assert job("refill", "whole", "--days", "13") == 0 and len(texts("whole")) == 2 * count, "a text a day: enough"
    assert f"{2 * count} texts are left, for {2 * count} days" in capsys.readouterr().out
    assert job("refill", "whole", "--days", "25") == 0
    whole = texts("whole")
    assert len(set(whole)) == len(whole) == 3 * count and whole[:count] == texts("first")

    calls, end_at, after = 0, 0, False

    def ending(name: str) -> None:
        write = getattr(DirectoryStore, name)

        def ended(*arguments: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == end_at and not after:
                raise Crash
            written = write(*arguments)
            if calls == end_at:
                raise Crash
            return written

        monkeypatch.setattr(DirectoryStore, name, ended)

    for name in ("put", "put_if", "upload"):
        ending(name)
    writes = 0
    for after in (False, True):
        for number in itertools.count(1):
            calls, end_at, was_ended = 0, number, False
            shutil.rmtree(tmp_path / "ended", ignore_errors=True)
            shutil.copytree(first, tmp_path / "ended")
            try:
                assert job("refill", "ended", "--days", "13") == 0
            except Crash:
                was_ended, writes = True, writes + 1
            end_at = 0
            assert job("refill", "ended", "--days", "13") == 0
            assert texts("ended") == whole[: 2 * count], (after, number)
            assert job("refill", "ended", "--days", "25") == 0
            assert texts("ended") == whole and drawn("ended") == drawn("whole"), (after, number)
            if not was_ended:
                break
    assert writes > 10
