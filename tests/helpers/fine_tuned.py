"""nano fine-tuned on a quarter of the real Proverbs: what the tests with TensorFlow 1.15 share."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.proverbs import prepare
from training.common.paths import ROOT
from training.corpus.read import load_corpus
from training.model import base as base_model
from training.model.base import BaseModel
from training.model.finetune import finetune
from training.runs import stages
from training.settings import Bot, FinetuneSettings, load

QUIET: list[str] = []


@dataclass
class Line:
    """What the stages before a test have made."""

    bot: Bot
    folder: Path
    base: BaseModel


def line(folder: Path, models: Path) -> Line:
    """nano in OpenAI's layout, and a bot with a quarter of the real Proverbs (230 verses)."""
    prepare.main(folder)
    texts = load_corpus(folder / "corpus.txt")[::4]
    (folder / "corpus.txt").write_text("\n==========\n".join(texts) + "\n")
    shutil.copy(ROOT / "data" / "proverbs" / "bot.toml", folder)
    bot = load(folder / "bot.toml")
    base = base_model.locate("nano", models)
    stages.build_corpus(bot, [bot.corpus_file], folder / "run", base.folder, QUIET.append)
    return Line(bot, folder / "run", base)


def checkpoint(line: Line) -> Path:
    """After one epoch on whole texts: 7 steps."""
    return finetune(line.folder, line.base, FinetuneSettings(epochs=1, batch_size=32), QUIET.append)


def metrics(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(text) for text in (folder / "metrics.jsonl").read_text().splitlines()]
