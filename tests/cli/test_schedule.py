"""Lines for cron and units for systemd: what they call posts once for each time of day, in any zone."""

from __future__ import annotations

import configparser
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from datetime import time as TimeOfDay
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import yaml
from post_tweet.daily import latest_slot
from post_tweet.pool import Pool
from post_tweet.store import open_store

from tests.helpers.clones import git, two_clones
from tests.helpers.fakes import records
from tests.helpers.loopback_x import LoopbackX, loopback_x
from training.cli.main import main
from training.cli.schedule import AGAIN, program
from training.common.paths import ROOT

AUTHOR = ("-c", "user.name=t", "-c", "user.email=t@example.org")
ODD = 'it\'s 100% "mine" $HOME'
"""A folder's name with all that a shell, cron and systemd take for something else."""


@pytest.fixture
def odd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / ODD
    folder.mkdir()
    monkeypatch.chdir(folder)
    Pool(open_store("pool")).append(records(5), "test")
    return folder


@pytest.fixture
def x(odd: Path) -> Iterator[LoopbackX]:
    with loopback_x() as server:
        (odd / "twitter.json").write_text(server.twitter_json)
        yield server


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["schedule", *words]) == 0
    return capsys.readouterr().out


def run(command: list[str] | str, x: LoopbackX) -> None:
    """As the scheduler would, with hardly a variable set."""
    python_path = os.pathsep.join(map(str, (ROOT, ROOT / "functions")))
    environment = {"PATH": os.defpath, "X_API_URL": x.url, "PYTHONPATH": python_path, "TZ": "UTC"}
    subprocess.run(command, shell=isinstance(command, str), check=True, cwd="/", env=environment)


