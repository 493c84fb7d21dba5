"""The posting protocol against a world in memory: every outcome, and a crash before and after every effect."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from datetime import timedelta
from typing import Any
from unittest import mock

import pytest
from post_tweet import effects
from post_tweet.errors import Abandoned, Account, Busy, EmptyPool, PoolBroken, PostError, Undecided, WrongClock
from post_tweet.place import CannotTell, Refused, Unknown
from post_tweet.xanswers import NOWHERE, keys_refused

from tests.helpers.fakes import Crash, records
from tests.helpers.invoking import START, World, claimed

FIRST = records(1)[0]["text"]
WRITES = (effects.Save, effects.Note, effects.Publish)


def test_a_slot_posts_the_next_text_and_a_second_call_posts_nothing() -> None:
    world = World()
    first = world.invoke("monday")
    assert first.outcome == "posted" and first.index == 0 and first.remaining == 4
    assert world.invoke("monday").outcome == "already-settled"
    assert world.x.published == [records(1)[0]["text"]]
    assert world.invoke("tuesday").index == 1


def test_a_normal_post_costs_six_store_requests_and_claims_before_it_posts() -> None:
    world, trace = World(), list[Any]()
    world.invoke("monday", trace=trace)
    assert " ".join(type(e).__name__ for e in trace if not isinstance(e, effects.Now)) == (
        "Load Read Recorded Connect Save Publish Note Save"
    )


def test_what_a_post_writes_every_version_reads() -> None:
    """Byte for byte: functions deployed earlier, and people's own programs, read it."""
    world = World(2)
    world.invoke("monday")
    world.x.answers.append(Unknown("time-out"))
    with pytest.raises(Undecided):
        world.invoke("tuesday")
    time = '"2026-01-01T00:00:00.000+00:00"'
    assert world.store.objects["posts/2026/0.json"].decode() == (
        f'{{"index": 0, "slot": "monday", "text": "{FIRST}", "tweet_id": "1", "time": {time}, "check": "c8d5b439"}}\n'
    )
    written = json.dumps(json.loads(world.store.objects["state.json"]))
    assert (
        json.dumps(json.loads(written), ensure_ascii=False, indent=1) + "\n"
        == world.store.objects["state.json"].decode()
    )
    written = re.sub(r"owner-1:4 [0-9a-f]{8}", "owner-1:4 CHECK", written)
    assert re.sub(r'"batches": \[.*?\]', '"batches": []', written) == (
        '{"format": 1, "seq": 4, "writer": "owner-1:4 CHECK", "batches": [], "next": 1, "claim": {"slot": "tuesday", '
        f'"owner": "owner-1", "index": 1, "text": "{records(2)[1]["text"]}", "since": {time}, "first": {time}, '
        '"attempts": 1}, "recent": [{"slot": "monday", "index": 0, "outcome": "posted", "tweet_id": "1", '
        f'"time": {time}, "reason": null}}], "withdrawn": []}}'
    )


def test_a_dry_run_writes_and_posts_nothing() -> None:
    world, trace = World(), list[Any]()
    before = dict(world.store.objects)
    assert world.invoke("monday", dry_run=True, trace=trace).text == records(1)[0]["text"]
    assert world.store.objects == before and not any(isinstance(r, WRITES) for r in trace)


@pytest.mark.parametrize("readable", [True, False])
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("first", range(14))
@pytest.mark.parametrize("second", [None, *range(14)])
def test_crashes_anywhere_lose_nothing_and_double_nothing(
    first: int, second: int | None, after: bool, readable: bool
) -> None:
    """One crash or two in the same slot, X readable or not, then calls until the slot is settled."""
    world = World()
    world.x.readable = readable
    for crash in (first, second):
        try:
            world.invoke("monday", crash_at=crash, after=after)
        except (Crash, Busy):
            world.wait(seconds=111)
    for _ in range(4):
        try:
            world.invoke("monday")
            break
        except Busy:
            world.wait(seconds=111)
    assert len(world.x.published) == 1
    assert world.state.next == 1 and world.state.claim is None
    assert world.invoke("monday").outcome == "already-settled"
    world.invoke("tuesday")
    assert max(Counter(world.x.published).values()) == 1 and len(world.x.published) == 2


@pytest.mark.parametrize("published", [True, False])
@pytest.mark.parametrize("readable", [True, False])
def test_a_lost_answer_is_settled_by_the_retry(published: bool, readable: bool) -> None:
    world = World()
    world.x.readable = readable
    if published:
        world.x.published.append(records(1)[0]["text"])
    world.x.answers.append(Unknown("timeout"))
    with pytest.raises(Undecided):
        world.invoke("monday")
    assert world.state.claim.index == 0 and world.state.next == 0
    with pytest.raises(Busy):
        world.invoke("monday")  # the post may still be on its way to X: asked now, X would not show it
    world.wait(seconds=111)
    assert world.invoke("monday").outcome == "posted"
    assert world.x.published == [records(1)[0]["text"]]


def test_a_found_post_of_an_older_slot_does_not_count_for_this_one() -> None:
    world = World()
    world.lose("monday")
    world.x.published.append(records(1)[0]["text"])
    world.wait(days=1)
    assert world.invoke("tuesday").index == 1
    assert [(s.slot, s.index) for s in world.state.recent] == [("monday", 0), ("tuesday", 1)]


def test_an_old_claim_that_nobody_can_settle_is_abandoned_and_reported() -> None:
    world = World()
    world.x.readable = False
    world.lose("monday")
    world.wait(hours=7)
    assert world.invoke("tuesday").index == 1
    assert world.state.recent[0].outcome == "abandoned" and "may have been posted" in world.warnings[0]
    assert records(1)[0]["text"] not in world.x.published


