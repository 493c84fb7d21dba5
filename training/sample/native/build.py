"""decoder.c → a shared library for this processor.

Compiled at the first use (1 s) with -march=native and kept under a name that is a hash of all that it was made of:
the sources, the compiler and the processor's instruction sets. It is loaded only from a folder into which nobody else
can write: what lies there runs as whoever samples.
"""

from __future__ import annotations

import functools
import hashlib
import os
import shlex
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from training.common.paths import ROOT
from training.sample.engine import Unavailable

SOURCES = Path(__file__).resolve().parent
CACHE = ROOT / ".native_cache"
FLAGS = ("-O3", "-std=gnu11", "-fopenmp-simd", "-fno-math-errno", "-fno-trapping-math", "-shared", "-fPIC")


class NoCompiler(Unavailable):
    """The fast sampler cannot be built here."""


@functools.cache
def library() -> Path:
    """The compiled library; it is compiled if it is not there yet.

    Raises:
        NoCompiler: there is no C compiler, or it failed.
    """
    compiler = shlex.split(os.environ.get("CC", "")) or [shutil.which("cc") or shutil.which("gcc") or ""]
    if not compiler[0]:
        raise NoCompiler("There is no C compiler (apt-get install gcc brings one).")
    native = _native(compiler)
    sources = sorted(SOURCES.glob("*.[ch]"))
    made_of = [_run([*compiler, *native, "-dM", "-E", "-x", "c", os.devnull]), " ".join((*compiler, *native, *FLAGS))]
    key = hashlib.blake2b("".join([*made_of, *(path.read_text() for path in sources)]).encode(), digest_size=8)
    problems: list[str] = []
    for folder in (CACHE, Path(tempfile.gettempdir()) / f"deepproverbs-{os.getuid()}"):
        try:
            return _made(folder, f"decoder-{key.hexdigest()}.so", [*compiler, *native, *FLAGS])
        except OSError as error:
            problems.append(f"{folder}: {error.strerror or error}")
    raise NoCompiler(f"The sampler cannot be compiled anywhere ({'; '.join(problems)}).")


def _made(folder: Path, name: str, compile_to: list[str]) -> Path:
    """The library `name` in `folder`, compiled if it is not there or does not load.

    Raises:
        OSError: the folder cannot be written or read, or is not ours alone.
        NoCompiler: the compiler failed.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o755)
    made = folder / name
    if not _ours(folder, stat.S_ISDIR):
        raise PermissionError(1, "belongs to somebody else, or others can write there")
    if made.exists() and _ours(made, stat.S_ISREG) and _loads(made):
        return made
    with tempfile.NamedTemporaryFile(dir=folder, suffix=".part", delete=False) as part:
        path = Path(part.name)
    try:
        _run([*compile_to, str(SOURCES / "decoder.c"), "-o", str(path), "-lm"])
        path.chmod(0o755)
        if not _loads(path):
            raise PermissionError(1, "a library in it does not load")
        path.replace(made)
    finally:
        path.unlink(missing_ok=True)
    return made


def _ours(path: Path, kind: Callable[[int], bool]) -> bool:
    """Whether it is of this kind, no link, belongs to us, and only we can write it."""
    facts = path.lstat()
    return kind(facts.st_mode) and facts.st_uid == os.getuid() and not facts.st_mode & 0o022


def _loads(path: Path) -> bool:
    """False for a file that a crash cut short, and on a disk that is mounted noexec. Tried in a process of its own,
    because a loaded library stays loaded."""
    code = "import ctypes, sys; ctypes.CDLL(sys.argv[1])"
    return subprocess.run([sys.executable, "-I", "-S", "-c", code, str(path)], capture_output=True).returncode == 0


def _native(compiler: list[str]) -> list[str]:
    """The flag for everything that this processor can do; Clang for ARM only knows -mcpu. None where CC itself names a
    processor (CC="gcc -march=haswell")."""
    if any(word.startswith(("-march", "-mcpu")) for word in compiler):
        return []
    for flag in ("-march=native", "-mcpu=native"):
        try:
            _run([*compiler, flag, "-E", "-x", "c", os.devnull])
            return [flag]
        except NoCompiler:
            continue
    return []


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoCompiler(f"The C compiler {command[0]} does not run ({error}).") from error
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no message"]
        reason = next((line for line in lines if "error" in line.lower()), lines[0])
        if "No space left" in done.stderr:
            raise OSError(28, os.strerror(28))
        raise NoCompiler(f"The C compiler {command[0]} failed: {reason}")
    return done.stdout
