"""The posting protocol: pure decisions. It yields the effects that it needs, and is sent the answer to each.

A slot is one scheduled moment; one slot posts once, and one text is posted once. What a crash leaves, and what
follows:

    crash or lost answer                  state left           next invocation
    before the claim is written           no claim             starts afresh
    the claim's answer lost               live claim, ours     goes on: the owner in it is this invocation
    after the claim, before the post      live claim           Busy until the lease is over; then asks the
                                                               place: not found, so it takes over and posts
    after the post, before the note       live claim           the same; found, so it notes and settles
    after the note, before settling       live claim           the same; the note is written again, equal
    the place's answer lost               live claim           the same: nothing need be written for it
    while a claim is being dropped        live claim           asks after the lease; not found, so it posts
    after a take-over, before the post    live claim           as after the claim
    after a take-over and its post        live claim           found or refused as a duplicate: settled for every
                                                               slot that the claim names; none may try again

So the claim is written before the post, never after: a text that may have been posted always stands in the
state. A claim names every slot whose attempt may have posted its text, and a post that nobody saw succeed counts
for all of them, because a slot that posts nothing is a smaller fault than one that posts twice.

A claim whose answer was lost keeps its lease: the request may still be on its way, and a call that asked at once
would not see the post. docs/pool.md says how all this is proved, and what is assumed of X and of clocks.

`posting` is a generator of effects: runtime.py carries them out, and a simulator injects a fault at each of them.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from post_tweet.effects import (
    Ask,
    Call,
    Connect,
    Effect,
    Effects,
    Kind,
    Load,
    Note,
    Now,
    Outcome,
    Publish,
    Read,
    Save,
    Warn,
)
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
from post_tweet.lost_answer import Answer, proven, settlement
from post_tweet.place import CLOCK_TOLERANCE, CannotTell, Found, NotFound, Posted, Refused, Unknown
from post_tweet.recent import forgotten_until, outcome_of_slot, remember
from post_tweet.state import RECENT, Claim, PostRecord, Settled, State, Text, due, stamp, when

MAX_REFUSED = 3
"""Texts that the place may refuse in one call."""
MAX_UNFIT = 20
"""Texts of the pool that may fail our own check in one call."""
MAX_RACES = 20
"""Writes that may be lost to others in one call; more is no race but a store that answers wrongly."""
LATEST_START = 0.25
"""Of the lease. A post must start by then: the place's time-out (18 s) and stragglers need the rest."""
POST_TIME = timedelta(seconds=20)
"""What a post may take: the place's time-out (18 s) and two writes. With less left of the invocation none is begun."""
EARLIER_ATTEMPT = timedelta(seconds=10)
"""A post that is older than its claim by more was made by an earlier attempt: those began 55 s before the claim, and
the place had dealt with them 18 s before it (a quarter of the lease, a time-out, 5 s in transit)."""


def posting(call: Call) -> Effects:
    """Post one text for `call.slot`, or find that it has been done.

    A paused pool is left as it is, with any claim in it. Raises a PostError for all that a person or a retry must see.
    """
    refused = unfit = 0
    # A name without a time counts from this call on: what was posted for it before is its owner's affair.
    begun: datetime = due(call.slot) or (yield Now())
    for _ in range(MAX_RACES + MAX_REFUSED + MAX_UNFIT):
        state: State = yield Load()
        now: datetime = yield Now()
        if done := outcome_of_slot(state, call.slot):
            if done.outcome == "abandoned" or done.others:
                raise abandoned(call, done.slots, done.index, done.outcome == "posted")
            return outcome("already-settled", call, state, done.index, done.tweet_id)
        if state.paused:
            return outcome("paused", call, state)
        if (limit := forgotten_until(state)) and begun <= limit:
            raise TooLate(
                f"The slot {call.slot} is older than the {RECENT} posts that the pool remembers: it may have been "
                "posted, so it is not posted now. Look into the schedule's and the function's delays; by hand, choose "
                "another name."
            )
        claim = state.claim
        if claim and -CLOCK_TOLERANCE <= now - when(claim.since) < call.lease:
            raise Busy(
                f"Another invocation holds text {claim.index} since {claim.since}; retry after its lease "
                f"of {call.lease.total_seconds():.0f} s."
            )
        if call.dry_run and claim:
            return outcome("dry-run", call, state, claim.index, None, claim.text)
        if claim:
            taken = yield from take_over(call, state, claim)
            if isinstance(taken, Outcome):
                return taken
            claimed = taken
        else:
            index = next_index(state)
            text: Text = yield Read(index)
            if why := call.place.problems(text.text, text.allow):
                unfit += 1
                if unfit > MAX_UNFIT:
                    raise PoolBroken(
                        f"{MAX_UNFIT} texts in a row may not be posted (the last {why}); filter the pool anew."
                    )
                yield Warn(f"Text {index} is not posted: it {why}.", "Refused")
                yield from settle(call, state, Settled(call.slot, index, "refused", None, stamp(now), why))
                continue
            if call.dry_run:
                return outcome("dry-run", call, state, index, None, text.text)
            yield Connect()  # keys that cannot be read must stop us before a text is claimed
            now = yield Now()
            check_time_left(call, now)
            fresh = Claim(call.slot, call.owner, index, text.text, stamp(now), stamp(now))
            claimed = yield from write_claim(successor(state, call, claim=fresh))
        if claimed is None:
            continue
        result = yield from publish(call, claimed, before=claim)
        if result is not None:
            return result
        refused += 1
        if refused >= MAX_REFUSED:
            raise Account(
                f"{call.place.name} refused {MAX_REFUSED} texts of the pool in a row; read the log and the account's "
                "page, then invoke the function again."
            )
    raise Busy("Others kept changing the pool's state during this call; retry in a minute.")


