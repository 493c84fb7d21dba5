"""Trainers: programs in environments of their own, which speak one protocol: TensorFlow 1.15 and PyTorch.

A program takes one JSON object as its argument and writes events to its standard output, a line each
(training/model/events.py); whatever else it prints goes to a log, whose end is quoted when it fails. To add a trainer,
write its programs and add a `Trainer` to TRAINERS.

Its fine-tuning programs are given {base, corpus, checkpoint, resume, keep, epochs, most, batch_size, learning_rate,
layers, memory_saving, seed, save_seconds}; `keep`, a .npy file, has the tokens that must stay if a program trims the
output layer; where `most` is more than `epochs`, a program may go on as long as that helps. They leave the checkpoint
of the best epoch in the folder `checkpoint`, and in `resume` what they need to continue; they send `step` and `epoch`
as they go, `resumed` first when they continue, `interrupted` after SIGINT, and `done` at the end.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from training.common.errors import DeepproverbsError, WrongUse
from training.common.paths import ROOT, TF1_PYTHON, TORCH_PYTHON
from training.model.events import BadEvent, Event, parse
from training.model.layout import HF_LAYOUT, OPENAI_LAYOUT

E = TypeVar("E", bound=Event)
OUT_OF_MEMORY = ("ResourceExhausted", "OOM", "OutOfMemory", "out of memory", "can't allocate memory", "MemoryError")
"""How TensorFlow, PyTorch and Python say it."""


@dataclass(frozen=True)
class Trainer:
    """One environment with its programs."""

    name: str
    title: str
    """Its name in messages."""
    python: Path
    """The environment's interpreter."""
    programs: Path
    """The folder of its programs, NAME.py each."""
    recipes: Mapping[str, str]
    """Recipe → the program that fine-tunes by it."""
    bases: frozenset[str]
    """Layouts of the base models that it can train."""
    checkpoint: str
    """The layout of what it leaves."""
    checkpoint_file: str
    """A file that every checkpoint in that layout has."""
    log: str
    """Where its programs' own output goes, in the run's folder."""

    @property
    def environment(self) -> str:
        """Its name for scripts/setup."""
        return self.python.parent.parent.name

    @property
    def installed(self) -> bool:
        return self.python.exists()

    def interpreter(self) -> Path:
        """Its Python.

        Raises:
            DeepproverbsError: the environment is missing.
        """
        if not self.installed:
            raise DeepproverbsError(f"The {self.title} environment is missing; run `scripts/setup {self.environment}`.")
        return self.python

    def events(self, program: str, arguments: Mapping[str, Any], log: Path) -> Generator[Event, None, None]:
        """Run a program and yield its events until it ends.

        Raises:
            DeepproverbsError: it failed, or wrote something other than an event; the message names the log.
            KeyboardInterrupt: Ctrl-C; the program has been given time to save.
        """
        log.parent.mkdir(parents=True, exist_ok=True)
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV"))}
        with _passing_on_interrupts() as passing, log.open("a", encoding="utf-8") as errors:
            before = errors.tell()
            # In a session of its own the terminal's Ctrl-C reaches the program once, through us, and cannot interrupt
            # the save that it starts.
            told = json.dumps(dict(arguments), default=str)
            command: list[str | Path] = [self.interpreter(), self.programs / f"{program}.py", told]
            process = subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                encoding="utf-8",
                env=environment,
                start_new_session=True,
            )
            assert process.stdout is not None
            try:
                passing.to(process)
                for line in process.stdout:
                    if line.endswith("\n"):  # else the program died while writing it
                        event = parse(line)
                        passing.begun()
                        yield event
                code = process.wait()
            except BadEvent as error:
                raise DeepproverbsError(
                    f"The {self.title} program {program} does not speak our protocol: {error} (its log: {log})."
                ) from error
            finally:
                if process.poll() is None:
                    process.terminate()
                    process.wait()
                process.stdout.close()
        if passing.count:
            raise KeyboardInterrupt
        if code:
            raise DeepproverbsError(self._failure(program, code, log, before))

    def result(
        self,
        program: str,
        arguments: Mapping[str, Any],
        log: Path,
        kind: type[E],
        on_event: Callable[[Event], object] = lambda event: None,
    ) -> E:
        """Run a program to its end and return its last event, which must be of this kind.

        Raises: as `events`.
        """
        last: Event | None = None
        for last in self.events(program, arguments, log):
            on_event(last)
        if not isinstance(last, kind):
            raise DeepproverbsError(
                f"The {self.title} program {program} ended without saying {kind.__name__.lower()!r} (its log: {log})."
            )
        return last

    def _failure(self, program: str, code: int, log: Path, before: int) -> str:
        text = log.read_bytes()[before:].decode(errors="replace")  # earlier failures are no reason of this one
        lines = [line.strip() for line in text.splitlines() if line.strip()][-60:]
        # TensorFlow calls a full disk an exhausted resource too, and a full disk may hold no log at all.
        if "No space left" in "\n".join(lines) or shutil.disk_usage(log.parent).free < 1 << 20:
            return f"The disk is full: free some space and start again, it goes on from there ({log})."
        if code == -9 or any(word in line for line in lines for word in OUT_OF_MEMORY):
            return (
                f"Out of memory in {program}: choose a smaller --batch-size or --model, "
                f'or memory_saving = "on" ({log}).'
            )
        last = lines[-1] if lines else "no message"
        return f"The {self.title} program {program} failed (code {code}): {last} (all of it: {log})."


