"""The posting protocol: pure decisions. It yields what it wants done and is sent the answer.

A slot is one scheduled moment; one slot posts once, and one text is posted once. What a crash leaves, and what
follows:

    crash or lost answer                  state left           next invocation
    before the claim is written           no claim             starts afresh
    the claim's answer lost               live claim, ours     goes on: the owner in it is this invocation
    after the claim, before the post      live claim           Busy until the lease is over; then asks X: not
                                                               found, so it takes the claim over and posts
    after the post, before the note       live claim           the same; found, so it notes and settles
    after the note, before settling       live claim           the same; the note is written again, equal
    X's answer lost                       live claim           the same: nothing need be written for it
    while a claim is being dropped        live claim           asks X after the lease; not found, so it posts
    after a take-over, before the post    live claim           as after the claim
    after a take-over and its post        live claim           found or refused as a duplicate: settled for every
                                                               slot that the claim names; none may try again

So the claim is written before the post, never after: a text that may have been posted always stands in the
state. A claim names every slot whose attempt may have posted its text, and a post that nobody saw succeed counts
for all of them, because a slot that posts nothing is a smaller fault than one that posts twice.

A claim whose answer was lost keeps its lease: the request may still be on its way to X, and who asked at once
would not see it. docs/pool.md says how all this is proved, and what is assumed of X and of clocks.

`posting` is a generator; `perform` performs its requests and a simulator injects a fault at each of them.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from post_tweet.effects import Ask, Call, Connect, Load, Note, Now, Publish, Read, Request, Save, Steps, Warn
from post_tweet.errors import (
    Abandoned,
    Account,
    Busy,
    EmptyPool,
    PoolBroken,
    TooLate,
    Undecided,
    Unreachable,
    WrongClock,
)
from post_tweet.lost_answer import verdict
from post_tweet.recent import fate, forgotten, remembering
from post_tweet.state import RECENT, Claim, Settled, State, due, stamp, when
from post_tweet.x import CLOCKS, KEYS, CannotTell, Found, NotFound, Posted, Refused, Unknown
from post_tweet.xtext import problems

REFUSALS = 3
"""Texts that X may refuse in one call."""
UNFIT = 20
"""Texts of the pool that may fail our own check in one call."""
PROMPT = 4
"""A post must start in the first quarter of its lease: X's time-out (18 s) and stragglers need the rest."""
POST_TIME = timedelta(seconds=20)
"""What a post may take: X's time-out (18 s) and two writes. With less left of the invocation none is begun."""
EARLIER = timedelta(seconds=10)
"""A post that is older than its claim by more was made by an earlier attempt: those began 55 s before the claim, and
X had dealt with them 18 s before it (a quarter of the lease, a time-out, 5 s on their way)."""
RACES = 20
"""Writes that may be lost to others in one call; more is no race but a store that answers wrongly."""


def posting(call: Call) -> Steps:
    """Post one text for `call.slot`, or find that it has been done.

    Returns the outcome: {"outcome": "posted" | "already-settled" | "dry-run" | "paused", "slot", "index",
    "tweet_id", "text", "remaining"}. A paused pool is left as it is, with a claim that may be in it. Raises a
    PostError for all that a person or a retry must see.
    """
    refused = unfit = 0
    # A name without a time counts from this call on: what was posted for it before is its owner's affair.
    begun: datetime = due(call.slot) or (yield Now())
    for _ in range(RACES + REFUSALS + UNFIT):
        state: State = yield Load()
        now: datetime = yield Now()
        if done := fate(state, call.slot):
            if done.outcome == "abandoned" or done.others:
                raise abandoned(done.slots, done.index, done.outcome == "posted")
            return outcome("already-settled", call.slot, done.index, done.tweet_id, None, state)
        if state.paused:
            return outcome("paused", call.slot, None, None, None, state)
        if (limit := forgotten(state)) and begun <= limit:
            raise TooLate(
                f"The slot {call.slot} is older than the {RECENT} posts that the pool remembers: it may have been "
                "posted, so it is not posted now. Look into the schedule's and the function's delays; by hand, choose "
                "another name."
            )
        claim = state.claim
        if claim and -CLOCKS <= now - when(claim.since) < call.lease:
            raise Busy(
                f"Another invocation holds text {claim.index} since {claim.since}; retry after its lease "
                f"of {call.lease.total_seconds():.0f} s."
            )
        if call.dry_run and claim:
            return outcome("dry-run", call.slot, claim.index, None, claim.text, state)
        if claim:
            claimed = yield from take_over(call, state, claim)
            if isinstance(claimed, dict):
                return claimed
        else:
            index = following(state)
            record = yield Read(index)
            if why := problems(record["text"], record.get("allow", ())):
                unfit += 1
                if unfit > UNFIT:
                    raise PoolBroken(
                        f"{UNFIT} texts in a row may not be posted (the last {why}); filter the pool anew."
                    )
                yield Warn(f"Text {index} is not posted: it {why}.", "refused")
                yield from settle(call, state, Settled(call.slot, index, "refused", None, stamp(now), why))
                continue
            if call.dry_run:
                return outcome("dry-run", call.slot, index, None, record["text"], state)
            yield Connect()  # keys that cannot be read must stop us before a text is claimed
            now = yield Now()
            hurry(call, now)
            fresh = Claim(call.slot, call.owner, index, record["text"], stamp(now), stamp(now))
            claimed = yield from claiming(call, changed(state, call, claim=fresh))
        if claimed is None:
            continue
        result = yield from publish(call, claimed, before=claim)
        if result is not None:
            return result
        refused += 1
        if refused >= REFUSALS:
            raise Account(
                f"X refused {REFUSALS} texts of the pool in a row; read the log and the account's page, "
                "then invoke the function again."
            )
    raise Busy("Others kept changing the pool's state during this call; retry in a minute.")