def write_claim(new: State) -> Generator[Effect, Any, State | None]:
    """Write a state with a claim. Returns the state that holds it, or None: somebody else wrote first.

    A claim whose answer was lost, with a refill written on top of it, is still ours: the owner says so.
    """
    if (yield Save(new)):
        return new
    state: State = yield Load()
    ours = new.claim is not None and state.claim == new.claim
    return state if ours else None


def take_over(call: Call, state: State, claim: Claim) -> Generator[Effect, Any, State | Outcome | None]:
    """Ask the place about a claim whose text may have been posted, and settle it or claim it anew.

    Returns the state with our claim in it, the outcome if this slot is done, or None: start again.
    """
    now: datetime = yield Now()
    check_time_left(call, now)
    answer: Answer = yield Ask(claim.text, when(claim.first))
    now = yield Now()
    name, promise = call.place.name, call.place.promise
    # The claim is a lease old or more, or lies five minutes or more ahead of this clock: abs() lets both pass.
    answer = proven(answer, promise, abs(now - when(claim.since)) - LATEST_START * call.lease - POST_TIME)
    reason = answer.reason if isinstance(answer, CannotTell) else ""
    match settlement(answer, promise, now - when(claim.first), claim.index in state.withdrawn):
        case "again":
            return (yield from claim_again(call, state, claim, now, absent=isinstance(answer, NotFound)))
        case "keys":
            raise Account(reason, "keys")
        case "later":
            raise Undecided(
                f"Text {claim.index} may have been posted for {list_slots(claim.slots)}, and {name} does not answer "
                f"now ({reason}); the next attempt asks again. To go on without it, withdraw it from the pool."
            )
        case "wrong-clock":
            raise WrongClock(
                f"Text {claim.index} is claimed since {claim.since}, and here it is {stamp(now)}: set the clock that "
                "is wrong, or take the text out (`deepproverbs pool withdraw`). Nothing is posted before, because "
                f"{name} does not let its latest posts be read."
            )
        case "posted":
            assert isinstance(answer, Found)
            entry = Settled(claim.slot, claim.index, "posted", answer.tweet_id, stamp(now), None, claim.others)
            if answer.created and answer.created >= when(claim.since) - EARLIER_ATTEMPT:
                entry = replace(entry, others=())  # it is the last attempt's own
            yield from record_post(claim, answer.tweet_id, now, sure=False)
        case "abandoned":
            entry = Settled(claim.slot, claim.index, "abandoned", None, stamp(now), reason, claim.others)
            if call.slot not in claim.slots:  # this slot's own is told by an error, further on
                yield Warn(str(abandoned(call, claim.slots, claim.index)), "Failed")
        case "refused":
            entry = Settled(claim.slot, claim.index, "refused", None, stamp(now), "withdrawn", claim.others)
            yield Warn(f"Text {claim.index} was not posted, and its owner has withdrawn it.", "Refused")
    return (yield from settle_found(call, state, entry, claim))


def claim_again(
    call: Call, state: State, claim: Claim, now: datetime, absent: bool
) -> Generator[Effect, Any, State | None]:
    """Take a claim over, to post its text. `absent`: the place has shown that no earlier attempt has posted it."""
    check_time_left(call, now)
    taken = replace(
        claim,
        slot=call.slot,
        owner=call.owner,
        since=stamp(now),
        # Found absent, it is first attempted now: the time for which repeats are refused begins anew.
        first=stamp(now) if absent else claim.first,
        attempts=claim.attempts + 1,
        # Kept even then: should the place show its posts later than it does, the slot that has posted is still known.
        others=tuple(slot for slot in claim.slots if slot != call.slot),
    )
    return (yield from write_claim(successor(state, call, claim=taken)))


def settle_found(call: Call, state: State, entry: Settled, claim: Claim) -> Generator[Effect, Any, Outcome | None]:
    """Settle a text of an earlier attempt. Returns the outcome if that was a post for this slot alone, or None."""
    state = yield from settle(call, state, entry)
    if entry.outcome == "posted" and entry.slots == (call.slot,) and entry in state.recent:
        return outcome("posted", call, state, claim.index, entry.tweet_id, claim.text)
    return None  # if this slot may have posted it, the state says so now


