"""A piece of code beside the PyTorch programs, in their environment."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from training.common.paths import ROOT


def run(torch: Path, code: str, *args: object) -> Any:
    """What the last line that it prints says in JSON. `sys.argv` holds args."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment |= {"PYTHONPATH": str(ROOT / "training" / "pytorch"), "TRANSFORMERS_VERBOSITY": "error"}
    done = subprocess.run(
        [torch, "-c", code, *map(str, args)], capture_output=True, text=True, env=environment, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])
