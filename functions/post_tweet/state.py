"""The pool's state: what state.json holds, and what follows from it. Pure.

Flows in: the bytes of state.json. Flows out: a State, frozen; every change makes a new one.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from post_tweet.checks import MOST, check_kinds, checksum, read_object, said, sign, unsign
from post_tweet.errors import PoolBroken
from post_tweet.numbers import NONE, Numbers

FORMAT = 5
"""The newest format that this version knows: 2 has `paused`, 3 `others` and `forgotten`, 4 `withdrawn` as ranges, 5
`account`. A state is written in the oldest that can express it, so that an older function can read the pool as long as
it loses nothing."""
LISTED = 1000
"""Withdrawn texts that are listed one by one, as older versions read them: 10 kB. More are written as ranges, or a
batch of 100,000 that is taken out would add a megabyte to every read and write of the state."""
RECENT = 64
"""Posted texts that the state remembers."""


class NewerVersion(PoolBroken):
    """The state says what this version does not know."""


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
    """First attempt to post this text: from here on, for so long as it promises, the place refuses a duplicate."""
    attempts: int = 1
    others: tuple[str, ...] = ()
    """Slots that may have posted this text before `slot` did."""

    @property
    def slots(self) -> tuple[str, ...]:
        return (*self.others, self.slot)


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
    others: tuple[str, ...] = ()
    """Slots that may have posted it instead of `slot`: one of them did."""

    @property
    def slots(self) -> tuple[str, ...]:
        return (*self.others, self.slot)


@dataclass(frozen=True)
class Text:
    """A text of the pool."""

    text: str
    allow: frozenset[str] = frozenset()
    """What its owner permits in it, of link, mention, hashtag, cashtag."""


@dataclass(frozen=True)
class PostRecord:
    """What posts/<YYYY>/<index>.json says of a post."""

    index: int
    slot: str | None
    """None: written by a call that found the post. For which slot it counts is for the state to say."""
    text: str
    tweet_id: str | None
    time: str
    outcome: str = "posted"
    """Or abandoned: the text may have been posted, and nobody can tell."""

    def completes(self, standing: PostRecord) -> bool:
        """Does this say more than the record that stands, and nothing else?"""
        if self.text != standing.text or standing.slot:
            return False
        return bool(self.slot) or (standing.outcome, self.outcome) == ("abandoned", "posted")

    def agrees(self, standing: PostRecord) -> bool:
        """Do both tell of the same post?"""
        post = self.slot, self.tweet_id
        return self.text == standing.text and (not self.slot or post == (standing.slot, standing.tweet_id))

    def dump(self) -> bytes:
        values = dataclasses.asdict(self)
        if self.outcome == "posted":
            del values["outcome"]  # as every version writes it
        return (json.dumps({**values, "check": checksum(values, "")}, ensure_ascii=False) + "\n").encode()

    @classmethod
    def parse(cls, data: bytes, where: str) -> PostRecord:
        """Raises PoolBroken: it is no record of a post, or a damaged one. Older versions wrote no checksum."""
        try:
            values = read_object(data)
            found = values.pop("check", None)
            if found is not None and found != checksum(values, ""):
                raise ValueError("its checksum differs")
            record = cls(**values)
            check_kinds(record)
            if not in_time(record.time) or record.outcome not in ("posted", "abandoned"):
                raise ValueError("no such time or outcome")
            return record
        except (ValueError, TypeError) as error:
            raise PoolBroken(
                f"{where} is not a record of a post ({said(error)}); `deepproverbs pool repair` writes it anew."
            ) from error


@dataclass(frozen=True)
class State:
    seq: int = 0
    writer: str = ""
    """Who wrote this: how a writer knows its own write again after a conflict."""
    batches: tuple[Batch, ...] = ()
    next: int = 0
    claim: Claim | None = None
    recent: tuple[Settled, ...] = ()
    withdrawn: Numbers = NONE
    paused: str | None = None
    """Since when the owner wants nothing posted; None: the pool is open."""
    forgotten: str | None = None
    """Until when slots were due whose posts `recent` has dropped; None: it has dropped none."""
    account: str | None = None
    """Id of the place's account that posts from this pool, and the only one that may; None: it is not known yet."""

    @property
    def total(self) -> int:
        return sum(batch.count for batch in self.batches)

    @property
    def remaining(self) -> int:
        return self.total - self.next - len(self.withdrawn.within(self.next, self.total))

    @property
    def days_left(self) -> float:
        """How long the remaining texts last at the pace of the recent ones."""
        return self.remaining / texts_a_day(self.recent)

    @property
    def times(self) -> list[str]:
        """All that decisions depend on."""
        claimed = [self.claim.since, self.claim.first] if self.claim else []
        return [
            *(batch.created for batch in self.batches),
            *claimed,
            *(entry.time for entry in self.recent),
            *filter(None, [self.forgotten]),
        ]

    def dump(self, name: str = "") -> bytes:
        """`name`: of the object that it is written to, and alone read from."""
        values = {"format": 1, **dataclasses.asdict(replace(self, withdrawn=NONE))}
        many = len(self.withdrawn) > LISTED
        values["withdrawn"] = str(self.withdrawn) if many else [*self.withdrawn]
        entries = [*values["recent"], *filter(None, [values["claim"]])]
        needs = ((2, [values], "paused"), (3, [values], "forgotten"), (3, entries, "others"), (5, [values], "account"))
        for version, holders, key in needs:
            for holder in holders:
                if holder[key]:
                    values["format"] = version
                else:
                    del holder[key]
        if many:
            values["format"] = max(4, values["format"])
        return (json.dumps(sign(values, "writer", name), ensure_ascii=False, indent=1) + "\n").encode()

    @classmethod
    def parse(cls, data: bytes, where: str, name: str = "") -> State:
        """Raises PoolBroken for anything but a state of this version or an older one."""
        try:
            raw = unsign(read_object(data), "writer", name)
            version = raw.pop("format")
            if not isinstance(version, int):
                raise ValueError(f"format is {str(version)[:40]!r}")
            if version > FORMAT:
                raise NewerVersion(
                    f"{where} was written by a newer version (format {version}, this one knows "
                    f"{FORMAT}); update deepproverbs here."
                )
            state = cls(
                seq=raw["seq"],
                writer=raw["writer"],
                next=raw["next"],
                batches=tuple(Batch(**batch) for batch in raw["batches"]),
                claim=Claim(**named(raw["claim"], "released")) if raw["claim"] else None,
                recent=tuple(Settled(**named(entry)) for entry in raw["recent"]),
                withdrawn=listed(raw["withdrawn"]),
                paused=raw.get("paused"),
                forgotten=raw.get("forgotten"),
                account=raw.get("account"),
            )
            for holder in (state, *state.batches, *state.recent, *filter(None, [state.claim])):
                check_kinds(holder)
            if unknown := raw.keys() - {field.name for field in dataclasses.fields(cls)}:
                raise ValueError(f"unknown: {', '.join(sorted(unknown))}")
            if not 0 <= state.next <= state.total or any(b.count < 1 or b.record_bytes < 3 for b in state.batches):
                raise ValueError(f"next is {state.next} of {state.total} texts")
            if wrong := [time for time in state.times if not in_time(time)]:
                raise ValueError(f"{wrong[0][:40]!r} is not a time with a zone")
            return state
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise PoolBroken(
                f"{where} is not a pool state ({type(error).__name__}: {said(error)}); nothing was changed, and "
                "`deepproverbs pool repair` rebuilds it."
            ) from error


