"""A bot of somebody else: what it runs lies in its folder and is said first, what it reads elsewhere is told, its name
leads nowhere; keys and texts that others could see.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from post_tweet.pool import Pool
from post_tweet.store import open_store

from infra.cloud.training import ask_for_code
from tests.helpers.fakes import records
from tests.helpers.loopback_x import loopback_x
from training import settings
from training.cli.main import main
from training.common.errors import DeepproverbsError, WrongUse
from training.common.paths import ROOT
from training.common.toml import toml
from training.judge import own

MARK = "from pathlib import Path\nPath('ran').touch()\ndef rule(text):\n    return None\n"


@pytest.fixture
def bot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bot's folder with a corpus, beside code that is not its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(own, "_told", set())
    folder = tmp_path / "theirs"
    (folder / "more").mkdir(parents=True)
    (folder / "corpus.txt").write_text("\n".join(record["text"] for record in records(40)))
    for path in (tmp_path / "outside.py", folder / "rules.py", folder / "more" / "rules.py"):
        path.write_text(MARK)
    (folder / "link.py").symlink_to(tmp_path / "outside.py")
    (folder / "loop.py").symlink_to("loop.py")
    (folder / "up").symlink_to(tmp_path)
    (folder / "inside.py").symlink_to("more/rules.py")
    return folder


def write(bot: Path, text: str) -> None:
    (bot / "bot.toml").write_text(text, encoding="utf-8")


@pytest.mark.parametrize("key", ["prepare", "own"])
@pytest.mark.parametrize(
    "name", ["../outside.py", "more/../../outside.py", "/ABSOLUTE/outside.py", "link.py", "loop.py", "up/outside.py"]
)
def test_code_outside_the_folder_is_refused_before_anything_runs(
    key: str, name: str, bot: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = name.replace("/ABSOLUTE", str(tmp_path))
    write(
        bot,
        f'[corpus]\nfile = "missing.txt"\nprepare = "{name}"\n'
        if key == "prepare"
        else f'[filter]\nown = ["{name}:rule"]\n',
    )
    for words in (
        "settings",
        "run",
        "filter x.jsonl --out o.jsonl",
        "pool status",
        "job place --work w",
        "cloud train --yes",
    ):
        assert main([*words.split(), "--bot", str(bot)]) == 2
        assert "lies outside the bot's folder" in capsys.readouterr().err
    whole = settings.override(settings.Bot(folder=bot), "filter", own=[f"{name}:rule"])
    with pytest.raises(WrongUse, match="lies outside"):
        own.own_rules(whole.filter, bot, ())
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["rules.py", "more/rules.py", "inside.py", "./more/../rules.py"])
def test_code_inside_is_said_once_before_it_runs(
    name: str, bot: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(bot, f'[filter]\nown = ["{name}:rule"]\nmin_words = 1\n')
    words = [
        "filter",
        str(bot / "corpus.txt"),
        "--out",
        "o.jsonl",
        "--corpus",
        str(bot / "corpus.txt"),
        "--bot",
        str(bot),
    ]
    assert main(words) == 0
    said = capsys.readouterr()
    assert (said.out + said.err).count(f"Running {bot / name}: rules of the bot's own.") == 1
    assert (tmp_path / "ran").exists()


def test_prepare_is_said_before_it_runs(bot: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(bot, '[corpus]\nfile = "made.txt"\nprepare = "make.py"\n')
    (bot / "make.py").write_text("import sys\nsys.exit('it fails')\n")
    assert main(["filter", "x.jsonl", "--out", "o.jsonl", "--bot", str(bot)]) == 1
    said = capsys.readouterr()
    assert f"Running {bot / 'make.py'}, the bot's program that writes made.txt." in said.out and "it fails" in said.err


def test_prepare_may_print_anything(bot: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write(bot, '[corpus]\nfile = "made.txt"\nprepare = "make.py"\n')
    code = "import os, shutil\nshutil.copy('corpus.txt', 'made.txt')\nos.write(1, b'\\xff\\x1b[31m')\n"
    (bot / "make.py").write_text(
        code.replace("'corpus.txt', 'made.txt'", f"{str(bot / 'corpus.txt')!r}, {str(bot / 'made.txt')!r}")
    )
    assert main(["filter", str(bot / "corpus.txt"), "--out", "o.jsonl", "--bot", str(bot)]) == 0
    assert r"Prepared \xff\x1b[31m." in capfd.readouterr().out


def test_texts_elsewhere_are_told(bot: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "diary.txt").write_text("\n".join(record["text"] for record in records(30)))
    (bot / "linked.txt").symlink_to(tmp_path / "diary.txt")
    for corpus in ('file = "../diary.txt"', 'reference = ["linked.txt"]'):
        write(bot, f"[corpus]\n{corpus}\n")
        for words in ([], ["--corpus", str(bot / "corpus.txt")] if "reference" in corpus else []):
            main(["filter", str(bot / "corpus.txt"), "--out", "o.jsonl", "--bot", str(bot), *words])
            assert ", which lies outside the bot's folder" in capsys.readouterr().out
    write(bot, "")
    main(["filter", str(bot / "corpus.txt"), "--out", "o.jsonl", "--bot", str(bot)])
    assert "outside" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "name", ["../../x", "a/b", "/x", "a\\b", ".", "..", "a\nb", "a\x1b[31m", "a\u202eb", "x" * 101]
)
def test_a_name_leads_nowhere(name: str, bot: Path) -> None:
    write(bot, f"name = {toml(name)}\n")
    with pytest.raises(WrongUse, match="a bot cannot be called"):
        settings.load(bot)


@pytest.mark.parametrize(
    "name", ["proverbs", "my bot", "Sprüche 2", "俳句", "हिंदी", "می‌خواهم", "a.b_c-1", ".hidden", "-x", "it's"]
)
def test_other_names_are_names(name: str, bot: Path, tmp_path: Path) -> None:
    write(bot, f"name = {toml(name)}\n")
    assert settings.load(bot).name == name
    bot.rename(tmp_path / name)
    write(tmp_path / name, "")
    assert settings.load(tmp_path / name).name == name, "by its folder"


def test_code_goes_to_aws_only_after_a_yes(bot: Path) -> None:
    said: list[str] = []
    asked: list[str] = []

    def no(question: str) -> bool:
        asked.append(question)
        return False

    write(bot, "")
    ask_for_code(settings.load(bot), bot / "bot.toml", said.append, no)
    assert said == asked == [], "texts alone are what the command is for"
    write(bot, '[filter]\nown = ["rules.py:rule"]\n')
    with pytest.raises(DeepproverbsError, match="Nothing was sent; `make cloud-train YES=1"):
        ask_for_code(settings.load(bot), bot / "bot.toml", said.append, no)
    assert [line.split(", ")[0].strip() for line in said] == [
        str(bot / name) for name in ("bot.toml", "corpus.txt", "rules.py")
    ]
    assert "code, which the jobs run" in said[-1] and len(asked) == 1
    ask_for_code(settings.load(bot), bot / "bot.toml", said.append, lambda _: True)


@pytest.mark.parametrize(
    ("mode", "told"),
    [(0o600, ""), (0o400, ""), (0o644, "read"), (0o640, "read"), (0o620, "change"), (0o666, "read and change")],
)
def test_keys_that_others_can_see_are_told(
    mode: int, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    keys = tmp_path / "my keys.json"
    sentence = f"Others on this machine may {told} {keys}: `chmod 600 '{keys}'` fixes it."
    Pool(open_store("pool")).append(records(40), "test")
    with loopback_x() as x:
        keys.write_text(x.twitter_json)
        keys.chmod(mode)
        monkeypatch.setenv("X_API_URL", x.url)
        for words in (
            "post --pool pool --creds",
            "post --dry-run --pool pool --creds",
            "schedule --cron --creds",
            "cloud secrets",
        ):
            assert main([*words.split(), str(keys)]) == (words == "cloud secrets")  # there is no account
            assert (sentence in capsys.readouterr().err) is bool(told), words
        assert len(x.published) == 1, "told, not refused"


IGNORED = (
    "twitter.json", "keys/twitter.json", "data/mybot/twitter-2.json", "infra/twitter.json", ".env", "infra/.env.local",
    "data/mybot/bot.toml", "data/mybot/corpus.txt", "data/mybot/original-1.txt", "data/mybot.zip", "pool/state.json",
    "runs/mybot/pool.jsonl", "pools/mybot/batches/1.jsonl", "models/124M/x", "data/proverbs/corpus.txt",
    "data/proverbs/twitter.json",
)  # fmt: skip


def test_git_does_not_see_what_is_private(tmp_path: Path) -> None:
    shutil.copy(ROOT / ".gitignore", tmp_path)
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}

    def ignored(paths: tuple[str, ...]) -> list[str]:
        done = subprocess.run(
            ["git", "check-ignore", *paths], cwd=tmp_path, capture_output=True, text=True, env=environment
        )
        return done.stdout.splitlines()

    assert ignored(IGNORED) == list(IGNORED)
    shipped = tuple(
        path.relative_to(ROOT).as_posix()
        for folder in ("haiku", "lost-property", "proverbs", "base/nano")
        for path in (ROOT / "data" / folder).iterdir()
        if path.is_file() and path.parent.name + path.name not in ("proverbscorpus.txt", "proverbskjv.txt")
    )
    assert len(shipped) > 10 and ignored((*shipped, "training/runs/stages.py", "tests/runs/test_stages.py")) == []


def test_a_file_s_name_writes_no_settings(bot: Path, tmp_path: Path) -> None:
    name = "a\nmodel = 'evil'\n#.txt"
    (bot / "corpus.txt").rename(tmp_path / name)
    assert main(["new", "fresh", name, "--yes"]) == 0
    assert settings.load(tmp_path / "data" / "fresh").model != "evil"
