"""The road that a text travels: a folder of training/ uses only what stands to its left."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from training.common.paths import ROOT

LAYERS = ("common", "settings", "corpus", "model", "sample", "judge", "curate", "runs", "pages", "cli")
PROGRAMS = ("tf1", "pytorch")
"""Programs for another Python: they import nothing of ours, and nothing imports them."""
FILES = sorted((ROOT / "training").rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    """Dotted names that a file imports, at its top or when a function is called."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: imports are absolute here"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def layer(path: Path) -> str:
    return path.relative_to(ROOT / "training").parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_folder_uses_only_what_stands_to_its_left(path: Path) -> None:
    mine = layer(path)
    for name in imported(path):
        top, _, rest = name.partition(".")
        if top in ("infra", "tests", "benchmarks"):
            assert (top, mine) == ("infra", "cli"), f"{path} imports {name}"
        elif top == "training":
            theirs = rest.split(".")[0]
            assert theirs not in PROGRAMS and mine not in PROGRAMS, f"{path} imports {name}"
            assert LAYERS.index(theirs) <= LAYERS.index(mine), f"{mine} stands left of {theirs}: {path} imports {name}"


def test_every_folder_has_its_place() -> None:
    assert {layer(path) for path in FILES} - {"__init__"} == {*LAYERS, *PROGRAMS}


def test_the_function_knows_nothing_of_training() -> None:
    for path in (ROOT / "functions").rglob("*.py"):
        assert not [name for name in imported(path) if name.startswith(("training", "infra", "tests"))], path