def test_a_live_claim_is_busy_until_its_lease_is_over() -> None:
    world = World()
    with pytest.raises(Crash):
        world.invoke("monday", crash_at=effects.Save, after=True)
    world.wait(seconds=109)
    with pytest.raises(Busy, match="110 s"):
        world.invoke("monday")
    world.wait(seconds=2)
    assert world.invoke("monday").outcome == "posted" and world.x.asked == 1


def test_a_text_refused_by_x_makes_room_for_the_next() -> None:
    world = World()
    world.x.answers.append(Refused("text", "too-long", "it is too long"))
    assert world.invoke("monday").index == 1
    assert [s.outcome for s in world.state.recent] == ["refused", "posted"]


def test_three_refused_texts_end_the_call() -> None:
    world = World()
    world.x.answers += [Refused("text", "too-long", "it is too long")] * 3
    with pytest.raises(Account, match="3 texts"):
        world.invoke("monday")
    assert world.state.next == 3 and world.state.claim is None


def test_an_account_refusal_keeps_the_text_for_the_next_slot() -> None:
    world = World()
    world.x.answers.append(Refused("account", "credits", "Buy credits."))
    with pytest.raises(Account, match="Buy credits"):
        world.invoke("monday")
    assert world.state.claim is None and world.state.next == 0
    assert world.invoke("tuesday").index == 0


def test_an_account_refusal_after_a_lost_answer_keeps_the_claim() -> None:
    """Dropped, the text would look fresh, and a day later X would take it a second time."""
    world = World()
    world.x.readable = False
    world.lose("monday")
    world.x.answers.append(Refused("account", "credits", "Buy credits."))
    with pytest.raises(Account):
        world.invoke("monday")
    assert world.state.claim.index == 0 and world.state.claim.since == START.isoformat(timespec="milliseconds")


def test_an_unfit_text_is_skipped_without_asking_x() -> None:
    world = World(0)
    texts = records(2)
    texts[0]["text"] = "look at king.to and @someone"
    world.pool.append(texts, "test")
    assert world.invoke("monday").index == 1 and len(world.x.published) == 1


def test_a_pool_of_unfit_texts_is_an_error() -> None:
    world = World(0)
    world.pool.append([{**r, "text": f"{r['text']} @x"} for r in records(30)], "test")
    with pytest.raises(PoolBroken, match="mentions someone"):
        world.invoke("monday")


@pytest.mark.parametrize("texts", [0, 1])
def test_an_empty_pool_raises(texts: int) -> None:
    world = World(texts)
    if texts:
        world.invoke("monday")
    with pytest.raises(EmptyPool, match="train-and-fill"):
        world.invoke("tuesday")


def test_a_refill_between_claim_and_settling_is_kept() -> None:
    world = World()
    with pytest.raises(Crash):
        world.invoke("monday", crash_at=effects.Save, after=True)
    world.pool.append(records(5, start=50), "more")
    world.wait(seconds=111)
    assert world.invoke("monday").remaining == 9


@pytest.mark.parametrize("seed", range(200))
def test_interleaved_invocations_of_one_slot_post_once(seed: int) -> None:
    """Two or three invocations side by side, one effect of a random one at a time; then the retries."""
    world, rng = World(), random.Random(seed)
    running = [world.start("monday") for _ in range(rng.choice([2, 3]))]
    while running:
        one = rng.choice(running)
        try:
            next(one)
        except (StopIteration, PostError):
            running.remove(one)
    world.wait(seconds=111)
    world.invoke("monday")
    assert len(world.x.published) == 1 and world.state.next == 1 and world.state.claim is None


def test_a_slot_whose_text_was_abandoned_posts_nothing_and_says_so_every_time() -> None:
    world = World()
    claimed(world)
    world.x.readable = False
    world.wait(hours=7)
    for _ in range(2):
        with pytest.raises(Abandoned, match="Text 0 may have been posted for monday"):
            world.invoke("monday")
    assert world.x.published == [] and world.invoke("tuesday").index == 1


def test_keys_that_x_does_not_know_give_up_no_text() -> None:
    world = World()
    claimed(world)
    world.wait(days=3)
    unknown = mock.patch.object(world.x, "did_post", return_value=CannotTell(keys_refused(NOWHERE), "keys"))
    with unknown, pytest.raises(Account, match="does not know these keys") as error:
        world.invoke("tuesday")
    assert error.value.reason == "keys" and world.state.claim.index == 0
    assert world.invoke("tuesday").index == 0


def test_x_that_does_not_answer_now_gives_up_no_text() -> None:
    world = World()
    claimed(world)
    world.wait(days=3)
    with mock.patch.object(world.x, "did_post", return_value=CannotTell("time-out", "later")):
        with pytest.raises(Undecided, match="withdraw it"):
            world.invoke("tuesday")
        assert world.state.claim.index == 0
        world.pool.withdraw([0])  # as the message says
        assert world.invoke("tuesday").index == 1
    assert world.state.recent[0].outcome == "abandoned"


def test_a_claim_from_the_future_waits_for_no_clock() -> None:
    world = World()
    year = (world.now + timedelta(days=365)).isoformat()
    claimed(world, since=year, first=year)
    world.x.readable = False
    with pytest.raises(WrongClock, match="set the clock"):
        world.invoke("tuesday")
    world.x.readable = True
    assert world.invoke("tuesday").index == 0


def test_a_paused_pool_is_left_as_it_is() -> None:
    world = World()
    claimed(world)
    world.pool.pause(world.now)
    world.wait(hours=1)
    before, trace = world.state, list[Any]()
    assert world.invoke("tuesday", trace=trace).outcome == "paused"
    assert world.state == before and world.x.asked == 0 and len(trace) == 3
    world.pool.resume()
    assert world.invoke("tuesday").outcome == "posted"
