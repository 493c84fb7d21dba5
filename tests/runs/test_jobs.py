"""What lies in a workspace is somebody else's: no name leads out of a folder, and damage is told or made good."""

from __future__ import annotations

import io
import itertools
import json
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws
from post_tweet.pool import Pool
from post_tweet.store import DirectoryStore, open_store

from tests.helpers import tiny_run
from tests.helpers.fakes import Crash
from tests.runs.test_damage import KINDS, bytes_of, texts_in
from training.cli import main as cli
from training.common import jsonl
from training.common.errors import DeepproverbsError
from training.runs import jobs, waiting
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


class Reader:
    """A bot with publish = after-review, its jobs, and a person who reads on another machine."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, work: str, pool: str) -> None:
        tiny_run.prepare(monkeypatch, folder)
        monkeypatch.chdir(folder)
        self.folder, self.work, self.pool, self.monkeypatch = folder, work, pool, monkeypatch
        self.bot = tiny_run.make(folder)
        self.place()
        assert self.job("train") == 0

    def place(self, publish: str = "at-once") -> None:
        text = self.bot.read_text().removeprefix('publish = "after-review"\n')
        self.bot.write_text('publish = "after-review"\n' * (publish == "after-review") + text)
        assert cli.main(["job", "place", "--bot", "bot", "--work", self.work]) == 0

    def job(self, what: str, *more: str) -> int:
        line = ["job", what, "--work", self.work, "--run", "machine", "--model", str(self.folder / "base")]
        return cli.main([*line, "--pool", self.pool, *more])

    def read(self, answers: str, command: str) -> int:
        """The command that was printed, with these answers."""
        self.monkeypatch.setattr("sys.stdin", io.StringIO(answers))
        words = shlex.split(command)
        assert words[0] == "deepproverbs"
        return cli.main(words[1:])

    def outs(self) -> int:
        return len([key for key in open_store(self.work).list("out/") if key.endswith("/pool.jsonl")])

    def texts(self) -> list[str]:
        return [record["text"] for record in Pool(open_store(self.pool)).records()]


def waits(said: str) -> int:
    """How many texts are said to wait, those that were set apart among them."""
    (number,) = re.findall(r"(\d+) texts? waits? in (?:s3://my-bucket/)?work/out/", said)
    return int(number)


def command_in(said: str) -> str:
    (command,) = {*re.findall(r"`(deepproverbs job review [^`]*)`", said)}
    return str(command)


def test_a_refill_waits_for_a_person_if_the_bot_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One refill at a time, until all of it was decided: kept, dropped, or every text of it dropped."""
    at = Reader(tmp_path, monkeypatch, "work", "pool")
    count = tiny_run.COUNT
    assert at.job("fill") == 0 and len(at.texts()) == count and at.outs() == 1
    at.place("after-review")
    capsys.readouterr()
    for _ in range(3):  # the same, however often the alarm goes off
        assert at.job("refill") == 0
        said = capsys.readouterr().out
        assert "Nothing was added yet." in said and waits(said) == count + 1 and at.outs() == 2
    assert command_in(said) == "deepproverbs job review --work work --bot bot"
    assert at.read("n\n" * 5 + "q\n", command_in(said)) == 0, "some of them, dropped"
    assert at.job("refill") == 0 and at.outs() == 2
    assert waits(capsys.readouterr().out) == count + 1 - 5
    # All are dropped: the next refill brings others.
    assert at.read("n\n" * 100, command_in(said)) == 0
    gone = {*jsonl_texts(next((tmp_path / "runs").glob("job-*-review/pool.jsonl")))}
    assert at.job("refill") == 0 and at.outs() == 3
    said = capsys.readouterr().out
    assert "All of those were read." in said and waits(said) >= count
    assert len(at.texts()) == count and len(gone) == count
    assert at.read("y\nn\n" * 100, command_in(said)) == 0
    kept = {*at.texts()[count:]}
    assert kept and not kept & gone, "what was dropped did not come again"
    assert at.job("refill", "--days", "500") == 0 and at.outs() == 4
    assert at.read("q\n", command_in(capsys.readouterr().out)) == 0
    third = {*jsonl_texts(next((tmp_path / "runs").glob("job-*-review/pool.jsonl")))}
    assert len(third) == count and not third & (gone | {*at.texts()})
    # The bot publishes at once again: what waited comes in.
    at.place()
    assert at.job("refill", "--days", "500") == 0 and third <= {*at.texts()}


