"""A machine with the basic tools and nothing else, for the scripts that bring the rest; and how they are run."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from training.common.paths import ROOT

TOOLS = (
    "bash", "env", "sort", "dirname", "cat", "cksum", "mkdir", "rm", "touch", "mv", "flock", "tail", "cut", "df", "awk",
    "uname", "ldd",
)  # fmt: skip


def outer() -> dict[str, str]:
    """The environment without what `make test` leaves in it for makes that it starts itself, and without uv's own."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", "UV_"))}


def run(*command: str | Path, cwd: Path = ROOT, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command], cwd=cwd, capture_output=True, text=True, timeout=120, env={**outer(), **env}
    )


def one_sentence(result: subprocess.CompletedProcess[str], code: int = 1) -> str:
    assert result.returncode == code
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1, result.stderr
    assert "Traceback" not in result.stderr
    return result.stderr


def bare_machine(folder: Path) -> dict[str, str]:
    """An environment with a PATH (folder/bin) that has the basic tools and no Python, no pyenv, no uv."""
    tools = folder / "bin"
    tools.mkdir()
    for name in TOOLS:
        if found := shutil.which(name):
            (tools / name).symlink_to(found)
    return {
        "PATH": str(tools),
        "HOME": str(folder),
        "PYENV_ROOT": str(folder / "pyenv"),
        "XDG_DATA_HOME": str(folder / "share"),
        "PYTHON": "",
        "TF1_PYTHON": "",
    }


def program(path: Path, *lines: str) -> Path:
    """A program of bash."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)  # it may be a link to the machine's own
    path.write_text("\n".join([f"#!{shutil.which('bash')}", *lines, ""]))
    path.chmod(0o755)
    return path


def fake_python(path: Path, version: str, lacks: str = "nothing") -> Path:
    """A program that answers find-python's questions as a Python of that version would, which lacks a module."""
    return program(
        path,
        "case $3 in",
        f'  *sys.executable*) echo "{path}" ;;',
        f"  *tensorflow*|*\"'{lacks}'\"*) exit 1 ;;",
        "  *ensurepip*|*pip*) exit 0 ;;",
        f'  *"(3, 11)"*) [[ {version} =~ ^3.1[1-9]$ ]] ;;',
        f'  *"(3, 7)"*) [[ {version} =~ ^3.([7-9]|1[0-9])$ ]] ;;',
        f"  *\"== '{version}'\"*) exit 0 ;;",
        "  *) exit 1 ;;",
        "esac",
    )
