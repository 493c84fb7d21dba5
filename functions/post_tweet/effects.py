"""What the posting protocol asks of the world, a request a step, and what it is sent back. Nothing else.

Every request is one call of the store, of X or of the clock, so a fault can be put before and after each.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from post_tweet.state import State


@dataclass(frozen=True)
class Load:
    """→ State."""


@dataclass(frozen=True)
class Connect:
    """→ nothing; X's keys have been read."""


@dataclass(frozen=True)
class Save:
    """→ True, or False: the state is not what was read any more. It may be our own write: read again."""

    state: State


@dataclass(frozen=True)
class Read:
    """→ the record of text `index`."""

    index: int


@dataclass(frozen=True)
class Publish:
    """→ Posted | Refused | Unknown."""

    text: str


@dataclass(frozen=True)
class Ask:
    """→ Found | NotFound | CannotTell: is `text` among the account's latest posts?"""

    text: str
    since: datetime
    """Nothing older can be this post; a page that does not reach back so far tells nothing."""


@dataclass(frozen=True)
class Note:
    """→ nothing; writes the record of a post."""

    index: int
    record: dict[str, Any]
    sure: bool
    """Who has made the post writes over what is there. Who has only heard of it may be late, and does not."""


@dataclass(frozen=True)
class Warn:
    """→ nothing; a person should read this."""

    message: str
    about: str = ""
    """"refused" or "abandoned": what the metrics count."""


@dataclass(frozen=True)
class Now:
    """→ datetime, UTC."""


Request = Load | Connect | Save | Read | Publish | Ask | Note | Warn | Now
Steps = Generator[Request, Any, dict[str, Any]]


@dataclass(frozen=True)
class Call:
    """One invocation."""

    slot: str
    owner: str
    """Unique to this invocation."""
    lease: timedelta
    dry_run: bool = False
    until: datetime | None = None
    """When this invocation is ended from outside; None: never."""


def index_of(request: Request, before: int | None) -> int | None:
    """The number of the text that a request is about; `before` is the last one's."""
    match request:
        case Read(index) | Note(index):
            return index
        case Save(state) if state.claim:
            return state.claim.index
    return before
