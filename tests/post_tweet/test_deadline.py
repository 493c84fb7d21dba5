"""A call to X ends in time and then sends nothing more, however slowly whoever answers for X does it."""

from __future__ import annotations

import json
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from post_tweet import deadline
from post_tweet.place import CannotTell, NotFound, Posted, Unknown
from post_tweet.x import MAX_BODY, X

from tests.helpers.loopback_slow import PACE, Bytewise, Slow, certificate, slow, trickle
from tests.helpers.loopback_x import secret

TIMEOUT = (0.1, 0.3)
SECONDS = sum(TIMEOUT)
"""What a call may take here."""
LATE = 20.0
"""The machine may be busy. Without the deadline each of these servers holds a call for a minute."""
HEAD = b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
POSTED = json.dumps({"data": {"id": "1001", "text": "a text"}}).encode()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def tls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ssl.SSLContext:
    """A server's, whose certificate the client trusts."""
    file = certificate(tmp_path / "localhost.pem")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(file))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(file)
    return context


def x_at(url: str, timeout: tuple[float, float] = TIMEOUT) -> X:
    x = X(secret, url, timeout=timeout)
    x.connect()
    return x


def answer(body: bytes) -> bytes:
    return HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body


def in_time(call: Callable[[], Any]) -> Any:
    started = time.monotonic()
    result = call()
    assert time.monotonic() - started < LATE
    return result


def given_up(server: Slow, url: str = "", timeout: tuple[float, float] = TIMEOUT) -> None:
    """A post and a reading both end in time, and end their connections, so that nothing can follow."""
    x = x_at(url or server.url, timeout)
    assert isinstance(in_time(lambda: x.post("a text")), Unknown)
    server.settle()
    reading = in_time(lambda: x.did_post("a text"))
    assert isinstance(reading, CannotTell) and reading.kind == "later"
    server.settle()
    assert server.connections == 2, "a request is repeated"


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        pytest.param(b"HTTP/1.1 201 ", b"a", id="a status line"),
        pytest.param(HEAD + b"x: ", b"a", id="a header"),
        pytest.param(HEAD, b"x: y\r\n", id="headers"),
        pytest.param(b"", b"HTTP/1.1 100 Continue\r\n\r\n", id="interim answers"),
        pytest.param(HEAD + b"Content-Length: 100000\r\n\r\n", b" ", id="a body"),
        pytest.param(HEAD + b"\r\n", b" ", id="a body of no length"),
        pytest.param(CHUNKED, b"1\r\n \r\n", id="chunks"),
        pytest.param(CHUNKED, b"0", id="the size of a chunk"),
        pytest.param(CHUNKED + b"2\r\n{}\r\n0\r\n", b"x: y\r\n", id="trailers"),
        pytest.param(b"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n", b" ", id="a redirection"),
    ],
)
def test_what_comes_a_piece_at_a_time_is_given_up(start: bytes, piece: bytes) -> None:
    with slow(lambda _: trickle(start, piece)) as server:
        given_up(server)
        assert [request.split()[0] for request in server.requests] == ["POST", "GET"]


@pytest.mark.parametrize("timeout", [TIMEOUT, (60.0, 0.3)], ids=["silence", "longer than a piece may take"])
def test_silence_is_given_up(timeout: tuple[float, float]) -> None:
    with slow(lambda _: iter(())) as server:
        given_up(server, timeout=timeout)


def test_silence_takes_no_longer_than_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(deadline, "now", lambda: clock[0])

    def late(_: str) -> Iterator[bytes]:
        clock[0] += 119.8
        yield HEAD

    with slow(late) as server:
        assert isinstance(in_time(partial(x_at(server.url, (60.0, 60.0)).post, "a text")), Unknown)


@pytest.mark.parametrize("status", [b"201 Created", b"302 Found\r\nLocation: /"])
def test_an_endless_answer_is_not_read_to_its_end(status: bytes) -> None:
    def endless(_: str) -> Iterator[bytes]:
        yield b"HTTP/1.1 " + status + b"\r\n\r\n"
        while True:
            yield b" " * 65536

    with slow(endless) as server:
        assert isinstance(in_time(partial(x_at(server.url, (60.0, 60.0)).post, "a text")), Unknown)
        server.settle()
        # What fits in the two sockets comes on top: up to 6 MB and 4 MB.
        assert server.sent < 16 * MAX_BODY


def test_a_post_over_tls(tls: ssl.SSLContext) -> None:
    with slow(lambda _: iter([answer(POSTED)]), partial(tls.wrap_socket, server_side=True)) as server:
        assert x_at(server.url, (5.0, 5.0)).post("a text") == Posted("1001")


def test_headers_that_trickle_over_tls(tls: ssl.SSLContext) -> None:
    with slow(lambda _: trickle(HEAD + b"x: ", b"a"), partial(tls.wrap_socket, server_side=True)) as server:
        given_up(server)
        assert len(server.requests) == 2


def test_a_tls_record_that_trickles(tls: ssl.SSLContext) -> None:
    with slow(lambda _: iter([answer(b" " * 10000)]), partial(Bytewise, tls)) as server:
        given_up(server)
        assert len(server.requests) == 2


def test_a_tls_handshake_that_trickles() -> None:
    def shake(connection: socket.socket) -> socket.socket:
        connection.recv(65536)
        for piece in trickle(b"\x16\x03\x03\x40\x00", b"\x00"):  # a record of 16 KiB begins
            connection.sendall(piece)
        return connection

    with slow(lambda _: iter(()), shake) as server:
        given_up(server)
        assert server.requests == []


