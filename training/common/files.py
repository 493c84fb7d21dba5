"""Files that are whole or not there, notes that prove themselves, names that stay in their folder, and folders that
one run holds at a time."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO, TypeVar

from training.common.errors import DeepproverbsError

T = TypeVar("T")

SUM = "sum"
"""What a note holds beside what it says: a hash of that."""
COPIES = ".copies"
"""The folder, beside a file, of second copies of what cannot be made again."""
LARGE = 1 << 20
"""Bytes from which a file's digest is remembered while the program runs."""
TICK_NS = 20_000_000
"""A file that changed so recently may change again within the same tick of the clock that stamps it (4 to 10 ms)."""

_digests: dict[tuple[object, ...], str] = {}


def digest(path: Path, algorithm: str = "blake2b") -> str:
    """Hash of a file's bytes in hex: 64 bits of BLAKE2b, which tells files apart, or all of a named algorithm's.

    840 MB/s on a core, so 0.6 s for the 500 MB of a GPT-2 124M. A large file is therefore read once in a command,
    whoever asks; size and time alone are trusted no longer than that, since a bad disk changes neither.
    """
    now, status = time.time_ns(), path.stat()
    times = status.st_mtime_ns, status.st_ctime_ns
    key = path.absolute(), algorithm, status.st_dev, status.st_ino, status.st_size, times
    if key in _digests:
        return _digests[key]
    with path.open("rb") as file:
        if algorithm == "blake2b":
            found = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=8)).hexdigest()
        else:
            found = hashlib.file_digest(file, algorithm).hexdigest()
    if status.st_size >= LARGE and now - max(times) > TICK_NS:
        _digests[key] = found
    return found


def sync(path: Path) -> None:
    """Have the disk hold a file, or a folder with all that is in it, and the name that it goes by: a power failure
    then leaves no hole where a stage has said that it is done."""
    inside = path.rglob("*") if path.is_dir() else ()
    for each in [*inside, path, path.parent]:
        handle = os.open(each, os.O_RDONLY)
        try:
            os.fsync(handle)
        except OSError as error:
            if not each.is_dir() or error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some file systems' folders
                raise
        finally:
            os.close(handle)


def inside(folder: Path, name: str) -> Path:
    """The path of a file in `folder` whose name comes from elsewhere: a key of a store, a member of an archive.

    Raises:
        DeepproverbsError: it leads out of the folder, or is no name that every system takes.
    """
    parts = name.split("/")
    if any(part in ("", ".", "..") for part in parts) or any(c in "\\\x7f" or c < " " for c in name):
        raise DeepproverbsError(
            f"The name {name!r} leads out of the folder {folder} or is no file's; nothing is written. Remove what is "
            "called so from where it came."
        )
    return folder.joinpath(*parts)


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
        sync(path)
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


def sum_of(value: Any) -> str:
    """Hash of what a JSON value says, however it is laid out."""
    text = json.dumps(json.loads(json.dumps(value, default=str)), sort_keys=True)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def note_bytes(value: Mapping[str, Any]) -> bytes:
    """A JSON object with its sum."""
    return (json.dumps({**value, SUM: sum_of(value)}, indent=1, default=str) + "\n").encode()


def write_note(path: Path, value: Mapping[str, Any], twice: bool = False) -> None:
    """Write a note. `twice`: and a copy of it, from which `read_note` mends it."""
    text = note_bytes(value).decode()
    write_whole(path, text)
    if twice:
        write_whole(copy_of(path), text)


def read_note(path: Path, parse: Callable[[dict[str, Any]], T], say: Callable[[str], object] | None = None) -> T:
    """What `parse` makes of a note. One without a sum, of an older version, is taken as it is.

    parse: may raise ValueError, TypeError or KeyError. say: is told when the file was damaged or gone and its copy took
    its place; without it no copy is looked at.

    Raises:
        FileNotFoundError: there is none.
        OSError: it cannot be read.
        ValueError: it is damaged.
    """
    copy = copy_of(path)
    try:
        return parse(note_of(path.read_bytes(), summed=say is not None and copy.exists()))
    except (OSError, ValueError, TypeError, KeyError) as error:
        failed = error if isinstance(error, OSError | ValueError) else ValueError(f"it lacks something: {error}")
        if say is None or isinstance(error, PermissionError):
            raise failed from None
        try:
            value = note_of(copy.read_bytes(), summed=True)
            parsed = parse(value)
        except (OSError, ValueError, TypeError, KeyError):
            raise failed from None
    what = "was missing" if isinstance(failed, FileNotFoundError) else f"was damaged ({failed})"
    say(f"{path} {what}: taken from its copy.")
    write_note(path, value)
    return parsed


def note_of(data: bytes, summed: bool = False) -> dict[str, Any]:
    """What a note's bytes say. `summed`: it must have a sum. Raises ValueError: it is damaged."""
    try:
        value = json.loads(data.decode())
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(value, dict):
        raise ValueError("not an object")
    said = value.pop(SUM, None)
    if said != sum_of(value) and (summed or said is not None):
        raise ValueError("not what was written")
    return value


def copy_of(path: Path) -> Path:
    """Where the second copy of a file is."""
    return path.parent / COPIES / path.name


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
