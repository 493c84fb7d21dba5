"""One large file from a mirror to the disk: resumed, checked, put in place whole.

`fetch(url, target)` writes `target.part` and renames it at the end. Beside the part lies
`target.part.json` with the length and the ETag (or date) of what it is a part of, so that a later
start, even after kill -9, asks only for the rest (`Range`), and only of the same file (`If-Range`).
`url` is a http, https or file address, or a plain path.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import logging
import os
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import requests
from tqdm import tqdm

from training.errors import DeepproverbsError, WrongUse

log = logging.getLogger(__name__)

BLOCK = 1 << 18
"""Bytes a read. A kill loses at most one block: 256 KiB, 0.05 % of the smallest model."""
TIMEOUT = (10.0, 60.0)
"""Seconds to connect, and to wait for the next bytes."""
TRIES = 5
"""Failures in a row without one new byte before it gives up: 1 + 2 + 4 + 8 = 15 s of pauses."""
TRIES_UNREACHABLE = 3
"""The same as long as no server has ever answered: a wrong address should not cost minutes."""
TRIES_IN_ALL = 100
"""However far each try gets."""
FIRST_PAUSE = 1.0
"""Seconds; doubles with every failure in a row."""


class _Dropped(Exception):
    """Worth another try. `answered`: a server was there."""

    def __init__(self, reason: str, answered: bool = True) -> None:
        super().__init__(reason)
        self.answered = answered


class _Wrong(Exception):
    """The whole file came, or would come, and it is not the one that was wanted."""


@dataclass(frozen=True)
class _Mark:
    """What a part is a part of."""

    tag: str | None
    """A strong ETag or a Last-Modified date, fit for If-Range."""
    total: int | None
    """Length of the whole file in bytes."""


@dataclass(frozen=True)
class _Answer:
    """A server's reply: its bytes begin at `start` of the file that `mark` describes."""

    start: int
    mark: _Mark
    blocks: Iterator[bytes]


def digest(path: Path) -> str:
    """SHA-256 of a file, in hex. 0.5 GB takes about a second, 6 GB half a minute from a slow disk."""
    state = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            state.update(block)
    return state.hexdigest()


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
    wrong: _Wrong | None = None
    for _ in range(2):
        try:
            found = _persist(url, part, size, progress)
            if sha256 is not None and found != sha256:
                raise _Wrong(f"its SHA-256 is {found[:12]}…, {known_from} is {sha256[:12]}…")
            with _disk(part):
                part.replace(target)
                _mark_path(part).unlink(missing_ok=True)
            return found
        except _Wrong as error:
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
        except _Dropped as drop:
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
        return digest(part)
    with _ask(url, have, mark) as answer, contextlib.ExitStack() as stack:
        total = answer.mark.total
        if size is not None and total is not None and total != size:
            raise _Wrong(f"it has {total:,} bytes, not {size:,}")
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
        raise _Dropped(f"the connection ended after {have:,} of {total:,} bytes")
    if (total is not None and have != total) or (size is not None and have != size):
        raise _Wrong(f"it has {have:,} bytes, not {size or total:,}")
    return state.hexdigest()


@contextlib.contextmanager
def _ask(url: str, have: int, mark: _Mark) -> Iterator[_Answer]:
    """Open `url` at byte `have` if it still is the file of `mark`, else at its beginning."""
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise WrongUse(f"{url} is not an address ({error}); correct DEEPPROVERBS_MIRROR.") from error
    if parts.scheme in ("http", "https"):
        with _ask_http(url, have, mark) as answer:
            yield answer
        return
    if parts.scheme not in ("file", ""):
        raise WrongUse(f"{url} is neither a http, a https nor a file address; correct DEEPPROVERBS_MIRROR.")
    path = Path(unquote(parts.path) if parts.scheme else url)
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            now = _Mark(f"{status.st_mtime_ns}", status.st_size)
            start = have if now == mark else 0
            file.seek(start)
            yield _Answer(start, now, _reading(path, iter(lambda: file.read(BLOCK), b"")))
    except FileNotFoundError as error:
        raise DeepproverbsError(f"There is no file {path}; correct DEEPPROVERBS_MIRROR.") from error
    except OSError as error:
        raise DeepproverbsError(f"Cannot read {path}: {error.strerror}; correct DEEPPROVERBS_MIRROR.") from error


