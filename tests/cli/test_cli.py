"""The command line as a stranger uses it: one sentence for wrong use, an exit code, nothing half-written."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.abc import MetaPathFinder
from pathlib import Path

import pytest
from post_tweet.pool import Pool
from post_tweet.store import open_store

from tests.helpers.fakes import records
from training.cli.main import main
from training.common.errors import WrongUse
from training.common.paths import ROOT


def files(folder: Path) -> None:
    """One of every wrong thing."""
    (folder / "empty.txt").write_bytes(b"")
    (folder / "one.txt").write_text("a single text\n")
    (folder / "bot.toml").write_text("nmae = 'x'\n")
    (folder / "no-toml.toml").write_text("name = \n")
    (folder / "keys.json").write_text('{"consumer_key": "a"}')
    (folder / "no.json").write_text("hello")
    for keys in ("keys.json", "no.json"):
        (folder / keys).chmod(0o600)
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
    ("corpus one.txt --out empty.txt", 1, "choose another with --out"),
    ("run --model 125M --run out", 2, "125M"),
    ("run --bot bot.toml", 2, "did you mean 'name'"),
    ("run --bot no-toml.toml", 2, "is not a TOML file"),
    ("run --bot missing.toml", 2, "--bot"),
    ("run --bot empty-bot.toml --run out --pool out/pool", 1, "corpus.txt is missing"),
    ("run --epochs -1", 2, "finetune.epochs must lie between"),
    ("run --temperature 0", 2, "sample.temperatures must lie between"),
    ("sample --run out --count 5", 2, "No model in out"),
    ("fill missing.jsonl --pool p", 2, "Cannot read missing.jsonl"),
    ("fill pool.jsonl --pool p", 2, "line 1: not a pool record"),
    ("fill pool.jsonl --pool http://x", 2, "is not a pool"),
    ("pool status --pool nowhere", 2, "There is no pool at nowhere"),
    ("pool list --pool nowhere", 2, "There is no pool at nowhere"),
    ("pool show --pool good-pool", 2, "by their numbers"),
    ("pool show 99 --pool good-pool", 2, "There is no text 99"),
    ("pool withdraw 99 --pool good-pool", 2, "There is no text 99"),
    ("pool verify --pool broken-pool", 1, "is not a pool state"),
    ("pool status --pool broken-pool", 1, "is not a pool state"),
    ("pool status --pool newer-pool", 1, "newer version"),
    ("pool status --pool ftp://x/y", 2, "is not a pool"),
    ("pool status --pool empty.txt", 1, "is a file, not a folder"),
    ("post --pool good-pool", 2, "--creds twitter.json"),
    ("post --pool good-pool --creds missing.json", 2, "Cannot read missing.json"),
    ("post --pool good-pool --creds no.json", 2, "is not a JSON object"),
    ("post --pool good-pool --creds keys.json", 2, "lacks consumer_secret"),
    ("post --pool nowhere --dry-run", 2, "There is no pool at nowhere"),
    ("post --checkpoint checkpoint --dry-run", 2, "No checkpoint in checkpoint"),
]


@pytest.mark.parametrize(("command", "code", "sentence"), WRONG, ids=[w[0] for w in WRONG])
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
    after = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file() and p.name not in (".lock", "run.json")}
    assert after.items() <= before.items() | {(tmp_path / "out" / "x", b"")}, "something half-written was left"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("nonsense", "No such command 'nonsense'. See `deepproverbs -h`."),
        ("pool stauts", "No such command 'stauts'. Did you mean 'status'? See `deepproverbs pool -h`."),
        ("run --conut 3", "No such option '--conut'. Did you mean '--count'? See `deepproverbs run -h`."),
        ("run --epochs many", "Invalid value for '--epochs': 'many' is not a valid integer."),
        ("run --recipe magic", "'magic' is not one of 'texts', 'windows'."),
        ("post --pool", "Option '--pool' requires an argument. See `deepproverbs post -h`."),
        ("job sample --shard 1/2", "Missing option '--work'. See `deepproverbs job sample -h`."),
        ("cloud stauts", "Did you mean 'status'? See `deepproverbs cloud -h`."),
    ],
)
def test_what_click_refuses_is_one_sentence_too(
    arguments: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments.split()) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.startswith("deepproverbs: ") and sentence in said.err
    assert said.err.count("\n") == 1


def test_debug_shows_where(tmp_path: Path) -> None:
    with pytest.raises(WrongUse, match="There is no pool"):
        main(["pool", "status", "--pool", str(tmp_path / "none"), "--debug"])


def test_options_of_a_command_may_stand_before_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As they could when `pool` was one command: `pool --pool URL status`."""
    url = str(tmp_path / "status")  # a value that is also a command's name
    Pool(open_store(url)).append(records(2), "test")
    for words in (
        ["pool", "--pool", url, "status", "--json"],
        ["pool", f"--pool={url}", "--json", "status"],
        ["-q", "pool", "--json", "--pool", url, "status"],
    ):
        assert main(words) == 0
        assert json.loads(capsys.readouterr().out)["texts"] == 2


