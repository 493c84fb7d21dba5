"""What a benchmark needs beside the project's own environment. Where it is missing, one sentence names the command that
brings it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

from training.common.errors import DeepproverbsError
from training.common.paths import ROOT


def python_of(environment: str) -> Path:
    """The Python of `.venvs/ENVIRONMENT`."""
    python = ROOT / ".venvs" / environment / "bin" / "python"
    if not python.exists():
        raise DeepproverbsError(f"The environment {environment} is missing; run `scripts/setup {environment}`.")
    return python


def model_in(folder: Path, benchmark: str) -> Path:
    """The folder of a converted model that another benchmark makes."""
    if not (folder / "model.bin").exists():
        raise DeepproverbsError(f"There is no model in {folder}; run `python -m benchmarks.{benchmark}` first.")
    return folder


def peak_of(program: str) -> int:
    """The most memory, MB, that the process running this program has held so far."""
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if program in (path / "cmdline").read_text():
                found = re.search(r"VmHWM:\s*(\d+)", (path / "status").read_text())
                return round(int(found[1]) / 1024) if found else 0
        except OSError:
            continue
    return 0


def run(main: Callable[[], None]) -> None:
    """Run a benchmark; what it lacks is one sentence on standard error and exit code 1."""
    try:
        main()
    except DeepproverbsError as error:
        sys.exit(str(error))