def publish(call: Call, state: State, before: Claim | None) -> Generator[Effect, Any, Outcome | None]:
    """Post the claimed text. Returns the outcome, or None: take the next text.

    `before` is the claim that this one took over: its attempt may have posted the text.
    """
    claim = state.claim
    assert claim is not None
    now: datetime = yield Now()
    if now - when(claim.since) >= LATEST_START * call.lease:
        # The process slept, or the store took its time: by the end of the post the claim may be another's.
        yield from release(call, state, before)
        raise Busy(f"Claiming text {claim.index} took too long to post it safely; nothing was posted, try again.")
    try:
        check_time_left(call, now)
    except Unreachable:
        yield from release(call, state, before)
        raise
    answer: Posted | Refused | Unknown = yield Publish(claim.text)
    now = yield Now()
    match answer:
        case Posted(tweet_id):
            yield from record_post(claim, tweet_id, now)
            state = yield from settle(call, state, Settled(call.slot, claim.index, "posted", tweet_id, stamp(now)))
            return outcome("posted", call, state, claim.index, tweet_id, claim.text)
        case Refused("text", "duplicate") if before:
            # An earlier attempt did post it, for one of the slots that its claim named; the id is unknown.
            yield from record_post(before, None, now, sure=False)
            entry = Settled(before.slot, claim.index, "posted", None, stamp(now), None, before.others)
            return (yield from settle_found(call, state, entry, claim))
        case Refused("text", reason, sentence):
            yield Warn(f"{call.place.name} refused text {claim.index}: {sentence}", "Refused")
            yield from settle(call, state, Settled(call.slot, claim.index, "refused", None, stamp(now), reason))
            return None
        case Refused(_, reason, sentence):
            # On a first try nothing can have been posted, and the claim is dropped. Later an earlier attempt may
            # have posted: its claim comes back, or a later slot might post the text twice.
            yield from release(call, state, before)
            raise Account(sentence, reason)
        case Unknown(reason):
            raise Undecided(
                f"{call.place.name}'s answer to text {claim.index} was lost ({reason}); the next attempt asks "
                f"{call.place.name} whether it was posted."
            )


def release(call: Call, state: State, kept: Claim | None) -> Generator[Effect, Any, None]:
    """Drop our claim, or give it back to `kept`. An error follows that must be raised whatever the store does."""
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

    The state's claim is the text's, ours or another's; a text without one was found unfit.
    """
    held = state.claim and (state.claim.index, state.claim.owner)
    for _ in range(MAX_RACES):
        new = successor(remember(state, entry), call, claim=None, next=max(state.next, entry.index + 1))
        if (yield Save(new)):
            return new
        state = yield Load()
        if state.next > entry.index:
            return state
        if (state.claim and (state.claim.index, state.claim.owner)) != held:
            break
    raise Busy(f"Another invocation took over text {entry.index} and will settle it; retry after its lease.")


def abandoned(call: Call, slots: tuple[str, ...], index: int, posted: bool = False) -> Abandoned:
    known, unsaid = ("was", "for which") if posted else ("may have been", "whether")
    return Abandoned(
        f"Text {index} {known} posted for {list_slots(slots)}; {call.place.name} did not say {unsaid}, so neither the "
        "text nor anything else is posted for any of them. Look at the account if you want to know."
    )


def list_slots(slots: tuple[str, ...]) -> str:
    """For a sentence; when the place is out of order for hours they can be hundreds."""
    more = len(slots) - 3
    return " or ".join((*slots[-3:], f"one of {more} slots before") if more > 0 else slots)


def check_time_left(call: Call, now: datetime) -> None:
    """A call of the place that the invocation's end would cut short is not begun: its answer would be lost for nothing.

    Raises:
        Unreachable: too little time is left.
    """
    if call.until and now + POST_TIME > call.until:
        raise Unreachable(
            f"Of this call's time {max((call.until - now).total_seconds(), 0):.0f} s are left, too little for a post; "
            f"the store or {call.place.name} was slow. Nothing was posted, the next attempt goes on."
        )


def record_post(claim: Claim, tweet_id: str | None, now: datetime, sure: bool = True) -> Generator[Effect, Any, None]:
    """Before settling, so that no post is without a record. A call that has only heard of the post (not `sure`) may be
    late: it names no slot, and leaves a record that is there as it is."""
    slot = claim.slot if sure else None
    yield Note(PostRecord(claim.index, slot, claim.text, tweet_id, stamp(now)), sure)


def successor(state: State, call: Call, **values: Any) -> State:
    """The next state, signed by this invocation."""
    return replace(state, seq=state.seq + 1, writer=f"{call.owner}:{state.seq + 1}", **values)


def next_index(state: State) -> int:
    """The index of the next text that nobody withdrew."""
    index = state.next
    while index in state.withdrawn:
        index += 1
    if index >= state.total:
        raise EmptyPool("The pool holds no unused text; run `make train-and-fill` with the same POOL.")
    return index


def outcome(
    kind: Kind, call: Call, state: State, index: int | None = None, tweet_id: str | None = None, text: str | None = None
) -> Outcome:
    return Outcome(kind, call.slot, index, tweet_id, text, state.remaining)
