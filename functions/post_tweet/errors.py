"""What a person or a retry must see. Every message is one sentence that says what to do.

PostError                  nothing was lost; the message says what to do
├── Busy                   another invocation is at work: retry after its lease
├── Undecided              the place's answer was lost: the retry settles it
├── Abandoned              nobody can tell whether this slot has posted: a person may look
├── TooLate                the slot is older than the pool's memory: it may have been posted
├── WrongClock             a claim from the future: a clock must be set
├── Account                the place refuses the account (keys, credits, cap, rate): the operator must act
├── EmptyPool              no text is left: fill the pool
├── PoolBroken             a pool file is unreadable, altered or of a newer version
├── Unreachable            the store cannot be used: bucket, permission, network, disk
└── BadInput               wrong event, pool address or credentials
"""

from __future__ import annotations

from typing import ClassVar, Literal

Metric = Literal["Posted", "Refused", "Unknown", "Failed", "Paused", "S3Requests"]
"""What telemetry counts."""


class PostError(Exception):
    exit_code = 1
    metric: ClassVar[Metric | None] = "Failed"
    """What a call that ends with this error counts."""
    claimed = False
    """The call had begun to write a claim, which may stay: to go on with its text and no other, name the same slot."""


class Busy(PostError):
    metric = None  # the other call does the work


class Undecided(PostError):
    metric = "Unknown"


class Abandoned(PostError):
    pass


class TooLate(PostError):
    pass


class WrongClock(PostError):
    pass


class Account(PostError):
    """`reason` is that of place.Refused: keys, credits, rate-limit, …"""

    metric = "Refused"

    def __init__(self, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason


class EmptyPool(PostError):
    pass


class PoolBroken(PostError):
    pass


class Unreachable(PostError):
    pass


class BadInput(PostError):
    exit_code = 2


class Missing(Exception):
    """There is no object of that name."""


class Conflict(Exception):
    """The object is no longer what the writer had read. The write may still be its own: read again."""