def test_a_proxy_whose_answer_trickles(monkeypatch: pytest.MonkeyPatch) -> None:
    with slow(lambda _: trickle(b"HTTP/1.1 200 OK\r\n", b"x: y\r\n")) as server:
        monkeypatch.setenv("HTTPS_PROXY", server.url)
        given_up(server, "https://x.test")
        assert all(request.startswith("CONNECT x.test:443") for request in server.requests)


@pytest.mark.parametrize("scheme", ["https", "socks5"])
def test_a_proxy_that_cannot_be_given_a_deadline_is_not_used(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    with slow(lambda _: iter([answer(POSTED)])) as server:
        monkeypatch.setenv("HTTP_PROXY", server.url.replace("http", scheme))
        assert x_at(server.url).post("a text") == Unknown("InvalidSchema")
        assert server.connections == 0


@contextmanager
def unanswered() -> Iterator[Any]:
    """An address that does not answer, as getaddrinfo says it: its queue is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, socket.socket() as first:
        first.connect(listener.getsockname())
        yield (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", listener.getsockname())


def test_addresses_that_do_not_answer_are_tried_in_time_together(monkeypatch: pytest.MonkeyPatch) -> None:
    with unanswered() as address:
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_: [address] * 600)  # a minute, one after the other
        assert in_time(partial(x_at("http://x.test").post, "a text")) == Unknown("ConnectTimeout")


def test_an_address_that_does_not_answer_leaves_time_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    with unanswered() as address, slow(lambda _: iter([answer(POSTED)])) as server:
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_: [address, (*address[:4], server.address)])
        assert x_at("http://x.test", (0.1, 5.0)).post("a text") == Posted("1001")


def test_a_name_that_is_found_too_late_is_sent_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    look_up = socket.getaddrinfo

    def late(*args: Any) -> Any:
        time.sleep(2 * SECONDS)
        return look_up(*args)

    monkeypatch.setattr(socket, "getaddrinfo", late)
    with slow(lambda _: iter([answer(POSTED)])) as server:
        assert isinstance(in_time(partial(x_at(server.url).post, "a text")), Unknown)
        server.settle()
        assert server.connections == 0


def test_wherever_the_time_ends_nothing_is_sent_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock is looked at before each step. Here the time is over at the second look, at the third, and so on."""
    clock: Iterator[float]
    sent: list[int] = []
    monkeypatch.setattr(deadline, "now", lambda: next(clock))
    with slow(lambda _: iter([answer(POSTED)])) as server:
        while True:
            clock = iter([0.0] * (1 + len(sent)) + [1000.0] * 100)
            before = len(server.requests)
            result = x_at(server.url.replace("localhost", "127.0.0.1"), (5.0, 5.0)).post("a text")
            if result == Posted("1001"):
                break
            assert isinstance(result, Unknown)
            server.settle()
            sent.append(len(server.requests) - before)
    # Before it is connected, shakes hands, has sent the headers and then the body, no request is complete; then it is,
    # and X may have posted the text.
    assert sent == sorted(sent) and sent.count(0) == 4 and sent.count(1) >= 1


def test_what_the_kernel_has_not_sent_is_thrown_away() -> None:
    """A text that the two sockets cannot hold: X takes nothing until the call is over, and all it can get then."""
    text = "a" * (16 * MAX_BODY)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        x = x_at(f"http://127.0.0.1:{listener.getsockname()[1]}", (0.5, 0.5))
        assert isinstance(x.post(text), Unknown)
        connection, received = listener.accept()[0], 0
        with connection, pytest.raises(ConnectionResetError):
            while data := connection.recv(MAX_BODY):
                received += len(data)
        assert 0 < received < len(text)


@pytest.mark.parametrize(("share", "expected"), [(0.3, NotFound), (0.6, CannotTell)])
def test_both_readings_share_one_deadline(monkeypatch: pytest.MonkeyPatch, share: float, expected: type) -> None:
    """Each takes a share of it by the clock, before an answer too long to be received at once."""
    clock = [0.0]
    monkeypatch.setattr(deadline, "now", lambda: clock[0])

    def read_slowly(request: str) -> Iterator[bytes]:
        clock[0] += share * 10.0
        me = {"data": {"id": "7", "name": "bot", "username": "bot"}}
        found = me if "/users/me" in request else {"meta": {"result_count": 0}}
        yield answer(json.dumps(found).encode() + b" " * 50_000)

    with slow(read_slowly) as server:
        assert isinstance(x_at(server.url, (5.0, 5.0)).did_post("a text"), expected)
        assert (len(server.requests), server.connections) == (2, 1)


def test_a_connection_whose_answer_was_late_serves_no_other_call() -> None:
    def late(request: str) -> Iterator[bytes]:
        text = json.loads(request.partition("\r\n\r\n")[2])["text"]
        if text == "one":
            time.sleep(3.0)
        yield answer(json.dumps({"data": {"id": {"one": "1", "two": "2"}[text], "text": text}}).encode())

    with slow(late) as server:
        x = x_at(server.url, (1.0, 1.0))
        assert isinstance(x.post("one"), Unknown)
        assert x.post("two") == Posted("2")
        assert server.connections == 2


def test_two_threads_have_a_deadline_each() -> None:
    """A patient one is in the middle of its answer when a hasty one begins, and when that gives up."""

    def slowly(_: str) -> Iterator[bytes]:
        yield answer(POSTED)[:-30]
        for byte in answer(POSTED)[-30:]:
            time.sleep(PACE)
            yield bytes([byte])

    with slow(slowly) as server, ThreadPoolExecutor(2) as pool:
        patient = pool.submit(x_at(server.url, (5.0, 5.0)).post, "a text")
        time.sleep(5 * PACE)
        hasty = pool.submit(in_time, partial(x_at(server.url).post, "a text"))
        assert isinstance(hasty.result(), Unknown) and patient.result() == Posted("1001")
