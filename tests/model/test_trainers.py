"""The protocol between trainers and us, and a trainer that is added with one program."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest

import tests.helpers
from tests.helpers import tiny
from training.common.errors import DeepproverbsError, WrongUse
from training.common.manifest import Manifest
from training.model import trainers
from training.model.base import BaseModel
from training.model.events import BadEvent, Done, Epoch, Resumed, Step, Texts, Written, parse
from training.model.finetune import finetune
from training.model.layout import Hparams
from training.model.trainers import TRAINERS, Trainer
from training.settings import FinetuneSettings

EPOCH = {"epoch": 1, "step": 7, "training": None, "held_out": 3.5, "seconds": 2}
TOY = Trainer(
    name="toy",
    title="toy",
    python=Path(sys.executable),
    programs=Path(tests.helpers.__path__[0]),
    recipes={"texts": "toy_trainer"},
    bases=frozenset({"toy"}),
    checkpoint="toy",
    checkpoint_file="weights.toy",
    log="toy.log",
)


def test_events_are_typed() -> None:
    done = {"event": "done", "epochs": [EPOCH, EPOCH]}
    assert parse(json.dumps(done)) == Done((Epoch(1, 7, None, 3.5, 2), Epoch(1, 7, None, 3.5, 2)))
    assert parse('{"event": "step", "step": 1, "steps": 9, "loss": 2, "tokens": 64}') == Step(1, 9, 2, 64)
    assert parse('{"event": "resumed", "epoch": 2, "batch": 0}') == Resumed(2, 0)
    assert parse('{"event": "texts", "numbers": [7], "rows": [[1, 2]], "logprobs": [-1.5]}') == Texts(
        (7,), ((1, 2),), (-1.5,)
    )


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("Epoch 1", "not a JSON object with an event: 'Epoch 1'"),
        ("[]", "not a JSON object with an event"),
        ("{}", "not a JSON object with an event"),
        ('{"event": "eureka"}', "unknown event 'eureka'; known are epoch, step, trimmed, resumed"),
        ('{"event": ["step"]}', "unknown event"),
        ('{"event": "resumed", "epoch": 2}', "resumed has the fields epoch, not epoch, batch"),
        ('{"event": "resumed", "epoch": 2, "batch": true}', "resumed.batch is True, not int"),
        ('{"event": "written", "parameters": null}', "written.parameters is None, not int"),
        ('{"event": "texts", "numbers": ["7"], "rows": [], "logprobs": []}', "texts.numbers is '7', not int"),
        (json.dumps({"event": "done", "epochs": [EPOCH]}), "at least one more"),
        (json.dumps({"event": "done", "epochs": [EPOCH, 3]}), "done.epochs is 3, not Epoch"),
    ],
)
def test_what_is_no_event_is_told(line: str, reason: str) -> None:
    with pytest.raises(BadEvent) as caught:
        parse(line)
    assert reason in str(caught.value)


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BaseModel:
    """A base that only the toy can train, and a run's corpus of twelve texts."""
    monkeypatch.setitem(TRAINERS, "toy", TOY)
    parts = {"train": np.arange(60), "train_offsets": np.arange(0, 61, 5)}
    held_out = np.array([*b"a wise son", tiny.END])
    np.savez(tmp_path / "corpus.npz", **parts, held_out=held_out, held_out_offsets=[0, len(held_out)])
    tiny.source(tmp_path)
    return BaseModel("small", tmp_path, Hparams(64, 32, 8, 2, 2), "5a", layout="toy")


@pytest.mark.usefixtures("verbose")
def test_a_trainer_is_added_with_one_program(
    base: BaseModel, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    said: list[str] = []
    settings = FinetuneSettings(epochs=3)
    checkpoint = finetune(tmp_path, base, settings, said.append)
    assert (checkpoint / "weights.toy").read_text() == "42"
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["held_out"] for line in lines] == [3.0, 2.0, 1.0, 3.0]
    assert said[-2:] == [
        "Held-out loss: 1.000 nats a token, before 3.000.",
        "Learnt in 4 s: it predicts texts it has not seen at 1.443 bits a character, before 4.328; lower is better.",
    ]
    assert [line["bits"] for line in lines] == [4.3281, 2.8854, 1.4427, 4.3281]  # as many tokens as characters
    told = capfd.readouterr().out.splitlines()
    assert "  before: 4.328 bits a character on texts it has not seen" in told
    entry = Manifest(tmp_path).stages["finetune"]
    assert (entry["settings"]["trainer"], entry["best_epoch"], entry["metrics"]) == ("toy", 2, lines)
    finetune(tmp_path, base, settings, said.append)
    assert "already done" in said[-1]


