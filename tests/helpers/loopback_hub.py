"""Hugging Face's hub on loopback, as far as a download asks for: what a commit of a model holds, and its files.

    with loopback_hub(folder) as hub:
        hub.models["owner/model"] = Model({"config.json": b"{}"})
        hub.faults["owner/model/config.json"] = [Fault(drop_after=1)]

Large files are redirected to another host, as the hub sends them to its content delivery network.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from tests.helpers.loopback import Quiet, served
from tests.helpers.loopback_mirror import LoopbackMirror

LARGE = 100_000
"""Bytes from which a file is in Git's large file storage."""


@dataclass
class Model:
    files: dict[str, bytes]
    revisions: tuple[str, ...] = ("main",)
    gated: bool = False
    tags: tuple[str, ...] = ("license:mit",)

    @property
    def commit(self) -> str:
        return hashlib.sha1(repr(sorted(self.files.items())).encode()).hexdigest()

    def siblings(self) -> list[dict[str, Any]]:
        return [self._sibling(name, body) for name, body in self.files.items()]

    def _sibling(self, name: str, body: bytes) -> dict[str, Any]:
        if len(body) < LARGE:
            blob = hashlib.sha1(b"blob %d\0" % len(body) + body).hexdigest()
            return {"rfilename": name, "size": len(body), "blobId": blob}
        sha256 = hashlib.sha256(body).hexdigest()
        large = {"sha256": sha256, "size": len(body), "pointerSize": 134}
        return {"rfilename": name, "size": len(body), "blobId": sha256[:40], "lfs": large}


class LoopbackHub(LoopbackMirror):
    """`tokens` lists the path and the token of every request."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.models: dict[str, Model] = {}
        self.tokens: list[tuple[str, str | None]] = []

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        parts = unquote(urlsplit(handler.path).path).strip("/").split("/")
        self.tokens.append((handler.path, handler.headers.get("Authorization")))
        if parts[:2] == ["api", "models"]:
            name, revision = "/".join(parts[2:4]), "/".join(parts[5:]) or "main"
            self._describe(handler, name, revision)
        elif parts[0] == "cdn":
            handler.path = "/" + "/".join(parts[1:])
            super().answer(handler)
        else:
            self._resolve(handler, "/".join(parts[:2]), parts[3], "/".join(parts[4:]))

    def _describe(self, handler: BaseHTTPRequestHandler, name: str, revision: str) -> None:
        if self.faults.get(name):
            handler.send_error(self.faults[name].pop(0).status)
            return
        model = self.models.get(name)
        if model is None:
            _refuse(handler, 401, "RepoNotFound")
        elif revision not in (*model.revisions, model.commit):
            _refuse(handler, 404, "RevisionNotFound")
        else:
            facts = {"id": name, "sha": model.commit, "siblings": model.siblings(), "tags": list(model.tags)}
            body = json.dumps(facts | {"private": False, "gated": model.gated}).encode()
            handler.send_response(200)
            handler.send_header("Content-Type", "application/json")
            handler.send_header("Content-Length", str(len(body)))
            handler.end_headers()
            handler.wfile.write(body)

    def _resolve(self, handler: BaseHTTPRequestHandler, name: str, revision: str, file: str) -> None:
        model = self.models[name]
        if model.gated:
            _refuse(handler, 403, "GatedRepo")
        elif revision != model.commit or file not in model.files:
            _refuse(handler, 404, "EntryNotFound")
        else:
            path = self.folder / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(model.files[file])
            if len(model.files[file]) >= LARGE:
                port = self.url.rsplit(":", 1)[1]
                handler.send_response(302)
                handler.send_header("Location", f"http://localhost:{port}/cdn/{name}/{file}")
                handler.send_header("Content-Length", "0")
                handler.end_headers()
            else:
                handler.path = f"/{name}/{file}"
                super().answer(handler)


def _refuse(handler: BaseHTTPRequestHandler, status: int, code: str) -> None:
    handler.send_response(status)
    handler.send_header("X-Error-Code", code)
    handler.send_header("Content-Length", "0")
    handler.end_headers()


@contextmanager
def loopback_hub(folder: Path) -> Iterator[LoopbackHub]:
    hub = LoopbackHub(folder)

    class Handler(Quiet):
        def do_GET(self) -> None:
            hub.answer(self)

    with served(Handler) as address:
        hub.url = f"http://{address}"
        yield hub
