"""What the state remembers: for which slots a text may have been posted, and how late a slot may come."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from unittest import mock

import pytest
from post_tweet import effects, recent
from post_tweet.errors import Abandoned, TooLate, Unreachable
from post_tweet.place import Found
from post_tweet.state import RECENT, Settled, State, due

from tests.helpers.fakes import records
from tests.helpers.invoking import START, World


def named(name: str, at: datetime) -> str:
    return f"{name} {at:%Y-%m-%dT%H:%M:%SZ}"


@pytest.mark.parametrize(
    ("slot", "time"),
    [
        ("arn:aws:scheduler:eu-central-1:1:schedule/default/s 2026-01-01T09:00:00Z", "2026-01-01T09:00:00+00:00"),
        ("manual 2026-01-01T09:00:00+02:00", "2026-01-01T09:00:00+02:00"),
        ("manual 2026-01-01T09:00", "2026-01-01T09:00:00+00:00"),
        ("2026-01-01T09:00:00Z", "2026-01-01T09:00:00+00:00"),
        *((name, None) for name in ("monday", "promo 20260101", "week 2026-W05", "at 2026-01-01T09:00:00Z#1", "T", "")),
    ],
)
def test_a_slots_name_says_when_it_was_due(slot: str, time: str | None) -> None:
    assert due(slot) == (datetime.fromisoformat(time) if time else None)


def test_a_slot_older_than_the_memory_is_refused() -> None:
    world = World(80)
    slots = []
    for _ in range(RECENT + 1):
        world.wait(hours=1)
        slots.append(named("slot", world.now - timedelta(minutes=1)))
        world.invoke(slots[-1])
    assert world.state.forgotten == (START + timedelta(minutes=59)).isoformat()
    with pytest.raises(TooLate, match="older than the 64 posts"):
        world.invoke(slots[0])
    with pytest.raises(TooLate):
        world.invoke(named("another", START + timedelta(minutes=30)))
    assert world.invoke(slots[1]).outcome == "already-settled", "whoever is remembered is answered"
    assert world.invoke(named("another", START + timedelta(minutes=60))).outcome == "posted"


@pytest.mark.parametrize("name", [lambda n, now: f"by hand {n}", lambda n, now: named(f"by hand {n}", now)])
def test_many_posts_by_hand_make_no_slot_too_late(name: object) -> None:
    world = World(200)
    for number in range(100):
        world.wait(seconds=1)
        world.invoke(name(number, world.now))  # type: ignore[operator]
    assert world.invoke(named("slot", world.now - timedelta(seconds=30))).outcome == "posted"


def test_a_time_made_up_by_hand_makes_no_slot_too_late() -> None:
    world = World(200)
    world.invoke("by hand 2999-01-01T00:00:00Z")
    for _ in range(100):
        world.wait(hours=1)
        world.invoke(named("slot", world.now))
    assert world.state.forgotten < world.now.isoformat()


def test_a_call_that_slept_through_the_memory_posts_nothing() -> None:
    """By hand, its name without a time; meanwhile the slot is posted by another call, and pushed out by 64 others."""
    world = World(100)
    running = world.start("by hand")
    for _ in range(6):  # Now, Load, Now, Read, Recorded, Connect
        next(running)
    world.invoke("by hand")
    for number in range(RECENT):
        world.wait(hours=1)
        world.invoke(f"slot {number}")
    assert recent.outcome_of_slot(world.state, "by hand") is None
    with pytest.raises(TooLate):
        list(running)
    assert len(world.x.published) == RECENT + 1


def test_what_an_older_version_forgot_without_a_word_is_not_posted() -> None:
    """It remembered 64 texts of whatever outcome."""
    world = World(0)
    world.pool.append(records(200), "test")
    state, etag = world.pool.load()
    kinds = ["refused"] * 40 + ["posted"] * 24
    old = tuple(
        Settled(named("slot", at), 36 + n, kind, None, at.isoformat())
        for n, kind in enumerate(kinds)
        for at in [START + timedelta(hours=36 + n)]
    )
    assert world.pool.save(replace(state, seq=9, next=100, recent=old), etag)
    world.now = START + timedelta(hours=100)
    for _ in range(2):
        with pytest.raises(TooLate):
            world.invoke(named("slot", START + timedelta(hours=30)))
        world.invoke(named("slot", world.now))
        world.wait(hours=1)
    assert world.state.forgotten is not None and len(world.state.recent) < RECENT


def test_texts_that_were_not_posted_do_not_push_posts_out_of_the_memory() -> None:
    world = World(0)
    world.pool.append([{**r, "text": f"{r['text']} @x"} if n % 10 else r for n, r in enumerate(records(200))], "test")
    for number in range(20):
        world.invoke(f"slot {number}")
    outcomes = Counter(entry.outcome for entry in world.state.recent)
    assert outcomes == {"posted": 20, "refused": 16}
    assert world.invoke("slot 0").outcome == "already-settled"


def test_a_post_counts_for_every_slot_that_may_have_made_it() -> None:
    world = World()
    world.x.readable = False
    world.lose("monday", "tuesday")
    world.x.published.append(records(1)[0]["text"])  # one of the two did
    assert world.state.claim.slots == ("monday", "tuesday")
    assert world.invoke("wednesday").index == 1
    for slot in ("monday", "tuesday"):
        with pytest.raises(Abandoned, match="Text 0 was posted for monday or tuesday; X did not say for which"):
            world.invoke(slot)
    assert len(world.x.published) == 2


@pytest.mark.parametrize("seconds", [0, 600])
def test_a_post_that_x_shows_is_its_own_attempts(seconds: int) -> None:
    """X tells when it was made: the last attempt's, or one before it."""
    world = World()
    world.lose("monday")
    world.lose("tuesday")
    claim, text = world.state.claim, records(1)[0]["text"]
    world.x.published.append(text)
    found = Found("9", datetime.fromisoformat(claim.since) - timedelta(seconds=seconds))
    with mock.patch.object(world.x, "did_post", return_value=found):
        if seconds:
            with pytest.raises(Abandoned, match="monday or tuesday"):
                world.invoke("tuesday")
        else:
            assert world.invoke("tuesday").outcome == "posted"
            assert world.invoke("monday").index == 1


