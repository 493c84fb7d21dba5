"""The workspace: where the jobs of one run meet, in S3 or a directory (training/runs/jobs.py says what lies there)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from post_tweet.store import open_store

from training.common.files import inside


class Workspace:
    """Whole files under names such as `run/model/model.bin`; never held in memory: weights are gigabytes."""

    def __init__(self, url: str) -> None:
        self.store, self.url = open_store(url), url

    def put(self, path: Path, key: str) -> None:
        self.store.upload(path, key)

    def get(self, key: str, folder: Path, name: str) -> Path:
        """Get an object into a file of `folder`: whoever may write in the workspace chooses the names, and none leads
        out of the folder."""
        path = inside(folder, name)
        self.store.download(key, path)
        return path

    def put_all(self, files: Iterable[Path], folder: Path, prefix: str) -> None:
        """Put files of `folder`, each under the prefix and its path in the folder."""
        for path in files:
            self.put(path, f"{prefix}/{path.relative_to(folder).as_posix()}")

    def get_all(self, prefix: str, folder: Path) -> int:
        """Get everything under the prefix into `folder`; returns the number of files."""
        keys = self.store.list(f"{prefix}/")
        for key in keys:
            self.get(key, folder, key.removeprefix(f"{prefix}/"))
        return len(keys)
