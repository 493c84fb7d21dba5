"""The benchmarks where something is missing, and how they measure memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.peak import peak_kilobytes
from training.common.paths import ROOT


@pytest.mark.parametrize(
    ("benchmark", "command"),
    [
        ("sampling", "scripts/setup tf1"),
        ("accepted", "scripts/setup tf1"),
        ("filters", "scripts/setup bench"),
        ("parts", "python -m benchmarks.sampling"),
        ("precision", "python -m benchmarks.accepted"),
    ],
)
def test_what_is_missing_is_one_sentence_and_the_command_that_brings_it(
    benchmark: str, command: str, tmp_path: Path
) -> None:
    code = (
        "import sys; from pathlib import Path; from training.common import paths; paths.ROOT = Path(sys.argv.pop(1)); "
        f"from benchmarks import needs, {benchmark}; needs.run({benchmark}.main)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1 and f"`{command}`" in done.stderr
    assert not list(tmp_path.iterdir()), "nothing is left behind"


def test_the_peak_of_memory_is_the_process_s_own() -> None:
    """Measured by a process that holds 300 MB, which getrusage would hand down to the one that it starts."""
    code = (
        "import subprocess, sys\nfrom tests.helpers.peak import peak_kilobytes\n"
        "held = b'x' * (300 << 20)\n"
        "assert 0 < peak_kilobytes('') < 100_000\n"
        "peer = [sys.executable, '-c', 'import common; common.answer(common.peak_mb())']\n"
        "assert 0 < int(subprocess.check_output(peer, cwd='benchmarks/peers')) < 100\n"
    )
    assert peak_kilobytes(code) > 300_000
