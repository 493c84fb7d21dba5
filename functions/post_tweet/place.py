"""The interface of a place to post: what it must be able to do, and what its answers can be.

A place is one class in a file of its own (x.py is the first) and one line in app.PLACES. A text is posted once in a
bot's life, so for a place that takes an idempotency key, the text yields one.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, Protocol

CLOCK_TOLERANCE = timedelta(minutes=5)
"""How far a place's clock and ours may be apart."""


@dataclass(frozen=True)
class Posted:
    tweet_id: str


@dataclass(frozen=True)
class Refused:
    """The place said no, for sure: this call posted nothing."""

    scope: Literal["text", "account"]
    reason: str
    """Of a text: "duplicate" (an earlier call has posted it), or why no call ever will; of an account: "keys", …"""
    sentence: str
    """What has happened and, of an account, what its operator must do."""


@dataclass(frozen=True)
class Unknown:
    """The post may exist."""

    reason: str


@dataclass(frozen=True)
class Found:
    tweet_id: str
    created: datetime | None = None


@dataclass(frozen=True)
class NotFound:
    pass


@dataclass(frozen=True)
class CannotTell:
    reason: str
    kind: Literal["never", "later", "keys"] = "never"
    """never: reading is not allowed, or newer posts hide it; later: this attempt failed; keys: the place does not know
    us, and `reason` is the sentence that says what to do."""


@dataclass(frozen=True)
class Promise:
    """What a place promises about repeats and readings: a lost answer is settled by it (lost_answer.py)."""

    repeats_refused_for: timedelta | None
    """For this long after a post the same text is refused as a duplicate: posting it again does no harm, and the
    refusal shows that the first post was made. None: the place publishes every repeat; timedelta.max: it never does."""
    shown_within: timedelta
    """By this long after a call has ended its post is found; a text that is not found then was not posted."""


class Rules(Protocol):
    """What is known of a place without asking it. Pure: this half is all that the protocol sees."""

    name: str
    """As in sentences; in lower case it is the place's key in app.PLACES and in the names of its files."""
    promise: Promise

    def problems(self, text: str, allow: Collection[str] = ()) -> str | None:
        """Why the place would not take `text`, or None. The reason continues "the text …": "weighs 290 of 280".

        `allow`: what the text's owner permits, of link, mention, hashtag, cashtag.
        """

    def length(self, text: str) -> int:
        """As the place counts."""


class Place(Rules, Protocol):
    """Every answer is a value: an unforeseen one is Unknown or CannotTell, because the post may exist. Only what
    `connect` raises, `post` and `did_post` may raise too, before they send anything.

    A call returns within 18.05 s, and nothing of its request is sent after that: the lease, Lambda's time-out and
    protocol.POST_TIME are made for it. None is retried by itself.
    """

    def connect(self) -> str | None:
        """Read the credentials, if that has not been done. Sends nothing to the place.

        Returns the id of the account that they belong to, or None if they do not tell it.

        Raises:
            Account, BadInput: they are missing or malformed.
        """

    def post(self, text: str) -> Posted | Refused | Unknown: ...

    def did_post(self, text: str, since: datetime | None = None) -> Found | NotFound | CannotTell:
        """Has the account posted `text` since the time of the first attempt?"""


@dataclass(frozen=True)
class Secret:
    """Credentials as they are stored, and where, for errors."""

    text: str = field(repr=False)
    where: str
    keep: str = "store it with `make secrets`"
    """What to do with a new token; as in AWS, and `again` too."""
    again: str = "the next slot tries again"
    """Who tries again."""
