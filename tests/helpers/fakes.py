"""The world in memory: a store, and an X that really refuses duplicates."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from post_tweet.place import CannotTell, Found, NotFound, Posted, Refused, Unknown
from post_tweet.pool import Pool
from post_tweet.store import Conflict, Missing
from post_tweet.x import X


class Crash(BaseException):
    """The function is gone, mid-call."""


class MemoryStore:
    url = "memory"

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.requests = 0
        self.before: dict[str, Callable[[], None]] = {}
        self.after: dict[str, Callable[[], None]] = {}
        """What happens, once, before and after this key is written by compare-and-swap: a rival's write, a crash, …"""

    def get(self, key: str) -> tuple[bytes, str]:
        self.requests += 1
        if key not in self.objects:
            raise Missing(key)
        return self.objects[key], hashlib.sha256(self.objects[key]).hexdigest()

    def get_range(self, key: str, start: int, length: int) -> bytes:
        return self.get(key)[0][start : start + length]

    def has(self, key: str) -> bool:
        self.requests += 1
        return key in self.objects

    def put_if(self, key: str, data: bytes, etag: str | None) -> str:
        self.requests += 1
        self.before.pop(key, lambda: None)()
        now = hashlib.sha256(self.objects[key]).hexdigest() if key in self.objects else None
        if now != etag:
            raise Conflict(key)
        self.objects[key] = data
        self.after.pop(key, lambda: None)()
        return hashlib.sha256(data).hexdigest()

    def put(self, key: str, data: bytes) -> None:
        self.requests += 1
        self.objects[key] = data

    def list(self, prefix: str) -> list[str]:
        return sorted(key for key in self.objects if key.startswith(prefix))

    def upload(self, path: Path, key: str) -> None:
        self.put(key, path.read_bytes())

    def download(self, key: str, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.get(key)[0])


class LikeX:
    """X's rules and promise, for a stand-in that needs no credentials."""

    name, promise, problems, length = X.name, X.promise, X.problems, X.length

    account: str | None = None

    def connect(self) -> str | None:
        return self.account


@dataclass
class MemoryX(LikeX):
    """`answers` scripts the next posts; without one a post is published, or refused as a duplicate if X `refuses`."""

    published: list[str] = field(default_factory=list)
    answers: list[Any] = field(default_factory=list)
    readable: bool = True
    refuses: bool = True
    asked: int = 0

    def post(self, text: str) -> Posted | Refused | Unknown:
        if self.answers:
            answer: Posted | Refused | Unknown = self.answers.pop(0)
            return answer
        if self.refuses and text in self.published:
            return Refused("text", "duplicate", "it is a duplicate")
        self.published.append(text)
        return Posted(str(len(self.published)))

    def did_post(self, text: str, since: datetime | None = None) -> Found | NotFound | CannotTell:
        self.asked += 1
        if not self.readable:
            return CannotTell("not allowed")
        return Found(str(self.published.index(text) + 1)) if text in self.published[-5:] else NotFound()


def refill(pool: Pool, start: int, lost: bool = False) -> Callable[[], None]:
    """Five texts from another process, for MemoryStore's `before` and `after`; `lost`: then a conflict is answered."""

    def append() -> None:
        pool.append(records(5, start), "another")
        if lost:
            raise Conflict

    return append


def records(count: int, start: int = 0) -> list[dict[str, Any]]:
    """Pool records with different texts."""
    return [
        {
            "id": f"{n:016x}",
            "text": f"the saying of the day {'abcdefghij'[n % 10]} {'x' * (n // 10 + 1)}.",
            "score": -2.0,
            "nearest": "",
            "nearest_ratio": 0.0,
        }
        for n in range(start, start + count)
    ]
