"""1, 2 and 8 shards give what one machine gives; a killed one goes on; a missing one costs no text."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import boto3
import pytest
from post_tweet.pool import Pool
from post_tweet.store import open_store

from tests.helpers.locked_moto import BUCKET, locked_moto
from tests.helpers.sampling import CT2, ROOT, quick_bot
from training.cli import main as cli
from training.common.errors import DeepproverbsError, WrongUse
from training.judge.judge import Judge
from training.judge.rules import PASSED
from training.runs import jobs, shards, stages
from training.runs.shards import Parts, Shard
from training.runs.until_enough import sample_and_filter
from training.runs.workspace import Workspace
from training.sample.candidates import Candidate
from training.settings import Bot, load

COUNT = 400
QUIET: list[str] = []


@pytest.fixture(scope="module")
def work(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace as `job train` leaves it, with nano untrained; and the bot of proverbs in it."""
    folder = tmp_path_factory.mktemp("work")
    place = Workspace(str(folder))
    bot = quick_bot(folder / "source")
    jobs.place(load(bot), bot, place, QUIET.append)
    place.put_all([path for path in model.rglob("*") if path.is_file()], model.parent, "run")
    place.put(folder / "source" / "corpus.txt", "run/corpus.txt")
    key = jobs.model_key(jobs.fetch_bot(place, folder / "fetched"))
    place.store.put(f"run/{jobs.TRAINED}", json.dumps({"key": key}).encode())
    return folder


def copy(work: Path, to: Path) -> Workspace:
    """A workspace of one's own: its bot and model, no shards."""
    to.mkdir()
    for name in ("bot", "run"):
        (to / name).symlink_to(work / name)
    return Workspace(str(to))


def bot_of(place: Workspace, folder: Path, count: int = COUNT) -> Bot:
    folder.mkdir(parents=True, exist_ok=True)
    bot = jobs.fetch_bot(place, folder)
    settings = replace(bot.sample, workers=2, batch=24, engine="native")
    return replace(bot, count=count, pool=str(folder / "pool"), sample=settings)


def machine(place: Workspace, folder: Path, text: str, count: int = COUNT) -> int:
    """A machine that draws the shard `text`, in this folder; returns how many candidates."""
    bot = bot_of(place, folder, count)
    shard = Shard.read(text, jobs.total(bot))
    return shards.sample_shard(
        bot, folder, jobs.fetch_model(place, folder, QUIET.append), shard, place.store, QUIET.append
    )


def pooled(place: Workspace, folder: Path, bot: Bot | None = None) -> tuple[bytes, bytes]:
    """(candidates, pool) after the last job."""
    path = jobs.pool(bot or bot_of(place, folder), folder, place, QUIET.append)
    return (folder / "candidates.jsonl").read_bytes(), path.read_bytes()


@pytest.fixture(scope="module")
def alone(work: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes]:
    """What one machine makes of the same run without shards."""
    folder = tmp_path_factory.mktemp("alone")
    place = Workspace(str(work))
    bot = bot_of(place, folder)
    sample_and_filter(bot, folder, jobs.fetch_model(place, folder, QUIET.append), [], QUIET.append)
    return (folder / "candidates.jsonl").read_bytes(), (folder / "pool.jsonl").read_bytes()


def checked(texts: list[str], work: Path, bot: Bot) -> None:
    """Size and rules of a pool, by a judge that has not seen it."""
    judge = Judge(bot.filter, stages.reference_of(bot, work / "run"), bot.folder)
    assert len(texts) == len(set(texts)) == bot.count
    verdicts = judge.verdicts([Candidate(t, 9, -1.0, True, 1.0) for t in texts])
    assert {verdict.verdict for verdict in verdicts} == {PASSED}


