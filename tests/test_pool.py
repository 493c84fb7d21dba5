"""Records, state, append."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from post_tweet.errors import PoolBroken
from post_tweet.pool import Pool, State

from tests.fakes import Crash, MemoryStore, records


def filled(*counts: int) -> Pool:
    pool, start = Pool(MemoryStore()), 0
    for count in counts:
        pool.append(records(count, start), "run")
        start += count
    return pool


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
    assert len({len(line) for line in lines}) == 1 and [json.loads(line) for line in lines] == records(25)


def test_filling_twice_adds_nothing() -> None:
    pool = filled(10)
    again = pool.append(records(10), "run")
    assert (again.added, again.already) == (0, 10)
    more = pool.append(records(15), "run")
    assert (more.added, more.already) == (5, 10) and pool.load()[0].total == 15


def test_a_crash_between_batch_and_state_costs_nothing() -> None:
    pool = filled(5)
    real = pool.store.put_if

    def crash_at_state(key: str, *rest: Any) -> str:
        if key == "state.json":
            raise Crash
        return str(real(key, *rest))

    pool.store.put_if = crash_at_state  # type: ignore[method-assign]
    with pytest.raises(Crash):
        pool.append(records(5, 5), "run")
    pool.store.put_if = real  # type: ignore[method-assign]
    assert pool.load()[0].total == 5
    assert pool.append(records(5, 5), "run").added == 5 and pool.load()[0].total == 10


def test_a_lost_race_checks_the_winner_s_texts() -> None:
    pool = filled(5)
    rival, real = Pool(pool.store), pool.store.put_if

    def rival_first(key: str, *rest: Any) -> str:
        pool.store.put_if = real  # type: ignore[method-assign]
        rival.append(records(5, 5), "rival")
        return str(real(key, *rest))

    pool.store.put_if = rival_first  # type: ignore[method-assign]
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


def test_a_newer_state_is_refused() -> None:
    pool = filled(3)
    raw = json.loads(pool.store.get("state.json")[0])
    pool.store.put("state.json", json.dumps({**raw, "format": 2}).encode())
    with pytest.raises(PoolBroken, match="newer version"):
        pool.load()


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
    pool.save(replace(state, next=4, withdrawn=(1, 7)), etag)
    status = pool.status()
    assert (status["texts"], status["remaining"], status["withdrawn"], status["last_post"]) == (10, 5, 2, None)
    assert Pool(MemoryStore()).status()["exists"] is False
