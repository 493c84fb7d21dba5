"""Records, state, append."""

from __future__ import annotations

import cProfile
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from post_tweet.errors import BadInput, PoolBroken
from post_tweet.numbers import Numbers
from post_tweet.pool import Pool, Restored, pack
from post_tweet.state import LISTED, Claim, PostRecord, Settled, State, texts_a_day

from tests.helpers.fakes import Crash, MemoryStore, records, refill

NOON = "2026-01-01T12:00:00+00:00"


def filled(*counts: int) -> Pool:
    pool, start = Pool(MemoryStore()), 0
    for count in counts:
        pool.append(records(count, start), "run")
        start += count
    return pool


def store_of(pool: Pool) -> MemoryStore:
    assert isinstance(pool.store, MemoryStore)
    return pool.store


def as_an_older_version_writes(pool: Pool) -> Any:
    """The state as JSON, without its checksum."""
    return {**json.loads(pool.store.get("state.json")[0]), "writer": "somebody"}


@given(st.lists(st.integers(1, 30), min_size=1, max_size=4))
def test_every_record_is_one_range_request_away(counts: list[int]) -> None:
    pool = filled(*counts)
    state, _ = pool.load()
    assert [pool.record(state, i) for i in range(state.total)] == records(sum(counts)) == list(pool.records())
    before = pool.store.requests
    pool.record(state, state.total - 1)
    assert pool.store.requests == before + 1


def test_a_batch_is_json_lines_of_one_width() -> None:
    pool = filled(25)
    lines = pool.store.get(pool.store.list("batches/")[0])[0].split(b"\n")[:-1]
    found = [json.loads(line) for line in lines]
    assert len({len(line) for line in lines}) == 1 and len({record.pop("check") for record in found}) == 25
    assert found == records(25)


def test_filling_twice_adds_nothing() -> None:
    pool = filled(10)
    again = pool.append(records(10), "run")
    assert (again.added, again.already) == (0, 10)
    more = pool.append(records(15), "run")
    assert (more.added, more.already) == (5, 10) and pool.load()[0].total == 15


def test_a_crash_between_batch_and_state_costs_nothing() -> None:
    pool = filled(5)
    store_of(pool).before["state.json"] = mock.Mock(side_effect=Crash)
    with pytest.raises(Crash):
        pool.append(records(5, 5), "run")
    assert pool.load()[0].total == 5
    assert pool.append(records(5, 5), "run").added == 5 and pool.load()[0].total == 10


def test_a_lost_race_checks_the_winner_s_texts() -> None:
    pool = filled(5)
    store_of(pool).before["state.json"] = refill(pool, 5)
    assert pool.append(records(8, 4), "run").added == 2
    assert sorted(r["id"] for r in pool.records()) == [r["id"] for r in records(12)]


def test_state_round_trip() -> None:
    state, _ = filled(3).load()
    assert State.parse(state.dump(), "here") == state


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"{}", b'{"format": 1}', b'{"format": "x"}', b"\xff\xfe"])
def test_a_broken_state_is_named_and_left_alone(data: bytes) -> None:
    pool = filled(3)
    pool.store.put("state.json", data)
    for call in (pool.load, lambda: pool.append(records(1, 9), "run"), pool.status):
        with pytest.raises(PoolBroken, match=r"memory/state\.json"):
            call()
    assert pool.store.get("state.json")[0] == data


def test_a_damaged_batch_is_said_so() -> None:
    pool = filled(3)
    state, _ = pool.load()
    key = state.batches[0].key
    pool.store.put(key, b"x" * len(pool.store.get(key)[0]))
    with pytest.raises(PoolBroken, match="cannot be read"):
        pool.record(state, 1)
    with pytest.raises(PoolBroken, match="damaged"):
        list(pool.records())


def test_status() -> None:
    pool = filled(10)
    state, etag = pool.load()
    pool.save(replace(state, next=4, withdrawn=Numbers.of((1, 7))), etag)
    status = pool.status()
    assert (status["texts"], status["remaining"], status["withdrawn"], status["last_post"]) == (10, 5, 2, None)
    assert Pool(MemoryStore()).status()["exists"] is False


