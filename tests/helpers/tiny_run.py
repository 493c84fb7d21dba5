"""A whole run in half a second: a base of a few thousand weights, a trainer that has learnt already, and a bot whose
texts are words of ten letters. Everything else is the real part: corpus, conversion, the native decoder, the filters,
the pool."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

import tests.helpers
from tests.helpers import bundles, tiny
from training.cli import main as cli
from training.common.text import DELIMITER
from training.model.layout import OPENAI_LAYOUT
from training.model.trainers import TRAINERS, Trainer
from training.runs import stages

LETTERS = "abcdefghij"
COUNT = 12
TOY = Trainer(
    name="toy",
    title="toy",
    python=Path(sys.executable),
    programs=Path(tests.helpers.__path__[0]),
    recipes={"texts": "toy_finetune"},
    bases=frozenset({OPENAI_LAYOUT}),
    checkpoint=OPENAI_LAYOUT,
    checkpoint_file="checkpoint",
    log="toy.log",
)
SETTINGS = """
name = "tiny"
count = {count}
model = "{base}"
[corpus]
hold_out = 0.2
[sample]
engine = "native"
workers = 1
batch = 24
max_tokens = 40
temperatures = [1.0]
top_p = 1
[filter]
characters = ""
closed_vocabulary = false
min_words = 1
near_ratio = 101.0
choose_from = 1.4
set_apart = ["ge", "gh"]
skip = ["band", "opening", "dangling", "edges", "blocked"]
"""


def arrays(seed: int) -> tiny.Arrays:
    """Weights that know ten letters, the space and the end: the last layer norm has a constant in one dimension, by
    which the other tokens lose 32 nats."""
    made = tiny.arrays(seed, spread=0.1)
    made["model/ln_f/g"][0], made["model/ln_f/b"][0] = 0, 8
    made["model/wte"][:, 0] = -3
    for letter in LETTERS.encode():
        made["model/wte"][letter, 0] = 1
    made["model/wte"][ord(" "), 0], made["model/wte"][tiny.END, 0] = 1.1, 1.25
    return made


def make(folder: Path) -> Path:
    """The bot and its base. Returns its bot.toml."""
    base, bot = folder / "base", folder / "bot"
    for each, seed in ((base, 2), (base / "tuned", 1)):
        bundles.write(tiny.source(each), arrays(seed))
    rng = random.Random(1)
    texts = [" ".join("".join(rng.choices(LETTERS, k=rng.randint(1, 6))) for _ in range(4)) for _ in range(40)]
    bot.mkdir()
    (bot / "corpus.txt").write_text(DELIMITER.join(texts) + "\n")
    (bot / "bot.toml").write_text(SETTINGS.format(count=COUNT, base=base))
    return bot / "bot.toml"


def prepare(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let runs train with the toy and keep base models in this folder."""
    monkeypatch.setitem(TRAINERS, "tensorflow", TOY)
    monkeypatch.setattr(stages, "MODELS", folder / "models")


def run(bot: Path, at: Path) -> int:
    """`deepproverbs run` in the folder at/run, into the pool at/pool. Returns its exit code."""
    return cli.main(["run", "--bot", str(bot), "--run", str(at / "run"), "--pool", str(at / "pool"), "--force"])