def claiming(call: Call, new: State) -> Generator[Request, Any, State | None]:
    """Write a claim. Returns the state that holds it, or None: somebody else wrote first.

    A claim whose answer was lost, with a refill written on top of it, is still ours: the owner says so.
    """
    if (yield Save(new)):
        return new
    state: State = yield Load()
    ours = new.claim is not None and state.claim == new.claim
    return state if ours else None


def take_over(call: Call, state: State, claim: Claim) -> Generator[Request, Any, Any]:
    """A claim whose text may have been posted: ask X first.

    Returns the state with the claim taken over, an outcome (this slot is done), or None (start again).
    """
    now: datetime = yield Now()
    hurry(call, now)
    answer = yield Ask(claim.text, when(claim.first))
    now = yield Now()
    found = verdict(answer, now - when(claim.first), claim.index in state.withdrawn)
    if found == "keys":
        raise Account(KEYS, "keys")
    if found == "later":
        raise Undecided(
            f"Text {claim.index} may have been posted for {names(claim.slots)}, and X does not answer now "
            f"({answer.reason}); the next attempt asks again. To go on without it, withdraw it from the pool."
        )
    if found == "wrong-clock":
        raise WrongClock(
            f"Text {claim.index} is claimed since {claim.since}, and here it is {stamp(now)}: set the clock that is "
            "wrong, or take the text out (`deepproverbs pool withdraw`). Nothing is posted before, because X does not "
            "let its latest posts be read."
        )
    if found != "again":
        tweet_id: str | None = None
        reason: str | None = "withdrawn"
        others = claim.others
        if isinstance(answer, Found):
            tweet_id, reason = answer.tweet_id, None
            if answer.created and answer.created >= when(claim.since) - EARLIER:
                others = ()  # it is the last attempt's own
            yield from record_post(claim, tweet_id, now, sure=False)
        elif isinstance(answer, CannotTell):
            reason = answer.reason
            if call.slot not in claim.slots:  # this slot's own is told by an error, further on
                yield Warn(str(abandoned(claim.slots, claim.index)), "abandoned")
        else:
            yield Warn(f"Text {claim.index} was not posted, and its owner has withdrawn it.", "refused")
        entry = Settled(claim.slot, claim.index, found, tweet_id, stamp(now), reason, others)
        state = yield from settle(call, state, entry, claim.owner)
        if found == "posted" and entry.slots == (call.slot,) and entry in state.recent:
            return outcome("posted", call.slot, claim.index, tweet_id, claim.text, state)
        return None  # if this slot may have posted it, the state says so now
    hurry(call, now)
    taken = replace(
        claim,
        slot=call.slot,
        owner=call.owner,
        since=stamp(now),
        # Asked and not found: no earlier attempt has posted, so the six hours begin with this one.
        first=stamp(now) if isinstance(answer, NotFound) else claim.first,
        attempts=claim.attempts + 1,
        # Kept even then: should X show its posts later than it does, the slot that has posted is still known.
        others=tuple(slot for slot in claim.slots if slot != call.slot),
    )
    return (yield from claiming(call, changed(state, call, claim=taken)))


