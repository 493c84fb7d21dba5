"""What a run has done: `manifest.json`, one entry a stage.

A stage asks `done(stage, key)` before it starts and calls `record` when it has finished. The key
is a hash of its settings and of the content of its inputs, so a changed setting or file makes
that stage, and those after it that read its output, run again; nothing else does.
"""

from __future__ import annotations

import hashlib
import json
import platform
import time
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

from training.common.errors import DeepproverbsError
from training.common.files import digest, write_whole

PACKAGES = ("ctranslate2", "numpy", "rapidfuzz", "tokenizers")


def digest_of(texts: Iterable[str]) -> str:
    """BLAKE2b of some texts, 16 hex digits."""
    state = hashlib.blake2b(digest_size=8)
    for text in texts:
        state.update(text.encode("utf-8", "surrogatepass") + b"\n")  # a path need not be UTF-8
    return state.hexdigest()


def key_of(settings: Any, *inputs: Path) -> str:
    """One hash over JSON-ready settings and the contents of the input files."""
    text = json.dumps([settings, [_digest(path) for path in inputs]], sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _digest(path: Path) -> str:
    """Of a folder, an unpacked archive of gigabytes: names, sizes and times of what is in it."""
    if not path.is_dir():
        return digest(path)
    there = sorted((each.relative_to(path).as_posix(), each.stat()) for each in path.rglob("*") if each.is_file())
    return digest_of(f"{name} {status.st_size} {status.st_mtime_ns}" for name, status in there)


class Manifest:
    """The record of one run's folder."""

    def __init__(self, run: Path) -> None:
        self.path = run / "manifest.json"
        try:
            self.stages: dict[str, dict[str, Any]] = json.loads(self.path.read_text(encoding="utf-8"))
            if not isinstance(self.stages, dict):
                raise ValueError("not an object")
        except FileNotFoundError:
            self.stages = {}
        except (OSError, ValueError) as error:
            raise DeepproverbsError(
                f"{self.path} cannot be read ({error}); delete it and start again: finished stages are then done anew."
            ) from error

    def done(self, stage: str, key: str, *outputs: Path) -> bool:
        """True when `stage` finished with this key and its outputs are still there."""
        entry = self.stages.get(stage)
        return entry is not None and entry.get("key") == key and all(path.exists() for path in outputs)

    def record(self, stage: str, key: str, settings: Any, started: float, **facts: Any) -> None:
        """Note that `stage` finished; `started` is its time.monotonic()."""
        versions = {name: metadata.version(name) for name in PACKAGES}
        self.stages[stage] = {
            "key": key,
            "settings": settings,
            "seconds": round(time.monotonic() - started, 2),
            "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "python": platform.python_version(),
            "packages": versions,
            **facts,
        }
        self._write()

    def note(self, stage: str, **facts: Any) -> None:
        """Add facts to a stage that has finished."""
        self.stages[stage] |= facts
        self._write()

    def _write(self) -> None:
        write_whole(self.path, json.dumps(self.stages, indent=1, default=str) + "\n")
