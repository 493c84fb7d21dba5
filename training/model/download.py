"""One large file from a mirror to the disk: resumed, checked, put in place whole.

`fetch(url, target)` writes `target.<length>.<tag>.part` and renames it at the end. The name says which file it is a
part of: its length in bytes and its ETag (or date). So a later start, even after kill -9, asks only for the rest, and
only of the same file (training/model/mirror.py).
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import logging
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, unquote

from training.common.errors import DeepproverbsError
from training.common.files import digest
from training.common.progress import bar
from training.model.mirror import Dropped, Mark, Unreachable, Wrong, ask

log = logging.getLogger(__name__)

TRIES = 5
"""It gives up after so many failures in a row without a new byte: 1 + 2 + 4 + 8 = 15 s of pauses."""
TRIES_UNREACHABLE = 3
"""The same while no server has answered yet: a wrong address should not cost minutes."""
TRIES_IN_ALL = 100
"""However far each try gets."""
FIRST_PAUSE = 1.0
"""Seconds; doubles with every failure in a row."""
LONGEST_TAG = 150
"""Bytes of a tag in a part's name, of which a file system takes 255; with a longer tag nothing is resumed."""
MOST = 1 << 26
"""Bytes that are taken of a file whose length nobody has published: what comes so are the small files, up to 2 MB."""


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
        size: the length it must have, in bytes; None: believe the server, up to MOST.
        sha256: the checksum it must have; `known_from` says in an error who says so. Without one a part is continued
            only where the server can tell that it is of the same file.
        progress: show a bar with bytes, rate and time left, when stderr is a terminal.

    Raises:
        DeepproverbsError: unreachable, refused, not there, no space, no right to write, or twice
            the wrong content (a wrong file is deleted). Except in that last case the part stays.
        KeyboardInterrupt: the part stays.
    """
    wrong: Wrong | None = None
    for _ in range(2):
        try:
            part, found = _persist(url, target, size, sha256 is not None, progress)
            if sha256 is not None and found != sha256:
                raise Wrong(f"its SHA-256 is {found[:12]}…, {known_from} is {sha256[:12]}…")
            with _disk(target):
                part.replace(target)
            return found
        except Wrong as error:
            wrong = error
            with _disk(target):
                _delete_parts(target)
            log.warning("%s: %s; deleted", target.name, error)
        except KeyboardInterrupt:
            log.warning(
                "%s: stopped; %s are kept and the next start goes on from there",
                target.name,
                size_text(kept(target, size)),
            )
            raise
    raise DeepproverbsError(
        f"{url} came twice with wrong content ({wrong}) and was deleted; "
        "try again later or name another mirror in DEEPPROVERBS_MIRROR."
    )


def kept(target: Path, size: int | None = None) -> int:
    """Bytes of an interrupted download of `target`, which has `size`, from which the next one can continue."""
    return _find_part(target, size)[1]


def _persist(url: str, target: Path, size: int | None, summed: bool, progress: bool) -> tuple[Path, str]:
    """Try until the whole file is there. Returns the part, now whole, and its SHA-256."""
    failures, furthest, answered = 0, kept(target, size), False
    for _ in range(TRIES_IN_ALL):
        try:
            return _try(url, target, size, summed, progress)
        except Dropped as drop:
            reason, answered = str(drop), answered or drop.answered
        have = kept(target, size)
        failures = 1 if have > furthest else failures + 1
        furthest = max(furthest, have)
        if failures >= (TRIES if answered else TRIES_UNREACHABLE):
            break
        pause = FIRST_PAUSE * 2 ** (failures - 1)
        log.warning("%s: %s; next try in %.0f s", target.name, reason, pause)
        time.sleep(pause)
    if not answered:
        raise Unreachable(f"Cannot reach {url} ({reason}): check the network, or name a mirror in DEEPPROVERBS_MIRROR.")
    raise DeepproverbsError(
        f"The download of {url} broke off again and again ({reason}); {size_text(kept(target, size))} "
        "are kept: start again to go on from there."
    )


def _try(url: str, target: Path, size: int | None, summed: bool, progress: bool) -> tuple[Path, str]:
    """One connection: append what is missing. Returns the part and its SHA-256 when it is whole. `summed`: its sum is
    known, so that a wrong one would be noticed."""
    part, have, mark = _find_part(target, size)
    if have and have == mark.total:  # killed between the last byte and the check
        return part, digest(part, "sha256")
    if not (summed or mark.strong):
        have = 0
    state = hashlib.sha256()
    with ask(url, have, mark) as answer, contextlib.ExitStack() as stack:
        total = answer.mark.total
        if size is not None and total is not None and total != size:
            raise Wrong(f"it has {total:,} bytes, not {size:,}")
        most = next(known for known in (size, total, MOST) if known is not None)
        if size is None and most > MOST:
            raise Wrong(f"it has {most:,} bytes, and no more than {MOST:,} are taken of a file of unknown length")
        if answer.start:
            log.info("%s: going on from %s", target.name, size_text(answer.start))
            with part.open("rb") as earlier:
                state = hashlib.file_digest(earlier, "sha256")
        stack.enter_context(_disk(target))  # before the file: a full disk may show only when it is closed
        check_space(target.parent, (total or 0) - answer.start)
        if not answer.start:
            part = part_path(target, answer.mark)
            _delete_parts(target, but=part)
        file = stack.enter_context(part.open("ab" if answer.start else "wb"))
        shown = stack.enter_context(bar(total, target.name, "B", done=answer.start)) if progress else None
        come = answer.start
        for block in answer.blocks:
            come += len(block)
            if come > most:  # whatever it promised: a server may go on for ever
                raise Wrong(f"it goes on after {most:,} bytes")
            file.write(block)
            state.update(block)
            if shown:
                shown.update(len(block))
        file.flush()
        os.fsync(file.fileno())
    have = part.stat().st_size
    if total is not None and have < total:
        raise Dropped(f"the connection ended after {have:,} of {total:,} bytes")
    if (total is not None and have != total) or (size is not None and have != size):
        raise Wrong(f"it has {have:,} bytes, not {size or total:,}")
    return part, state.hexdigest()


def part_path(target: Path, mark: Mark) -> Path:
    """The path for the part of a file with this mark."""
    tag = quote(mark.tag or "", safe="")
    known = mark.total is not None and len(tag) <= LONGEST_TAG
    return target.with_name(f"{target.name}.{mark.total}.{tag}.part" if known else f"{target.name}.part")


def _find_part(target: Path, size: int | None) -> tuple[Path, int, Mark]:
    """The part, its bytes (0 if it is unknown what it is a part of), and its mark. Parts of a file of another size are
    passed over."""
    for part in target.parent.glob(f"{target.name}.*.part"):
        if found := re.fullmatch(r"\.(\d+)\.(.*)\.part", part.name.removeprefix(target.name)):
            have, total = part.stat().st_size, int(found[1])
            if 0 < have <= total and size in (None, total):
                return part, have, Mark(unquote(found[2]) or None, total)
    return target, 0, Mark(None, None)


def _delete_parts(target: Path, but: Path | None = None) -> None:
    for part in target.parent.glob(f"{target.name}.*part*"):
        if part != but:
            part.unlink()


@contextlib.contextmanager
def _disk(path: Path) -> Iterator[None]:
    """Turn a failure to write into an error for the user; reading has errors of its own."""
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
