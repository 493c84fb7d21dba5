"""The steps of the posting protocol: writes that meet those of others, and what stops a call. Pure generators, like
protocol.py, which has the whole of it."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from post_tweet.effects import Call, Connect, Effect, Kind, Load, Note, Outcome, Save, Warn
from post_tweet.errors import Abandoned, Account, Busy, EmptyPool, PoolBroken, Unreachable
from post_tweet.recent import MAY_HAVE_POSTED, remember
from post_tweet.state import Claim, PostRecord, Settled, State, stamp, when

MAX_RACES = 20
"""Conflicting writes in one call; more means a broken store, not a race."""
POST_TIME = timedelta(seconds=20)
"""What a post may take: the place's time-out (18 s) and two writes. With less time left none is started."""


def connect(call: Call, state: State) -> Generator[Effect, Any, str | None]:
    """Read the credentials. Returns the account that the pool belongs to from now on.

    Raises:
        Account: they are another account's. It would not see what the pool's own has posted, and post it again.
    """
    account: str | None = yield Connect()
    if state.account and account != state.account:
        name = call.place.name
        raise Account(
            f"The pool belongs to the account {state.account} of {name}, and "
            + (f"these keys to {account}" if account else "these keys do not show whose they are")
            + ": nothing is posted. Take its keys, or another pool; `deepproverbs pool account` hands this one on.",
            "another-account",
        )
    return account


def recorded_since(state: State) -> datetime:
    """Before this time no post was made that the state does not know: however old the state is, a text that it holds
    ready was posted later."""
    posts = [when(entry.time) for entry in state.recent if entry.outcome in MAY_HAVE_POSTED]
    return max(posts, default=when(state.batches[0].created))


def damaged(state: State, index: int) -> Generator[Effect, Any, None]:
    """A record stands of a text that the state holds ready, or that its claim cannot have posted. Returns if the state
    was changed meanwhile: that may explain it.

    Raises:
        PoolBroken: it was not.
    """
    if (yield Load()) == state:
        raise PoolBroken(
            f"Text {index} has a record in posts/ that does not fit the state: the state is older than the posts, or "
            "files were put back. Nothing is posted until `deepproverbs pool repair` has put them right."
        )


def write_claim(new: State) -> Generator[Effect, Any, State | None]:
    """Write a state with a claim. Returns the state that holds it, or None if somebody else wrote first.

    A conflict may be our own write, its answer lost and a refill written since: the claim's owner tells.
    """
    if (yield Save(new)):
        return new
    state: State = yield Load()
    ours = new.claim is not None and state.claim == new.claim
    return state if ours else None


def release(call: Call, state: State, kept: Claim | None) -> Generator[Effect, Any, None]:
    """Drop our claim, or restore `kept`. The caller then raises an error that a failing store must not hide."""
    held = state.claim
    try:
        for _ in range(MAX_RACES):
            if (yield Save(successor(state, call, claim=kept))):
                return
            state = yield Load()
            if state.claim != held:
                return
    except (Unreachable, PoolBroken) as error:
        yield Warn(f"The claim of text {held.index if held else '?'} stays until its lease is over: {error}")


def settle(call: Call, state: State, entry: Settled) -> Generator[Effect, Any, State]:
    """Move `next` past the text and drop the claim. Refills and withdrawals may be written in between.

    The claim in the state is on this text, ours or another call's; an unfit text has none. While there is none, an
    earlier text may be restored: then nothing is settled, and the caller starts again with that one.
    """
    held = state.claim and (state.claim.index, state.claim.owner)
    for _ in range(MAX_RACES):
        new = successor(remember(state, entry), call, claim=None, next=max(state.next, entry.index + 1))
        if (yield Save(new)):
            return new
        state = yield Load()
        if state.next > entry.index:
            return state
        if held is None and state.withdrawn.after(state.next) < entry.index:
            return state
        if (state.claim and (state.claim.index, state.claim.owner)) != held:
            break
    raise Busy(f"Another call took over text {entry.index} and will settle it; retry after its lease.")


def abandoned(call: Call, slots: tuple[str, ...], index: int, posted: bool = False) -> Abandoned:
    verb, unsaid = ("was", "for which") if posted else ("may have been", "whether")
    return Abandoned(
        f"Text {index} {verb} posted for {list_slots(slots)}; {call.place.name} did not say {unsaid}, so neither the "
        "text nor anything else is posted for any of them. Look at the account if you want to know."
    )


def list_slots(slots: tuple[str, ...]) -> str:
    """Slots in a sentence: the last three and a count, for an outage of hours leaves hundreds."""
    more = len(slots) - 3
    return " or ".join((*slots[-3:], f"one of {more} slots before") if more > 0 else slots)


def check_time_left(call: Call, now: datetime) -> None:
    """Start no call of the place that the invocation's end would cut short: its answer would be lost.

    Raises:
        Unreachable: too little time is left.
    """
    if call.until and now + POST_TIME > call.until:
        raise Unreachable(
            f"Of this call's time {max((call.until - now).total_seconds(), 0):.0f} s are left, too little for a post; "
            f"the store or {call.place.name} was slow. Nothing was posted; the next attempt continues."
        )


def record_post(claim: Claim, tweet_id: str | None, now: datetime, sure: bool = True) -> Generator[Effect, Any, None]:
    """Record a post before settling it, so that none lacks a record. A call that only found the post (not `sure`) may
    come late: it names no slot."""
    yield from write_record(PostRecord(claim.index, claim.slot if sure else None, claim.text, tweet_id, stamp(now)))


def write_record(post: PostRecord) -> Generator[Effect, Any, None]:
    """Write a record, and say so if another stands in its place."""
    if not (yield Note(post)):
        yield Warn(
            f"The record of text {post.index} says something else than this call, and stays as it is; run "
            "`deepproverbs pool verify`, and look at the account."
        )


def successor(state: State, call: Call, **values: Any) -> State:
    """The next state, signed by this invocation."""
    return replace(state, seq=state.seq + 1, writer=f"{call.owner}:{state.seq + 1}", **values)


def next_index(state: State) -> int:
    """The index of the next text that nobody withdrew."""
    index = state.withdrawn.after(state.next)
    if index >= state.total:
        raise EmptyPool("The pool holds no unused text; run `make train-and-fill` with the same POOL.")
    return index


def outcome(
    kind: Kind, call: Call, state: State, index: int | None = None, tweet_id: str | None = None, text: str | None = None
) -> Outcome:
    return Outcome(kind, call.slot, index, tweet_id, text, state.remaining)