@pytest.mark.parametrize("of", [pytest.param(1, marks=pytest.mark.slow), 2, pytest.param(8, marks=pytest.mark.slow)])
def test_shards_are_the_file_of_one_machine(of: int, work: Path, alone: tuple[bytes, bytes], tmp_path: Path) -> None:
    place = copy(work, tmp_path / "work")
    drawn = 0
    for index in reversed(range(1, of + 1)):  # in whatever order they come
        drawn += machine(place, tmp_path / f"machine-{index}", f"{index}/{of}")
    assert drawn == 2 * COUNT
    candidates, pool = pooled(place, tmp_path / "last")
    assert candidates.splitlines()[: len(alone[0].splitlines())] == alone[0].splitlines()[: 2 * COUNT]
    assert pool == alone[1]
    checked([json.loads(line)["text"] for line in pool.splitlines()], work, bot_of(place, tmp_path / "last"))


@pytest.mark.slow
def test_shards_as_processes_one_of_them_killed(work: Path, alone: tuple[bytes, bytes], tmp_path: Path) -> None:
    """kill -9 in the middle of a shard: started again, it goes on after its last part."""
    place = copy(work, tmp_path / "work")
    code = "import sys; from training.cli import main as cli; from training.runs import shards; "
    code += "shards.SECONDS = 0.0; sys.exit(cli.main())"
    options = ["--work", str(tmp_path / "work"), "--count", str(20 * COUNT), "--run", str(tmp_path / "run")]
    options += ["--workers", "2", "--batch", "24", "--engine", "native"]

    def start(shard: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", code, "job", "sample", *options, "--shard", shard],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'functions'}"},
            cwd=tmp_path,
        )

    first, second = start("1/40"), start("2/2")
    while not any(path.name >= f"{20 * COUNT:09d}" for path in tmp_path.glob("work/shards/*/*.jsonl")):
        time.sleep(0.01)
    os.kill(second.pid, signal.SIGKILL)
    second.communicate()
    assert first.communicate(timeout=600)[0].splitlines()[-1] == f"Shard 1 of 40 is done: {COUNT:,} candidates drawn."
    key = next((tmp_path / "work" / "shards").iterdir()).name
    parts = Parts(place.store, key)
    there = parts.chain(20 * COUNT)[-1].end
    assert 20 * COUNT < there < 40 * COUNT
    # Of the same numbers in 80 shards: the first that is not whole goes on where the killed one stopped.
    index = there * 80 // (40 * COUNT) + 1
    shard = Shard(index, 80, 40 * COUNT)
    out = start(f"{index}/80").communicate(timeout=600)[0]
    assert f"{there - shard.first:,} are there" in out or there == shard.first
    assert f"is done: {shard.end - there:,} candidates drawn" in out
    again = start(f"{index}/80").communicate(timeout=600)[0]
    assert "is done: 0 candidates drawn" in again
    # What the two processes left is what one draws in one go.
    whole = copy(work, tmp_path / "whole")
    folder = tmp_path / "one"
    bot, model = bot_of(whole, folder), jobs.fetch_model(whole, folder, QUIET.append)
    shards.sample_shard(bot, folder, model, shard, whole.store, QUIET.append)
    assert Parts(whole.store, key).read(shard.first, shard.end) == parts.read(shard.first, shard.end)


def test_a_shard_that_never_came_costs_no_text(work: Path, alone: tuple[bytes, bytes], tmp_path: Path) -> None:
    place = copy(work, tmp_path / "work")
    for index in (1, 3):
        machine(place, tmp_path / f"machine-{index}", f"{index}/4")
    said: list[str] = []
    folder = tmp_path / "last"
    bot = bot_of(place, folder)
    path = jobs.pool(bot, folder, place, said.append)
    assert f"Merged: {COUNT // 2} candidates; 1 parts lie behind a gap and wait for the shard before them." in said
    assert path.read_bytes() == alone[1]


