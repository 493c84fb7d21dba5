"""nano fine-tuned on a quarter of the real Proverbs: what the tests of the trainers share."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.proverbs import prepare
from training.common.paths import ROOT
from training.corpus.read import load_corpus
from training.model import base as base_model
from training.model import bundle
from training.model.base import BaseModel
from training.model.events import Done, Resumed, Step
from training.model.finetune import finetune
from training.model.huggingface import read_gpt2
from training.model.layout import HF_LAYOUT, OPENAI_LAYOUT, layout_of
from training.model.trainers import TRAINERS, Trainer
from training.runs import stages
from training.settings import Bot, FinetuneSettings, load

QUIET: list[str] = []
DEFAULT = {
    "epochs": 2,
    "most": 2,
    "batch_size": 32,
    "learning_rate": 3e-4,
    "layers": "all",
    "memory_saving": False,
    "seed": 1,
    "save_seconds": 0,
}


@dataclass
class Line:
    """What the stages before a test have made."""

    bot: Bot
    folder: Path
    base: BaseModel

    @property
    def trainer(self) -> Trainer:
        """The one for the base's layout."""
        return next(trainer for trainer in TRAINERS.values() if self.base.layout in trainer.bases)

    def arguments(self, name: str, **changed: Any) -> dict[str, Any]:
        """What the program of the recipe `texts` is told to work in a new folder of this name."""
        at = self.folder.parent / name
        at.mkdir()
        np.save(at / "keep.npy", np.zeros(0, np.int64))
        folders = {"checkpoint": at / "checkpoint", "resume": at / "resume", "keep": at / "keep.npy"}
        return {**DEFAULT, **folders, "base": self.base.folder, "corpus": self.folder / "corpus.npz", **changed}

    def kill_after(self, step: int, arguments: dict[str, Any]) -> None:
        """Run the program and kill it when it has told of this step."""
        program = self.trainer.programs / "finetune_texts.py"
        process = subprocess.Popen(
            [self.trainer.interpreter(), program, json.dumps(arguments, default=str)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert process.stdout is not None
        for text in process.stdout:
            if (event := json.loads(text))["event"] == "step" and event["step"] == step:
                break
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()


def line(folder: Path, models: Path, layout: str = OPENAI_LAYOUT, model: str = "nano") -> Line:
    """A base model in this layout, and a bot with a quarter of the real Proverbs (230 verses)."""
    prepare.main(folder)
    texts = load_corpus(folder / "corpus.txt")[::4]
    (folder / "corpus.txt").write_text("\n==========\n".join(texts) + "\n")
    shutil.copy(ROOT / "data" / "proverbs" / "bot.toml", folder)
    bot = load(folder / "bot.toml")
    base = base_model.locate(model, models, frozenset({layout}))
    stages.build_corpus(bot, [bot.corpus_file], folder / "run", base.folder, QUIET.append)
    return Line(bot, folder / "run", base)


def checkpoint(line: Line) -> Path:
    """After one epoch on whole texts: 7 steps."""
    return finetune(line.folder, line.base, FinetuneSettings(epochs=1, batch_size=32), QUIET.append)


def metrics(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(text) for text in (folder / "metrics.jsonl").read_text().splitlines()]


def weights_of(folder: Path) -> Mapping[str, Any]:
    """Of a GPT-2 in either layout, under OpenAI's names."""
    return read_gpt2(folder)[0] if layout_of(folder) == HF_LAYOUT else bundle.read(folder)


def goes_on_after_kill_9(line: Line) -> None:
    """Two epochs of 7 steps, with a kill in the first, against two without."""
    whole, killed = line.arguments("whole"), line.arguments("killed")
    log = line.folder / "killed.log"
    theirs = list(line.trainer.events("finetune_texts", whole, log))
    line.kill_after(6, killed)
    resumed, *events = line.trainer.events("finetune_texts", killed, log)
    assert isinstance(resumed, Resumed) and 7 * (resumed.epoch - 1) + resumed.batch >= 4
    steps, expected = ([e for e in found if isinstance(e, Step)] for found in (events, theirs))
    assert [step.step for step in steps] == [*range(7 * (resumed.epoch - 1) + resumed.batch + 1, 15)]
    assert [step.loss for step in steps] == pytest.approx([step.loss for step in expected[-len(steps) :]], abs=2e-3)
    done, without = events[-1], theirs[-1]
    assert isinstance(done, Done) and isinstance(without, Done)
    assert [x.held_out for x in done.epochs] == pytest.approx([x.held_out for x in without.epochs], abs=2e-3)
