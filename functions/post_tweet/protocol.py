"""The posting protocol, as pure decisions: a generator yields each effect it needs and is sent the answer.

A slot is one scheduled moment. No slot posts twice, and no text is posted twice. What a crash leaves behind, and
what the next invocation does:

    crash or lost answer                  state left           next invocation
    before the claim is written           no claim             starts afresh, if no record of the text stands
    answer to the claim's write lost      live claim, ours     the same one goes on: the claim names it as owner
    after the claim, before the post      live claim           Busy until the lease ends; then asks the place:
                                                               not found, so it takes over and posts
    after the post, before its record     live claim           the same; found, so it records and settles
    after the record, before settling     live claim           the same, but asks nothing: the record tells the slot
    the place's answer lost               live claim           the same; the claim says all that is needed
    while a claim is being dropped        live claim           asks after the lease; not found, so it posts
    after a take-over, before the post    live claim           as after the claim
    after a take-over and its post        live claim           found or refused as a duplicate: settled for every
                                                               slot that the claim names; none may try again

So the claim is written before the post, and the state always shows a text that may have been posted. A claim names
every slot that may have posted its text, and a post that nobody saw succeed counts for all of them: a slot that
posts nothing is a smaller fault than one that posts twice.

After a lost answer the claim keeps its lease: the request may still be on its way, and asking at once would not
show the post. docs/pool.md has the proof, and what it assumes of X and of clocks.

runtime.py carries out the effects that `posting` yields; a simulator injects a fault at each.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from post_tweet.effects import (
    Ask,
    Call,
    Effect,
    Effects,
    Load,
    Now,
    Outcome,
    Publish,
    Read,
    Recorded,
    Warn,
)
from post_tweet.errors import (
    Account,
    Busy,
    PoolBroken,
    TooLate,
    Undecided,
    Unreachable,
    WrongClock,
)
from post_tweet.lost_answer import Answer, proven, settlement
from post_tweet.place import CLOCK_TOLERANCE, CannotTell, Found, NotFound, Posted, Refused, Unknown
from post_tweet.recent import forgotten_until, outcome_of_slot
from post_tweet.state import RECENT, Claim, PostRecord, Settled, State, Text, due, stamp, when
from post_tweet.steps import (
    MAX_RACES,
    POST_TIME,
    abandoned,
    check_time_left,
    connect,
    damaged,
    list_slots,
    next_index,
    outcome,
    record_post,
    recorded_since,
    release,
    settle,
    successor,
    write_claim,
    write_record,
)

MAX_REFUSED = 3
"""Texts that the place may refuse in one call."""
MAX_UNFIT = 20
"""Texts that may fail our own check in one call."""
MAX_ATTEMPTS = 64
"""Attempts at one text, and slots that may have posted it, without a word of the place whether one of them has."""
LATEST_START = 0.25
"""Share of the lease in which a post must start: the rest is for the place's time-out (18 s) and stragglers."""
EARLIER_ATTEMPT = timedelta(seconds=10)
"""A post older than its claim by more than this is an earlier attempt's: those began 55 s before the claim, and the
place was done with them 18 s before it (a quarter of the lease, a time-out, 5 s in transit)."""


def posting(call: Call) -> Effects:
    """Post one text for `call.slot`, unless that has been done.

    A paused pool is left alone, with any claim in it. Raises a PostError for whatever a person or a retry must see.
    """
    refused = unfit = 0
    # A name without a time is due now: whether it was used long ago is its owner's affair.
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
                f"Text {claim.index} is claimed since {claim.since}, by a call at work or an earlier try that was cut "
                f"short; retry after its lease of {call.lease.total_seconds():.0f} s."
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
                        f"{MAX_UNFIT} texts in a row may not be posted (the last {why}); filter the pool again."
                    )
                yield Warn(f"Text {index} is not posted: it {why}.", "Refused")
                yield from settle(call, state, Settled(call.slot, index, "refused", None, stamp(now), why))
                continue
            if (yield Recorded(index, recorded_since(state), now)):
                yield from damaged(state, index)
                continue
            if call.dry_run:
                return outcome("dry-run", call, state, index, None, text.text)
            account = yield from connect(call, state)  # keys that cannot be read stop us before a text is claimed
            now = yield Now()
            check_time_left(call, now)
            fresh = Claim(call.slot, call.owner, index, text.text, stamp(now), stamp(now))
            claimed = yield from write_claim(successor(state, call, claim=fresh, account=account))
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


