"""X on loopback: checks the OAuth 1.0a signature by its own arithmetic, refuses duplicates, keeps what
was published, and answers as scripted: `with loopback_x() as x: x.script(status=503)`."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from post_tweet.place import Secret

from tests.helpers.loopback import Quiet, served

KEYS = {
    "consumer_key": "ck-test",
    "consumer_secret": "cs-secret-1",
    "access_token": "at-test",
    "access_token_secret": "ats-secret-2",
}


@dataclass
class Answer:
    status: int = 201
    body: str | bytes | None = None
    """None: what X would say."""
    headers: dict[str, str] = field(default_factory=dict)
    publish: bool = False
    """Publish the text, whatever the answer says: the lost answer."""
    drop: bool = False
    """Close the connection without an answer."""
    wait: float = 0.0
    trickle: float = 0.0
    """Seconds between two bytes of the body."""
    chunked: bool = False


class LoopbackX:
    def __init__(self) -> None:
        self.published: list[str] = []
        self.requests: list[str] = []
        self.answers: list[Answer] = []
        self.readable = True
        self.reading = 0
        """A status that every reading is answered with."""
        self.refuses = True
        """Whether X turns down a text that it has published; where it does not, each double is in `published`."""
        self.duplicates = 0
        self.received: Callable[[], None] = lambda: None
        """Called for each post before it is published."""
        self.lock = threading.Lock()
        self.url = ""
        self.time = "2026-01-01T12:00:00.000Z"
        """When everything was published."""
        self.shows: Callable[[str], tuple[str, list[dict[str, Any]]]] = lambda text: (text, [])
        """What X makes of a text that was posted: its copy, and the links in that."""
        self.pages: list[Answer] = []
        """Scripted answers to the next readings."""
        self.credentials = dict(KEYS)

    def script(self, **answer: Any) -> None:
        """Answer the next POST like this."""
        self.answers.append(Answer(**answer))

    @property
    def twitter_json(self) -> str:
        return json.dumps(self.credentials)


def secret(**keys: str) -> Secret:
    return Secret(json.dumps({**KEYS, **keys}), "twitter.json")


def signature_is_right(method: str, url: str, header: str) -> bool:
    """RFC 5849, section 3.4, written out: not the library that made the signature."""
    pairs = dict(part.strip().split("=", 1) for part in header.removeprefix("OAuth ").split(","))
    oauth = {name: unquote(value.strip('"')) for name, value in pairs.items()}
    given = oauth.pop("oauth_signature", "")
    parts = urlsplit(url)
    parameters = sorted(
        (quote(k, safe="~"), quote(v, safe="~"))
        for k, v in [*((k, v) for k, v in oauth.items() if k != "realm"), *parse_qsl(parts.query)]
    )
    joined = "&".join(f"{k}={v}" for k, v in parameters)
    base = "&".join(quote(part, safe="~") for part in (method, f"{parts.scheme}://{parts.netloc}{parts.path}", joined))
    key = f"{KEYS['consumer_secret']}&{KEYS['access_token_secret']}".encode()
    right = base64.b64encode(hmac.new(key, base.encode(), hashlib.sha1).digest()).decode()
    return oauth.get("oauth_consumer_key") == KEYS["consumer_key"] and hmac.compare_digest(given, right)


@contextmanager
def loopback_x(in_turn: bool = False) -> Iterator[LoopbackX]:
    """`in_turn`: a request is handled before any that comes after it, whatever became of its sender."""
    x = LoopbackX()

    class Handler(Quiet):
        def reply(self, status: int, body: str | bytes, headers: dict[str, str] | None = None) -> None:
            data = body.encode() if isinstance(body, str) else body
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def signed(self) -> bool:
            x.requests.append(f"{self.command} {self.path}")
            if signature_is_right(self.command, x.url + self.path, self.headers.get("Authorization", "")):
                return True
            self.reply(401, json.dumps({"title": "Unauthorized", "status": 401, "detail": "Unauthorized"}))
            return False

        def do_POST(self) -> None:
            number = 0
            text = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["text"]
            if not self.signed():
                return
            answer = x.answers.pop(0) if x.answers else Answer(publish=True)
            time.sleep(answer.wait)
            x.received()
            with x.lock:
                duplicate = answer.publish and x.refuses and text in x.published
                if answer.publish and not duplicate:
                    x.published.append(text)
                    number = len(x.published)
            if duplicate:
                x.duplicates += 1
                detail = "You are not allowed to create a Tweet with duplicate content."
                self.reply(403, json.dumps({"detail": detail, "title": "Forbidden", "type": "about:blank"}))
                return
            if answer.drop:
                self.connection.close()
                return
            usual = json.dumps({"data": {"id": str(1000 + number), "text": text}})
            if answer.trickle or answer.chunked:
                self.in_pieces(answer, usual.encode())
            else:
                self.reply(answer.status, usual if answer.body is None else answer.body, answer.headers)

        def in_pieces(self, answer: Answer, data: bytes) -> None:
            self.protocol_version = "HTTP/1.1"
            self.send_response(answer.status)
            self.send_header("Connection", "close")
            if answer.chunked:
                self.send_header("Transfer-Encoding", "chunked")
            else:
                self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            for byte in (data[n : n + 1] for n in range(len(data))):
                self.wfile.write(b"1\r\n" + byte + b"\r\n" if answer.chunked else byte)
                time.sleep(answer.trickle)
            self.wfile.write(b"0\r\n\r\n" if answer.chunked else b"")

        def do_GET(self) -> None:
            if not self.signed():
                return
            if x.pages:
                page = x.pages.pop(0)
                self.reply(page.status, page.body or b"", page.headers)
            elif x.reading:
                self.reply(x.reading, "{}")
            elif not x.readable:
                self.reply(403, json.dumps({"title": "Forbidden", "status": 403, "detail": "no reading here"}))
            elif self.path.startswith("/2/users/me"):
                self.reply(200, json.dumps({"data": {"id": "7", "name": "bot", "username": "bot"}}))
            else:
                latest = [self.shown(number, text) for number, text in enumerate(x.published, 1001)][:-6:-1]
                found = {"data": latest} if latest else {}
                self.reply(200, json.dumps({**found, "meta": {"result_count": len(latest)}}))

        def shown(self, number: int, text: str) -> dict[str, Any]:
            copy, links = x.shows(text)
            asked = parse_qsl(urlsplit(self.path).query)
            entities = {"entities": {"urls": links}} if links and any("entities" in value for _, value in asked) else {}
            id = str(number)
            return {"id": id, "text": copy, "created_at": x.time, "edit_history_tweet_ids": [id], **entities}

    with served(Handler, in_turn) as address:
        x.url = f"http://{address}"
        yield x