@pytest.mark.slow
def test_ctranslate2_s_shards_are_as_good(work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its texts are other ones with another N (its streams are seeded by where they start), and as many are kept."""
    monkeypatch.setattr(stages, "choose_plan", lambda *_: CT2)
    kept: dict[int, float] = {}
    count = 200
    for of in (1, 3):
        place = copy(work, tmp_path / f"work-{of}")
        for index in range(1, of + 1):
            machine(place, tmp_path / f"machine-{of}-{index}", f"{index}/{of}", count)
        folder = tmp_path / f"last-{of}"
        bot = bot_of(place, folder, count)
        candidates, pool = pooled(place, folder, bot)
        texts = [json.loads(line)["text"] for line in pool.splitlines()]
        checked(texts, work, bot)
        drawn = [json.loads(line)["text"] for line in candidates.splitlines()]
        assert len(set(drawn)) > 0.95 * len(drawn), "two shards draw the same texts"
        judged = len((folder / "verdicts.jsonl").read_text().splitlines())
        kept[of] = count / judged
    # Some 310 judged: a standard error of 0.027 each.
    assert abs(kept[1] - kept[3]) < 0.15, kept


def test_overlapping_parts_give_each_number_once(work: Path, tmp_path: Path) -> None:
    place = copy(work, tmp_path / "work")
    folder = tmp_path / "run"
    bot = bot_of(place, folder)
    model = jobs.fetch_model(place, folder, QUIET.append)
    for text in ("1/2", "2/5", "1/1"):
        shards.sample_shard(bot, folder, model, Shard.read(text, 200), place.store, QUIET.append)
    parts = Parts(place.store, shards.Candidates(folder, model, bot.sample).key)
    assert [(p.first, p.end) for p in parts.all()] == [(0, 100), (100, 200)], "2/5 was there, 1/1 went on"
    whole = parts.read(0)
    assert len(whole) == 200
    parts.put(60, whole[60:130])  # another machine's, at work on the same numbers
    assert [(p.first, p.end) for p in parts.chain(0)] == [(0, 100), (100, 200)]
    parts.put(50, whole[50:170])
    assert [(p.first, p.end) for p in parts.chain(90)] == [(50, 170), (100, 200)]
    assert parts.read(0) == whole and parts.read(90) == whole[90:] and parts.read(55, 165) == whole[55:165]
    assert parts.chain(200) == []


def test_in_s3_the_jobs_are_the_same(
    work: Path, alone: tuple[bytes, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three commands, as AWS Batch gives them; the array's index comes from its environment."""
    monkeypatch.chdir(tmp_path)
    with locked_moto():
        s3, prefix = boto3.client("s3"), "training/proverbs"
        for path in (path for part in ("bot", "run") for path in (work / part).rglob("*") if path.is_file()):
            s3.upload_file(str(path), BUCKET, f"{prefix}/{path.relative_to(work)}")
        common = ["--work", f"s3://{BUCKET}/{prefix}", "--count", str(COUNT), "--workers", "2", "--batch", "24"]
        common += ["--engine", "native"]
        assert cli.main(["job", "train", *common]) == 0  # there is a model: nothing to do
        for index in range(3):
            monkeypatch.setenv("AWS_BATCH_JOB_ARRAY_INDEX", str(index))
            assert cli.main(["job", "sample", *common, "--shard", "auto/3"]) == 0
        assert cli.main(["job", "fill", *common, "--pool", f"s3://{BUCKET}/bot"]) == 0
        (made,) = (tmp_path / "runs").glob("job-*/pool.jsonl")
        assert made.read_bytes() == alone[1]
        assert Pool(open_store(f"s3://{BUCKET}/bot")).load()[0].total == COUNT
        shutil.rmtree(tmp_path / "runs")  # Batch starts it again, on another machine
        assert cli.main(["job", "fill", *common, "--pool", f"s3://{BUCKET}/bot"]) == 0, "again: nothing is added"
        assert Pool(open_store(f"s3://{BUCKET}/bot")).load()[0].total == COUNT


def test_the_jobs_from_nothing(
    tf1: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Texts of our own, nano, every job on a machine of its own; trained anew when the texts are others."""
    monkeypatch.setattr(stages, "MODELS", tmp_path / "models")
    source, place = tmp_path / "source", tmp_path / "work"
    source.mkdir()
    shutil.copyfile(ROOT / "tests" / "corpora" / "sayings.txt", source / "sayings.txt")
    open_mode = 'characters = ""\nclosed_vocabulary = false\nskip = ["set-apart", "base-like", "edges"]\nband = 100.0\n'
    drawing = "temperatures = [0.9]\ntop_p = 1\n"
    (source / "bot.toml").write_text(
        f'model = "nano"\ncount = 20\n[corpus]\nfile = "sayings.txt"\n[finetune]\nepochs = 1\n[sample]\n{drawing}'
        f"[filter]\n{open_mode}"
    )
    assert cli.main(["job", "place", "--bot", str(source / "bot.toml"), "--work", str(place)]) == 0
    pool = ["--pool", str(tmp_path / "pool")]
    for number, (what, *more) in enumerate((["train"], ["sample", "--shard", "1/1"], ["fill", *pool], ["fill", *pool])):
        line = ["job", what, "--work", str(place), "--run", str(tmp_path / f"machine-{number}"), *more]
        assert cli.main(line) == 0, capsys.readouterr().err
    assert "Added 20 texts" in (said := capsys.readouterr().out) and "The pool was chosen before" in said
    assert Pool(open_store(str(tmp_path / "pool"))).load()[0].total == 20
    made = {path.relative_to(place / "run").parts[0] for path in (place / "run").rglob("*")}
    assert made >= {"model", "base", "corpus.npz", "corpus.txt", "manifest.json", jobs.TRAINED}
    # Another machine takes up what is there; with another text it is another model.
    assert cli.main(["job", "train", "--work", str(place), "--run", str(tmp_path / "other")]) == 0
    assert "nothing to do" in capsys.readouterr().out
    with (source / "sayings.txt").open("a") as file:
        file.write("A new saying wants a new model.\n")
    assert cli.main(["job", "place", "--bot", str(source / "bot.toml"), "--work", str(place)]) == 0
    there = jobs.trained(Workspace(str(place)))
    assert there is not None and there[0].key != jobs.model_key(
        jobs.fetch_bot(Workspace(str(place)), tmp_path / "look")
    )


def test_a_model_that_is_half_there_is_fetched_again(work: Path, tmp_path: Path) -> None:
    place, folder = copy(work, tmp_path / "work"), tmp_path / "run"
    jobs.fetch_model(place, folder, QUIET.append)
    (folder / jobs.TRAINED).unlink()  # killed before the last file came
    (folder / "model" / "model.bin").write_bytes(b"half")
    assert (jobs.fetch_model(place, folder, QUIET.append) / "model.bin").stat().st_size > 1000
    (folder / jobs.TRAINED).write_text('{"key": "of another bot"}')
    (folder / "model" / "old").write_text("left over")
    assert not (jobs.fetch_model(place, folder, QUIET.append) / "old").exists()


@pytest.mark.parametrize("text", ["0/8", "9/8", "eight", "3", "-1/2"])
def test_no_such_shard(text: str) -> None:
    with pytest.raises(WrongUse, match="3/8"):
        Shard.read(text, 100)


def test_shards_divide_all_numbers() -> None:
    for total, of in ((100, 8), (7, 8), (10, 3), (1, 1)):
        ranges = [Shard(index, of, total) for index in range(1, of + 1)]
        assert [n for s in ranges for n in range(s.first, s.end)] == list(range(total))


def test_jobs_say_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(WrongUse, match="job place"):
        jobs.fetch_bot(Workspace(str(tmp_path)), tmp_path / "run")
    with pytest.raises(DeepproverbsError, match="job train"):
        jobs.fetch_model(Workspace(str(tmp_path)), tmp_path / "run", QUIET.append)
    (tmp_path / "bot").mkdir()
    bot = Bot("t", tmp_path / "bot")
    (tmp_path / "bot" / "corpus.txt").write_text("a\n")
    outside = replace(bot, corpus=replace(bot.corpus, reference=("../other.txt",)))
    (tmp_path / "other.txt").write_text("b\n")
    with pytest.raises(WrongUse, match="outside"):
        jobs.place(outside, tmp_path / "bot.toml", Workspace(str(tmp_path / "w")), QUIET.append)
