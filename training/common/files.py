"""Files that are whole or not there, and folders that one run holds at a time."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

from training.common.errors import DeepproverbsError


def digest(path: Path, algorithm: str = "blake2b") -> str:
    """Hash of a file's bytes in hex: 64 bits of BLAKE2b, which tells files apart, or all of a named algorithm's."""
    with path.open("rb") as file:
        if algorithm == "blake2b":
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=8)).hexdigest()
        return hashlib.file_digest(file, algorithm).hexdigest()


@contextlib.contextmanager
def part_file(path: Path) -> Iterator[TextIO]:
    """A text file to write that becomes `path` on success and vanishes on failure: a reader sees the old file or the
    new one, never a part.

    Raises:
        DeepproverbsError: the disk or the folder does not take it.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # A file's name may be no UTF-8, a text half a character: JSON takes the escape, and it comes back as it was.
        with part.open("w", encoding="utf-8", errors="backslashreplace") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        if error.filename not in (None, str(part), str(path), str(path.parent)):
            raise  # about another file, the caller's
        raise DeepproverbsError(
            f"Cannot write {path}: {error.strerror}; free some space or choose another folder, then start again."
        ) from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink()


def write_whole(path: Path, text: str) -> None:
    """Write a small text file, as `part_file` does."""
    with part_file(path) as file:
        file.write(text)


@contextlib.contextmanager
def lock(path: Path, on_wait: Callable[[], object] | None = None) -> Iterator[None]:
    """Hold the lock file `path`, which is made if it is missing; the system releases it when the process dies.

    on_wait: called once when another process holds the lock, before waiting for it. None: do not wait.

    Raises:
        BlockingIOError: another process holds it, and there is no `on_wait`.
        OSError: the file or its folder cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if on_wait is None:
                raise
            on_wait()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def locked(run: Path, option: str = "--run") -> Iterator[None]:
    """Hold the run's folder: two runs that write the same files would spoil both. `option`: what names it.

    Raises:
        DeepproverbsError: another run holds it, or the folder cannot be made.
    """
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(lock(run / ".lock"))
        except BlockingIOError as error:
            raise DeepproverbsError(
                f"Another run is at work in {run}; wait for it or choose another folder with {option}."
            ) from error
        except OSError as error:
            raise DeepproverbsError(
                f"Cannot write in the run's folder {run}: {error.strerror}; choose another with {option}."
            ) from error
        yield
