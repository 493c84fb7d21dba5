"""One large file from a mirror to the disk: resumed, checked, put in place whole.

`fetch(url, target)` writes `target.part` and renames it at the end. Beside the part lies
`target.part.json` with the length and the ETag (or date) of what it is a part of, so that a later
start, even after kill -9, asks only for the rest, and only of the same file (training/model/mirror.py).
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import logging
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from tqdm import tqdm

from training.common.errors import DeepproverbsError
from training.common.files import digest
from training.model.mirror import Dropped, Mark, Wrong, ask

log = logging.getLogger(__name__)

TRIES = 5
"""Failures in a row without one new byte before it gives up: 1 + 2 + 4 + 8 = 15 s of pauses."""
TRIES_UNREACHABLE = 3
"""The same as long as no server has ever answered: a wrong address should not cost minutes."""
TRIES_IN_ALL = 100
"""However far each try gets."""
FIRST_PAUSE = 1.0
"""Seconds; doubles with every failure in a row."""


def check_space(folder: Path, need: int) -> None:
    """Raise DeepproverbsError when the disk under `folder` has less than `need` bytes free."""
    free = shutil.disk_usage(folder).free
    if free < need:
        raise DeepproverbsError(
            f"The disk of {folder} is too full: {size_text(need)} more are needed and "
            f"{size_text(free)} are free; make room or choose another cache, then start again."
        )


def size_text(count: int) -> str:
    """Bytes for people: `497.8 MB`."""
    if count < 10**6:
        return f"{count:,} bytes"
    return f"{count / 10**6:.1f} MB" if count < 10**9 else f"{count / 10**9:.2f} GB"


def fetch(
    url: str,
    target: Path,
    *,
    size: int | None = None,
    sha256: str | None = None,
    known_from: str = "published",
    progress: bool = True,
) -> str:
    """Download `url` to `target` and return its SHA-256.

    Args:
        size: the length it must have, in bytes; None takes the server's word.
        sha256: the checksum it must have; `known_from` says in an error who says so.
        progress: show a bar with bytes, rate and time left, when stderr is a terminal.

    Raises:
        DeepproverbsError: unreachable, refused, not there, no space, no right to write, or twice
            the wrong content (a wrong file is deleted). Except in that last case the part stays.
        KeyboardInterrupt: the part stays.
    """
    part = target.with_name(target.name + ".part")
    wrong: Wrong | None = None
    for _ in range(2):
        try:
            found = _persist(url, part, size, progress)
            if sha256 is not None and found != sha256:
                raise Wrong(f"its SHA-256 is {found[:12]}…, {known_from} is {sha256[:12]}…")
            with _disk(part):
                part.replace(target)
                _mark_path(part).unlink(missing_ok=True)
            return found
        except Wrong as error:
            wrong = error
            with _disk(part):
                part.unlink(missing_ok=True)
                _mark_path(part).unlink(missing_ok=True)
            log.warning("%s: %s; deleted", target.name, error)
        except KeyboardInterrupt:
            log.warning(
                "%s: stopped; %s are kept and the next start goes on from there", target.name, size_text(_length(part))
            )
            raise
    raise DeepproverbsError(
        f"{url} came twice with wrong content ({wrong}) and was deleted; "
        "try again later or name another mirror in DEEPPROVERBS_MIRROR."
    )


def _persist(url: str, part: Path, size: int | None, progress: bool) -> str:
    """Try until `part` is whole; return its SHA-256."""
    failures, furthest, answered = 0, _length(part), False
    for _ in range(TRIES_IN_ALL):
        try:
            return _try(url, part, size, progress)
        except Dropped as drop:
            reason, answered = str(drop), answered or drop.answered
        failures = 1 if _length(part) > furthest else failures + 1
        furthest = max(furthest, _length(part))
        if failures >= (TRIES if answered else TRIES_UNREACHABLE):
            break
        pause = FIRST_PAUSE * 2 ** (failures - 1)
        log.warning("%s: %s; next try in %.0f s", part.stem, reason, pause)
        time.sleep(pause)
    if not answered:
        raise DeepproverbsError(
            f"Cannot reach {url} ({reason}): check the network, or name a mirror in DEEPPROVERBS_MIRROR."
        )
    raise DeepproverbsError(
        f"The download of {url} broke off again and again ({reason}); {size_text(_length(part))} "
        "are kept: start again to go on from there."
    )


def _try(url: str, part: Path, size: int | None, progress: bool) -> str:
    """One connection: append to `part` what is missing; return its SHA-256 when it is whole."""
    have, mark = _kept(part)
    state = hashlib.sha256()
    if have and have == mark.total:  # killed between the last byte and the check
        return digest(part, "sha256")
    with ask(url, have, mark) as answer, contextlib.ExitStack() as stack:
        total = answer.mark.total
        if size is not None and total is not None and total != size:
            raise Wrong(f"it has {total:,} bytes, not {size:,}")
        if answer.start:
            log.info("%s: going on from %s", part.stem, size_text(answer.start))
            with part.open("rb") as earlier:
                while block := earlier.read(1 << 20):
                    state.update(block)
        stack.enter_context(_disk(part))  # before the file: a full disk may show only when it is closed
        check_space(part.parent, (total or 0) - answer.start)
        file = stack.enter_context(part.open("ab" if answer.start else "wb"))
        if not answer.start:  # only now: the mark must never describe the bytes of an earlier file
            _mark_path(part).write_text(json.dumps(asdict(answer.mark)), encoding="utf-8")
        # None: a bar only on a terminal, so that logs stay readable.
        bar = stack.enter_context(
            tqdm(
                total=total,
                initial=answer.start,
                unit="B",
                unit_scale=True,
                desc=part.stem,
                disable=None if progress else True,
            )
        )
        for block in answer.blocks:
            file.write(block)
            state.update(block)
            bar.update(len(block))
        file.flush()
        os.fsync(file.fileno())
    have = _length(part)
    if total is not None and have < total:
        raise Dropped(f"the connection ended after {have:,} of {total:,} bytes")
    if (total is not None and have != total) or (size is not None and have != size):
        raise Wrong(f"it has {have:,} bytes, not {size or total:,}")
    return state.hexdigest()


@contextlib.contextmanager
def _disk(path: Path) -> Iterator[None]:
    """Turn a failure to write into a sentence; what is read comes with sentences of its own."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DeepproverbsError(
                f"The disk of {path.parent} is full; what has come so far is kept: make room and start again."
            ) from error
        raise DeepproverbsError(
            f"Cannot write {path}: {error.strerror or error}; make the folder writable or choose another cache."
        ) from error


def _mark_path(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _kept(part: Path) -> tuple[int, Mark]:
    """Bytes to go on from, and what they are a part of; 0 when that is not known."""
    try:
        raw = json.loads(_mark_path(part).read_text(encoding="utf-8"))
        mark = Mark(raw["tag"], raw["total"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0, Mark(None, None)
    have = _length(part)
    return (have, mark) if mark.total is not None and have <= mark.total else (0, mark)


def _length(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