def test_what_an_older_version_forgot_is_not_hidden_by_old_refusals() -> None:
    world = World(0)
    world.pool.append(records(200), "test")
    state, etag = world.pool.load()
    outcomes = [("refused", hour) for hour in range(16)] + [("posted", hour) for hour in range(40, 104)]
    old = tuple(
        Settled(named("slot", at), hour, outcome, None, at.isoformat())
        for outcome, hour in outcomes
        for at in [START + timedelta(hours=hour)]
    )
    assert world.pool.save(replace(state, seq=9, next=104, recent=old), etag)
    world.now = START + timedelta(hours=104)
    with pytest.raises(TooLate):
        world.invoke(named("slot", START + timedelta(hours=30)))


def test_a_name_with_microseconds_is_remembered_as_long() -> None:
    world, name = World(100), "manual 2026-01-01T01:00:00.123456+00:00"
    for slot in (name, *(f"manual 2026-01-02T00:00:{number:02}.5+00:00" for number in range(RECENT))):
        world.now = due(slot) or world.now
        world.invoke(slot)
    with pytest.raises(TooLate):
        world.invoke(name)


@pytest.mark.parametrize("readable", [True, False])
def test_a_post_that_was_only_found_has_a_record_without_a_slot(readable: bool) -> None:
    world = World()
    world.lose("monday")
    world.x.published.append(records(1)[0]["text"])
    world.x.readable = readable
    assert world.invoke("monday").outcome == "posted" and world.pool.verify() == []
    assert (world.pool.show(0)["fate"], world.pool.show(0)["post"]["slot"]) == ("posted", None)