def _reading(path: Path, blocks: Iterator[bytes]) -> Iterator[bytes]:
    """`blocks`, with a failure to read told from a failure to write."""
    try:
        yield from blocks
    except OSError as error:
        raise DeepproverbsError(f"Cannot read {path}: {error.strerror}; check that disk.") from error


@contextlib.contextmanager
def _ask_http(url: str, have: int, mark: _Mark) -> Iterator[_Answer]:
    headers = {"Accept-Encoding": "identity"}  # gzip would make lengths and ranges meaningless
    if have:
        headers["Range"] = f"bytes={have}-"
        if mark.tag:
            headers["If-Range"] = mark.tag
    try:
        response = requests.get(url, headers=headers, stream=True, timeout=TIMEOUT)
    except requests.exceptions.SSLError as error:
        raise DeepproverbsError(
            f"No secure connection to {urlsplit(url).netloc}: check its address, the clock and the "
            "proxy, or name a mirror in DEEPPROVERBS_MIRROR."
        ) from error
    except requests.exceptions.ConnectionError as error:
        raise _Dropped(_reason(error), answered=False) from error
    except requests.exceptions.Timeout as error:
        raise _Dropped("no answer in time", answered=False) from error
    except (requests.RequestException, ValueError) as error:
        raise WrongUse(f"{url} cannot be asked for ({_reason(error)}); correct DEEPPROVERBS_MIRROR.") from error
    with response:
        status = response.status_code
        if status in (408, 425, 429) or status >= 500:
            raise _Dropped(f"the server answered {status}")
        if status in (404, 410):
            raise DeepproverbsError(
                f"{url} is not there (answer {status}); check DEEPPROVERBS_MIRROR, below which "
                "the files must lie as <size>/<file>."
            )
        if (
            status == 206
            and (span := re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", "")))
            and (int(span[1]), int(span[2])) == (have, mark.total)
        ):
            yield _Answer(have, mark, _blocks(response))
        elif status == 200:
            tag = response.headers.get("ETag")
            if tag is None or tag.startswith("W/"):  # If-Range takes no weak tags
                tag = response.headers.get("Last-Modified")
            length = response.headers.get("Content-Length", "")
            yield _Answer(0, _Mark(tag, int(length) if length.isdecimal() else None), _blocks(response))
        elif status in (206, 416):  # the file has changed and the server does not know If-Range
            raise _Wrong("it has changed since the download began")
        else:
            raise DeepproverbsError(f"{url} was refused (answer {status}); check the proxy or DEEPPROVERBS_MIRROR.")


def _blocks(response: requests.Response) -> Iterator[bytes]:
    try:
        yield from response.iter_content(BLOCK)
    except requests.RequestException as error:
        raise _Dropped(_reason(error)) from error


def _reason(error: Exception) -> str:
    """The innermost cause, without urllib3's wrapping of objects in objects."""
    text = str(error)
    for pattern, words in (
        (r"Name or service|name resolution|nodename|getaddrinfo", "its name is unknown"),
        (r"refused", "connection refused"),
        (r"timed? ?out", "no answer in time"),
        (r"unreachable", "network unreachable"),
        (r"[Pp]roxy", "the proxy failed"),
        (r"broken|reset|IncompleteRead|aborted", "the connection broke"),
    ):
        if re.search(pattern, text):
            return words
    return text.split("\n")[0] or type(error).__name__


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


def _kept(part: Path) -> tuple[int, _Mark]:
    """Bytes to go on from, and what they are a part of; 0 when that is not known."""
    try:
        raw = json.loads(_mark_path(part).read_text(encoding="utf-8"))
        mark = _Mark(raw["tag"], raw["total"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0, _Mark(None, None)
    have = _length(part)
    return (have, mark) if mark.total is not None and have <= mark.total else (0, mark)


def _length(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
