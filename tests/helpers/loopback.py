"""A server on loopback, in a thread of this process, or in one for each request."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from socketserver import ThreadingMixIn
from typing import Any


class Quiet(BaseHTTPRequestHandler):
    def log_message(self, *args: Any) -> None:
        """What a test needs to know of a request, its server keeps."""


class KeepAlive(Quiet):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # headers and body in one packet: otherwise every answer waits 40 ms for an acknowledgement


class InTurn(HTTPServer):
    """Does one request after the other, in the order of their connections."""

    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that gave up waiting, or was killed, is part of the tests, not an error to print."""


class AtOnce(ThreadingMixIn, InTurn):
    daemon_threads = True


@contextmanager
def served(handler: type[BaseHTTPRequestHandler], in_turn: bool = False) -> Iterator[str]:
    """Yield the server's host:port."""
    with (InTurn if in_turn else AtOnce)(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
