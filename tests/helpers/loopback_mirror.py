"""A mirror on 127.0.0.1 that serves a folder with ranges and ETags, and fails when told to.

    with loopback_mirror(folder) as mirror:
        mirror.faults["124M/model.ckpt.index"] = [Fault(drop_after=1000), Fault(status=500)]
        requests.get(mirror.url + "/124M/model.ckpt.index")

Each request for a path takes one fault off that path's list; with none left it is served whole.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from time import sleep

from tests.helpers.loopback import Quiet, served


def tag_of(body: bytes) -> str:
    """The ETag of a file."""
    return f'"{hashlib.sha256(body).hexdigest()[:16]}"'


@dataclass(frozen=True)
class Fault:
    """How one request goes wrong."""

    status: int = 0
    """Answer with this status and no file."""
    drop_after: int | None = None
    """Close the connection after so many bytes of the body, whatever length was promised."""
    ignore_range: bool = False
    """Send the whole file, as a server without ranges does."""
    ignore_if_range: bool = False
    """Send the rest of another version, as a server without If-Range does."""
    body: bytes | None = None
    """Send this instead of the file."""
    no_length: bool = False
    """Send no Content-Length."""
    headers: tuple[tuple[str, str], ...] = ()
    """Sent as well; a Content-Length instead of the true one."""
    block_pause: float = 0.0
    """Seconds between two blocks of 64 KiB."""


@dataclass
class Request:
    """What was asked and how many bytes of the body were offered."""

    path: str
    range: str | None
    if_range: str | None
    sent: int = 0


class LoopbackMirror:
    """Serves `folder` at `url`; `requests` lists what was asked, in order."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.url = folder, ""
        self.faults: dict[str, list[Fault]] = {}
        self.requests: list[Request] = []

    def asked(self, path: str) -> list[Request]:
        """The requests for one path, in order."""
        return [request for request in self.requests if request.path == path]

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        path = handler.path.lstrip("/")
        waiting = self.faults.get(path, [])
        fault = waiting.pop(0) if waiting else Fault()
        asked, condition = handler.headers.get("Range"), handler.headers.get("If-Range")
        request = Request(path, asked, condition)
        self.requests.append(request)
        file = self.folder / path
        if fault.status or not file.is_file():
            handler.send_error(fault.status or 404)
            return
        body = file.read_bytes() if fault.body is None else fault.body
        tag = tag_of(body)
        start, span = 0, re.fullmatch(r"bytes=(\d+)-", asked or "")
        if span and not fault.ignore_range and (condition in (None, tag) or fault.ignore_if_range):
            start = int(span[1])
        if start >= len(body) and start:
            handler.send_response(416)
            handler.send_header("Content-Range", f"bytes */{len(body)}")
        elif start:
            handler.send_response(206)
            handler.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        else:
            handler.send_response(200)
        rest = body[start:]
        for name, value in fault.headers:
            handler.send_header(name, value)
        if not fault.no_length and "Content-Length" not in dict(fault.headers):
            handler.send_header("Content-Length", str(len(rest)))
        handler.send_header("ETag", tag)
        handler.end_headers()
        rest = rest[: fault.drop_after]
        try:
            for at in range(0, len(rest), 1 << 16):
                block = rest[at : at + (1 << 16)]
                request.sent += len(block)  # before the write: the client may be done before this thread is
                handler.wfile.write(block)
                sleep(fault.block_pause)
        except OSError:  # the client went away
            pass
        handler.close_connection = True


@contextmanager
def loopback_mirror(folder: Path) -> Iterator[LoopbackMirror]:
    mirror = LoopbackMirror(folder)

    class Handler(Quiet):
        def do_GET(self) -> None:
            mirror.answer(self)

    with served(Handler) as address:
        mirror.url = f"http://{address}"
        yield mirror
