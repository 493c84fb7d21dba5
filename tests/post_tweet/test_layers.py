"""The order of layers inside the function: a module imports only those that stand before it."""

from __future__ import annotations

import ast
from pathlib import Path

import post_tweet

FOLDER = Path(post_tweet.__file__).parent
DECISIONS = ["effects", "recent", "lost_answer", "steps", "protocol"]
PURE = ["errors", "numbers", "daily", "checks", "state", "place", *DECISIONS]
STORE = ["telemetry", "address", "git_store", "store"]
POOL = ["files", "filling", "dropped", "checking", "pool", "layout", "repair"]
LAYERS = [*PURE, *STORE, *POOL, "runtime", "xtext", "deadline", "xanswers", "x", "app", "__main__"]
ADAPTERS = {"boto3", "botocore", "fcntl", "http", "os", "pathlib", "requests", "socket", "time", "tweepy", "urllib3"}


def imports(module: str) -> set[str]:
    """Top-level names, and those of modules of the package, wherever in the file they are imported."""
    found = set[str]()
    for node in ast.walk(ast.parse((FOLDER / f"{module}.py").read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"post_tweet.{alias.name}" for alias in node.names} if node.module == "post_tweet" else set()
            found.add(node.module or "")
    return {
        name.removeprefix("post_tweet.") if name.startswith("post_tweet.") else name.split(".")[0] for name in found
    }


def test_every_module_has_its_layer() -> None:
    assert sorted(LAYERS) == sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "__init__")


def test_a_module_imports_only_what_stands_before_it() -> None:
    for number, module in enumerate(LAYERS):
        assert imports(module) & set(LAYERS) <= set(LAYERS[:number]), module


def test_the_protocol_touches_nothing() -> None:
    for module in PURE:
        assert not imports(module) & ADAPTERS, module
