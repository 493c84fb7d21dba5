"""Every file of a run's folder, damaged one at a time at each point where a run can end: the same command then makes
the pool that it would have made, or says in a sentence what to do and fills in nothing. `-s` prints a table."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from post_tweet.pool import Pool
from post_tweet.store import open_store

from tests.helpers import tiny_run
from tests.helpers.fakes import Crash
from training.cli import main as cli
from training.common.manifest import Manifest
from training.runs import rounds, until_enough

NEVER_READ = {
    ".lock": "only its lock counts",
    "toy.log": "read by people, and at a failure",
    "checkpoint/key": "says whose an unfinished training is; this one is finished",
    "checkpoint/keep.npy": "written anew before each training",
}
"""Files on which nothing rests, and why."""


def flipped(at: float) -> Callable[[bytes], bytes]:
    def flip(data: bytes) -> bytes:
        place = min(len(data) - 1, int(at * len(data)))
        return data[:place] + bytes([data[place] ^ 1 << place % 8]) + data[place + 1 :]

    return flip


KINDS: dict[str, Callable[[bytes], bytes | None]] = {
    "flip, first": flipped(0.0),
    "flip, third": flipped(0.35),
    "flip, middle": flipped(0.5),
    "flip, late": flipped(0.8),
    "flip, last": flipped(1.0),
    "cut": lambda data: data[: len(data) // 2],
    "empty": lambda data: b"",
    "delete": lambda data: None,
    "foreign": lambda data: b'{"key": 1}\n',
    "longer": lambda data: data + data[-20:],
    "zeros": lambda data: bytes(len(data)),
}
"""What becomes of a file's bytes; None: it is gone."""


@pytest.fixture(scope="module")
def patch() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, patch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("damage")
    tiny_run.prepare(patch, folder)
    tiny_run.make(folder)
    return folder


@contextmanager
def ended(point: str) -> Iterator[None]:
    """Runs end at this point."""

    def crash(*_: object, **__: object) -> None:
        raise Crash

    owner: object = {"write": until_enough, "fill_round": rounds}[point]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, point, crash)
        with pytest.raises(Crash):
            yield


class Point:
    """A run that has come so far, and what the next command makes of it undamaged."""

    def __init__(self, home: Path, name: str) -> None:
        self.bot, self.at = home / "bot" / "bot.toml", home / name
        if name == "filled":
            assert tiny_run.run(self.bot, self.at) == 0
        else:
            with ended({"sampled": "write", "chosen": "fill_round"}[name]):
                tiny_run.run(self.bot, self.at)
        whole = self.copy("whole")
        assert tiny_run.run(self.bot, whole) == 0
        self.pool, self.files, self.before = pool(whole), bytes_of(whole / "run"), pool(self.at)
        assert len(self.pool) == len(self.before) + tiny_run.COUNT

    def copy(self, name: str) -> Path:
        to = self.at.parent / f"{self.at.name}-{name}"
        shutil.rmtree(to, ignore_errors=True)
        shutil.copytree(self.at, to)
        return to


def pool(at: Path) -> list[str]:
    return texts_in(at / "pool")


def texts_in(folder: Path) -> list[str]:
    return [record["text"] for record in Pool(open_store(str(folder))).records()]


def bytes_of(run: Path) -> dict[str, bytes]:
    return {path.relative_to(run).as_posix(): path.read_bytes() for path in run.rglob("*") if path.is_file()}


def outcome(point: Point, name: str, kind: str, capsys: pytest.CaptureFixture[str]) -> str:
    """What became of the damage: noticed, mended, told or harmless; anything else is wrong."""
    at = point.copy("damaged")
    path = at / "run" / name
    data = path.read_bytes()
    damaged = KINDS[kind](data)
    if damaged == data:
        return "none"
    if damaged is None:
        path.unlink()
    else:
        path.write_bytes(damaged)
    capsys.readouterr()
    code = tiny_run.run(point.bot, at)
    said = capsys.readouterr()
    if code:
        assert len(said.err.strip().splitlines()) == 1 and "Traceback" not in said.out + said.err, said
        return "told" if pool(at) == point.before else f"told, but the pool was changed: {said.err}"
    if pool(at) != point.pool:
        return "silent: another pool"
    # Of candidates.sums, candidates.jsonl tells.
    if any(str(path.with_suffix("")) in line and "Pool:" not in line for line in said.out.splitlines()):
        return "noticed"
    if (path.is_file() and path.read_bytes() == point.files[name]) or name not in point.files:
        return "mended"
    now = path.read_bytes() if path.is_file() else b""
    return "harmless" if name in NEVER_READ else f"silent: {now[:80]!r}"


