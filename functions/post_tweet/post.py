"""The posting protocol: pure decisions. It yields what it wants done and is sent the answer.

A slot is one scheduled moment; one slot posts once. What a crash leaves, and what follows:

    crash                            state left           next invocation
    before the claim is written      no claim             starts afresh
    after the claim, before the post live claim           Busy until the lease is over; then asks X,
    after the post, before settling  live claim           finds it or not, settles or posts
    X's answer lost                  released claim       the same, without waiting for the lease

So the claim is written before the post, never after: a text that may have been posted always
stands in the state. `posting` is a generator; `app` performs its requests and a simulator can
inject a fault at each of them.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from post_tweet.errors import Account, Busy, EmptyPool, PoolBroken, Undecided
from post_tweet.pool import RECENT, Claim, Settled, State
from post_tweet.x import CannotTell, Found, NotFound, Posted, Refused, Unknown
from post_tweet.xtext import problems

TRUST = timedelta(hours=6)
"""How long X's refusal of duplicates can be relied upon to tell that a text was posted."""
REFUSALS = 3
"""Texts that X may refuse in one call."""
UNFIT = 20
"""Texts of the pool that may fail our own check in one call."""


@dataclass(frozen=True)
class Load:
    """→ State."""


@dataclass(frozen=True)
class Save:
    """→ True, or False when somebody else wrote first."""

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


@dataclass(frozen=True)
class Note:
    """→ nothing; writes the record of a post."""

    index: int
    record: dict[str, Any]


@dataclass(frozen=True)
class Warn:
    """→ nothing; a person should read this."""

    message: str


@dataclass(frozen=True)
class Now:
    """→ datetime, UTC."""


Request = Load | Save | Read | Publish | Ask | Note | Warn | Now
Steps = Generator[Request, Any, dict[str, Any]]


@dataclass(frozen=True)
class Call:
    """One invocation."""

    slot: str
    owner: str
    """Unique to this invocation."""
    lease: timedelta
    dry_run: bool = False


def posting(call: Call) -> Steps:
    """Post one text for `call.slot`, or find that it has been done.

    Returns the outcome: {"outcome": "posted" | "already-settled" | "dry-run", "slot", "index",
    "tweet_id", "text", "remaining"}. Raises a PostError for all that a person or a retry must see.
    """
    refused = unfit = 0
    while True:
        state: State = yield Load()
        now: datetime = yield Now()
        if done := next((s for s in state.recent if s.slot == call.slot and s.outcome == "posted"), None):
            return outcome("already-settled", call.slot, done.index, done.tweet_id, None, state)
        claim = state.claim
        if claim and not claim.released and now - when(claim.since) < call.lease:
            raise Busy(
                f"Another invocation holds text {claim.index} since {claim.since}; retry after its lease "
                f"of {call.lease.total_seconds():.0f} s."
            )
        if call.dry_run:
            index = claim.index if claim else following(state)
            record = yield Read(index)
            return outcome("dry-run", call.slot, index, None, record["text"], state)
        if claim:
            claimed = yield from take_over(call, state, claim, now)
            if claimed is None:
                continue
            if isinstance(claimed, dict):
                return claimed
        else:
            index = following(state)
            record = yield Read(index)
            if why := problems(record["text"]):
                unfit += 1
                if unfit > UNFIT:
                    raise PoolBroken(
                        f"{UNFIT} texts in a row may not be posted (the last {why}); filter the pool anew."
                    )
                yield from settle(call, state, Settled(call.slot, index, "refused", None, stamp(now)))
                continue
            fresh = Claim(call.slot, call.owner, index, record["text"], stamp(now), stamp(now))
            claimed = changed(state, call, claim=fresh)
            if not (yield Save(claimed)):
                continue
        result = yield from publish(call, claimed, first_try=claim is None)
        if result is not None:
            return result
        refused += 1
        if refused >= REFUSALS:
            raise Account(
                f"X refused {REFUSALS} texts of the pool in a row; read the log and the account's page, "
                "then invoke the function again."
            )


