"""Tokens a second of fine-tuning: PyTorch beside TensorFlow 1.15, on weights of 124M's shape (random ones unless
models/124M holds OpenAI's) and the same batches of the Proverbs, 32 whole texts a step.

Both trainers' own programs run, one after the other, some steps each and several times; the first steps of each run are
not counted. PyTorch also with its softmax over the whole vocabulary.

    .venvs/project/bin/python -m benchmarks.finetuning [--steps 8] [--rounds 2]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import models, needs
from training import settings
from training.common.paths import DEFAULT_BOT, ROOT
from training.model import bundle, huggingface
from training.model.events import Step
from training.model.layout import read_hparams
from training.model.trainers import TENSORFLOW, TORCH, Trainer
from training.runs import stages

WARM = 2
"""Steps that are not counted: the first ones allocate."""


def speed(trainer: Trainer, base: Path, folder: Path, corpus: Path, keep: Path, steps: int) -> tuple[float, int]:
    """(tokens a second over some steps, peak memory in MB)."""
    scratch = folder / f"{trainer.name}-run"
    arguments: dict[str, Any] = {
        "base": base,
        "corpus": corpus,
        "checkpoint": scratch / "checkpoint",
        "resume": scratch / "resume",
        "keep": keep,
        "epochs": 1,
        "most": 1,
        "batch_size": 32,
        "learning_rate": 1e-4,
        "layers": "all",
        "memory_saving": False,
        "seed": 1,
        "save_seconds": 10**6,
    }
    tokens, started, done = 0, 0.0, 0
    with closing(trainer.events("finetune_texts", arguments, folder / trainer.log)) as events:
        for event in events:
            if isinstance(event, Step):
                if event.step > WARM:
                    tokens += event.tokens
                elif event.step == WARM:
                    started = time.monotonic()
                if event.step == WARM + steps:
                    passed = time.monotonic() - started
                    done = needs.peak_of(f"{trainer.programs.name}/finetune_texts.py")
                    return tokens / passed, done
    raise AssertionError("the corpus has too few batches for so many steps")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=8, help="steps that are timed in each run (default: 8)")
    parser.add_argument("--rounds", type=int, default=2, help="runs of each trainer (default: 2)")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "finetuning.json")
    args = parser.parse_args()
    for environment in ("tf1", "torch"):
        needs.python_of(environment)
    folder = ROOT / "runs" / "bench" / "finetuning"
    models.prepare("124M", ROOT / "runs" / "bench" / "124M")
    openai = ROOT / "runs" / "bench" / "124M" / "checkpoint"
    hf = folder / "huggingface"
    if not (hf / "config.json").exists():
        huggingface.write_gpt2(bundle.read(openai), read_hparams(openai), openai, hf)
    bot = settings.load(DEFAULT_BOT)
    stages.prepare(bot, lambda _: None)
    # The Proverbs in nano's tokens: about as many a text as in GPT-2's, whose vocabulary random weights lack.
    stages.build_corpus(bot, [bot.corpus_file], folder, ROOT / "data" / "base" / "nano", lambda _: None)
    keep = folder / "keep.npy"
    np.save(keep, np.arange(0))
    found: dict[str, list[tuple[float, int]]] = {}
    for _ in range(args.rounds):
        for trainer, base in ((TENSORFLOW, openai), (TORCH, hf)):
            result = speed(trainer, base.resolve(), folder, folder / "corpus.npz", keep, args.steps)
            found.setdefault(trainer.title, []).append(result)
            print(f"{trainer.title}: {result[0]:,.0f} tokens/s, {result[1]:,} MB", flush=True)
    middle = {name: statistics.median(value for value, _ in runs) for name, runs in found.items()}
    ratio = middle[TORCH.title] / middle[TENSORFLOW.title]
    print(f"PyTorch is {ratio:.2f} times as fast.")
    args.out.write_text(json.dumps({"runs": found, "ratio": ratio}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    needs.run(main)