TENSORFLOW = Trainer(
    name="tensorflow",
    title="TensorFlow 1.15",
    python=TF1_PYTHON,
    programs=ROOT / "training" / "tf1",
    recipes={"texts": "finetune_texts", "windows": "finetune_windows"},
    bases=frozenset({OPENAI_LAYOUT}),
    checkpoint=OPENAI_LAYOUT,
    checkpoint_file="checkpoint",
    log="tf1.log",
)
TORCH = Trainer(
    name="torch",
    title="PyTorch",
    python=TORCH_PYTHON,
    programs=ROOT / "training" / "pytorch",
    recipes={"texts": "finetune_texts"},
    bases=frozenset({HF_LAYOUT}),
    checkpoint=HF_LAYOUT,
    checkpoint_file="config.json",
    log="torch.log",
)
TRAINERS = {trainer.name: trainer for trainer in (TENSORFLOW, TORCH)}
"""The preferred ones first."""


@dataclass(frozen=True)
class Choice:
    """Which trainer, and why not one before it."""

    trainer: Trainer
    why: str
    """`TensorFlow 1.15 is not installed here`; empty where the first of all does it."""


def choose_trainer(
    wanted: str, layouts: frozenset[str], recipe: str, install: Callable[[Trainer], bool] | None = None
) -> Choice:
    """The first trainer that is installed and can train a base in one of these layouts by this recipe.

    wanted: a trainer's name, or `auto`. install: installs one, if that can be done, before it is passed over.

    Raises:
        WrongUse: none can, or not the one that is wanted.
        DeepproverbsError: those that can are not installed.
    """
    reasons: list[str] = []
    able: list[Trainer] = []
    for trainer in TRAINERS.values():
        if wanted not in ("auto", trainer.name):
            continue
        if not layouts & trainer.bases:
            reasons.append(f"{trainer.title} cannot train this base")
        elif recipe not in trainer.recipes:
            reasons.append(f"{trainer.title} has no recipe {recipe}")
        else:
            able.append(trainer)
            if install(trainer) if install else trainer.installed:
                return Choice(trainer, "; ".join(reasons))
            reasons.append(f"{trainer.title} {'cannot be' if install else 'is not'} installed here")
    if able and install:
        raise DeepproverbsError(f"Nothing can fine-tune it: {'; '.join(reasons)}. The lines above say why.")
    if able:
        raise DeepproverbsError(
            f"{able[0].title} is not installed here; run `scripts/setup {able[0].environment}`"
            + "".join(f", or `scripts/setup {other.environment}` for {other.title}" for other in able[1:])
            + "."
        )
    raise WrongUse(f"Nothing can fine-tune it so: {'; '.join(reasons)}. Choose another --model, --trainer or --recipe.")


def install(trainer: Trainer) -> bool:
    """Set a trainer's environment up, unless that is done: a matter of a minute. False if it cannot be had here; the
    script has then said why."""
    sys.stdout.flush()
    return subprocess.run([ROOT / "scripts" / "setup", trainer.environment]).returncode == 0 and trainer.installed


class _Passing:
    """Passes Ctrl-C on to a program.

    The first one has it save, and the second ends it. Until its first event, though, it loads libraries, in which an
    interrupt may be lost, and has nothing to save: then the first one ends it.
    """

    def __init__(self) -> None:
        self.count = 0
        """Interrupts so far."""
        self.process: subprocess.Popen[str] | None = None
        self.saves = False

    def to(self, process: subprocess.Popen[str]) -> None:
        """The program has started. An interrupt that came while it did is passed on now."""
        self.process = process
        if self.count:
            process.terminate()

    def begun(self) -> None:
        """It has sent an event."""
        self.saves = True

    def note(self, number: int, _: object) -> None:
        self.count += 1
        if self.process:
            self.process.send_signal(signal.SIGINT if self.saves and self.count == 1 else signal.SIGTERM)


@contextlib.contextmanager
def _passing_on_interrupts() -> Iterator[_Passing]:
    """From before a program starts until it has ended: no Ctrl-C is lost in between."""
    passing, old = _Passing(), signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or old == signal.SIG_IGN:
        yield passing
        return
    signal.signal(signal.SIGINT, passing.note)
    try:
        yield passing
    finally:
        signal.signal(signal.SIGINT, old)