@pytest.mark.parametrize(
    ("seed", "message"),
    [
        (2, "The toy program toy_trainer does not speak our protocol: unknown event 'eureka'"),
        (3, "resumed.epoch is 'one', not int"),
        (4, "ended without saying 'done'"),
        (5, r"failed \(code 1\): no such luck \(all of it: .*toy.log\)"),
    ],
)
def test_a_program_that_breaks_the_protocol(base: BaseModel, tmp_path: Path, seed: int, message: str) -> None:
    with pytest.raises(DeepproverbsError, match=message):
        finetune(tmp_path, base, FinetuneSettings(epochs=1, seed=seed), lambda _: None)
    assert not (tmp_path / "metrics.jsonl").exists()


def test_what_an_interruption_left_is_not_gone_on_from_if_it_is_damaged(base: BaseModel, tmp_path: Path) -> None:
    settings = FinetuneSettings(epochs=1, seed=4)
    left, said = tmp_path / "checkpoint" / "run1" / "weights.toy", list[str]()
    for damaged in (None, None, b"43", b"", b"42 "):
        if damaged is not None:
            left.write_bytes(damaged)
        said.clear()
        with pytest.raises(DeepproverbsError, match="without saying 'done'"):
            finetune(tmp_path, base, settings, said.append)
        told = f"{left} is not what the interrupted fine-tuning left: this one starts at the beginning." in said
        assert told == (damaged is not None) and left.read_text() == "42"
    (tmp_path / "checkpoint" / "left.json").write_bytes(b"{")
    with pytest.raises(DeepproverbsError, match="without saying 'done'"):
        finetune(tmp_path, base, settings, said.append)
    assert "left.json is not what the interrupted fine-tuning left" in said[-2]


def test_no_trainer_for_this_recipe(base: BaseModel, tmp_path: Path) -> None:
    with pytest.raises(WrongUse, match=r"toy has no recipe windows. Choose another --model"):
        finetune(tmp_path, base, FinetuneSettings(recipe="windows"), lambda _: None)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[subprocess.Popen[str]]]:
    """The programs that were started."""
    found: list[subprocess.Popen[str]] = []

    class Noted(subprocess.Popen[str]):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            found.append(self)
            super().__init__(*args, **kwargs)

    monkeypatch.setattr(subprocess, "Popen", Noted)
    yield found
    for process in found:
        process.kill()
        process.wait()


@pytest.mark.parametrize(("moment", "saved"), [("loading", False), ("loaded", False), ("training", True)])
def test_an_interrupt_ends_a_program_that_loads_and_lets_one_that_trains_save(
    moment: str, saved: bool, tmp_path: Path, started: list[subprocess.Popen[str]]
) -> None:
    arguments = {"moment": moment, "folder": tmp_path}
    with pytest.raises(KeyboardInterrupt):
        TOY.result("toy_interrupted", arguments, tmp_path / "log", Written, lambda _: (tmp_path / "heard").touch())
    assert ((tmp_path / "saved").exists(), (tmp_path / "trained").exists()) == (saved, False)
    assert [process.poll() is not None for process in started] == [True]


def test_no_interrupt_is_lost_at_any_line(tmp_path: Path, started: list[subprocess.Popen[str]]) -> None:
    """Ctrl-C at the first line that is run in trainers.py, at the second, …: it always comes through, and no program
    goes on without us."""
    arguments = {"moment": "", "folder": tmp_path, "seconds": 0.05}
    lines = tries = 0

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal lines
        if frame.f_code.co_filename != trainers.__file__:
            return None
        if event == "line":
            lines += 1
            if lines == tries:
                signal.raise_signal(signal.SIGINT)
        return trace

    before = sys.gettrace()
    while True:
        lines, tries = 0, tries + 1
        sys.settrace(trace)
        try:
            TOY.result("toy_interrupted", arguments, tmp_path / "log", Written)
            break
        except KeyboardInterrupt:
            assert lines >= tries
        finally:
            sys.settrace(before)
        assert all(process.poll() is not None for process in started), f"line {tries}"
    assert lines < tries and tries > 40 and len(started) > 30
