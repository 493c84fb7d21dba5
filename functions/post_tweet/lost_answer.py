"""How a lost answer is settled, in one pure function. docs/pool.md has the same table."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from post_tweet.place import CLOCK_TOLERANCE, CannotTell, Found, NotFound, Promise

Answer = Found | NotFound | CannotTell
Settlement = Literal["posted", "refused", "again", "keys", "wrong-clock", "abandoned", "later"]


def proven(answer: Answer, promise: Promise, quiet: timedelta) -> Answer:
    """What an answer proves, `quiet` after the last attempt ended: a post that the place need not show yet is not known
    to be absent."""
    if isinstance(answer, NotFound) and quiet < promise.shown_within:
        return CannotTell("it need not show the post yet", "later")
    return answer


def settlement(answer: Answer, promise: Promise, age: timedelta, withdrawn: bool) -> Settlement:
    """What becomes of a text that may have been posted, its answer lost. The first row that fits, with X's promise:

    X's latest posts    the claim           settlement   because
    hold the text       any                 posted       it is seen: settled for the slots in the claim
    do not hold it      withdrawn           refused      it was not posted and must not be
    do not hold it      any                 again        X shows a post at once, and the lease has passed
    keys not accepted   any                 keys         nothing can be asked or posted: the operator first
    cannot be read      withdrawn           abandoned    it must not be posted, so nothing can tell any more
    cannot be read      from the future     wrong-clock  its age, and so the rows below, mean nothing
    cannot be read      up to 6 hours old   again        X refuses a duplicate: a second post does no harm and
                                                         its refusal says that the first was made
    cannot be read now  older               later        a time-out or a limit passes: ask again, post nothing
    cannot be read      older               abandoned    a second post might double it: tell a person

    `age` is the time since the first attempt that may have posted it.
    """
    if isinstance(answer, Found):
        return "posted"
    if isinstance(answer, NotFound):
        return "refused" if withdrawn else "again"
    if answer.kind == "keys":
        return "keys"
    if withdrawn:
        return "abandoned"
    if age < -CLOCK_TOLERANCE:
        return "wrong-clock"
    if promise.repeats_refused_for is not None and age <= promise.repeats_refused_for:
        return "again"
    return "later" if answer.kind == "later" else "abandoned"