def test_a_folder_stands_for_its_bot_toml(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Pool(open_store(str(tmp_path / "pool"))).append(records(2), "test")
    (tmp_path / "bot.toml").write_text(f'pool = "{tmp_path / "pool"}"\n')
    for bot in (tmp_path, tmp_path / "bot.toml"):
        assert main(["pool", "status", "--bot", str(bot)]) == 0
        assert "2 of 2 texts left" in capsys.readouterr().out


def test_quiet_verbose_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "sayings.txt").write_text("".join(f"saying number {n} of many others\n" for n in range(60)))
    command = ["corpus", str(tmp_path / "sayings.txt"), "--out", str(tmp_path / "out")]
    said = {}
    for option in ("--bot=data/proverbs", "-q", "-v", "--json"):
        assert main([*command, option]) == 0
        said[option] = capsys.readouterr()
    usual = said["--bot=data/proverbs"]
    assert "Written: " in usual.out and "texts: 60" in usual.out
    assert said["-q"].out in usual.out and "Written" not in said["-q"].out and said["-q"].err == ""
    assert said["-v"].out == usual.out and re.search(r"^Settings: .*bot\.toml$", said["-v"].err, re.MULTILINE)
    assert json.loads(said["--json"].out)["texts"] == 60 and "Written" in said["--json"].err


def test_the_function_speaks_with_v_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Pool(open_store(str(tmp_path / "pool"))).append(records(2), "test")
    for option, lines in (("-q", False), ("-v", True), ("--dry-run", False)):
        assert main(["post", "--dry-run", "--pool", str(tmp_path / "pool"), option]) == 0
        assert ('{"event"' in capsys.readouterr().err) is lines


def test_what_libraries_log_is_shown_from_warnings_on() -> None:
    """post_tweet.store lets botocore log its news, for the sake of what it must never log; a terminal is no place."""
    code = (
        "import logging\nfrom training.cli.main import main\nmain(['--version'])\nimport post_tweet.store\n"
        "for name in ('botocore', 'training.model'):\n"
        "    logging.getLogger(name).info(name + ' news')\n    logging.getLogger(name).warning(name + ' warns')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stderr.splitlines() == ["botocore warns", "training.model news", "training.model warns"]


def test_the_cloud_is_not_in_the_image(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "infra"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Without("infra"), *sys.meta_path])
    assert main(["cloud", "status"]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "infra/ is missing, as in the GPU image" in said


class Without(MetaPathFinder):
    """A checkout without one package."""

    def __init__(self, package: str) -> None:
        self.package = package

    def find_spec(self, name: str, path: object, target: object = None) -> None:
        if name.split(".")[0] == self.package:
            raise ModuleNotFoundError(f"No module named {name!r}", name=self.package)


def test_filter_works_on_text_this_project_never_saw(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = [f"the number {w} comes before all the other ones" for w in ("a", "b", "c")]
    (tmp_path / "corpus.txt").write_text("\n".join(corpus))
    good = "all other ones the before comes number"
    candidates = [{"text": good, "finished": False}, {"text": corpus[0]}, {"text": good, "logprob": -1.5}]
    (tmp_path / "candidates.jsonl").write_text("\n".join(map(json.dumps, [*candidates, {"text": good}])))
    files = {name: str(tmp_path / name) for name in ("candidates.jsonl", "corpus.txt", "pool.jsonl", "pool")}
    words = ["filter", files["candidates.jsonl"], "--corpus", files["corpus.txt"], "--out", files["pool.jsonl"]]
    assert main(words) == 0
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


def test_ctrl_c_while_the_program_loads_is_one_line(tmp_path: Path) -> None:
    code = (
        "import sys; sys.meta_path.insert(0, sys); sys.find_spec = lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)"
    )
    code += "; from training.cli import start; sys.exit(start())"
    code = f"import training.cli; {code}"  # the package is there, the rest is yet to come
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "Stopped before anything was done.\n")