def test_withdraw_once_and_only_what_waits() -> None:
    pool = filled(10)
    state, etag = pool.load()
    pool.save(replace(state, seq=9, next=4), etag)
    assert pool.withdraw([2, 5, 6, 6]) == 2 and pool.withdraw([5]) == 0
    assert pool.load()[0].withdrawn == Numbers.of((5, 6)) and pool.status()["remaining"] == 4
    with pytest.raises(BadInput, match="no text 10"):
        pool.withdraw([10])


def test_withdrawing_during_a_refill_keeps_both() -> None:
    pool = filled(5)
    store_of(pool).before["state.json"] = refill(pool, 5)
    assert pool.withdraw([3]) == 1
    assert pool.load()[0].withdrawn == Numbers.of((3,)) and pool.load()[0].total == 10


numbers = st.frozensets(st.integers(0, 40))


@given(numbers, numbers, st.integers(0, 45), st.integers(0, 45))
def test_numbers_are_a_set(one: frozenset[int], other: frozenset[int], first: int, end: int) -> None:
    a, b = Numbers.of(one), Numbers.of(other)
    assert (set(a), set(a | b), set(a - b), set(a & b)) == (one, one | other, one - other, one & other)
    assert list(a) == sorted(one) and len(a) == len(one) and Numbers.read(str(a)) == a
    assert set(a.within(first, end)) == {number for number in one if first <= number < end}
    assert a.after(first) == next(number for number in range(first, 90) if number not in one)
    for found in (a | b, a - b, a & b, a.within(first, end)):
        assert Numbers.of(set(found)) == found, "one set has one form"


@pytest.mark.parametrize("text", ["x", "3-", "-3", "3-x", "20-3", "3--5", "1.5", "٣"])
def test_what_is_no_number_of_a_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"neither a number|ends before"):
        Numbers.read(text)


def test_half_a_million_withdrawn_texts_weigh_nothing() -> None:
    state = replace(filled(3).load()[0], withdrawn=Numbers.read("0 2"))
    big = replace(state, batches=(replace(state.batches[0], count=10**6),), withdrawn=Numbers.read("7-500006 600000"))
    assert len(big.dump()) < len(state.dump()) + 40 and State.parse(big.dump(), "here") == big
    assert big.remaining == 10**6 - 500_001
    broken = json.dumps({**json.loads(big.dump()), "writer": "w", "withdrawn": "7-x"}).encode()
    with pytest.raises(PoolBroken, match="pool repair"):
        State.parse(broken, "here")


def test_the_work_grows_no_faster_than_the_texts_withdrawn() -> None:
    """Steps, as Python counts its calls: four times the texts, every other one withdrawn, take about as many more."""

    def steps(count: int) -> int:
        pool = filled(3)
        state, etag = pool.load()
        batch, numbers = replace(state.batches[0], count=count), Numbers.of(range(0, count, 2))
        counted = cProfile.Profile()
        counted.enable()
        assert pool.save(replace(state, seq=9, batches=(batch,), withdrawn=numbers), etag)
        pool.status()
        pool.withdraw([1])
        counted.disable()
        return sum(entry.callcount for entry in counted.getstats())

    assert steps(40_000) < 6 * steps(10_000)


def test_what_was_withdrawn_comes_back_until_it_is_passed() -> None:
    pool = filled(10, 10)
    assert pool.withdraw(Numbers.read("3-15")) == 13
    state, etag = pool.load()
    pool.save(replace(state, seq=9, next=5), etag)
    assert pool.restore([2, 4, 5, 6, 19]) == Restored(2, 2)
    assert pool.load()[0].withdrawn.within(5, 20) == Numbers.read("7-15") and pool.restore([6]) == Restored(0, 0)
    claim = Claim("s", "o", 8, "t", NOON, NOON)
    state, etag = pool.load()
    pool.save(replace(state, seq=19, claim=claim), etag)
    # A claim that is settled moves `next` past 7, and 8 may be on its way.
    assert pool.restore([7, 8, 9]) == Restored(1, 2)
    with pytest.raises(BadInput, match="no text 20"):
        pool.restore(Numbers.read("3-30"))


