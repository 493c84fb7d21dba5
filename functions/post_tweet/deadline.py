"""One deadline for all that a call does on the network: `with within(18.0): session.get(…)`, on a session with
`session.mount("https://", DeadlineAdapter())`.

It overrides internals of requests, urllib3 and Python's http.client, so an upgrade of those breaks it first;
tests/post_tweet/test_deadline.py would show it.

The time-outs of requests restart with every address tried and every piece received, so a server that sends a byte a
second holds a call for ever. Here each step that may block (connect, TLS handshake, send, receive) gets the time that
is left, and none starts when there is none. No thread or signal is used, so nothing can send the rest of a request
after its call has ended.

A TLS handshake, a TLS read or write and `sendall` are one step each: since Python 3.5 a socket's time-out covers all of
it. Only the DNS look-up cannot be interrupted. It may outlast the call (10 s a name server by glibc's defaults); then
nothing is sent.
"""

from __future__ import annotations

import http.client
import io
import math
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from requests.adapters import HTTPAdapter
from requests.exceptions import InvalidSchema
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.util.connection import allowed_gai_family

RESET_ON_CLOSE = (socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
"""Closing discards unsent data, which the kernel would otherwise try to send for minutes after the call. Once an answer
has been read there is none."""
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Runs on while the computer sleeps, so that a call that wakes up too late sends nothing. Linux only."""
_end: ContextVar[float] = ContextVar("end", default=math.inf)


def now() -> float:
    return time.clock_gettime(_CLOCK)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """All that this thread does on the network in the block ends within `seconds`."""
    token = _end.set(now() + seconds)
    try:
        yield
    finally:
        _end.reset(token)


def time_left(limit: float | None) -> float | None:
    """Seconds that the next step may take: `limit`, or what is left if that is less; None: no limit.

    Raises:
        TimeoutError: nothing is left.
    """
    rest = _end.get() - now()
    if rest <= 0:
        raise TimeoutError("the call's time is over")
    return limit if rest == math.inf else rest if limit is None else min(limit, rest)


class _Response(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp = io.BufferedReader(_Reader(sock, self.fp))


class _Reader(io.RawIOBase):
    """Reads the socket: each piece within the socket's time-out, and all of them before the deadline."""

    def __init__(self, sock: socket.socket, file: io.BufferedReader) -> None:
        self.sock, self.file, self.timeout = sock, file, sock.gettimeout()

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self.file.fileno()

    def readinto(self, buffer: Any) -> int | None:
        self.sock.settimeout(time_left(self.timeout))
        return self.file.raw.readinto(buffer)

    def close(self) -> None:
        self.file.close()
        super().close()


class _Connection(HTTPConnection):
    response_class = _Response

    def _new_conn(self) -> socket.socket:
        """As urllib3's, except that all addresses together are tried before the deadline."""
        try:
            addresses = socket.getaddrinfo(self._dns_host, self.port, allowed_gai_family(), socket.SOCK_STREAM)
        except socket.gaierror as error:
            raise NameResolutionError(self.host, self, error) from error
        failure = OSError("the name has no address")
        for family, kind, protocol, _, address in addresses:
            try:
                return self._connected(socket.socket(family, kind, protocol), address)
            except OSError as error:
                failure = error
        if isinstance(failure, TimeoutError):
            raise ConnectTimeoutError(self, f"Connection to {self.host} timed out") from failure
        raise NewConnectionError(self, f"Failed to establish a new connection: {failure}") from failure

    def _connected(self, sock: socket.socket, address: Any) -> socket.socket:
        try:
            for option in (*(self.socket_options or ()), RESET_ON_CLOSE):
                sock.setsockopt(*option)
            sock.settimeout(time_left(self.timeout))
            sock.connect(address)
            sock.settimeout(time_left(self.timeout))  # the handshake is next
        except BaseException:
            sock.close()
            raise
        return sock

    def send(self, data: Any) -> None:
        if self.sock is None:
            self.connect()
        self.sock.settimeout(time_left(self.timeout))
        super().send(data)


class _SecureConnection(_Connection, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


class DeadlineAdapter(HTTPAdapter):
    """Connections that keep to `within`. urllib3 closes one that failed and never uses it again."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        """Take only plain HTTP proxies: the others (TLS within TLS, SOCKS) read in loops of their own, without a
        deadline."""
        if not proxy.lower().startswith("http://"):
            raise InvalidSchema(f"A proxy must be http://…; {proxy.partition(':')[0]}:// can hold a call for ever.")
        manager = super().proxy_manager_for(proxy, **kwargs)
        manager.pool_classes_by_scheme = self.poolmanager.pool_classes_by_scheme
        return manager
