"""Every command that prints what others wrote shows it and stays whole: texts, names, slots, files' names, settings,
sentences of X and AWS, with what a terminal obeys and nobody sees, in places that cannot show them.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest
import regex
from post_tweet.pool import Pool
from post_tweet.store import open_store

from infra.cloud.stack import Owner, Stack
from tests.cli.test_help import LEAVES, context
from tests.common import test_terminal
from tests.helpers.fakes import records
from tests.helpers.loopback_x import loopback_x
from training.cli.main import main
from training.common.text import text_id
from training.common.toml import toml

RAW = regex.compile(r"[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\p{Bidi_Control}--[\n]]", regex.VERSION1)
HOSTILE = test_terminal.HOSTILE.replace("\0", "")
EVIL = HOSTILE.replace("/", "∕").replace("\ud800", "").replace("\udfff", "\udce9")
"""A word of a command line, or a file's name, with the byte 0xE9 as Python reads it."""
FILE = f"{EVIL}.txt"
TEXT = f"a saying {HOSTILE} of the day, ü € 🤿 👩‍🔬"
JSON = [
    "pool status --pool pool", "pool list --pool pool", "pool batches --pool pool", "pool show 0 --pool pool",
    "pool verify --pool pool", "fill pool.jsonl --pool other", "corpus texts.txt", "settings --bot evil",
    "filter texts.txt --corpus texts.txt --out out/pool.jsonl", "report --bot mine --run run",
]  # fmt: skip
COMMANDS: dict[str, list[str]] = {
    "pool status": ["--pool pool", "--pool EVIL", "--pool broken", "--bot evil"],
    "pool list": ["--pool pool --all", "--pool EVIL", "--pool pool -v"],
    "pool batches": ["--pool pool", "--pool EVIL"],
    "pool show": ["0 1 --pool pool", "EVIL --pool pool", "99 --pool EVIL"],
    "pool withdraw": ["1 --pool pool", "--batch EVIL --pool pool", "EVIL --pool pool"],
    "pool restore": ["1 --pool pool", "--batch EVIL --pool pool"],
    "pool verify": ["--pool pool", "--pool broken"],
    "pool account": ["--pool pool", "EVIL --pool pool", "--forget --pool pool"],
    "pool repair": ["--pool pool", "--pool broken", "--pool x --yes --creds EVIL", "--pool x --from half.jsonl"],
    "pool pause": ["--pool pool", "--pool EVIL"],
    "pool resume": ["--pool pool"],
    "post": ["--pool pool --dry-run -v", "--pool x --creds keys.json -v", "--pool EVIL --dry-run",
             "--pool x --creds EVIL", "--pool x --creds keys.json --slot EVIL"],
    "fill": ["pool.jsonl --pool filled", "half.jsonl --pool filled", "EVIL --pool filled",
             "evil/bad.jsonl --pool filled"],
    "review": ["--bot mine --run run --pool reviewed", "--run EVIL"],
    "report": ["--bot mine --run run", "--run EVIL"],
    "corpus": ["texts.txt", "half.jsonl", "half.jsonl --out built", "FILE", "EVIL", "table.csv", "FILE --out built",
               "table.csv --field EVIL", "texts.txt --form EVIL"],
    "filter": ["texts.txt --corpus texts.txt --out out/EVIL.jsonl", "texts.txt --corpus EVIL --out out/p.jsonl",
               "texts.txt --corpus FILE --out out/p.jsonl --bot evil", "texts.txt --corpus texts.txt --calibrate",
               "texts.txt --bot own --corpus texts.txt --out out/p.jsonl", "texts.txt --bot evil --out out/p.jsonl"],
    "new": ["EVIL texts.txt --yes", "fresh EVIL --yes", "fresh FILE --yes", "half half.jsonl --yes",
            "fresh table.csv --yes --field EVIL"],
    "settings": ["--bot evil", "--bot named", "--bot unknown", "--bot FILE", "--bot EVIL"],
    "completion": ["EVIL"],
    "schedule": ["--cron --bot evil --pool EVIL", "--systemd --bot evil", "--cron --creds EVIL", "--systemd --at EVIL"],
    "run": ["--model EVIL --run r", "--bot unknown", "--run EVIL --model EVIL", "--bot evil"],
    "demo": ["--model EVIL"],
    "job place": ["--work EVIL --bot evil", "--work work --bot missing"],
    "job train": ["--work EVIL"],
    "job sample": ["--work EVIL --shard EVIL", "--work work --shard 1/1"],
    "job fill": ["--work EVIL"],
    "base": ["--model EVIL"],
    "finetune": ["--bot evil --run r", "--model EVIL"],
    "convert": ["--checkpoint EVIL --run EVIL"],
    "export": ["--to hf --run EVIL --out EVIL", "--to EVIL --out x"],
    "sample": ["--run EVIL --bot evil"],
    "cloud status": ["--bot mine", "--bot evil", "--json --bot mine"],
    "cloud logs": ["--bot mine", "--hours EVIL"],
    "cloud clear-queues": ["--bot mine"],
    "cloud post-now": ["--bot mine --slot EVIL", "--bot mine --dry-run", "--bot fails"],
    "cloud pause": ["--bot evil"],
    "cloud resume": ["--bot evil"],
    "cloud secrets": ["EVIL", "keys.json --bot evil"],
    "cloud deploy": ["--bot unknown", "--schedule EVIL --bot mine --time-zone EVIL"],
    "cloud destroy": ["--bot unknown"],
    "cloud train": ["--bot evil", "--bot unknown"],
    "cloud train-status": ["--bot mine"],
    "cloud train-destroy": ["--bot unknown"],
}  # fmt: skip