def jsonl_texts(path: Path) -> list[str]:
    return [record["text"] for record in jsonl.records(path)]


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A bucket."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        boto3.client("s3").create_bucket(Bucket="my-bucket")
        yield "my-bucket"


def test_the_first_filling_waits_for_a_person_in_s3(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], s3: str
) -> None:
    """`job fill` prints one command; given on another machine it shows the texts and publishes what is kept."""
    at = Reader(tmp_path, monkeypatch, f"s3://{s3}/work", f"s3://{s3}/tiny")
    at.place("after-review")
    capsys.readouterr()
    assert at.job("fill") == 0 and at.texts() == []
    said = capsys.readouterr().out
    count = tiny_run.COUNT
    assert "Nothing was added yet." in said and waits(said) >= count
    assert at.job("fill", "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["waiting"] == waits(said) and facts["review"] == command_in(said)
    # No code or rule of the workspace is needed: the person has the bot.
    shutil.rmtree(tmp_path / "machine")
    assert at.read("q\n", command_in(said).replace("--bot bot", "")) == 2
    assert "is of the bot tiny, not proverbs; name its folder with --bot." in capsys.readouterr().err
    assert at.read("y\n" * 4 + "n\n" * 100, command_in(said)) == 0
    said = capsys.readouterr().out
    assert "Fetched into runs/job-" in said and f"Added 4 texts to s3://{s3}/tiny" in said
    assert len(at.texts()) == 4 and Pool(open_store(at.pool)).verify() == []
    assert at.job("fill") == 0 and "All of them were read" in capsys.readouterr().out
    assert cli.main(["job", "review", "--work", at.work, "--bot", "bot"]) == 0
    assert "Nothing waits in" in capsys.readouterr().out
    assert at.job("refill") == 0 and waits(capsys.readouterr().out) >= count and len(at.texts()) == 4


def test_a_language_without_lists_waits_for_a_person(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every text is set apart, whatever `publish` says: no job fails, and a person can read them."""
    at = Reader(tmp_path, monkeypatch, "work", "pool")
    at.bot.write_text(at.bot.read_text().replace("[filter]", '[filter]\nlanguage = "xh"'))
    at.place()
    capsys.readouterr()
    assert at.job("fill") == 0 and at.outs() == 1
    said = capsys.readouterr().out
    count = tiny_run.COUNT
    assert f"Nothing was added yet. {count} texts wait in" in said and at.texts() == []
    assert at.read("y\n" * 5 + "n\n" * 100, command_in(said)) == 0 and len(at.texts()) == 5
    assert at.job("refill") == 0 and f"{count} texts wait in" in capsys.readouterr().out and at.outs() == 2
    assert at.job("refill") == 0 and f"{count} texts wait in" in capsys.readouterr().out and at.outs() == 2
    assert at.read("n\n" * 100, command_in(said)) == 0
    assert at.job("refill") == 0 and "All of those were read." in capsys.readouterr().out and at.outs() == 3


def test_texts_set_apart_beside_others_are_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A bot that publishes at once: its jobs fill the pool, and say where those lie that name a people."""
    at = Reader(tmp_path, monkeypatch, "work", "pool")
    capsys.readouterr()
    assert at.job("fill") == 0 and len(at.texts()) == tiny_run.COUNT
    said = capsys.readouterr().out
    assert "1 text waits in work/out/" in said and f"Added {tiny_run.COUNT} texts" in said
    assert at.read("y\n" * 5, command_in(said)) == 0 and len(at.texts()) == tiny_run.COUNT + 1
    assert "1 texts to read" in capsys.readouterr().out, "not those of the pool"
    assert at.job("fill") == 0 and "wait" not in capsys.readouterr().out
    assert at.job("refill") == 0 and at.outs() == 2


def test_a_note_of_what_waits_that_is_damaged_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    at = Reader(tmp_path, monkeypatch, "work", "pool")
    assert at.job("fill") == 0
    at.place("after-review")
    assert at.job("refill") == 0
    note = tmp_path / "work" / waiting.FILE
    whole = note.read_bytes()
    for kind, damage in KINDS.items():
        damaged = damage(whole)
        capsys.readouterr()
        if damaged is None:
            note.unlink()
        else:
            note.write_bytes(damaged)
            assert at.job("refill") == 1 and "delete waiting.json there" in capsys.readouterr().err, kind
            note.unlink()
        assert at.job("refill") == 0 and waits(capsys.readouterr().out) >= tiny_run.COUNT
        assert note.read_bytes() == whole and at.outs() == 2, kind