def test_cron_posts_once_for_each_time(odd: Path, x: LoopbackX, capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(capsys, "--cron", "--pool", "pool", "--at", "23:50", "--at", "9:00")
    lines = [line.split(None, 5) for line in out.splitlines() if not line.startswith("#")]
    called = [(int(m), int(hour)) for minutes, hour, *_ in lines for m in minutes.split(",")]
    wanted = [at + timedelta(minutes=later) for at in (datetime(1, 1, 1, 9), datetime(1, 1, 1, 23, 50))
               for later in (0, *AGAIN)]  # fmt: skip
    assert sorted(called) == sorted((some.minute, some.hour) for some in wanted)
    # man 5 crontab: an unescaped % ends the command. The shell gets the rest.
    commands = {words[5] for words in lines}
    (command,) = commands
    assert "%" not in command.replace(r"\%", "")
    here = f"{shlex.quote(sys.executable)} -m training.cli.main"
    command = command.replace(r"\%", "%").replace(shlex.quote(program()), here, 1)
    run(command, x)
    run(command, x)
    assert x.published == [records(5)[0]["text"]]


def test_systemd_calls_the_same(odd: Path, x: LoopbackX, capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(capsys, "--systemd", "--pool", "pool", "--at", "09:00", "--at", "18:30")
    assert "OnCalendar=*-*-* 09:00:00\nOnCalendar=*-*-* 18:30:00\nPersistent=true\n" in out
    units = configparser.ConfigParser(strict=False, interpolation=None)
    units.optionxform = str  # type: ignore[method-assign, assignment]
    units.read_string(out)
    # man systemd.service, "Command lines": quotes and \ as in a shell's "…", then $$ is $, and %% is %.
    words = [word.replace("$$", "$").replace("%%", "%") for word in shlex.split(units["Service"]["ExecStart"])]
    assert words[0] == program() and words[words.index("--pool") + 1] == str(odd / "pool")
    run([sys.executable, "-m", "training.cli.main", *words[1:]], x)
    assert len(x.published) == 1


def stand_in_for_venv(folder: Path) -> None:
    """A `python` that makes an environment of the tests' own packages: nothing is fetched."""
    folder.mkdir()
    script = f"""#!/bin/sh
[ "$1 $2" = "-m venv" ] || exit 9
mkdir -p "$3/bin"
printf '#!/bin/sh\\n[ "$1 $2 $3" = "install --quiet -r" ] && [ -s "$4" ]\\n' > "$3/bin/pip"
printf '#!/bin/sh\\nexec "{sys.executable}" "$@"\\n' > "$3/bin/python"
chmod +x "$3/bin/pip" "$3/bin/python"
"""
    (folder / "python").write_text(script)
    (folder / "python").chmod(0o755)


def test_github_posts_from_a_branch(
    tmp_path: Path, x: LoopbackX, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each call on a new machine: a new clone, which is thrown away."""
    shop, _ = two_clones(tmp_path / "git")
    assert shop.repository
    shutil.copytree(ROOT / "functions", shop.repository / "functions", ignore=shutil.ignore_patterns("__pycache__"))
    git("-C", str(shop.repository), "add", "-A")
    git("-C", str(shop.repository), *AUTHOR, "commit", "-qm", "the bot")
    git("-C", str(shop.repository), "push", "-q", "origin", "HEAD:main")
    Pool(shop).append(records(5), "test")
    workflow = yaml.safe_load(printed(capsys, "--github", "--at", "00:00", "--pool", "git://origin/pool"))
    assert workflow[True] == {"schedule": [{"cron": "0,5,20 0 * * *"}], "workflow_dispatch": None}
    assert workflow["permissions"] == {"contents": "write"} and workflow["concurrency"] == {"group": "post"}
    step = workflow["jobs"]["post"]["steps"][-1]
    assert step["env"]["X_KEYS"] == "${{ secrets.X_KEYS }}"
    stand_in_for_venv(tmp_path / "bin")
    for number in range(2):
        temp, clone = tmp_path / f"temp {number}", tmp_path / f"clone {number}"
        temp.mkdir()
        git("clone", "-q", "--branch", "main", str(tmp_path / "git" / "bare.git"), str(clone))
        path = os.pathsep.join([str(tmp_path / "bin"), os.environ["PATH"]])
        environment = {**step["env"], "X_KEYS": x.twitter_json, "RUNNER_TEMP": str(temp), "X_API_URL": x.url}
        environment["PYTHONDONTWRITEBYTECODE"] = "1"
        done = subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", step["run"]],
            cwd=clone,
            env={**environment, "PATH": path},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["outcome"] == ("already-settled" if number else "posted")
        assert not git("-C", str(clone), "status", "--porcelain").strip()
    assert x.published == [records(5)[0]["text"]]


@pytest.mark.parametrize(("scheme", "rights"), [("git://origin/pool", "write"), ("s3://bucket/mybot", "read")])
def test_github_has_the_rights_that_it_needs(scheme: str, rights: str, capsys: pytest.CaptureFixture[str]) -> None:
    workflow = yaml.safe_load(printed(capsys, "--github", "--pool", scheme))
    step = workflow["jobs"]["post"]["steps"][-1]
    assert workflow["permissions"]["contents"] == rights
    assert ("AWS_ACCESS_KEY_ID" in step["env"]) == ("boto3" in step["run"]) == scheme.startswith("s3")
    for action in (each["uses"] for each in workflow["jobs"]["post"]["steps"] if "uses" in each):
        assert re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", action)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--at", "09:00"], "--cron, --systemd or --github"),
        (["--github", "--pool", "pool"], "do not keep the folder"),
        (["--cron", "--at", "24:00"], "not a time of day"),
        (["--cron", "--at", "9"], "not a time of day"),
        (["--cron", "--creds", "a\nb"], "rename it"),
    ],
)
def test_what_cannot_be_scheduled(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schedule", *words]) == 2
    assert said in capsys.readouterr().err


def test_one_name_for_a_slot(odd: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["post", "--pool", "pool", "--dry-run", "--slot", "a", "--at", "09:00"]) == 2
    assert "--slot or --at" in capsys.readouterr().err
    assert main(["post", "--pool", "pool", "--dry-run", "--at", "00:00"]) == 0
    slot = json.loads(capsys.readouterr().out)["slot"]
    due = datetime.fromisoformat(slot.removeprefix("daily "))
    assert timedelta(0) <= datetime.now(UTC) - due < timedelta(days=1, hours=2)


def moment(local: datetime) -> datetime:
    """In UTC; the first of two, and of a time that spring skips the one before."""
    found = local.astimezone(UTC)
    skipped = found.astimezone(local.tzinfo).replace(tzinfo=None) != local.replace(tzinfo=None)
    return local.replace(fold=1).astimezone(UTC) if skipped else found


@pytest.mark.parametrize("zone", ["UTC", "Europe/Zurich", "America/St_Johns", "Australia/Lord_Howe"])
def test_a_slot_has_one_name_until_the_next_comes(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every quarter of an hour of a year, changes of the clock among them: the name is that of the latest time of day,
    by a count of local midnights that knows nothing of the code's arithmetic."""
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        times = (TimeOfDay(2, 30), TimeOfDay(18))
        now, end = datetime(2026, 1, 2, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
        days = [datetime(2025, 12, 31) + timedelta(days=n) for n in range(368)]
        due = sorted(moment(datetime.combine(day, at, tzinfo=ZoneInfo(zone))) for day in days for at in times)
        while now < end:
            latest = max(some for some in due[: 2 * (now.timetuple().tm_yday + 2)] if some <= now)
            assert latest_slot(times, now) == f"daily {latest:%Y-%m-%dT%H:%M:%SZ}"
            now += timedelta(minutes=15)
    finally:
        monkeypatch.undo()
        time.tzset()


def test_what_a_stranger_would_miss_is_said(odd: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A time that nobody chose, a pool that is missing or empty, texts that wait for a person: beside the lines."""
    (odd / "twitter.json").write_text("{}")
    (odd / "twitter.json").chmod(0o600)

    def told(*words: str) -> list[str]:
        assert main(["schedule", "--cron", *words]) == 0
        said = capsys.readouterr()
        assert "post --pool" in said.out
        return said.err.splitlines()

    assert told("--pool", "pool", "--at", "09:00") == []
    assert told("--pool", "pool") == [
        "No time was given, so it is 09:00 by this machine's clock; --at HH:MM sets another, and may be repeated."
    ]
    (line,) = told("--pool", "nowhere", "--at", "09:00")
    assert (
        line == "The bot proverbs has no pool yet at nowhere: nothing is posted until `deepproverbs run` has filled it."
    )
    Pool(open_store("empty")).append(records(2), "test")
    assert main(["pool", "withdraw", "--pool", "empty", "0", "1"]) == 0
    capsys.readouterr()
    (line,) = told("--pool", "empty", "--at", "09:00")
    assert line.startswith("The bot proverbs has no text left in its pool empty: nothing is posted until")
    (odd / "bot").mkdir()
    (odd / "bot" / "bot.toml").write_text('name = "slow"\npublish = "after-review"\npool = "later"\n')
    (odd / "runs" / "slow").mkdir(parents=True)
    (odd / "runs" / "slow" / "pool.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records(3)))
    (line,) = told("--bot", "bot", "--at", "09:00")
    assert line.startswith("The bot slow has no pool yet at later: 3 texts wait until you have read them, with ")
    assert line.endswith("`deepproverbs review --bot bot`.")
