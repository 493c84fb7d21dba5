"""Start a TensorFlow 1.15 program and read its events.

`run_program("evaluate", {...}, root)` yields the JSON events of `training/tf1/evaluate.py` as they
come. The program's own prints go to `log`, whose end is quoted when it fails.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from training.errors import DeepproverbsError

ROOT = Path(__file__).resolve().parent.parent
TF1_PYTHON = ROOT / ".venvs" / "tf1" / "bin" / "python"
PROGRAMS = Path(__file__).resolve().parent / "tf1"


def tf1_python() -> Path:
    """The interpreter that has TensorFlow 1.15."""
    if not TF1_PYTHON.exists():
        raise DeepproverbsError("The TensorFlow 1.15 environment is missing; run `make setup`.")
    return TF1_PYTHON


def run_program(
    name: str, arguments: dict[str, Any], log: Path, python: Path | None = None
) -> Iterator[dict[str, Any]]:
    """Yield the events of one program until it ends.

    Raises:
        DeepproverbsError: the program failed; the sentence names the log and quotes its last line.
        KeyboardInterrupt: Ctrl-C; the program has been given time to save.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV"))}
    with log.open("a", encoding="utf-8") as errors:
        process = subprocess.Popen(
            [str(python or tf1_python()), str(PROGRAMS / f"{name}.py"), json.dumps(arguments, default=str)],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            encoding="utf-8",
            env=environment,
        )
        assert process.stdout is not None
        interrupted = False
        try:
            while True:
                try:
                    line = process.stdout.readline()
                except KeyboardInterrupt:
                    # The terminal sent Ctrl-C to the program too; hear it out while it saves.
                    interrupted = True
                    continue
                if not line:
                    break
                event = json.loads(line)
                interrupted = interrupted or event["event"] == "interrupted"
                yield event
            code = process.wait()
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
            process.stdout.close()
    if interrupted:
        raise KeyboardInterrupt
    if code:
        raise DeepproverbsError(_failure(name, code, log))


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
