"""The C decoder under GCC's address and undefined-behaviour sanitizers: a program of its own, into which libasan is
loaded first and for which the decoder is compiled anew (10 s; then it is in the cache of compiled libraries).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

from training.common.paths import ROOT

CHECKS = "-fsanitize=address,undefined,float-cast-overflow -fno-sanitize-recover=all -fno-omit-frame-pointer -g"
RUNTIMES = ("libasan.so", "libubsan.so", "libstdc++.so")
"""The last one is no sanitizer: libasan must find it loaded when a C++ library throws."""


@cache
def environment() -> dict[str, str]:
    """The environment variables that put a Python and its decoder under the sanitizers."""
    gcc = shutil.which("gcc")
    assert gcc, "This test looks for memory errors with GCC's sanitizers: install gcc (apt-get install gcc)."
    paths = [
        subprocess.run([gcc, f"-print-file-name={name}"], capture_output=True, text=True).stdout.strip()
        for name in RUNTIMES
    ]
    missing = [name for name, path in zip(RUNTIMES, paths, strict=True) if not Path(path).is_absolute()]
    assert not missing, (
        f"{gcc} has no {' and no '.join(missing)}, with which this test looks for memory errors: install them "
        "(Debian: apt-get install libgcc-12-dev; Fedora: dnf install libasan libubsan)."
    )
    return os.environ | {
        "CC": f"{gcc} {CHECKS}",
        "LD_PRELOAD": ":".join(paths),
        # Python itself leaks what it keeps to its end. A model that is too large is the decoder's to refuse.
        "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1",
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "PYTHONMALLOC": "malloc",  # or what Python hands over lies in pools that the sanitizer does not know
        "PYTHONPATH": f"{ROOT}:{ROOT / 'functions'}",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }


def run(*words: str) -> subprocess.CompletedProcess[str]:
    """`python WORDS` under the sanitizers, from the checkout."""
    return subprocess.run([sys.executable, *words], cwd=ROOT, env=environment(), capture_output=True, text=True)
