"""Start a TensorFlow 1.15 program and read its events.

`run_program("evaluate", {...}, root)` yields the JSON events of `training/tf1/evaluate.py` as they
come. The program's own prints go to `log`, whose end is quoted when it fails.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

from training.common.errors import DeepproverbsError
from training.common.paths import ROOT, TF1_PYTHON

PROGRAMS = ROOT / "training" / "tf1"


def tf1_python() -> Path:
    """The interpreter that has TensorFlow 1.15."""
    if not TF1_PYTHON.exists():
        raise DeepproverbsError("The TensorFlow 1.15 environment is missing; run `make setup`.")
    return TF1_PYTHON


def run_program(
    name: str, arguments: dict[str, Any], log: Path, python: Path | None = None
) -> Generator[dict[str, Any], None, None]:
    """Yield the events of one program until it ends.

    Raises:
        DeepproverbsError: the program failed; the sentence names the log and quotes its last line.
        KeyboardInterrupt: Ctrl-C; the program has been given time to save.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV"))}
    with log.open("a", encoding="utf-8") as errors:
        # A session of its own: the terminal's Ctrl-C reaches the program once, through us, and cannot
        # break into the save that it starts.
        process = subprocess.Popen(
            [str(python or tf1_python()), str(PROGRAMS / f"{name}.py"), json.dumps(arguments, default=str)],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            encoding="utf-8",
            env=environment,
            start_new_session=True,
        )
        assert process.stdout is not None
        with _passing_on_interrupts(process) as interrupts:
            try:
                for line in process.stdout:
                    yield json.loads(line)
                code = process.wait()
            finally:
                if process.poll() is None:
                    process.terminate()
                    process.wait()
                process.stdout.close()
    if interrupts:
        raise KeyboardInterrupt
    if code:
        raise DeepproverbsError(_failure(name, code, log))


@contextlib.contextmanager
def _passing_on_interrupts(process: subprocess.Popen[str]) -> Iterator[list[int]]:
    """Pass the first Ctrl-C on to the program, which then saves; end it at the second. Yields those that came."""
    came: list[int] = []
    old = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or old == signal.SIG_IGN:
        yield came
        return

    def note(number: int, _: object) -> None:
        came.append(number)
        process.send_signal(signal.SIGINT if len(came) == 1 else signal.SIGTERM)

    signal.signal(signal.SIGINT, note)
    try:
        yield came
    finally:
        signal.signal(signal.SIGINT, old)


def _failure(name: str, code: int, log: Path) -> str:
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    text = "\n".join(lines[-60:])
    # TensorFlow calls a full disk an exhausted resource too, and a full disk may hold no log at all.
    if "No space left" in text or shutil.disk_usage(log.parent).free < 1 << 20:
        return f"The disk is full: free some space and start again, it goes on from there ({log})."
    if code == -9 or "ResourceExhausted" in text or "OOM" in text:
        return f'Out of memory in {name}: choose a smaller --batch-size or --model, or memory_saving = "on" ({log}).'
    last = lines[-1] if lines else "no message"
    return f"The TensorFlow program {name} failed (code {code}): {last} (all of it: {log})."
