"""The effects that the posting protocol may ask for, and what it is sent back for each. Nothing else.

Each is one call of the store, of the place or of the clock, so a fault can be put before and after it.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from post_tweet.errors import Metric
from post_tweet.place import Rules
from post_tweet.state import PostRecord, State


@dataclass(frozen=True)
class Load:
    """→ State."""


@dataclass(frozen=True)
class Connect:
    """→ the id of the account that posts, or None: the credentials do not tell it. They have been read."""


@dataclass(frozen=True)
class Save:
    """→ True, or False: the state is no longer what was read. The write may be our own: read again."""

    state: State


@dataclass(frozen=True)
class Read:
    """→ the Text number `index`."""

    index: int


@dataclass(frozen=True)
class Recorded:
    """→ the PostRecord of text number `index` that stands in posts/, or None: there is none."""

    index: int
    since: datetime
    until: datetime
    """When it can have been written."""


@dataclass(frozen=True)
class Publish:
    """→ Posted | Refused | Unknown."""

    text: str


@dataclass(frozen=True)
class Ask:
    """→ Found | NotFound | CannotTell: is `text` among the account's latest posts?"""

    text: str
    since: datetime
    """Nothing older can be this post; a page that does not reach back this far proves nothing."""


@dataclass(frozen=True)
class Note:
    """→ True, or False: a record of this text stands that says something else, and stays as it is."""

    record: PostRecord


@dataclass(frozen=True)
class Warn:
    """→ nothing; a person should read this."""

    message: str
    metric: Metric | None = None
    """What it counts."""


@dataclass(frozen=True)
class Now:
    """→ datetime, UTC."""


Effect = Load | Connect | Save | Read | Recorded | Publish | Ask | Note | Warn | Now


@dataclass(frozen=True)
class Call:
    """One invocation."""

    slot: str
    owner: str
    """Unique to this invocation."""
    lease: timedelta
    place: Rules
    dry_run: bool = False
    until: datetime | None = None
    """When this invocation is killed; None: never."""


Kind = Literal["posted", "already-settled", "dry-run", "paused"]


@dataclass(frozen=True)
class Outcome:
    """How a call ended that raised nothing; as JSON it is the function's answer."""

    outcome: Kind
    slot: str
    index: int | None
    tweet_id: str | None
    text: str | None
    remaining: int
    """Texts left in the pool."""


Effects = Generator[Effect, Any, Outcome]


def index_of(effect: Effect, before: int | None) -> int | None:
    """The number of the text that an effect is about; `before` is the last one's."""
    match effect:
        case Read(index) | Recorded(index):
            return index
        case Note(record):
            return record.index
        case Save(state) if state.claim:
            return state.claim.index
    return before