def test_a_batch_is_named_by_the_beginning_of_its_id() -> None:
    pool = filled(10, 5)
    one, two = pool.batches()
    assert (one["first"], one["last"], two["first"], two["last"]) == (0, 9, 10, 14)
    assert pool.withdraw(pool.batch(two["id"][:9])) == 5
    assert [(b["unused"], b["withdrawn"]) for b in pool.batches()] == [(10, 0), (0, 5)]
    for wrong in ("", "x"):
        with pytest.raises(BadInput, match="pool batches"):
            pool.batch(wrong)


def test_a_long_listing_reads_whole_batches_and_says_what_became_of_each() -> None:
    pool = filled(200, 100)
    pool.withdraw([6])
    state, etag = pool.load()
    pool.note(PostRecord(0, "s", "t", "7", NOON))
    gone = Settled("s", 2, "refused", None, NOON, "withdrawn")
    pool.save(replace(state, seq=9, next=5, claim=Claim("s", "o", 5, "t", NOON, NOON), recent=(gone,)), etag)
    before = pool.store.requests
    found = pool.listing(0, None)
    assert pool.store.requests == before + 3 and [record["id"] for record in found] == [r["id"] for r in records(300)]
    fates = ["posted", "settled, not posted", "withdrawn", *2 * ["settled, not posted"], "claimed", "withdrawn"]
    assert [record["fate"] for record in found] == [*fates, *293 * ["waiting"]]


def test_show_tells_what_became_of_a_text() -> None:
    pool = filled(5)
    state, etag = pool.load()
    note = PostRecord(0, "s", "t", "7", "2026-01-01T00:00:00+00:00")
    pool.note(note)
    claim = Claim("s", "o", 2, "t", NOON, NOON)
    refused = Settled("s", 1, "refused", None, NOON, "too-long")
    pool.save(replace(state, seq=9, next=2, claim=claim, recent=(refused,), withdrawn=Numbers.of((4,))), etag)
    assert [pool.show(i)["fate"] for i in range(5)] == ["posted", "refused", "claimed", "waiting", "withdrawn"]
    assert note == PostRecord(**pool.show(0)["post"]) and pool.show(3)["text"] == records(4)[3]["text"]
    with pytest.raises(BadInput, match="no text 5"):
        pool.show(5)


def test_listing_begins_at_the_next_text() -> None:
    pool = filled(5)
    state, etag = pool.load()
    pool.save(replace(state, seq=9, next=3), etag)
    assert [r["index"] for r in pool.listing()] == [3, 4]
    assert [r["index"] for r in pool.listing(1, 2)] == [1, 2]


def test_verify_names_orphans_damage_and_repetitions() -> None:
    pool = filled(5)
    assert pool.verify() == []
    batch, data = pack(records(3, 50), "lost")
    pool.store.put(batch.key, data)
    (orphan,) = pool.verify()
    assert batch.key in orphan and "belongs to no fill" in orphan
    state, etag = pool.load()
    again, data = pack(records(2), "again")
    pool.store.put(again.key, data)
    pool.save(replace(state, seq=9, batches=(*state.batches, batch, again)), etag)
    assert [f"repeats {n} texts" in sentence for n, sentence in zip([2], pool.verify(), strict=True)] == [True]
    key = state.batches[0].key
    pool.store.put(key, pool.store.get(key)[0].replace(b"saying", b"Saying"))
    assert any("checksum differs" in sentence and key in sentence for sentence in pool.verify())
    pool.store.put(key, b"x")
    assert any("missing or damaged" in sentence and key in sentence for sentence in pool.verify())


def test_a_fill_whose_answer_was_lost_under_another_is_counted() -> None:
    pool = filled(5)
    store_of(pool).after["state.json"] = refill(pool, 20, lost=True)
    assert pool.append(records(3, 10), "run").added == 3 and pool.load()[0].total == 13


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"format": 6}, "newer version"),
        ({"colour": "red"}, "unknown: colour"),
        *(({"next": value}, "not a pool state") for value in (-1, 4, "x")),
        ({"batches": [{}]}, "not a pool state"),
    ],
)
def test_an_impossible_state_is_refused_and_no_field_dropped(change: dict[str, Any], sentence: str) -> None:
    pool = filled(3)
    raw = as_an_older_version_writes(pool)
    pool.store.put("state.json", json.dumps({**raw, **change}).encode())
    with pytest.raises(PoolBroken, match=sentence):
        pool.load()