@pytest.mark.parametrize(("name", "each"), [("sampled", 1), ("chosen", 2), ("filled", 1)])
def test_every_file_damaged_one_at_a_time(name: str, each: int, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    point = Point(home, name)
    files = [path for path, data in bytes_of(point.at / "run").items() if data and not path.startswith(".copies")]
    table: dict[str, Counter[str]] = {}
    wrong: list[str] = []
    for number, file in enumerate(sorted(files)):
        for kind in [*KINDS, *KINDS][each * number % len(KINDS) :][:each]:
            found = outcome(point, file, kind, capsys)
            table.setdefault(file, Counter())[found] += 1
            if found not in ("noticed", "mended", "told", "harmless", "none"):
                wrong.append(f"{file}, {kind}: {found}")
    for file, counts in table.items():
        print(f"  {name:<8} {file:<45} {dict(counts)}")
    total = sum(table.values(), Counter[str]())
    print(f"{name}: {total.total() - total['none']} damages, {dict(total)}, silent {len(wrong)}")
    assert wrong == []


def test_every_command_tells_damage_in_a_sentence(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Or is not touched by it: no command ends in a traceback, and none puts texts that were altered into the pool."""
    point = Point(home, "filled")
    texts = set(point.before)
    told: Counter[str] = Counter()
    files = {file: data for file, data in bytes_of(point.at / "run").items() if data}
    for number, (file, data) in enumerate(sorted(files.items())):
        at = point.copy("damaged")
        run, (kind, damage) = at / "run", list(KINDS.items())[number % len(KINDS)]
        damaged = damage(data)
        (run / file).unlink() if damaged is None else (run / file).write_bytes(damaged)
        bot = ["--bot", str(point.bot), "--run", str(run)]
        for command in (
            ["fill", str(run / "pool.jsonl"), "--pool", str(at / "other")],
            ["review", *bot, "--pool", str(at / "other")],
            ["report", *bot],
            ["sample", *bot, "--count", "300"],
            ["filter", str(run / "candidates.jsonl"), *bot, "--out", str(at / "out.jsonl")],
            ["export", *bot, "--to", "openai", "--out", str(at / "export")],
        ):
            capsys.readouterr()
            code = cli.main(command)
            error = capsys.readouterr().err.strip()
            if code:
                told[command[0]] += 1
                assert code in (1, 2) and len(error.splitlines()) == 1 and "." in error, (file, kind, command, error)
        assert {*pool(at), *texts_in(at / "other")} == texts, (file, kind)
    print(dict(told))
    assert told.keys() >= {"fill", "report", "sample", "filter", "export"}


def test_what_a_stage_leaves_is_on_the_disk_before_the_manifest_says_so(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every output of every stage, and the folder that names it, has been flushed."""
    flushed: list[int] = []
    real = os.fsync

    def noted(handle: int) -> None:
        flushed.append(os.fstat(handle).st_ino)
        real(handle)

    monkeypatch.setattr(os, "fsync", noted)
    run = home / "flushed" / "run"
    assert tiny_run.run(home / "bot" / "bot.toml", run.parent) == 0
    for stage in Manifest(run).stages.values():
        for name, known in stage["outputs"].items():
            for path in [run / name] if isinstance(known, str) else [run / name / each for each in known]:
                file, folder = path.stat().st_ino, path.parent.stat().st_ino
                assert file in flushed, f"{path} may be a hole"
                assert folder in flushed[flushed.index(file) :], f"{path} may be gone"
