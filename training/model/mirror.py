"""Read one file of a mirror from some byte on: `with ask(url, have, mark) as answer`.

`url` is an http, https or file address, or a plain path. An http server is asked only for the rest (`Range`), and only
of the same file (`If-Range`). What is worth another try raises Dropped; anything else is an error for the user. Whoever
asked by https is never redirected to http; where http is used, other than on this machine, a line says so.
"""

from __future__ import annotations

import contextlib
import functools
import ipaddress
import logging
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import requests

from training.common.errors import DeepproverbsError, WrongUse

log = logging.getLogger(__name__)

BLOCK = 1 << 18
"""Bytes read at a time. A kill loses at most one block: 256 KiB, 0.05 % of the smallest model."""
TIMEOUT = (10.0, 60.0)
"""Seconds to connect, and to wait for the next bytes."""


class Unreachable(DeepproverbsError):
    """A server that does not answer, or does not have the file."""


class Dropped(Exception):
    """Worth another try. `answered`: a server has answered."""

    def __init__(self, reason: str, answered: bool = True) -> None:
        super().__init__(reason)
        self.answered = answered


class Wrong(Exception):
    """The file that came, or would come, is not the one that was wanted."""


@dataclass(frozen=True)
class Mark:
    """Which file a part belongs to."""

    tag: str | None
    """A strong ETag or a Last-Modified date, fit for If-Range."""
    total: int | None
    """Length of the whole file in bytes."""

    @property
    def strong(self) -> bool:
        """Whether it tells two files of one length apart: an ETag, or a file's time in nanoseconds. Two mirrors may
        have different files of the same second."""
        tag = self.tag or ""
        return tag.startswith('"') or tag.isdecimal()


@dataclass(frozen=True)
class Answer:
    """A server's reply: its bytes begin at `start` of the file that `mark` describes."""

    start: int
    mark: Mark
    blocks: Iterator[bytes]


@functools.cache
def warn_if_open(origin: str, setting: str) -> None:
    """Tell, once, that what comes from this address can be read and changed on the way. `setting`: what names it."""
    try:
        parts = urlsplit(origin)
    except ValueError:  # `ask` says so
        return
    if parts.scheme == "http" and not _on_this_machine(parts.hostname or ""):
        log.warning(
            "http://%s is not encrypted: anybody on the way can change what has no published sum, and read keys that "
            "are sent; name an https address in %s.",
            parts.hostname,
            setting,
        )


def _on_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _check_way(url: str, response: requests.Response) -> None:
    """Where an address led on to others."""
    for hop in (*response.history[1:], response) if response.history else ():
        to = urlsplit(hop.url)
        if url.startswith("https:") and to.scheme != "https":
            raise Unreachable(
                f"{url} redirects to {to.scheme}://{to.hostname}, which is not encrypted; name another mirror in "
                "DEEPPROVERBS_MIRROR."
            )
        warn_if_open(f"{to.scheme}://{to.hostname}", "DEEPPROVERBS_MIRROR")


@contextlib.contextmanager
def ask(url: str, have: int, mark: Mark) -> Iterator[Answer]:
    """Open `url` at byte `have` if it is still the file of `mark`, else at its beginning."""
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
            now = Mark(f"{status.st_mtime_ns}", status.st_size)
            start = have if now == mark else 0
            file.seek(start)
            yield Answer(start, now, _reading(path, iter(lambda: file.read(BLOCK), b"")))
    except FileNotFoundError as error:
        raise DeepproverbsError(f"There is no file {path}; correct DEEPPROVERBS_MIRROR.") from error
    except OSError as error:
        raise DeepproverbsError(f"Cannot read {path}: {error.strerror}; correct DEEPPROVERBS_MIRROR.") from error


def _reading(path: Path, blocks: Iterator[bytes]) -> Iterator[bytes]:
    """`blocks`; a failure to read becomes an error of its own, so that it is not taken for a failure to write."""
    try:
        yield from blocks
    except OSError as error:
        raise DeepproverbsError(f"Cannot read {path}: {error.strerror}; check that disk.") from error


@contextlib.contextmanager
def _ask_http(url: str, have: int, mark: Mark) -> Iterator[Answer]:
    headers = {"Accept-Encoding": "identity"}  # gzip would make lengths and ranges meaningless
    if have:
        headers["Range"] = f"bytes={have}-"
        if mark.tag:
            headers["If-Range"] = mark.tag
    try:
        response = requests.get(url, headers=headers, stream=True, timeout=TIMEOUT)
    except requests.exceptions.SSLError as error:
        raise Unreachable(
            f"No secure connection to {urlsplit(url).netloc}: check its address, the clock and the "
            "proxy, or name a mirror in DEEPPROVERBS_MIRROR."
        ) from error
    except requests.exceptions.ConnectionError as error:
        raise Dropped(_reason(error), answered=False) from error
    except requests.exceptions.Timeout as error:
        raise Dropped("no answer in time", answered=False) from error
    except (requests.RequestException, ValueError) as error:
        raise WrongUse(f"{url} cannot be requested ({_reason(error)}); correct DEEPPROVERBS_MIRROR.") from error
    with response:
        _check_way(url, response)
        status = response.status_code
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise Wrong("it came compressed")
        if status in (408, 425, 429) or status >= 500:
            raise Dropped(f"the server answered {status}")
        if status in (404, 410):
            raise Unreachable(
                f"{url} is not there (answer {status}); check DEEPPROVERBS_MIRROR, below which "
                "the files must lie as <size>/<file>."
            )
        if (
            status == 206
            and (
                span := re.fullmatch(
                    r"bytes ([0-9]{1,15})-[0-9]+/([0-9]{1,15})", response.headers.get("Content-Range", "")
                )
            )
            and (int(span[1]), int(span[2])) == (have, mark.total)
        ):
            yield Answer(have, mark, _blocks(response))
        elif status == 200:
            tag = response.headers.get("ETag")
            if tag is None or tag.startswith("W/"):  # If-Range takes no weak tags
                tag = response.headers.get("Last-Modified")
            length = response.headers.get("Content-Length", "")
            total = int(length) if re.fullmatch("[0-9]{1,15}", length) else None
            yield Answer(0, Mark(tag, total), _blocks(response))
        elif status in (206, 416):  # the file has changed and the server does not know If-Range
            raise Wrong("it has changed since the download began")
        else:
            raise Unreachable(f"{url} was refused (answer {status}); check the proxy or DEEPPROVERBS_MIRROR.")


def _blocks(response: requests.Response) -> Iterator[bytes]:
    try:
        yield from response.iter_content(BLOCK)
    except requests.RequestException as error:
        raise Dropped(_reason(error)) from error


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