def test_a_record_of_another_width_is_refused() -> None:
    pool = filled(3)
    state, _ = pool.load()
    key = state.batches[0].key
    pool.store.put(key, pool.store.get(key)[0][:-1] + b" ")
    with pytest.raises(PoolBroken, match="another width"):
        pool.record(state, 2)


def test_pause_and_resume_say_what_they_changed() -> None:
    pool = filled(3)
    before = pool.load()[0]
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert (pool.pause(now), pool.pause(now), pool.load()[0].paused) == (True, False, "2026-01-01T00:00:00+00:00")
    assert (pool.resume(), pool.resume()) == (True, False)
    after = pool.load()[0]
    assert replace(after, seq=before.seq, writer=before.writer) == before and after.seq == before.seq + 2


@pytest.mark.parametrize(
    ("values", "version"),
    [
        ({}, 1),
        ({"claim": Claim("monday", "me", 0, "a text", NOON, NOON)}, 1),
        ({"paused": NOON}, 2),
        ({"forgotten": NOON}, 3),
        ({"claim": Claim("monday", "me", 0, "a text", NOON, NOON, 2, ("sunday", "saturday"))}, 3),
        ({"recent": (Settled("monday", 0, "posted", "1", NOON, None, ("sunday",)),), "next": 1, "paused": NOON}, 3),
        ({"withdrawn": Numbers(((0, LISTED),))}, 1),
        ({"withdrawn": Numbers(((0, LISTED + 1),)), "forgotten": NOON}, 4),
    ],
)
def test_a_state_is_written_in_the_oldest_format_that_can_say_it(values: dict[str, Any], version: int) -> None:
    """An older function drops what it does not know; where there is nothing of the kind it goes on posting."""
    state = replace(filled(3).load()[0], **values)
    raw = json.loads(state.dump())
    assert raw["format"] == version and State.parse(state.dump(), "here") == state
    newer = {"paused", "forgotten", "others"} - values.keys()
    assert not {f'"{name}"' for name in newer if f'"{name}"' in state.dump().decode()} - {'"others"'}
    assert (b'"others"' in state.dump()) == (b"sunday" in state.dump())


@pytest.mark.parametrize("time", ["yesterday", "", "2026-01-01T12:00:00", None, 5])
@pytest.mark.parametrize("place", ["since", "first", "recent", "forgotten"])
def test_a_time_that_is_none_is_said_before_anything_is_posted(place: str, time: Any) -> None:
    pool = filled(3)
    raw = as_an_older_version_writes(pool)
    claim = {"slot": "monday", "owner": "me", "index": 0, "text": "a text", "since": NOON, "first": NOON, "attempts": 1}
    entry = {"slot": "monday", "index": 0, "outcome": "posted", "tweet_id": None, "time": time, "reason": None}
    raw |= {
        "since": {"claim": {**claim, "since": time}},
        "first": {"claim": {**claim, "first": time}},
        "recent": {"recent": [entry], "next": 1},
        "forgotten": {"forgotten": time, "format": 3},
    }[place]
    pool.store.put("state.json", json.dumps(raw).encode())
    if place == "forgotten" and not time:
        assert pool.load()[0].forgotten == time
    else:
        with pytest.raises(PoolBroken, match="pool repair"):
            pool.load()


def pace(*hours: float) -> float:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    entries = [Settled(str(h), 0, "posted", None, (start + timedelta(hours=h)).isoformat()) for h in hours]
    return texts_a_day(tuple(entries))


@pytest.mark.parametrize(
    ("hours", "expected"),
    [
        ([], 1),
        ([0], 1),
        ([0, 0.01, 0.02], 2),  # by hand: three within a minute say nothing of the days to come
        ([24 * d for d in range(64)], 1),
        ([24 * 7 * w for w in range(20)], 1 / 7),
        ([n / 12 for n in range(64)], 288),  # every five minutes
        ([24 * d + h for d in range(20) for h in (9, 9.5, 21)], 3),
        ([24 * (d + 40 * (d > 5)) for d in range(12)], 1),  # a pause of 40 days
    ],
)
def test_the_pace_is_that_of_the_schedule(hours: list[float], expected: float) -> None:
    assert pace(*hours) == pytest.approx(expected, rel=0.03)