def take_over(call: Call, state: State, claim: Claim, now: datetime) -> Generator[Request, Any, Any]:
    """A claim whose text may have been posted: ask X first.

    Returns the state with the claim taken over, an outcome (this slot is done), or None (start again).
    """
    answer = yield Ask(claim.text)
    if isinstance(answer, Found):
        yield from record_post(claim, answer.tweet_id, now)
        state = yield from settle(call, state, Settled(claim.slot, claim.index, "posted", answer.tweet_id, stamp(now)))
        if claim.slot == call.slot:
            return outcome("posted", call.slot, claim.index, answer.tweet_id, claim.text, state)
        return None
    if isinstance(answer, CannotTell) and now - when(claim.first) > TRUST:
        # Posting again might double it, and nothing can tell any more: leave it and say so.
        yield Warn(
            f"Text {claim.index} may have been posted for {claim.slot}; X did not say, so it is not posted "
            "again. Look at the account if you want to know."
        )
        yield from settle(call, state, Settled(claim.slot, claim.index, "abandoned", None, stamp(now)))
        return None
    taken = changed(
        state,
        call,
        claim=replace(
            claim,
            owner=call.owner,
            since=stamp(now),
            attempts=claim.attempts + 1,
            released=False,
            # Asked and not found: X has told, so the six hours begin anew and the slot is ours.
            first=stamp(now) if isinstance(answer, NotFound) else claim.first,
            slot=call.slot if isinstance(answer, NotFound) else claim.slot,
        ),
    )
    return taken if (yield Save(taken)) else None


def publish(call: Call, state: State, first_try: bool) -> Generator[Request, Any, dict[str, Any] | None]:
    """Post the claimed text. Returns the outcome, or None: take the next text."""
    claim = state.claim
    assert claim is not None
    answer = yield Publish(claim.text)
    now: datetime = yield Now()
    if isinstance(answer, Posted):
        yield from record_post(replace(claim, slot=call.slot), answer.tweet_id, now)
        state = yield from settle(call, state, Settled(call.slot, claim.index, "posted", answer.tweet_id, stamp(now)))
        return outcome("posted", call.slot, claim.index, answer.tweet_id, claim.text, state)
    if isinstance(answer, Refused) and answer.scope == "text":
        if answer.reason == "duplicate" and not first_try:
            # An earlier attempt did post it, for the slot that the claim names; its id is unknown.
            yield from record_post(claim, None, now)
            state = yield from settle(call, state, Settled(claim.slot, claim.index, "posted", None, stamp(now)))
            if claim.slot == call.slot:
                return outcome("posted", call.slot, claim.index, None, claim.text, state)
            return None
        yield Warn(f"X refused text {claim.index}: {answer.sentence}")
        yield from settle(call, state, Settled(call.slot, claim.index, "refused", None, stamp(now)))
        return None
    if isinstance(answer, Refused):
        # On a first try nothing can have been posted and the claim is dropped. Later an earlier
        # attempt may have been: the claim stays, released, or a later slot might post it twice.
        kept = None if first_try else replace(claim, released=True)
        yield Save(changed(state, call, claim=kept))
        raise Account(answer.sentence)
    assert isinstance(answer, Unknown)
    yield Save(changed(state, call, claim=replace(claim, released=True)))
    raise Undecided(
        f"X's answer to text {claim.index} was lost ({answer.reason}); the next attempt asks X whether it was posted."
    )


def settle(call: Call, state: State, entry: Settled) -> Generator[Request, Any, State]:
    """Move `next` past the text and drop the claim. Refills and withdrawals may write in between."""
    while True:
        new = changed(
            state, call, claim=None, next=max(state.next, entry.index + 1), recent=(*state.recent, entry)[-RECENT:]
        )
        if (yield Save(new)):
            return new
        state = yield Load()
        if state.next > entry.index:
            return state
        if (
            state.claim
            and state.claim.index == entry.index
            and state.claim.owner != call.owner
            and entry.outcome != "posted"
        ):
            raise Busy(f"Another invocation took over text {entry.index}; retry after its lease.")


def record_post(claim: Claim, tweet_id: str | None, now: datetime) -> Generator[Request, Any, None]:
    yield Note(
        claim.index,
        {"index": claim.index, "slot": claim.slot, "text": claim.text, "tweet_id": tweet_id, "time": stamp(now)},
    )


def changed(state: State, call: Call, **values: Any) -> State:
    """The state's successor, signed by this invocation."""
    return replace(state, seq=state.seq + 1, writer=f"{call.owner}:{state.seq + 1}", **values)


def following(state: State) -> int:
    """The index of the next text that nobody withdrew."""
    index = state.next
    while index in state.withdrawn:
        index += 1
    if index >= state.total:
        raise EmptyPool("The pool holds no unused text; run `make train-and-fill` with the same POOL.")
    return index


def outcome(kind: str, slot: str, index: int, tweet_id: str | None, text: str | None, state: State) -> dict[str, Any]:
    return {
        "outcome": kind,
        "slot": slot,
        "index": index,
        "tweet_id": tweet_id,
        "text": text,
        "remaining": state.remaining,
    }


def stamp(time: datetime) -> str:
    return time.isoformat(timespec="milliseconds")


def when(text: str) -> datetime:
    return datetime.fromisoformat(text)
