"""Corpus → checkpoints → the best one by held-out loss.

In:  RUN/corpus.npz and a base checkpoint.
Out: RUN/checkpoint/run1/ in the trainer's layout, RUN/metrics.jsonl, one line an epoch
     (training/model/events.py, `Epoch`).

`deepproverbs finetune --run DIR`
"""

from __future__ import annotations

import contextlib
import math
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from training.common import jsonl, progress
from training.common.errors import DeepproverbsError
from training.common.files import read_note, sync, write_note, write_whole
from training.common.manifest import Manifest, differing, digest_of, digests, key_of
from training.common.progress import Say, details
from training.corpus.read import load_arrays
from training.corpus.tokenizer import load_tokenizer
from training.model.base import BaseModel
from training.model.events import Done, Epoch, Event, Interrupted, Resumed, Step, Trimmed
from training.model.trainers import TENSORFLOW, Choice, choose_trainer
from training.settings import FinetuneSettings

WINDOW = 1024
MOST = 30
"""Most epochs where the settings leave their number open."""
FEWEST_STEPS = 48
"""Steps over which the rate falls at least, where they do. After 24 on thirty texts SmolLM2 still began like its base
(held-out loss 4.86 nats a token, 14 of 2,000 candidates kept); over 48 the best of six epochs had 4.27."""
UNFINISHED = ("run1", "resume")
"""The folders that a trainer goes on from, in RUN/checkpoint."""
LEFT = Path("checkpoint") / "left.json"
"""The digests of what is in them after an interruption."""
PASSED_ON = ("epochs", "most", "batch_size", "learning_rate", "layers", "memory_saving", "seed")
"""Of the training arguments: what the trainer's program is given."""


@dataclass(frozen=True)
class TrainingArguments:
    """The settings with every default filled in, and the arithmetic of the run. All of it is in the stage's key."""

    recipe: str
    epochs: int
    """Over which the rate falls."""
    most: int
    """Epochs at most: those above are put off while the held-out loss falls fast."""
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
            f"{self.steps_per_epoch * self.epochs} steps"
            + (" at most" if self.most == self.epochs else ", more while the held-out loss falls fast")
        )

    @property
    def facts(self) -> dict[str, Any]:
        """For the stage's key. A number of epochs that is fixed leaves no trace of `most`, as in the keys of old
        runs."""
        return {k: v for k, v in asdict(self).items() if k != "most" or self.most > self.epochs}


