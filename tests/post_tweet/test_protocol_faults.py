"""Double faults of the posting protocol: a crash or a lost answer on top of a claim that may have been posted."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any
from unittest import mock

import pytest
from post_tweet.errors import Account, Busy, PostError, Unreachable
from post_tweet.place import Posted, Refused
from post_tweet.store import Conflict

from tests.helpers.fakes import Crash, records, refill
from tests.helpers.invoking import World

FIRST = records(1)[0]["text"]


def after_a_lost_answer(readable: bool) -> World:
    """Monday's answer is lost; the post was not made."""
    world = World()
    world.x.readable = readable
    world.lose("monday")
    return world


@pytest.mark.parametrize("readable", [True, False])
@pytest.mark.parametrize("lost", [True, False])
@pytest.mark.parametrize("after", [True, False])
@pytest.mark.parametrize("crash", range(15))
def test_a_slot_posts_once_whatever_breaks_its_take_over(readable: bool, lost: bool, after: bool, crash: int) -> None:
    world = after_a_lost_answer(readable)
    if lost:
        world.x.published.append(FIRST)
    before = len(world.x.published)
    with suppress(Crash):
        world.invoke("tuesday", crash_at=crash, after=after)
    for _ in range(3):
        world.wait(seconds=111)
        with suppress(PostError):
            world.invoke("tuesday")
    assert len(world.x.published) - before <= 1
    assert len(set(world.x.published)) == len(world.x.published)
    assert world.state.claim is None and sum(entry.slot == "tuesday" for entry in world.state.recent) == 1
    settled = [entry.index for entry in world.state.recent]
    assert settled == list(range(world.state.next))


def test_a_duplicate_of_another_slots_text_counts_for_that_slot() -> None:
    world = after_a_lost_answer(readable=False)
    world.x.published.append(FIRST)
    assert world.invoke("tuesday").index == 1
    assert [(e.slot, e.index, e.tweet_id) for e in world.state.recent] == [("monday", 0, None), ("tuesday", 1, "2")]


def test_an_account_refusal_gives_the_claim_back_to_its_slot() -> None:
    world = after_a_lost_answer(readable=True)
    first = world.state.claim.first
    world.wait(hours=1)
    world.x.answers.append(Refused("account", "credits", "Buy credits."))
    with pytest.raises(Account):
        world.invoke("tuesday")
    assert (world.state.claim.slot, world.state.claim.first, world.state.claim.since) == ("monday", first, first)


@pytest.mark.parametrize("readable", [True, False])
def test_a_withdrawn_text_is_not_posted_again(readable: bool) -> None:
    world = after_a_lost_answer(readable)
    assert world.pool.withdraw([0]) == 1
    assert world.invoke("tuesday").index == 1
    assert FIRST not in world.x.published
    assert world.state.recent[0].outcome == ("refused" if readable else "abandoned")


def during_the_post(world: World, what: Callable[[], Any], answer: Any) -> None:
    def publish(text: str) -> Any:
        what()
        return answer

    world.x.post = publish  # type: ignore[method-assign]


def test_a_refill_during_a_refused_post_does_not_keep_the_claim() -> None:
    world = World()
    refuse = Refused("account", "credits", "Buy credits.")
    during_the_post(world, lambda: world.pool.append(records(3, start=90), "more"), refuse)
    with pytest.raises(Account):
        world.invoke("monday")
    assert world.state.claim is None and world.state.next == 0 and world.state.total == 8


def test_a_refill_during_a_post_is_kept_and_the_post_settled() -> None:
    world = World()
    during_the_post(world, lambda: world.pool.append(records(3, start=90), "more"), Posted("9"))
    assert world.invoke("monday").remaining == 7
    assert world.state.claim is None and world.state.next == 1


def test_a_claim_whose_answer_was_lost_under_a_refill_is_ours() -> None:
    world = World()
    world.store.after["state.json"] = refill(world.pool, 95, lost=True)
    assert world.invoke("monday").outcome == "posted" and world.x.asked == 0


def test_a_taken_over_post_is_left_to_who_took_it() -> None:
    world = World()

    def take_over() -> None:
        state, etag = world.pool.load()
        claim = replace(state.claim, owner="another") if state.claim else None
        assert world.pool.save(replace(state, seq=state.seq + 1, writer="another", claim=claim), etag)

    during_the_post(world, take_over, Posted("9"))
    with pytest.raises(Busy, match="took over"):
        world.invoke("monday")
    assert world.state.claim.owner == "another" and world.state.next == 0


def test_a_claim_that_was_slow_is_not_posted() -> None:
    world = World()
    running = world.start("monday")
    with suppress(Busy):
        for _ in range(8):  # Now, Load, Now, Read, Recorded, Connect, Now, Save
            next(running)
        world.wait(seconds=28)
        with pytest.raises(Busy, match="too long"):
            list(running)
    assert world.x.published == [] and world.state.claim is None, "nothing was posted: the text is free"


def test_a_store_that_fails_after_a_refusal_does_not_hide_it() -> None:
    world, down = World(), mock.Mock(side_effect=Unreachable("S3 is down."))
    during_the_post(
        world, lambda: world.store.before.update({"state.json": down}), Refused("account", "keys", "Renew.")
    )
    with pytest.raises(Account, match="Renew") as error:
        world.invoke("monday")
    assert error.value.reason == "keys" and "S3 is down" in world.warnings[0] and world.state.claim is not None


def test_a_store_that_always_answers_conflict_ends_in_busy() -> None:
    world = World()

    def put_if(key: str, data: bytes, etag: str | None) -> str:
        raise Conflict(key)

    world.store.put_if = put_if  # type: ignore[method-assign]
    with pytest.raises(Busy, match="kept changing"):
        world.invoke("monday")
    assert world.x.published == []
