"""Texts of the jobs that wait for a person: one refill at a time, read from another machine, until all are decided."""

from __future__ import annotations

import io
import json
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto import mock_aws
from post_tweet.pool import Pool
from post_tweet.store import DirectoryStore, open_store

from tests.helpers import reviewed as made
from tests.helpers import tiny_run
from tests.runs.test_damage import KINDS
from training.cli import main as cli
from training.common import jsonl
from training.common.text import text_id
from training.curate import fill
from training.curate.decisions import open_decisions
from training.runs import waiting
from training.runs.workspace import Workspace


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
    assert "1 text to read" in capsys.readouterr().out, "not those of the pool"
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


def fetched(run: made.Run, folder: Path) -> tuple[Workspace, list[str]]:
    """A workspace where one new text set apart waits, and those that lie in the person's folder from before."""
    work, apart = Workspace(str(folder / "work")), [*jsonl.records(run.folder / "review.jsonl")]
    (folder / "read").mkdir()
    jsonl.write(folder / "read" / "review.jsonl", apart)
    jsonl.write(folder / "new.jsonl", [{**apart[0], "text": "The greeks went home."}])
    work.put(folder / "new.jsonl", "out/new/review.jsonl")
    work.put(run.folder / "pool.jsonl", "out/new/pool.jsonl")
    waiting.note(work, "out/new", str(run.pool), "plain", "bot")
    return work, [record["text"] for record in apart]


def test_a_fetch_that_is_killed_loses_no_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work, before = fetched(made.run(tmp_path / "plain"), tmp_path)
    found = waiting.look(work)
    assert found

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(jsonl, "write", killed)
        with pytest.raises(KeyboardInterrupt):
            waiting.fetch(work, found, tmp_path / "read")
    waiting.fetch(work, found, tmp_path / "read")
    assert jsonl_texts(tmp_path / "read" / "review.jsonl") == [*before, "The greeks went home."]
    assert sorted(path.name for path in (tmp_path / "read").iterdir()) == ["pool.jsonl", "review.jsonl"]


def test_nothing_is_fetched_under_an_open_review(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = made.run(tmp_path / "plain")
    work, before = fetched(run, tmp_path)
    where = ["--work", work.url, "--bot", str(run.bot), "--run", str(tmp_path / "read")]
    (tmp_path / "read").rename(tmp_path / "read-review")
    with open_decisions(tmp_path / "read-review"):
        assert cli.main(["job", "review", *where]) == 1
    assert "Another review of" in capsys.readouterr().err
    assert jsonl_texts(tmp_path / "read-review" / "review.jsonl") == before


def test_filling_again_hides_no_refill_that_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    at = Reader(tmp_path, monkeypatch, "work", "pool")
    assert at.job("fill") == 0
    at.place("after-review")
    capsys.readouterr()
    assert at.job("refill") == 0
    waits_then = waits(capsys.readouterr().out)
    assert at.job("fill") == 0
    said = capsys.readouterr().out
    assert "The pool was chosen before" in said and waits(said) == waits_then > tiny_run.COUNT


def test_the_pool_is_fetched_once_however_often_one_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = made.run(tmp_path / "plain")
    work, _ = fetched(run, tmp_path)
    fill.fill(run.folder / "pool.jsonl", str(run.pool), "run")
    read: list[str] = []
    get = DirectoryStore.get

    def noted(store: DirectoryStore, key: str) -> tuple[bytes, str]:
        read.append(key)
        return get(store, key)

    monkeypatch.setattr(DirectoryStore, "get", noted)
    for _ in range(3):
        found = waiting.look(work)
        assert found and (found.count, found.apart) == (0, 1)
    assert sum(key.startswith("batches/") for key in read) == 1
    Pool(open_store(str(run.pool))).drop({text_id("The greeks went home."): "The greeks went home."}, ())
    assert waiting.look(work) is None
    jsonl.write(tmp_path / "new.jsonl", jsonl.records(run.folder / "review.jsonl"))
    work.put(tmp_path / "new.jsonl", "out/new/review.jsonl")
    assert waiting.look(work)
    fill.fill(tmp_path / "new.jsonl", str(run.pool), "review")
    assert waiting.look(work) is None, "a batch that is new is read"