def take_over(call: Call, state: State, claim: Claim) -> Generator[Effect, Any, State | Outcome | None]:
    """Ask the place about a claim whose text may have been posted, and settle it or claim it anew.

    Returns the state with our claim in it, the outcome if this slot is done, or None to start again.
    """
    now: datetime = yield Now()
    check_time_left(call, now)
    account = yield from connect(call, state)
    standing: PostRecord | None = yield Recorded(claim.index, recorded_since(state), now)
    if standing and (standing.text != claim.text or standing.slot not in (None, *claim.slots)):
        yield from damaged(state, claim.index)
        return None
    if standing and standing.slot:  # the call that made the post wrote it: nothing needs to be asked
        entry = Settled(standing.slot, claim.index, "posted", standing.tweet_id, standing.time)
        return (yield from settle_found(call, state, entry, claim))
    answer: Answer = yield Ask(claim.text, when(claim.first))
    now = yield Now()
    name, promise = call.place.name, call.place.promise
    # The claim is at least a lease old, or at least five minutes in the future: abs() covers both.
    answer = proven(answer, promise, abs(now - when(claim.since)) - LATEST_START * call.lease - POST_TIME)
    if standing and standing.outcome == "posted" and not isinstance(answer, Found):
        answer = Found(standing.tweet_id or "")  # an earlier call has seen it
    reason = answer.reason if isinstance(answer, CannotTell) else ""
    match settlement(answer, promise, now - when(claim.first), claim.index in state.withdrawn):
        case "again":
            absent = isinstance(answer, NotFound)
            if not absent and max(len(claim.slots), claim.attempts) >= MAX_ATTEMPTS:
                raise Undecided(
                    f"Text {claim.index} may have been posted in one of {claim.attempts} attempts, and {name} does not "
                    f"say so ({reason}). It is not tried again before {name} shows its latest posts. To go on without "
                    "it, withdraw it from the pool."
                )
            return (yield from claim_again(call, state, claim, now, absent, account))
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
                "is wrong, or take the text out (`deepproverbs pool withdraw`). Until then nothing is posted: "
                f"{name} does not let its latest posts be read."
            )
        case "posted":
            assert isinstance(answer, Found)
            tweet_id = answer.tweet_id or None
            entry = Settled(claim.slot, claim.index, "posted", tweet_id, stamp(now), None, claim.others)
            if answer.created and answer.created >= when(claim.since) - EARLIER_ATTEMPT:
                entry = replace(entry, others=())  # made by the last attempt itself
            yield from record_post(claim, tweet_id, now, sure=False)
        case "abandoned":
            entry = Settled(claim.slot, claim.index, "abandoned", None, stamp(now), reason, claim.others)
            if call.slot not in claim.slots:  # for this slot, the next round raises it
                yield Warn(str(abandoned(call, claim.slots, claim.index)), "Failed")
        case "refused":
            entry = Settled(claim.slot, claim.index, "refused", None, stamp(now), "withdrawn", claim.others)
            yield Warn(f"Text {claim.index} was not posted, and its owner has withdrawn it.", "Refused")
    return (yield from settle_found(call, state, entry, claim))


def claim_again(
    call: Call, state: State, claim: Claim, now: datetime, absent: bool, account: str | None
) -> Generator[Effect, Any, State | None]:
    """Take a claim over, to post its text. `absent`: the place has shown that no earlier attempt has posted it."""
    check_time_left(call, now)
    taken = replace(
        claim,
        slot=call.slot,
        owner=call.owner,
        since=stamp(now),
        # If absent, this is the first attempt: the time for which the place refuses repeats starts again.
        first=stamp(now) if absent else claim.first,
        attempts=1 if absent else claim.attempts + 1,
        # Kept even then: if the place shows a post late after all, the slot that made it is still known.
        others=tuple(slot for slot in claim.slots if slot != call.slot)[1 - MAX_ATTEMPTS :],
    )
    return (yield from write_claim(successor(state, call, claim=taken, account=account)))


def settle_found(call: Call, state: State, entry: Settled, claim: Claim) -> Generator[Effect, Any, Outcome | None]:
    """Settle a text of an earlier attempt. Returns the outcome if that was a post for this slot alone, or None."""
    state = yield from settle(call, state, entry)
    if entry.outcome == "abandoned" and entry in state.recent:
        # It may have been posted, which an older state that is put back would not know. Not written before it is
        # settled: till then the claim's owner may be at work, and show that it was not.
        yield from write_record(PostRecord(claim.index, None, claim.text, None, entry.time, "abandoned"))
    if entry.outcome == "posted" and entry.slots == (call.slot,) and entry in state.recent:
        return outcome("posted", call, state, claim.index, entry.tweet_id, claim.text)
    return None  # if this slot may have posted it, the state says so now


def publish(call: Call, state: State, before: Claim | None) -> Generator[Effect, Any, Outcome | None]:
    """Post the claimed text. Returns the outcome, or None to take the next text.

    `before` is the claim that this one took over: its attempt may have posted the text.
    """
    claim = state.claim
    assert claim is not None
    now: datetime = yield Now()
    if now - when(claim.since) >= LATEST_START * call.lease:
        # The process slept or the store was slow: the claim may be another's before the post ends.
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
        case Refused("text", "duplicate"):
            # The state knows of no attempt: somebody else has posted it, or one whose claim was lost with a later
            # state, and that may have been for this slot.
            yield Warn(
                f"{call.place.name} has published text {claim.index} before, and the state knows of no attempt; run "
                "`deepproverbs pool verify`, and look at the account."
            )
            entry = Settled(call.slot, claim.index, "abandoned", None, stamp(now), "duplicate")
            return (yield from settle_found(call, state, entry, claim))
        case Refused("text", reason, sentence):
            yield Warn(f"{call.place.name} refused text {claim.index}: {sentence}", "Refused")
            yield from settle(call, state, Settled(call.slot, claim.index, "refused", None, stamp(now), reason))
            return None
        case Refused(_, reason, sentence):
            # A first attempt has posted nothing: drop the claim. After a take-over the earlier attempt may have posted:
            # put its claim back, or a later slot might post the text again.
            yield from release(call, state, before)
            raise Account(sentence, reason)
        case Unknown(reason):
            raise Undecided(
                f"{call.place.name}'s answer to text {claim.index} was lost ({reason}); the next attempt asks "
                f"{call.place.name} whether it was posted."
            )
