"""The pool's state: what state.json holds, and what can be read off it. Pure.

Flows in: the bytes of state.json. Flows out: a State, frozen; every change makes a new one.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
from dataclasses import dataclass
from datetime import datetime, timedelta

from post_tweet.errors import PoolBroken

FORMAT = 2
"""The newest format that this version knows. 2 knows `paused`; a state that is not paused is still written as 1,
so that a function deployed earlier goes on reading the pool until somebody pauses it: it would drop what it does
not know."""
RECENT = 64
"""Posted texts that the state remembers."""


@dataclass(frozen=True)
class Batch:
    id: str
    count: int
    record_bytes: int
    sha256: str
    created: str
    run: str

    @property
    def key(self) -> str:
        return f"batches/{self.id}.jsonl"


@dataclass(frozen=True)
class Claim:
    slot: str
    owner: str
    index: int
    text: str
    since: str
    """Start of the present lease."""
    first: str
    """First attempt to post this text: X's own duplicate check is trusted for 6 hours from here."""
    attempts: int = 1


@dataclass(frozen=True)
class Settled:
    slot: str
    index: int
    outcome: str
    """posted, refused or abandoned."""
    tweet_id: str | None
    time: str
    reason: str | None = None
    """Why it was not posted."""


@dataclass(frozen=True)
class State:
    seq: int = 0
    writer: str = ""
    """Who wrote this: how a writer knows its own write again after a conflict."""
    batches: tuple[Batch, ...] = ()
    next: int = 0
    claim: Claim | None = None
    recent: tuple[Settled, ...] = ()
    withdrawn: tuple[int, ...] = ()
    paused: str | None = None
    """Since when the owner wants nothing posted; None: the pool is open."""

    @property
    def total(self) -> int:
        return sum(batch.count for batch in self.batches)

    @property
    def remaining(self) -> int:
        return self.total - self.next - sum(1 for index in self.withdrawn if index >= self.next)

    @property
    def days_left(self) -> float:
        """How long the remaining texts last at the pace of the recent ones."""
        return self.remaining / texts_a_day(self.recent)

    def dump(self) -> bytes:
        values = {"format": FORMAT, **dataclasses.asdict(self)}
        if self.paused is None:
            values["format"] = 1
            del values["paused"]
        return (json.dumps(values, ensure_ascii=False, indent=1) + "\n").encode()

    @classmethod
    def parse(cls, data: bytes, where: str) -> State:
        """Raises PoolBroken for anything but a state of this version or an older one."""
        try:
            raw = json.loads(data)
            version = raw.pop("format")
            if version > FORMAT:
                raise PoolBroken(
                    f"{where} was written by a newer version (format {version}, this one knows "
                    f"{FORMAT}); update deepproverbs here."
                )
            state = cls(
                seq=int(raw["seq"]),
                writer=str(raw["writer"]),
                next=int(raw["next"]),
                batches=tuple(Batch(**batch) for batch in raw["batches"]),
                claim=Claim(**{k: v for k, v in raw["claim"].items() if k != "released"}) if raw["claim"] else None,
                recent=tuple(Settled(**entry) for entry in raw["recent"]),
                withdrawn=tuple(int(index) for index in raw["withdrawn"]),
                paused=raw.get("paused"),
            )
            if unknown := raw.keys() - {field.name for field in dataclasses.fields(cls)}:
                raise ValueError(f"unknown: {', '.join(sorted(unknown))}")
            if not 0 <= state.next <= state.total or any(b.count < 1 or b.record_bytes < 3 for b in state.batches):
                raise ValueError(f"next is {state.next} of {state.total} texts")
            return state
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise PoolBroken(
                f"{where} is no pool state ({type(error).__name__}: {error}); restore its last good "
                "version, nothing was changed."
            ) from error


def texts_a_day(recent: tuple[Settled, ...]) -> float:
    """The pace at which texts are used up, from the times of the recent ones, whatever became of them.

    The longest wait between two is left out where there are three or more: it may have been a pause. With fewer
    than 8 waits the span counts as a day at least, so that three posts by hand in a minute do not empty the pool
    by arithmetic; with fewer than 2 one text a day is assumed.
    """
    times = sorted(datetime.fromisoformat(entry.time) for entry in recent)
    waits = sorted(later - earlier for earlier, later in itertools.pairwise(times))
    if len(waits) < 2:
        return 1.0
    if len(waits) > 2:
        waits.pop()
    least = timedelta(days=1) if len(waits) < 7 else timedelta(minutes=1)
    return len(waits) / (max(sum(waits, timedelta()), least) / timedelta(days=1))
