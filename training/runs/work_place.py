"""The work place: where the jobs of one run meet, in S3 or a directory (training/runs/jobs.py says what lies there)."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from post_tweet.store import DirectoryStore, S3Store, Store, open_store


class Work:
    """The work place. Weights of gigabytes go through boto3's own transfer, in pieces."""

    def __init__(self, url: str) -> None:
        self.store: Store = open_store(url)
        self.url = url

    def put(self, path: Path, key: str) -> None:
        if isinstance(self.store, S3Store):
            self.store.client.upload_file(str(path), self.store.bucket, self.store.prefix + key)
        elif isinstance(self.store, DirectoryStore):
            self._copied(path, self.store.folder / key)

    def get(self, key: str, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(self.store, S3Store):
            part = path.with_name(f".{path.name}.part")
            self.store.client.download_file(self.store.bucket, self.store.prefix + key, str(part))
            part.replace(path)
        elif isinstance(self.store, DirectoryStore):
            self._copied(self.store.folder / key, path)

    @staticmethod
    def _copied(source: Path, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}.part")
        shutil.copyfile(source, part)
        part.replace(target)

    def put_all(self, files: Iterable[Path], folder: Path, prefix: str) -> None:
        for path in files:
            self.put(path, f"{prefix}/{path.relative_to(folder).as_posix()}")

    def get_all(self, prefix: str, folder: Path) -> int:
        keys = self.store.list(f"{prefix}/")
        for key in keys:
            self.get(key, folder / key.removeprefix(f"{prefix}/"))
        return len(keys)
