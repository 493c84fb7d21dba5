"""decoder.c → a shared library for this processor.

Compiled at the first use (1 s) with -march=native and kept under a name that says all it was made of:
the sources, the compiler and the processor's instruction sets.
"""

from __future__ import annotations

import functools
import hashlib
import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

from training.errors import DeepproverbsError

SOURCES = Path(__file__).resolve().parent
CACHE = SOURCES.parents[1] / ".native_cache"
FLAGS = ("-O3", "-std=gnu11", "-fopenmp-simd", "-fno-math-errno", "-fno-trapping-math", "-shared", "-fPIC")


class NoCompiler(DeepproverbsError):
    """The fast sampler cannot be built here."""


@functools.cache
def library() -> Path:
    """The compiled library, made when it is not there yet.

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
    for folder in (CACHE, Path(tempfile.gettempdir()) / f"deepproverbs-{os.getuid()}"):
        made = folder / f"decoder-{key.hexdigest()}.so"
        if made.exists():
            return made
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with tempfile.NamedTemporaryFile(dir=folder, suffix=".so", delete=False) as part:
                _run([*compiler, *native, *FLAGS, str(SOURCES / "decoder.c"), "-o", part.name, "-lm"])
            Path(part.name).replace(made)
            return made
        except OSError:
            continue  # a folder that cannot be written: the next one
    raise NoCompiler(f"Neither {CACHE} nor {tempfile.gettempdir()} can be written.")


def _native(compiler: list[str]) -> list[str]:
    """How this compiler is told to use all that this processor has: Clang for ARM knows -mcpu alone. A processor
    that CC itself names (CC="gcc -march=haswell") is left alone."""
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
    except (FileNotFoundError, subprocess.TimeoutExpired) as error:
        raise NoCompiler(f"The C compiler {command[0]} does not run ({error}).") from error
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[0]
        raise NoCompiler(f"The C compiler {command[0]} failed: {last}")
    return done.stdout
