"""A server on loopback that answers as slowly as a test wants: `with slow(lambda _: trickle(HEAD, b" ")) as server`.

It is a bare socket, since a slow answer need not be HTTP, and keeps every complete request.
"""

from __future__ import annotations

import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

PACE = 0.02
"""Seconds between two pieces: less than any time-out for one of them."""
PIECES = 3000
"""Of a trickle: a minute."""

Answer = Callable[[str], Iterator[bytes]]
"""A complete request in, the pieces of its answer out."""


def trickle(start: bytes, piece: bytes) -> Iterator[bytes]:
    """`start` at once, and then a piece after the other for much longer than anybody should wait."""
    yield start
    for _ in range(PIECES):
        time.sleep(PACE)
        yield piece


class Slow:
    def __init__(self, answer: Answer, wrap: Callable[[socket.socket], Any] | None, address: tuple[str, int]) -> None:
        self.answer, self.wrap, self.address = answer, wrap, address
        self.url = f"{'https' if wrap else 'http'}://localhost:{address[1]}"
        self.requests: list[str] = []
        """Complete ones."""
        self.sent = 0
        """Bytes of answers."""
        self._accepted = 0
        self._speaking: dict[int, threading.Thread] = {}
        """By the client's port."""
        self._own: list[int] = []
        """Ports of connections that the test itself made."""

    @property
    def connections(self) -> int:
        return self._accepted - len(self._own)

    def settle(self) -> None:
        """Wait until the client has ended every connection that it made: what it sent is known then."""
        with socket.create_connection(self.address) as own:
            self._own.append(own.getsockname()[1])
        patience = time.monotonic() + 60
        while self._own[-1] not in self._speaking:  # it is the last to be accepted
            assert time.monotonic() < patience, "the server is stuck"
            time.sleep(0.001)
        for thread in list(self._speaking.values()):
            thread.join(max(0.0, patience - time.monotonic()))
            assert not thread.is_alive(), "a connection is still open"

    def accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, (_, port) = listener.accept()
            except OSError:  # the test is over
                return
            self._accepted += 1  # before a word is spoken: a whole exchange may be over when start() returns
            thread = threading.Thread(target=self.speak, args=(connection,), daemon=True)
            thread.start()
            self._speaking[port] = thread

    def speak(self, connection: Any) -> None:
        with suppress(OSError):  # the client has ended it, as it should
            connection = self.wrap(connection) if self.wrap else connection
            while request := read(connection):
                self.requests.append(request)
                for piece in self.answer(request):
                    connection.sendall(piece)
                    self.sent += len(piece)
        connection.close()


def read(connection: Any) -> str:
    """The next complete request; nothing if the client ends the connection before it."""
    data, length = b"", 1
    while len(data) < length:
        more = connection.recv(65536)
        if not more:
            return ""
        data += more
        head, end, _ = data.partition(b"\r\n\r\n")
        body = re.search(rb"(?i)content-length: (\d+)", head)
        length = len(head + end) + int(body[1] if body else 0) if end else len(data) + 1
    return data.decode()


@contextmanager
def slow(answer: Answer, wrap: Callable[[socket.socket], Any] | None = None) -> Iterator[Slow]:
    """`wrap` makes TLS of a connection, or something like it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Slow(answer, wrap, listener.getsockname())
        thread = threading.Thread(target=server.accept, args=(listener,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            listener.shutdown(socket.SHUT_RDWR)  # ends the accept
            thread.join()


class Bytewise:
    """TLS, each record of which comes a byte at a time once the handshake is over."""

    def __init__(self, context: ssl.SSLContext, connection: socket.socket) -> None:
        self.connection, self.came, self.goes = connection, ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.came, self.goes, server_side=True)
        self.through(self.tls.do_handshake)
        self.connection.sendall(self.goes.read())

    def through(self, step: Callable[[], Any]) -> Any:
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                self.connection.sendall(self.goes.read())
                if not (data := self.connection.recv(65536)):
                    raise ConnectionError from None
                self.came.write(data)

    def recv(self, most: int) -> bytes:
        data: bytes = self.through(lambda: self.tls.read(most))
        return data

    def sendall(self, data: bytes) -> None:
        self.tls.write(data)
        for byte in self.goes.read():
            self.connection.sendall(bytes([byte]))
            time.sleep(PACE)

    def close(self) -> None:
        self.connection.close()


def certificate(path: Path) -> Path:
    """Write a key and a certificate for localhost that signs itself."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + made.public_bytes(Encoding.PEM)
    )
    return path
