"""Model libraries take seconds to load: they are loaded when a model is used, not when a module is imported."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from training.common.paths import ROOT

FOLDERS = ("model", "sample")
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for folder in FOLDERS
    for path in (ROOT / "training" / folder).rglob("*.py")
    if path.name != "__init__.py"
)


@pytest.mark.parametrize(
    "modules", [["training.judge.judge"], ["training.runs.filter_file"], MODULES], ids=["judge", "filter", "all"]
)
def test_imports_load_no_model_library(modules: list[str]) -> None:
    code = f"import sys, {', '.join(modules)}; print(*{{name.split('.')[0] for name in sys.modules}})"
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'functions'}"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env=environment)
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) & {"ctranslate2", "tokenizers", "tensorflow", "torch"} == set()
    assert "training" in done.stdout.split()
