"""Corpus → checkpoints → the best one by held-out loss.

In:  RUN/corpus.npz and a base checkpoint.
Out: RUN/checkpoint/run1/ in gpt-2-simple's layout, RUN/metrics.jsonl, one line an epoch:
     {"epoch", "step", "training", "held_out" (nats a token, each text alone), "seconds"}.

`deepproverbs finetune --run DIR`
"""

from __future__ import annotations

import json
import math
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from training.common.errors import DeepproverbsError
from training.common.files import write_whole
from training.common.manifest import Manifest, key_of
from training.model.base import BaseModel
from training.model.trainers import run_program
from training.settings import FinetuneSettings

WINDOW = 1024


@dataclass(frozen=True)
class Plan:
    """The settings with every default filled in, and the arithmetic of the run."""

    recipe: str
    epochs: int
    batch_size: int
    learning_rate: float
    layers: str
    memory_saving: bool
    seed: int
    texts: int
    tokens: int
    steps_per_epoch: int

    @property
    def arithmetic(self) -> str:
        each = "texts" if self.recipe == "texts" else f"windows of {WINDOW:,} tokens"
        return (
            f"{self.texts:,} texts, {self.tokens:,} tokens; {self.batch_size} {each} a step = "
            f"{self.steps_per_epoch} steps an epoch x {self.epochs} epochs = "
            f"{self.steps_per_epoch * self.epochs} steps at most"
        )


