"""The command line as a stranger uses it: one sentence for wrong use, an exit code, nothing half-written."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from post_tweet.pool import Pool
from post_tweet.store import open_store

from tests.helpers.fakes import records
from tests.helpers.loopback_x import loopback_x
from training.cli.main import main, parser
from training.common.paths import ROOT


def files(folder: Path) -> None:
    """One of every wrong thing."""
    (folder / "empty.txt").write_bytes(b"")
    (folder / "one.txt").write_text("a single text\n")
    (folder / "binary.bin").write_bytes(bytes(range(256)) * 10)
    (folder / "latin.txt").write_bytes("grün und blau\n".encode("latin-1") * 50)
    (folder / "table.csv").write_text("a,b\n1,2\n")
    (folder / "broken.jsonl").write_text('{"text": \n')
    (folder / "bot.toml").write_text("nmae = 'x'\n")
    (folder / "no-toml.toml").write_text("name = \n")
    (folder / "keys.json").write_text('{"consumer_key": "a"}')
    (folder / "no.json").write_text("hello")
    (folder / "pool.jsonl").write_text('{"id": "1"}\n')
    (folder / "empty-bot.toml").write_text("name = 'nothing'\nmodel = 'nano'\n")
    broken = folder / "broken-pool"
    broken.mkdir()
    (broken / "state.json").write_text("{")
    newer = folder / "newer-pool"
    newer.mkdir()
    (newer / "state.json").write_text('{"format": 99}')
    (folder / "checkpoint").mkdir()
    Pool(open_store(str(folder / "good-pool"))).append(records(2), "test")


WRONG = [
    ("corpus empty.txt --out out", 1, "is empty"),
    ("corpus missing.txt --out out", 1, "Cannot read missing.txt"),
    ("corpus one.txt --out out", 1, "Only 1 different text"),
    ("corpus binary.bin --out out", 1, "is a binary file"),
    ("corpus latin.txt --out out", 1, "is not UTF-8"),
    ("corpus table.csv --out out", 1, "no column 'text'"),
    ("corpus broken.jsonl --out out", 1, "line 1: not JSON"),
    ("corpus one.txt --out empty.txt", 1, "Cannot write in the run's folder"),
    ("run --model 125M --run out", 2, "125M"),
    ("run --bot bot.toml", 2, "did you mean 'name'"),
    ("run --bot no-toml.toml", 2, "is not a TOML file"),
    ("run --bot missing.toml", 2, "--bot"),
    ("run --bot empty-bot.toml --run out --pool out/pool", 1, "corpus.txt is missing"),
    ("run --epochs 0", 2, "finetune.epochs must lie between"),
    ("run --temperature 0", 2, "sample.temperatures must lie between"),
    ("sample --run out --count 5", 2, "No model in out"),
    ("fill missing.jsonl --pool p", 2, "Cannot read missing.jsonl"),
    ("fill pool.jsonl --pool p", 2, "line 1: not a pool record"),
    ("fill pool.jsonl --pool http://x", 2, "is no pool"),
    ("pool status --pool nowhere", 2, "There is no pool at nowhere"),
    ("pool list --pool nowhere", 2, "There is no pool at nowhere"),
    ("pool show --pool good-pool", 2, "by their numbers"),
    ("pool show 99 --pool good-pool", 2, "There is no text 99"),
    ("pool withdraw 99 --pool good-pool", 2, "There is no text 99"),
    ("pool verify --pool broken-pool", 1, "is no pool state"),
    ("pool status --pool broken-pool", 1, "is no pool state"),
    ("pool status --pool newer-pool", 1, "newer version"),
    ("pool status --pool ftp://x/y", 2, "is no pool"),
    ("pool status --pool empty.txt", 1, "is a file, not a folder"),
    ("post --pool good-pool", 2, "--creds twitter.json"),
    ("post --pool good-pool --creds missing.json", 2, "Cannot read missing.json"),
    ("post --pool good-pool --creds no.json", 2, "is not a JSON object"),
    ("post --pool good-pool --creds keys.json", 2, "lacks consumer_secret"),
    ("post --pool nowhere --dry-run", 1, "no unused text"),
    ("post --checkpoint checkpoint --dry-run", 2, "No gpt-2-simple checkpoint"),
]


NEEDS_NANO = {True: pytest.mark.tensorflow, False: ()}
"""`corpus` counts in the tokens of nano, which TensorFlow builds."""


@pytest.mark.parametrize(
    ("command", "code", "sentence"),
    [pytest.param(*w, id=w[0], marks=NEEDS_NANO[w[0].startswith("corpus")]) for w in WRONG],
)
def test_wrong_use_is_one_sentence(
    command: str,
    code: int,
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    files(tmp_path)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    assert main(command.split()) == code
    said = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("{") and "nano: " not in line]
    assert len(said) == 1 and sentence in said[0] and said[0].startswith("deepproverbs: "), said
    after = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file() and p.name != ".lock"}
    assert after.items() <= before.items() | {(tmp_path / "out" / "x", b"")}, "something half-written was left"


@pytest.mark.parametrize("arguments", ["", "nonsense", "corpus", "run --epochs many", "pool", "post --pool"])
def test_the_parser_s_own_refusals_exit_with_2(arguments: str) -> None:
    with pytest.raises(SystemExit) as end:
        main(arguments.split())
    assert end.value.code == 2


def test_every_command_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    commands = next(a for a in parser()._subparsers._group_actions if a.choices).choices  # type: ignore[union-attr]
    assert set(commands) == {
        "corpus",
        "base",
        "finetune",
        "convert",
        "sample",
        "filter",
        "fill",
        "report",
        "review",
        "run",
        "demo",
        "post",
        "pool",
        "job",
    }
    for name, command in commands.items():
        assert all(action.help for action in command._actions), name


def test_filter_works_on_text_this_project_never_saw(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = [f"the number {w} comes before all the other ones" for w in ("a", "b", "c")]
    (tmp_path / "corpus.txt").write_text("\n".join(corpus))
    good = "all other ones the before comes number"
    candidates = [{"text": good, "finished": False}, {"text": corpus[0]}, {"text": good, "logprob": -1.5}]
    (tmp_path / "candidates.jsonl").write_text("\n".join(map(json.dumps, [*candidates, {"text": good}])))
    assert (
        main(
            [
                "filter",
                str(tmp_path / "candidates.jsonl"),
                "--corpus",
                str(tmp_path / "corpus.txt"),
                "--out",
                str(tmp_path / "pool.jsonl"),
            ]
        )
        == 0
    )
    verdicts = [json.loads(line)["verdict"] for line in (tmp_path / "verdicts.jsonl").read_text().splitlines()]
    assert verdicts == ["unfinished", "copied-run", "kept", "duplicate"]
    assert json.loads((tmp_path / "pool.jsonl").read_text())["score"] == -1.5
    assert main(["fill", str(tmp_path / "pool.jsonl"), "--pool", str(tmp_path / "pool")]) == 0
    assert main(["fill", str(tmp_path / "pool.jsonl"), "--pool", str(tmp_path / "pool")]) == 0
    assert "Nothing added" in capsys.readouterr().out
    assert main(["pool", "status", "--pool", str(tmp_path / "pool"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["remaining"] == 1
    assert main(["post", "--pool", str(tmp_path / "pool"), "--dry-run"]) == 0
    assert json.loads(capsys.readouterr().out)["text"] == good


def test_two_runs_do_not_share_a_folder(tmp_path: Path) -> None:
    hold = (
        "import sys, time\nfrom pathlib import Path\nfrom training.common.files import locked\n"
        "with locked(Path(sys.argv[1])):\n    print('held', flush=True)\n    time.sleep(600)\n"
    )
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'functions'}"}
    process = subprocess.Popen([sys.executable, "-c", hold, str(tmp_path)], stdout=subprocess.PIPE, env=environment)
    assert process.stdout is not None and process.stdout.readline() == b"held\n"
    result = subprocess.run(
        [sys.executable, "-m", "training.cli.main", "run", "--run", str(tmp_path), "--model", "nano"],
        capture_output=True,
        text=True,
        env=environment,
        cwd=ROOT,
    )
    process.kill()
    process.communicate()
    assert result.returncode == 1 and "Another run is at work" in result.stderr


def test_looking_into_a_pool_and_taking_texts_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = str(tmp_path / "pool")
    Pool(open_store(url)).append(records(5), "test")

    def pool(*words: str) -> str:
        assert main(["pool", *words, "--pool", url]) == 0
        return capsys.readouterr().out

    assert [line.split()[0] for line in pool("list").splitlines()] == list("01234")
    assert json.loads(pool("show", "2"))["text"] == records(3)[2]["text"]
    assert "2 texts withdrawn" in pool("withdraw", "0", "2")
    assert json.loads(pool("show", "2"))["fate"] == "withdrawn"
    assert json.loads(pool("status", "--json"))["remaining"] == 3
    assert "every batch is whole" in pool("verify")
    batch = next((tmp_path / "pool" / "batches").iterdir())
    batch.write_bytes(batch.read_bytes().replace(b"saying", b"slaying", 1))
    assert main(["pool", "verify", "--pool", url]) == 1
    assert "sha256 differs" in capsys.readouterr().err


def test_a_paused_pool_posts_nothing_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = str(tmp_path / "pool")
    Pool(open_store(url)).append(records(2), "test")

    def run(*words: str) -> tuple[int, str]:
        code = main([*words, "--pool", url])
        said = capsys.readouterr()
        return code, said.out + said.err

    assert "is paused" in run("pool", "pause")[1] and "already paused" in run("pool", "pause")[1]
    assert "paused since" in run("pool", "status")[1]
    assert run("post", "--dry-run") == (
        1,
        f"deepproverbs: {url} is paused; `deepproverbs pool resume --pool {url}` opens it again.\n",
    )
    assert "is open again" in run("pool", "resume")[1] and "was not paused" in run("pool", "resume")[1]
    assert run("post", "--dry-run")[0] == 0


@pytest.mark.parametrize("published", [True, False])
def test_a_post_whose_answer_was_lost_is_repeated_by_its_slot(
    published: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As the sentence says: named anew, the same post is looked for; "now" would be another slot and another text."""
    pool = Pool(open_store(str(tmp_path / "pool")))
    pool.append(records(3), "test")
    with loopback_x() as x:
        monkeypatch.setenv("X_API_URL", x.url)
        (tmp_path / "twitter.json").write_text(x.twitter_json)
        command = ["post", "--pool", str(tmp_path / "pool"), "--creds", str(tmp_path / "twitter.json")]
        x.script(drop=True, publish=published)
        assert main(command) == 1
        said = capsys.readouterr().err
        (slot,) = re.findall(r"add --slot '(manual \S+)' \(SLOT= for make\)", said)
        assert main([*command, "--slot", slot]) == 1, "its lease is not over"
        state, etag = pool.load()  # what the clock would do: the claim is as old as it may be, and older
        assert state.claim
        since = datetime.fromisoformat(state.claim.since) - timedelta(minutes=2)
        claim = replace(state.claim, since=since.isoformat())
        assert pool.save(replace(state, seq=state.seq + 1, claim=claim), etag)
        assert main([*command, "--slot", slot]) == 0
        assert json.loads(capsys.readouterr().out)["index"] == 0 and len(x.published) == 1