def publish(call: Call, state: State, before: Claim | None) -> Generator[Request, Any, dict[str, Any] | None]:
    """Post the claimed text. Returns the outcome, or None: take the next text.

    `before` is the claim that this one took over: its attempt may have posted the text.
    """
    claim = state.claim
    assert claim is not None
    now: datetime = yield Now()
    if now - when(claim.since) >= call.lease / PROMPT:
        # The process slept, or the store took its time: by the end of the post the claim may be another's.
        yield from let_go(call, state, before)
        raise Busy(f"Claiming text {claim.index} took too long to post it safely; nothing was posted, try again.")
    try:
        hurry(call, now)
    except Unreachable:
        yield from let_go(call, state, before)
        raise
    answer = yield Publish(claim.text)
    now = yield Now()
    if isinstance(answer, Posted):
        yield from record_post(claim, answer.tweet_id, now)
        state = yield from settle(call, state, Settled(call.slot, claim.index, "posted", answer.tweet_id, stamp(now)))
        return outcome("posted", call.slot, claim.index, answer.tweet_id, claim.text, state)
    if isinstance(answer, Refused) and answer.scope == "text":
        if answer.reason == "duplicate" and before:
            # An earlier attempt did post it, for one of the slots that its claim named; the id is unknown.
            yield from record_post(before, None, now, sure=False)
            entry = Settled(before.slot, claim.index, "posted", None, stamp(now), None, before.others)
            state = yield from settle(call, state, entry)
            if entry.slots == (call.slot,) and entry in state.recent:
                return outcome("posted", call.slot, claim.index, None, claim.text, state)
            return None
        yield Warn(f"X refused text {claim.index}: {answer.sentence}", "refused")
        entry = Settled(call.slot, claim.index, "refused", None, stamp(now), answer.reason)
        yield from settle(call, state, entry)
        return None
    if isinstance(answer, Refused):
        # On a first try nothing can have been posted and the claim is dropped. Later an earlier attempt may
        # have been: its claim comes back, or a later slot might post the text twice.
        yield from let_go(call, state, before)
        raise Account(answer.sentence, answer.reason)
    assert isinstance(answer, Unknown)
    raise Undecided(
        f"X's answer to text {claim.index} was lost ({answer.reason}); the next attempt asks X whether it was posted."
    )


def let_go(call: Call, state: State, kept: Claim | None) -> Generator[Request, Any, None]:
    """Drop our claim, or give it back. What follows is an error that must be said whatever the store does."""
    held = state.claim
    try:
        for _ in range(RACES):
            if (yield Save(changed(state, call, claim=kept))):
                return
            state = yield Load()
            if state.claim != held:
                return
    except (Unreachable, PoolBroken) as error:
        yield Warn(f"The claim of text {held.index if held else '?'} stays until its lease is over: {error}")


def settle(call: Call, state: State, entry: Settled, owner: str | None = None) -> Generator[Request, Any, State]:
    """Move `next` past the text and drop the claim. Refills and withdrawals may write in between.

    `owner` is whose claim it is, if not this call's; a text without a claim was found unfit.
    """
    claimed = state.claim is not None
    for _ in range(RACES):
        new = changed(state, call, claim=None, next=max(state.next, entry.index + 1), **remembering(state, entry))
        if (yield Save(new)):
            return new
        state = yield Load()
        if state.next > entry.index:
            return state
        now = state.claim
        if (now is not None) != claimed or (now and (now.index, now.owner) != (entry.index, owner or call.owner)):
            break
    raise Busy(f"Another invocation took over text {entry.index} and will settle it; retry after its lease.")


def abandoned(slots: tuple[str, ...], index: int, posted: bool = False) -> Abandoned:
    known, unsaid = ("was", "for which") if posted else ("may have been", "whether")
    return Abandoned(
        f"Text {index} {known} posted for {names(slots)}; X did not say {unsaid}, so neither the text nor anything "
        "else is posted for any of them. Look at the account if you want to know."
    )


def names(slots: tuple[str, ...]) -> str:
    """For a sentence; when X is out of order for hours they can be hundreds."""
    more = len(slots) - 3
    return " or ".join((*slots[-3:], f"one of {more} slots before") if more > 0 else slots)


def hurry(call: Call, now: datetime) -> None:
    """A call to X that the invocation's end would cut short is not begun: its answer would be lost for nothing."""
    if call.until and now + POST_TIME > call.until:
        raise Unreachable(
            f"Of this call's time {max((call.until - now).total_seconds(), 0):.0f} s are left, too little for a post; "
            "the store or X was slow. Nothing was posted, the next attempt goes on."
        )


def record_post(claim: Claim, tweet_id: str | None, now: datetime, sure: bool = True) -> Generator[Request, Any, None]:
    """Before settling, so that no post is without a record. Who has only heard of the post may be late: for which slot
    it counts is then for the state to say, and a record that is there stays."""
    slot = claim.slot if sure else None
    record = {"index": claim.index, "slot": slot, "text": claim.text, "tweet_id": tweet_id, "time": stamp(now)}
    yield Note(claim.index, record, sure)


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


def outcome(
    kind: str, slot: str, index: int | None, tweet_id: str | None, text: str | None, state: State
) -> dict[str, Any]:
    return {
        "outcome": kind,
        "slot": slot,
        "index": index,
        "tweet_id": tweet_id,
        "text": text,
        "remaining": state.remaining,
    }