def plan(settings: FinetuneSettings, base: BaseModel, corpus: Path) -> Plan:
    """Fill in what the model's size decides.

    Width 256 (nano) stands a rate of 1e-3; 124M the 1e-4 of gpt-2-simple and less from there. From
    355M on, embeddings stay fixed and activations are recomputed, as in gpt-2-simple: else 16 GB
    of a GPU are too few.

    Raises:
        DeepproverbsError: the corpus is too small for the recipe.
    """
    width = base.hparams["n_embd"]
    large = width >= 1024
    with np.load(corpus) as arrays:
        texts, tokens = len(arrays["train_offsets"]) - 1, len(arrays["train"])
    if settings.recipe == "windows":
        if tokens <= WINDOW + 1:
            raise DeepproverbsError(
                f"{tokens:,} training tokens are too few for windows of {WINDOW:,}: "
                "use --recipe texts or a larger corpus."
            )
        batch = settings.batch_size or 1
        steps = max(1, round(tokens / (WINDOW * batch)))
    else:
        # A small corpus gets smaller batches: 130 texts at 32 a step are 16 steps in 4 epochs, after which
        # the model still opens its texts like the base's.
        usual = {256: 32, 768: 32, 1024: 16, 1280: 8, 1600: 4}.get(width, 16)
        batch = settings.batch_size or min(usual, max(4, texts // 25))
        steps = math.ceil(texts / batch)
    rate = settings.learning_rate or {256: 3e-4, 768: 1e-4, 1024: 5e-5, 1280: 3e-5, 1600: 2e-5}.get(width, 1e-4)
    layers = settings.layers if settings.layers != "auto" else ("transformer" if large else "all")
    saving = large if settings.memory_saving == "auto" else settings.memory_saving == "on"
    return Plan(settings.recipe, settings.epochs, batch, rate, layers, saving, settings.seed, texts, tokens, steps)


def finetune(run: Path, base: BaseModel, settings: FinetuneSettings, say: Any = print) -> Path:
    """Fine-tune, or go on where an interrupted run stopped. Returns the checkpoint's folder."""
    corpus, checkpoint, metrics = run / "corpus.npz", run / "checkpoint" / "run1", run / "metrics.jsonl"
    todo = plan(settings, base, corpus)
    manifest = Manifest(run)
    facts = {**vars(todo), "base": base.name, "base_sha": base.sha}
    key = key_of(facts, corpus)
    if manifest.done("finetune", key, checkpoint / "checkpoint", metrics):
        say(f"Fine-tuning: already done ({checkpoint}).")
        return checkpoint
    resume = run / "checkpoint" / "resume"
    _start_anew_when_changed(run, key)
    say(f"Fine-tuning {base.name} by the recipe {todo.recipe}: {todo.arithmetic}.")
    started = time.monotonic()
    lines = (
        _texts(todo, base, corpus, checkpoint, resume, metrics, run, say)
        if todo.recipe == "texts"
        else _windows(todo, base, corpus, checkpoint, metrics, run, say)
    )
    best = min(lines[1:], key=lambda line: line["held_out"])
    say(
        f"Best: epoch {best['epoch']}, held-out loss {best['held_out']:.3f} (before: {lines[0]['held_out']:.3f}), "
        f"{lines[-1]['seconds']:.0f} s of training."
    )
    manifest.record("finetune", key, facts, started, metrics=lines, best_epoch=best["epoch"])
    shutil.rmtree(resume, ignore_errors=True)
    return checkpoint


def _start_anew_when_changed(run: Path, key: str) -> None:
    """An unfinished run of other settings or texts is of no use to this one."""
    mark = run / "checkpoint" / "key"
    if not mark.exists() or mark.read_text(encoding="utf-8") != key:
        shutil.rmtree(run / "checkpoint", ignore_errors=True)
        write_whole(mark, key)


def _texts(
    todo: Plan, base: BaseModel, corpus: Path, checkpoint: Path, resume: Path, metrics: Path, run: Path, say: Any
) -> list[dict[str, Any]]:
    arguments = {
        "base": base.folder.resolve(),
        "corpus": corpus.resolve(),
        "checkpoint": checkpoint.resolve(),
        "resume": resume.resolve(),
        "metrics": metrics.resolve(),
        "epochs": todo.epochs,
        "batch_size": todo.batch_size,
        "learning_rate": todo.learning_rate,
        "layers": todo.layers,
        "memory_saving": todo.memory_saving,
        "seed": todo.seed,
        # A save of 124M with Adam's moments writes 1.5 GB: every few minutes is often enough.
        "save_seconds": 20 if base.hparams["n_embd"] < 768 else 300,
    }
    follow("finetune_texts", arguments, run, todo, say)
    return [json.loads(line) for line in metrics.read_text(encoding="utf-8").splitlines()]


def _windows(
    todo: Plan, base: BaseModel, corpus: Path, checkpoint: Path, metrics: Path, run: Path, say: Any
) -> list[dict[str, Any]]:
    arguments = {
        "base": base.folder.resolve(),
        "corpus": corpus.resolve(),
        "checkpoint": checkpoint.resolve(),
        "epochs": todo.epochs,
        "batch_size": todo.batch_size,
        "learning_rate": todo.learning_rate,
        "layers": todo.layers,
        "seed": todo.seed,
    }
    before = held_out(base.folder, [""], corpus, run)[""]
    done, losses = follow("finetune_windows", arguments, run, todo, say)
    prefixes = [f"model-{n * todo.steps_per_epoch}" for n in range(1, todo.epochs + 1)]
    prefixes = [p for p in prefixes if (checkpoint / f"{p}.index").exists()]
    after = held_out(checkpoint, prefixes, corpus, run)
    lines: list[dict[str, Any]] = [{"epoch": 0, "step": 0, "training": None, "held_out": before, "seconds": 0}]
    for prefix in prefixes:
        step = int(prefix.split("-")[1])
        part = [loss for s, loss in losses if step - todo.steps_per_epoch < s <= step]
        lines.append(
            {
                "epoch": step // todo.steps_per_epoch,
                "step": step,
                "training": round(sum(part) / len(part), 4) if part else None,
                "held_out": after[prefix],
                "seconds": round(done["seconds"] * step / (todo.steps_per_epoch * todo.epochs), 1),
            }
        )
    best = min(prefixes, key=lambda p: after[p])
    for path in checkpoint.glob("model-*"):
        if not path.name.startswith(best + "."):
            path.unlink()
    write_whole(checkpoint / "checkpoint", f'model_checkpoint_path: "{best}"\nall_model_checkpoint_paths: "{best}"\n')
    write_whole(metrics, "".join(json.dumps(line) + "\n" for line in lines))
    return lines


def held_out(folder: Path, prefixes: list[str], corpus: Path, run: Path) -> dict[str, float]:
    """Held-out loss, nats a token, of the checkpoints `prefixes` in `folder` ("" is the current one)."""
    arguments = {"folder": folder.resolve(), "prefixes": prefixes, "corpus": corpus.resolve()}
    return {event["prefix"]: event["held_out"] for event in run_program("evaluate", arguments, run / "tf1.log")}


def follow(
    program: str, arguments: dict[str, Any], run: Path, todo: Plan, say: Any
) -> tuple[dict[str, Any], list[tuple[int, float]]]:
    """Run a training program behind a progress bar. Returns its last event and (step, loss) pairs."""
    losses: list[tuple[int, float]] = []
    last: dict[str, Any] = {}
    with tqdm(total=todo.steps_per_epoch * todo.epochs, unit="step", desc="fine-tuning", mininterval=1.0) as bar:
        for event in run_program(program, arguments, run / "tf1.log"):
            last = event
            if event["event"] == "step":
                losses.append((event["step"], event["loss"]))
                bar.update(event["step"] - bar.n)
                bar.set_postfix(loss=f"{event['loss']:.2f}", refresh=False)
            elif event["event"] == "epoch":
                what = "before" if event["epoch"] == 0 else f"epoch {event['epoch']}: training {event['training']:.3f},"
                bar.write(f"  {what} held-out loss {event['held_out']:.3f}")
            elif event["event"] == "resumed":
                bar.write(f"  going on in epoch {event['epoch']}, after its batch {event['batch']}")
            elif event["event"] == "interrupted":
                bar.write("  saved; the same command goes on from here")
    return last, losses
