"""The peak memory of a piece of code in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys

from training.common.paths import ROOT

TELL = "\nimport re\nprint(re.findall(r'VmHWM:\\s*([0-9]+)', open('/proc/self/status').read())[0])\n"
"""Not getrusage's ru_maxrss, which begins with the peak of the process that started this one: the tests' own."""


def peak_kilobytes(code: str, *args: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", code + TELL, *args],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'functions'}"},
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout.split()[-1])