def test_a_retry_whose_post_another_slot_has_made_says_nothing_wrong() -> None:
    """Its question comes after the other's take-over and post, its write after the other's settling."""
    world = World()
    world.lose("monday")
    retry = world.start("monday")
    for _ in range(3):  # Now, Load, Now
        next(retry)
    assert world.invoke("tuesday").index == 0
    with pytest.raises(StopIteration) as end:
        while True:
            next(retry)
    assert end.value.value.index == 1 and world.pool.verify() == []


def test_a_post_that_x_accepts_frees_the_slots_before_it() -> None:
    world = World()
    world.x.readable = False
    world.lose("monday", "tuesday")
    assert world.invoke("wednesday").index == 0
    assert world.invoke("monday").index == 1 and world.invoke("tuesday").index == 2
    assert world.state.dump().count(b'"others"') == 0


def test_texts_given_up_bar_every_slot_that_may_have_posted_them() -> None:
    world = World()
    world.x.readable = False
    world.lose("monday", "tuesday")
    world.wait(hours=7)
    assert world.invoke("wednesday").index == 1
    assert "Text 0 may have been posted for monday or tuesday; X did not say whether" in world.warnings[0]
    for slot in ("monday", "tuesday"):
        with pytest.raises(Abandoned):
            world.invoke(slot)


def test_a_withdrawn_text_that_x_does_not_hold_is_counted_as_refused() -> None:
    world = World()
    world.lose("monday")
    world.pool.withdraw([0])
    assert world.invoke("tuesday").index == 1
    assert world.metrics.values["Refused"] == 1 and "withdrawn" in world.warnings[0]


def test_a_call_that_is_about_to_be_ended_begins_no_post() -> None:
    world = World()
    with pytest.raises(Unreachable, match="10 s are left"):
        world.invoke("monday", until=world.now + timedelta(seconds=10))
    assert world.x.published == [] and world.state.claim is None
    world.lose("monday")
    with pytest.raises(Unreachable):
        world.invoke("monday", until=world.now + timedelta(seconds=10))
    assert world.x.asked == 0
    assert world.invoke("monday", until=world.now + timedelta(seconds=45)).outcome == "posted"


@pytest.mark.parametrize("slow", [effects.Save, effects.Ask])
def test_a_call_whose_store_or_x_was_slow_begins_no_post(slow: type[effects.Effect]) -> None:
    world, trace = World(), list[effects.Effect]()
    if slow is effects.Ask:
        world.lose("monday")
    running = world.start("monday", trace=trace, until=world.now + timedelta(seconds=22))
    with pytest.raises(Unreachable, match="was slow"):
        for _ in running:
            if isinstance(trace[-1], slow):
                world.wait(seconds=10)
    assert world.x.published == [] and (world.state.claim is None or slow is effects.Ask)
    world.wait(seconds=111)
    assert world.invoke("monday").outcome == "posted"


def test_all_slots_of_a_forgotten_post_are_forgotten() -> None:
    early, late = (named("slot", START + timedelta(hours=hour)) for hour in (1, 2))
    state, now = State(), START + timedelta(hours=3)
    for number, entry in enumerate([(early, (late,)), *((f"by hand {n}", ()) for n in range(RECENT))]):
        at = now if number == 0 else now - timedelta(hours=2, minutes=30)
        settled = Settled(entry[0], number, "posted", None, at.isoformat(), None, entry[1])
        state = replace(recent.remember(state, settled), next=number + 1)
    assert state.forgotten == (START + timedelta(hours=2)).isoformat()


def test_a_slot_that_is_too_late_takes_no_claim_over() -> None:
    world = World(100)
    for number in range(RECENT + 1):
        world.invoke(named(f"slot {number}", world.now))
        world.wait(hours=1)
    world.lose(named("new", world.now))
    with pytest.raises(TooLate):
        world.invoke(named("slot 0", START))
    assert world.x.asked == 0 and world.state.claim is not None