def tried(command: str) -> list[str]:
    """What a command is called with; one that nobody has listed yet, with each of its options in turn."""
    if command in COMMANDS:
        return COMMANDS[command]
    params = [param for param in context(tuple(command.split())).command.params if isinstance(param, click.Option)]
    return [f"{param.opts[0]} {word}" for param in params if not param.is_flag for word in ("EVIL", "pool")]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working directory, full of what others wrote."""
    monkeypatch.chdir(tmp_path)
    for bot, text in {
        "mine": 'name = "mine"\npool = "pool"\n',
        "fails": 'name = "fails"\n',
        "named": f"name = {toml(no_surrogates(EVIL))}\n",
        "evil": f"model = {toml(no_surrogates(EVIL))}\n"
        f'[corpus]\nprepare = "prepare.py"\n[filter]\nblock = [{toml(no_surrogates(TEXT))}]\n',
        "unknown": f"{toml(no_surrogates(EVIL))} = 1\n",
        "own": '[filter]\nown = ["rules.py:no_wine"]\n',
        "missing": f"[corpus]\nfile = {toml(no_surrogates(EVIL))}\n",
    }.items():
        Path(bot).mkdir()
        Path(bot, "bot.toml").write_text(text, encoding="utf-8")
    Path("evil/prepare.py").write_text(
        f"import sys\nprint(ascii({TEXT!r}), {no_surrogates(TEXT)!r})\nsys.exit({HOSTILE!r})\n"
    )
    Path("evil/bad.jsonl").write_text(
        json.dumps({"id": HOSTILE}) + "\n" + HOSTILE.replace("\ud800", "").replace("\udfff", "")
    )
    Path("own/rules.py").write_text(f"def no_wine(text):\n    raise ValueError({HOSTILE!r})\n")
    texts = [f"{one['text']} {no_surrogates(TEXT)} {n}" for n, one in enumerate(records(40))]
    for name in ("texts.txt", FILE):
        Path(name).write_text("\n==========\n".join(texts), encoding="utf-8")
    header = no_surrogates(HOSTILE).replace("\r", "").replace("\u2028", "").replace("\u2029", "").replace("\x85", "")
    Path("table.csv").write_text(
        f'"{header}","b"\n' + "".join(f'"{t}","{n}"\n' for n, t in enumerate(texts)), encoding="utf-8"
    )
    mine = [{**record, "text": f"{TEXT} {n}", "id": text_id(f"{TEXT} {n}")} for n, record in enumerate(records(20))]
    whole = [{**record, "text": no_surrogates(record["text"])} for record in mine]  # a pool takes no half characters
    for name in ("pool", "x"):
        pool = Pool(open_store(name))
        pool.append(whole, no_surrogates(HOSTILE))
        state, etag = pool.load()
        paused = no_surrogates(HOSTILE) if name == "pool" else None
        pool.save(replace(state, seq=state.seq + 1, paused=paused), etag)
    Path("broken").mkdir()
    Path("broken/state.json").write_text(json.dumps({"format": HOSTILE, HOSTILE: HOSTILE}))
    for name, some in {"pool.jsonl": whole, "half.jsonl": mine}.items():
        Path(name).write_text("".join(json.dumps(record) + "\n" for record in some))
    Path("run").mkdir()
    for name in ("pool.jsonl", "review.jsonl"):
        Path("run", name).write_text("".join(json.dumps({**r, "names": HOSTILE, "round": 1}) + "\n" for r in mine))
    Path("run/corpus.txt").write_text("\n==========\n".join(texts), encoding="utf-8")
    aws(monkeypatch)
    with loopback_x() as x:
        monkeypatch.setenv("X_API_URL", x.url)
        Path("keys.json").write_text(x.twitter_json)
        for _ in range(3):
            x.script(
                status=400, body=json.dumps({"detail": HOSTILE, "title": HOSTILE, "errors": [{"message": HOSTILE}]})
            )
        yield tmp_path


def no_surrogates(text: str) -> str:
    return text.replace("\ud800", "").replace("\udfff", "").replace("\udce9", "")


def aws(monkeypatch: pytest.MonkeyPatch) -> None:
    """What AWS would answer, were its texts hostile."""
    message = {
        "Body": json.dumps({"slot": HOSTILE, "responsePayload": {"errorMessage": HOSTILE}}),
        "ReceiptHandle": "r",
    }
    queue = [[message], [], [message], []] * 9
    events = [{"timestamp": 0, "message": text} for text in (HOSTILE, json.dumps({"event": HOSTILE, "slot": HOSTILE}))]
    job = {"createdAt": 0, "jobName": HOSTILE, "status": "FAILED", "statusReason": HOSTILE}

    def invoke(Payload: bytes, **_: Any) -> dict[str, Any]:
        answer = {"outcome": "posted", "index": 1, "text": TEXT, "remaining": 1, "tweet_id": HOSTILE}
        return {"Payload": io.BytesIO(json.dumps(answer).encode())}

    def pages(name: str) -> Any:
        found = {"jobSummaryList": [job]} if name == "list_jobs" else {"events": events, "StackResourceSummaries": []}
        return SimpleNamespace(paginate=lambda **_: [found])

    client = SimpleNamespace(
        get_paginator=pages,
        invoke=invoke,
        receive_message=lambda **_: {"Messages": queue.pop(0)},
        delete_message=lambda **_: None,
        get_queue_attributes=lambda **_: {"Attributes": {"ApproximateNumberOfMessages": "1"}},
        put_parameter=lambda **_: None,
        describe_alarms=lambda **_: {"MetricAlarms": []},
        get_metric_statistics=lambda **_: {"Datapoints": []},
        describe_parameters=lambda **_: {"Parameters": []},
    )
    stack = {
        "StackStatus": "CREATE_COMPLETE",
        "Outputs": [
            {"OutputKey": key, "OutputValue": value}
            for key, value in {
                "PoolUrl": "pool", "LogGroupName": "g", "FunctionName": HOSTILE, "ScheduleQueueUrl": "s",
                "FailureQueueUrl": "f", "QueueArn": "q", "TrainingLogGroupName": HOSTILE,
            }.items()
        ],
        "Parameters": [
            {"ParameterKey": key, "ParameterValue": value}
            for key, value in {
                "ScheduleExpression": "rate(1 day)", "ScheduleTimeZone": "UTC", "ScheduleState": "ENABLED",
                "AlarmEmail": HOSTILE,
            }.items()
        ],
    }  # fmt: skip
    owner = SimpleNamespace(client=lambda name: client, region=HOSTILE, session=None)
    monkeypatch.setattr(Owner, "present", lambda: owner)
    monkeypatch.setattr(Stack, "found", stack)


Said = tuple[int, str, str]
Run = Callable[..., Said]


@pytest.fixture(params=["utf-8", "ascii"])
def run(request: pytest.FixtureRequest, world: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """(exit code, standard output, standard error) of a command whose terminal has this encoding."""

    def run(line: str) -> Said:
        words = [word.replace("EVIL", EVIL).replace("FILE", FILE) for word in line.split()]
        raw = io.BytesIO(), io.BytesIO()
        out, err = (io.TextIOWrapper(one, request.param, errors="strict", write_through=True) for one in raw)
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", out)
            patch.setattr(sys, "stderr", err)
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xff\xfe\ny\nn\ny\n"), request.param))
            code = main(words)
        said = [one.getvalue().decode(request.param) for one in raw]
        for stream in (out, err):
            stream.detach()  # it would close what was read
        return code, said[0], said[1]

    return run


@pytest.mark.parametrize("command", [" ".join(words) for words in LEAVES if words])
def test_nothing_raw_is_printed_and_nothing_breaks(command: str, run: Run) -> None:
    for options in tried(command):
        code, out, err = run(f"{command} {options}")
        assert code in (0, 1, 2), (options, out, err)
        for line in (*out.splitlines(), *err.splitlines()):
            assert not RAW.search(line.replace("👩‍🔬", "")), (options, line)
        assert code or out, options
        if f"{command} {options}" == "settings --bot evil":
            assert tomllib.loads(out)["model"] == no_surrogates(EVIL), "the file can be used as it is"


@pytest.mark.parametrize("command", JSON)
def test_json_stays_json(command: str, run: Run) -> None:
    code, out, err = run(f"{command} --json")
    assert code == 0, err
    found = json.loads(out)
    assert not RAW.search(out.replace("👩‍🔬", ""))
    if command.startswith(("pool list", "pool show")):
        assert found[0]["text"] == no_surrogates(f"{TEXT} 0"), "the text itself, once it is read as JSON"


PLACES = {
    "ascii": {"PYTHONIOENCODING": "ascii:strict"},
    "latin-1": {"PYTHONIOENCODING": "latin-1:strict"},
    "the C locale": {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    "nobody reads": {},
    "a full disk": {},
    "no streams": {},
}


@pytest.mark.parametrize("program", ["training.cli.main", "post_tweet"])
@pytest.mark.parametrize("place", PLACES)
def test_after_a_post_nothing_fails(place: str, program: str, tmp_path: Path) -> None:
    """The program itself, once for a real post and -v: what is printed cannot stop it, whoever reads it where."""
    Pool(open_store(str(tmp_path / "pool"))).append([{**records(1)[0], "text": "ü € 🤿"}], "test")
    with loopback_x() as x:
        (tmp_path / "keys.json").write_text(x.twitter_json)
        words = ["post", "--pool", "pool", "--creds", "keys.json", "-v"]
        if program == "post_tweet":
            words = ["--slot", "one"]
        environment = {**os.environ, **PLACES[place], "X_API_URL": x.url, "PYTHONPATH": os.pathsep.join(sys.path)}
        environment |= {"POOL_URL": "pool", "X_CREDENTIALS_FILE": "keys.json"}
        redirected = {"nobody reads": "2>&1 | true", "a full disk": ">/dev/full", "no streams": ">&- 2>&-"}.get(
            place, ""
        )
        shell = f'set -o pipefail; exec 3>&1; "$@" {redirected}'
        done = subprocess.run(
            ["bash", "-c", shell, "bash", sys.executable, "-m", program, *words],
            cwd=tmp_path,
            capture_output=True,
            env=environment,
        )
        assert (done.returncode, len(x.published)) == (0, 1), done.stderr
        assert b"Traceback" not in done.stderr
    if place == "a full disk" and program != "post_tweet":
        assert b"The text was posted, but the result cannot be written (No space left on device)" in done.stderr
    elif not redirected:
        assert json.loads(done.stdout.decode(place if place == "latin-1" else "utf-8"))["text"] == "ü € 🤿"
    assert Pool(open_store(str(tmp_path / "pool"))).status()["claim"] is None
