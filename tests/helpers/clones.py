"""A bare repository and two clones of it, as two machines have them."""

from __future__ import annotations

import subprocess
from pathlib import Path

from post_tweet.git_store import GitStore


def two_clones(folder: Path, branch: str = "pool") -> tuple[GitStore, GitStore]:
    """Two stores on one branch, which nobody has written to yet."""
    bare = folder / "bare.git"
    git("init", "--quiet", "--bare", str(bare))
    for name in "ab":
        git("clone", "--quiet", str(bare), str(folder / name))
    return GitStore("origin", branch, folder / "a"), GitStore("origin", branch, folder / "b")


def git(*words: str) -> str:
    return subprocess.run(["git", *words], check=True, capture_output=True, text=True).stdout
