"""What the protocol believes beside its state: records of posts, the account; and what it does not try for ever."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from unittest import mock

import pytest
from post_tweet import effects
from post_tweet.errors import Abandoned, Account, BadInput, PoolBroken, Undecided
from post_tweet.place import CannotTell, Found, Posted, Refused, Unknown
from post_tweet.protocol import MAX_ATTEMPTS
from post_tweet.state import PostRecord, State

from tests.helpers.fakes import Crash, records
from tests.helpers.invoking import START, World, claimed

FIRST, SECOND = (record["text"] for record in records(2))


def record(index: int = 0, slot: str | None = "monday", text: str = FIRST, **values: Any) -> PostRecord:
    return PostRecord(
        index, slot, text, values.pop("tweet_id", "7"), START.isoformat(timespec="milliseconds"), **values
    )


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_text_whose_record_stands_is_not_posted(dry_run: bool) -> None:
    world = World()
    world.pool.note(record())
    before = dict(world.store.objects)
    for _ in range(2):
        with pytest.raises(PoolBroken, match="Text 0 has a record"):
            world.invoke("tuesday", dry_run=dry_run)
    assert world.x.published == [] and world.store.objects == before


def test_a_post_that_another_call_makes_meanwhile_is_no_damage() -> None:
    """It stands in posts/ before this call looks, and in the state after this call has read it."""
    world, trace = World(), list[Any]()
    slow = world.start("tuesday", trace=trace)
    while not trace or not isinstance(trace[-1], effects.Read):
        next(slow)
    assert world.invoke("monday").index == 0
    with pytest.raises(StopIteration) as end:
        while True:
            next(slow)
    assert end.value.value.index == 1 and world.x.published == [FIRST, SECOND]


@pytest.mark.parametrize("days", [0, 200, 700])
def test_records_are_looked_for_in_every_year_in_which_they_may_lie(days: int) -> None:
    """An older state may have been put back years after it was written."""
    world = World()
    assert world.invoke("monday").index == 0
    old = world.store.objects["state.json"]
    world.wait(days=days)
    assert world.invoke("tuesday").index == 1
    world.store.objects["state.json"] = old
    world.wait(days=300)
    with pytest.raises(PoolBroken, match="Text 1 has a record"):
        world.invoke("wednesday")


def test_a_post_asks_for_one_record_and_the_first_of_a_year_for_two() -> None:
    world = World()
    requests = []
    for _ in range(4):
        world.wait(days=200)
        before = world.store.requests
        world.invoke(f"slot {world.now}")
        requests.append(world.store.requests - before)
    assert requests == [6, 7, 6, 7]


def crashed_after_its_record(world: World, slot: str = "monday") -> None:
    with pytest.raises(Crash):
        world.invoke(slot, crash_at=effects.Note, after=True)
    world.wait(seconds=111)


@pytest.mark.parametrize("slot", ["monday", "tuesday"])
def test_a_record_of_the_claims_slot_settles_it_without_a_question(slot: str) -> None:
    world = World()
    crashed_after_its_record(world)
    world.x.published.clear()  # X shows nothing: the record is believed
    result = world.invoke(slot)
    assert (result.outcome, result.index) == ("posted", 0 if slot == "monday" else 1) and world.x.asked == 0
    first = world.state.recent[0]
    assert (first.slot, first.tweet_id, first.others, first.outcome) == ("monday", "1", (), "posted")
    assert FIRST not in world.x.published


@pytest.mark.parametrize("shown", [True, False])
def test_a_record_without_a_slot_counts_for_all_of_the_claims_unless_x_tells_more(shown: bool) -> None:
    world = World()
    world.x.readable = False
    world.lose("monday", "tuesday")
    world.pool.note(record(0, None))
    answer = Found("9", world.now - timedelta(seconds=111)) if shown else CannotTell("down", "later")
    with mock.patch.object(world.x, "did_post", return_value=answer):
        assert world.invoke("wednesday").index == 1
    assert world.state.recent[0].slots == (("tuesday",) if shown else ("monday", "tuesday"))
    if not shown:
        with pytest.raises(Abandoned):
            world.invoke("monday")


@pytest.mark.parametrize("wrong", [{"slot": "friday"}, {"text": "another text"}])
def test_a_record_that_the_claim_cannot_have_made_is_damage(wrong: dict[str, str]) -> None:
    world = World()
    world.lose("monday")
    world.pool.note(record(**wrong))  # type: ignore[arg-type]
    for _ in range(2):
        with pytest.raises(PoolBroken, match="Text 0 has a record"):
            world.invoke("tuesday")
    assert world.x.published == [] and world.x.asked == 0


def test_a_damaged_record_is_evidence_too() -> None:
    world = World()
    world.store.objects["posts/2026/0.json"] = b"{"
    for slot in ("monday", "tuesday"):
        with pytest.raises(PoolBroken, match="is not a record of a post"):
            world.invoke(slot)
    assert world.x.published == []


def test_a_text_that_is_given_up_has_a_record() -> None:
    world = World()
    claimed(world)
    world.x.readable = False
    world.wait(hours=7)
    old = world.store.objects["state.json"]
    assert world.invoke("tuesday").index == 1
    assert (world.pool.show(0)["fate"], world.pool.show(0)["post"]["tweet_id"]) == ("abandoned", None)
    assert world.pool.verify() == []
    state = State.parse(old, "here", "state.json")
    world.store.objects["state.json"] = replace(state, claim=None).dump("state.json")
    with pytest.raises(PoolBroken, match="Text 0 has a record"):
        world.invoke("wednesday")


NOTES: tuple[tuple[PostRecord, PostRecord, bool, bool], ...] = (
    (record(), record(), True, False),
    (record(slot=None), record(), True, True),
    (record(slot=None, tweet_id=None, outcome="abandoned"), record(slot=None), True, True),
    (record(slot=None, tweet_id=None, outcome="abandoned"), record(), True, True),
    (record(), record(slot=None, tweet_id=None), True, False),
    (record(), record(slot="friday"), False, False),
    (record(), record(tweet_id="8"), False, False),
    (record(), record(text=SECOND), False, False),
    (record(slot=None), record(text=SECOND), False, False),
)


@pytest.mark.parametrize(("standing", "new", "agrees", "replaces"), NOTES)
def test_a_record_is_completed_but_never_contradicted(
    standing: PostRecord, new: PostRecord, agrees: bool, replaces: bool
) -> None:
    world = World()
    assert world.pool.note(standing) and world.pool.note(new) == agrees
    (stored,) = [data for key, data in world.store.objects.items() if key.startswith("posts/")]
    assert stored == (new if replaces else standing).dump()


def test_a_record_that_contradicts_a_post_is_told_and_the_post_counts() -> None:
    world = World()

    def publish(text: str) -> Posted:
        world.pool.note(record(0, "friday"))
        return Posted("9")

    world.x.post = publish  # type: ignore[method-assign]
    assert world.invoke("monday").outcome == "posted"
    assert "says something else" in world.warnings[0] and world.pool.verify() != []


# The account


def test_a_pool_belongs_to_the_account_that_posted_from_it_first() -> None:
    world = World()
    world.x.account = "1"
    assert world.invoke("monday").index == 0 and world.state.account == "1"
    assert b'"format": 5' in world.store.objects["state.json"]
    for other in ("2", None):
        world.x.account = other
        with pytest.raises(Account, match="belongs to the account 1 of X"):
            world.invoke("tuesday")
    assert world.state.claim is None and len(world.x.published) == 1
    world.x.account = "1"
    assert world.invoke("tuesday").index == 1


def test_another_account_takes_no_claim_over() -> None:
    world = World()
    world.x.account = "1"
    world.lose("monday")
    world.x.published.append(FIRST)
    world.x.account = "2"
    with pytest.raises(Account) as error:
        world.invoke("tuesday")
    assert error.value.reason == "another-account" and world.x.asked == 0 and world.state.claim.slot == "monday"
    with pytest.raises(BadInput, match="Text 0 is claimed"):
        world.pool.hand_over("2")
    world.x.account = "1"
    assert world.invoke("tuesday").index == 1
    assert world.pool.hand_over("2") and not world.pool.hand_over("2")
    with pytest.raises(Account):
        world.invoke("wednesday")
    assert world.pool.hand_over(None) and world.state.account is None
    world.x.account = "3"
    assert world.invoke("wednesday").index == 2 and world.state.account == "3"


def test_a_claim_that_an_older_version_left_gets_its_account_with_the_next_attempt() -> None:
    world = World()
    claimed(world)
    world.wait(seconds=111)
    world.x.account = "1"
    assert world.invoke("monday").index == 0 and world.state.account == "1"


# Bounds


def give_up_trying(world: World, slot: Callable[[int], str]) -> int:
    for number in range(2 * MAX_ATTEMPTS):
        world.x.answers = [Unknown("time-out")]
        with pytest.raises(Undecided) as error:
            world.invoke(slot(number))
        if "not tried again" in str(error.value):
            return number
        world.wait(seconds=111)
    return -1


@pytest.mark.parametrize("slot", [lambda n: "monday", lambda n: f"slot {n}"])
def test_a_text_is_not_tried_for_ever(slot: Callable[[int], str]) -> None:
    world = World()
    world.x.readable = False
    assert give_up_trying(world, slot) == MAX_ATTEMPTS
    claim = world.state.claim
    assert claim.attempts == MAX_ATTEMPTS and len(claim.slots) <= MAX_ATTEMPTS and world.x.published == []
    world.x.answers = []
    assert world.pool.withdraw([0]) == 1, "as the message says"
    assert world.invoke("later").index == 1 and world.state.recent[0].outcome == "abandoned"
    with pytest.raises(Abandoned):
        world.invoke(claim.slots[0])


def test_a_text_that_x_denies_is_tried_as_often_as_it_takes() -> None:
    world = World()
    assert give_up_trying(world, lambda n: f"slot {n}") == -1
    assert world.state.claim.attempts == 1 and len(world.state.claim.slots) == MAX_ATTEMPTS
    world.x.answers = []
    assert world.invoke("later").index == 0 and world.x.published == [FIRST]


def test_an_account_that_is_refused_lets_go_of_nothing_that_others_tried() -> None:
    world = World()
    world.x.readable = False
    world.lose("monday", "tuesday")
    world.x.answers = [Refused("account", "credits", "Buy credits.")]
    with pytest.raises(Account):
        world.invoke("wednesday")
    assert world.state.claim.slots == ("monday", "tuesday") and world.state.claim.attempts == 2
    assert datetime.fromisoformat(world.state.claim.first) == START