def training_arguments(settings: FinetuneSettings, base: BaseModel, corpus: Path) -> TrainingArguments:
    """Fill in what depends on the model's size.

    A width of 256 (nano) tolerates a rate of 1e-3; 124M takes gpt-2-simple's 1e-4, larger models less. From 355M on the
    embeddings stay fixed and activations are recomputed, as in gpt-2-simple: otherwise 16 GB on a GPU are too few. A
    model that has read as much as SmolLM2 learns the texts by heart after two epochs: the held-out loss is lowest
    there, with 400 texts and with 800. Texts that are far from what the base has read, or few, take more epochs than
    planned: the programs put the end off after each one but the first that lowers the held-out loss by a twentieth. On
    40 modern sayings that gave 3.27 instead of 3.36 nats a token with SmolLM2, on 300 German ones 3.78 instead of 3.96
    with nano; on the Proverbs it changes nothing.

    Raises:
        DeepproverbsError: the corpus is too small for the recipe.
    """
    width = base.hparams.n_embd
    large = width >= 1024
    arrays = load_arrays(corpus, "train", "train_offsets")
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
        # the model's texts still open like the base's.
        usual = {256: 32, 768: 32, 1024: 16, 1280: 8, 1600: 4}.get(width, 16)
        batch = settings.batch_size or min(usual, max(4, texts // 25))
        steps = math.ceil(texts / batch)
    usual_rate = {256: 3e-4, 768: 1e-4, 1024: 5e-5, 1280: 3e-5, 1600: 2e-5}.get(width, 1e-4)
    rate = settings.learning_rate or usual_rate
    usual_epochs = 4 if base.hparams.architecture == "gpt2" else 2
    if settings.recipe == "texts":
        usual_epochs = max(usual_epochs, math.ceil(FEWEST_STEPS / steps))
    epochs = settings.epochs or usual_epochs
    most = epochs if settings.epochs or settings.recipe != "texts" else MOST
    layers = settings.layers if settings.layers != "auto" else ("transformer" if large else "all")
    saving = large if settings.memory_saving == "auto" else settings.memory_saving == "on"
    return TrainingArguments(
        settings.recipe, epochs, most, batch, rate, layers, saving, settings.seed, texts, tokens, steps
    )


def finetune(
    run: Path,
    base: BaseModel,
    settings: FinetuneSettings,
    say: Say = print,
    choice: Choice | None = None,
    keep: Sequence[int] = (),
) -> Path:
    """Fine-tune, or continue where an interrupted run stopped. Returns the checkpoint's folder.

    choice: the trainer; None: the one for this base. keep: tokens that a trainer must not trim off the output layer.

    Raises:
        WrongUse: no trainer can train this base by this recipe.
        DeepproverbsError: the corpus is too small, or the trainer failed.
    """
    corpus, checkpoint, metrics = run / "corpus.npz", run / "checkpoint" / "run1", run / "metrics.jsonl"
    chosen = choice or choose_trainer(settings.trainer, frozenset({base.layout}), settings.recipe)
    trainer = chosen.trainer
    todo = training_arguments(settings, base, corpus)
    manifest = Manifest(run, say)
    facts = todo.facts | {"base": base.name, "base_sha": base.sha}
    if trainer is not TENSORFLOW:  # it was the only one at first, so the keys of old runs lack it
        facts |= {"trainer": trainer.name, "keep": digest_of(map(str, keep))}
    key = key_of(facts, corpus)
    finished = manifest.stages.get("finetune", {})
    if finished.get("key") == key:
        if manifest.changed("finetune") == [metrics]:  # the manifest has what is in it
            say(f"{metrics} is not what the stage finetune wrote: it is written again.")
            jsonl.write(metrics, finished["metrics"])
        if (checkpoint / trainer.checkpoint_file).exists() and manifest.done("finetune", key, checkpoint, metrics):
            say(f"Fine-tuning: already done ({checkpoint}).")
            return checkpoint
        shutil.rmtree(run / "checkpoint", ignore_errors=True)  # what is damaged is nothing to go on from
    _discard_other(run, key, say)
    _discard_damaged(run, say)
    base.check()
    why = f" ({chosen.why})" if chosen.why else ""
    say(f"Teaching your {todo.texts:,} texts to {base.name}, with {trainer.title}.")
    details(say)(f"It is {trainer.title}{why}, by the recipe {todo.recipe}: {todo.arithmetic}.")
    started, resume = time.monotonic(), run / "checkpoint" / "resume"
    kept = run / "checkpoint" / "keep.npy"
    np.save(kept, np.array(sorted(keep), dtype=np.int64))
    arguments = {
        "base": base.folder.resolve(),
        "corpus": corpus.resolve(),
        "checkpoint": checkpoint.resolve(),
        "resume": resume.resolve(),
        "keep": kept.resolve(),
        **{name: getattr(todo, name) for name in PASSED_ON},
        # A save of 124M with Adam's moments writes 1.5 GB: every few minutes is often enough.
        "save_seconds": 20 if base.hparams.n_embd < 512 else 300,
    }
    measure = Measure.of(corpus, base.folder)
    with progress.bar(todo.steps_per_epoch * todo.epochs, "learning", "step") as bar:
        program = trainer.recipes[todo.recipe]
        bar.set_postfix_str("loading the model")
        try:
            done = trainer.result(
                program, arguments, run / trainer.log, Done, lambda event: _show(event, bar, todo, measure)
            )
        except BaseException:
            with contextlib.suppress(OSError):  # a full disk; the reason is told already
                write_note(run / LEFT, {name: digests(run / "checkpoint" / name) for name in UNFINISHED})
            raise
        bar.total = bar.n  # it may have ended early
    epochs = [asdict(epoch) | {"bits": round(measure.bits(epoch.held_out), 4)} for epoch in done.epochs]
    jsonl.write(metrics, epochs)
    before, *trained = done.epochs
    best = min(trained, key=lambda epoch: epoch.held_out)
    details(say)(f"Held-out loss: {best.held_out:.3f} nats a token, before {before.held_out:.3f}.")
    say(
        f"Learnt in {trained[-1].seconds:.0f} s: it predicts texts it has not seen at "
        f"{measure.bits(best.held_out):.3f} bits a character, before {measure.bits(before.held_out):.3f}; "
        "lower is better."
    )
    made = [checkpoint, metrics]
    with progress.step("Saving what was learnt"):
        sync(checkpoint)
        manifest.record("finetune", key, facts, started, made, metrics=epochs, best_epoch=best.epoch)
        shutil.rmtree(resume, ignore_errors=True)
    return checkpoint


@dataclass(frozen=True)
class Measure:
    """The held-out texts' length in tokens and in characters: by it losses of models with different vocabularies can
    be compared."""

    tokens: int
    characters: int
    """The end of a text counts as one."""

    @classmethod
    def of(cls, corpus: Path, tokenizer_folder: Path) -> Measure:
        tokenizer = load_tokenizer(tokenizer_folder)
        held, offsets = load_arrays(corpus, "held_out", "held_out_offsets").values()
        texts = tokenizer.decode_batch([held[a : b - 1].tolist() for a, b in pairwise(offsets)])
        return cls(len(held), sum(len(text) + 1 for text in texts))

    def bits(self, loss: float) -> float:
        """Nats a token → bits a character."""
        return loss * self.tokens / self.characters / math.log(2)

    def text(self, loss: float) -> str:
        return f"{self.bits(loss):.3f} bits a character on texts it has not seen"


def _discard_other(run: Path, key: str, say: Say) -> None:
    """Delete what a run with other settings or texts left unfinished: this one cannot use it."""
    mark = run / "checkpoint" / "key"
    if not mark.is_file() or mark.read_bytes() != key.encode():
        if (run / "checkpoint" / "resume").exists():
            say("An interrupted fine-tuning had other settings or texts: this one starts at the beginning.")
        shutil.rmtree(run / "checkpoint", ignore_errors=True)
        write_whole(mark, key)


def _discard_damaged(run: Path, say: Say) -> None:
    """Delete what an interrupted training left if it is not what it left: nothing to go on from. (After a kill nobody
    has noted what was there; TensorFlow checks its own files then.)"""
    try:
        left = read_note(run / LEFT, dict)
        wrong = differing({run / "checkpoint" / name: known for name, known in left.items() if known})
    except FileNotFoundError:
        return
    except (OSError, ValueError):
        wrong = [run / LEFT]
    (run / LEFT).unlink()
    if wrong:
        say(f"{wrong[0]} is not what the interrupted fine-tuning left: this one starts at the beginning.")
        for name in UNFINISHED:
            shutil.rmtree(run / "checkpoint" / name, ignore_errors=True)


def _show(event: Event, bar: progress.Bar, todo: TrainingArguments, measure: Measure) -> None:
    tell = details(bar.say)
    match event:
        case Step():
            bar.total = event.steps  # the end may be put off
            bar.update(event.step - bar.n)
            ended = event.step % todo.steps_per_epoch == 0
            bar.set_postfix_str("testing" if ended else "", refresh=ended)
        case Epoch(epoch=0):
            bar.set_postfix_str("")
            tell(f"  before: {measure.text(event.held_out)}")
        case Epoch():
            bar.set_postfix_str("")
            training = f" training loss {event.training:.3f};" if event.training is not None else ""
            tell(f"  epoch {event.epoch}:{training} {measure.text(event.held_out)}")
        case Trimmed() if event.rows < event.of:
            tell(f"  a step's softmax is over {event.rows:,} of the {event.of:,} tokens")
        case Resumed():
            batch = f", after its batch {event.batch}" if event.batch else ""
            bar.say(f"  going on in epoch {event.epoch}{batch}")
        case Interrupted():
            tell(f"  saved in epoch {event.epoch}, after its batch {event.batch}")
