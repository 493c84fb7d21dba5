"""What a run has done: `manifest.json`, one entry a stage.

A stage asks `done(stage, key)` before it starts and calls `record` when it has finished. The key
is a hash of its settings and of the content of its inputs, so a changed setting or file makes
that stage, and those after it that read its output, run again; nothing else does.

The entry has the digest of every output, too: a file that a bad disk, a power failure or a hand has changed since is
not relied on. `done` says so and is false; `rely`, for commands that only read, raises. Both read the outputs whole, at
840 MB/s (training/common/files.py): 0.6 s for each model of 500 MB. The manifest itself has a sum and a copy.
"""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import time
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from training.common import progress
from training.common.errors import DeepproverbsError
from training.common.files import copy_of, digest, read_note, sync, write_note
from training.common.progress import Say

FILE = "manifest.json"
MEASURED = ("calibration.json", "precision.json")
"""Notes in a model's folder that come after its stage, and prove themselves."""
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


Outputs = dict[str, "str | dict[str, str]"]
"""File → its digest, folder → the same of all that is in it; paths in the run's folder."""


class Manifest:
    """The record of one run's folder. `say`: is told of outputs that were damaged."""

    def __init__(self, run: Path, say: Say = progress.say) -> None:
        self.run, self.path, self.say = run, run / FILE, say
        try:
            self.stages = read_note(self.path, _stages, say)
        except FileNotFoundError:
            self.stages = {}
        except (OSError, ValueError) as error:
            raise DeepproverbsError(
                f"{self.path} cannot be read ({error}), and neither can its copy {copy_of(self.path)}; delete both and "
                "start again: finished stages are then done again."
            ) from error

    def done(self, stage: str, key: str, *outputs: Path) -> bool:
        """True when `stage` finished with this key and its outputs are what it wrote. A version that noted no digests
        made some: these are taken as they are, and noted."""
        entry = self.stages.get(stage)
        if entry is None or entry.get("key") != key:
            return False
        if "outputs" not in entry:
            if not all(path.exists() for path in outputs):
                return False
            self.say(f"What the stage {stage} made is noted as it is now; from here on it is noticed if it changes.")
            self.note(stage, outputs=self._outputs(outputs))
            return True
        if wrong := self.changed(stage):
            self.say(f"{_told(wrong)} what the stage {stage} wrote: it is made again.")
        return not wrong

    def changed(self, stage: str) -> list[Path]:
        """The outputs of a stage that are not what it wrote: other bytes, missing, or put beside them."""
        noted: Outputs = self.stages.get(stage, {}).get("outputs", {})
        return differing({self.run / name: known for name, known in noted.items()})

    def rely(self, *outputs: Path, cure: str) -> None:
        """Before outputs are read by a command that makes none of them.

        Raises:
            DeepproverbsError: one is not what a stage wrote; `cure` says what to do.
        """
        for stage, entry in self.stages.items():
            noted = {self.run / name: known for name, known in entry.get("outputs", {}).items()}
            if wrong := differing({path: known for path, known in noted.items() if path in outputs}):
                raise DeepproverbsError(f"{_told(wrong)} what the stage {stage} wrote; {cure}.")

    def keep(self, stage: str, path: Path) -> None:
        """Hold an output of `stage` that cannot be made again and a copy of it to what was recorded: the one that
        agrees takes the other's place.

        Raises:
            DeepproverbsError: neither does.
        """
        noted, copy = self.stages.get(stage, {}).get("outputs", {}).get(path.name), copy_of(path)
        found = [digests(path), digests(copy)]
        if noted is None or found == [noted, noted] or not any(found):  # whoever removed both wants to do without
            return
        if noted not in found:
            raise DeepproverbsError(
                f"{path} is not what the stage {stage} wrote, and neither is its copy {copy}; put it back, or remove "
                "both to go on without the texts in it."
            )
        source, target = (path, copy) if found[0] == noted else (copy, path)
        if target == path:
            self.say(f"{path} is not what the stage {stage} wrote: taken from its copy.")
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(source, target)
        sync(target)

    def record(
        self, stage: str, key: str, settings: Any, started: float, outputs: Sequence[Path] = (), **facts: Any
    ) -> None:
        """Note that `stage` finished with these outputs, files or folders of the run; `started` is its
        time.monotonic()."""
        versions = {name: metadata.version(name) for name in PACKAGES}
        self.stages[stage] = {
            "key": key,
            "settings": settings,
            "outputs": self._outputs(outputs),
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

    def _outputs(self, paths: Sequence[Path]) -> Outputs:
        return {path.relative_to(self.run).as_posix(): found for path in paths if (found := digests(path))}

    def _write(self) -> None:
        write_note(self.path, self.stages, twice=True)


def _stages(note: dict[str, Any]) -> dict[str, dict[str, Any]]:
    if not all(isinstance(entry, dict) for entry in note.values()):
        raise ValueError("a stage is not an object")
    return note


def digests(path: Path) -> str | dict[str, str]:
    """A file's digest, "" where there is none; of a folder those of its files, but for what is measured later."""
    if not path.is_dir():
        return digest(path) if path.is_file() else ""
    files = (each for each in path.rglob("*") if each.is_file() and not each.name.startswith("."))
    return {each.relative_to(path).as_posix(): digest(each) for each in files if each.name not in MEASURED}


def differing(noted: dict[Path, str | dict[str, str]]) -> list[Path]:
    """The files that are not what was noted of them, or of their folder."""
    wrong: list[Path] = []
    for path, known in noted.items():
        found = digests(path)
        if isinstance(known, str) or isinstance(found, str):
            wrong += [path] if found != known else []
        else:
            names = sorted({each for each in (*known, *found) if known.get(each) != found.get(each)})
            wrong += [path / each for each in names]
    return wrong


def _told(paths: Sequence[Path]) -> str:
    """`a, b and 3 more are not`"""
    names = ", ".join(map(str, paths[:2])) + (f" and {len(paths) - 2} more" if len(paths) > 2 else "")
    return f"{names} {'are' if len(paths) > 1 else 'is'} not"