def listed(raw: Any) -> Numbers:
    """Withdrawn texts from JSON: a list of numbers, or ranges in a string."""
    if isinstance(raw, str):
        found = Numbers.read(raw)
    elif all(type(index) is int and index >= 0 for index in raw):
        found = Numbers.of(raw)
    else:
        raise ValueError("withdrawn holds something that is not a text's number")
    if found.ranges and found.ranges[-1][1] > MOST:
        raise ValueError("withdrawn holds a number that no text has")
    return found


def named(raw: dict[str, Any], *dropped: str) -> dict[str, Any]:
    """A claim's or an entry's values from JSON; `dropped` are those that older versions wrote."""
    return {
        key: tuple(map(str, value)) if key == "others" else value for key, value in raw.items() if key not in dropped
    }


def due(slot: str) -> datetime | None:
    """When a slot was due, if its name ends with a time, as the schedule's and the command line's do."""
    text = slot.rpartition(" ")[2]
    try:
        time = when(text)
    except ValueError:
        return None
    if "T" not in text:
        return None  # a day, a week, or just a number
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def texts_a_day(recent: tuple[Settled, ...]) -> float:
    """The pace at which texts are used up, from the times of the recent ones, whatever became of them.

    The longest wait between two is left out where there are three or more: it may have been a pause. With fewer
    than 8 waits the span counts as a day at least, so that three posts by hand in a minute do not empty the pool
    by arithmetic; with fewer than 2 one text a day is assumed.
    """
    times = sorted(when(entry.time) for entry in recent)
    waits = sorted(later - earlier for earlier, later in itertools.pairwise(times))
    if len(waits) < 2:
        return 1.0
    if len(waits) > 2:
        waits.pop()
    least = timedelta(days=1) if len(waits) < 7 else timedelta(minutes=1)
    return len(waits) / (max(sum(waits, timedelta()), least) / timedelta(days=1))


def in_time(text: str) -> bool:
    """Is it a time with a zone, with which one can reckon?"""
    try:
        time = when(text)
    except ValueError:
        return False
    return time.tzinfo is not None and 1900 < time.year < 9000


def stamp(time: datetime) -> str:
    return time.isoformat(timespec="milliseconds")


def when(text: str) -> datetime:
    return datetime.fromisoformat(text)
