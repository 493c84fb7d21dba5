"""What people dropped never comes into the pool: whoever fills in, in whatever order it happens, and after damage."""

from __future__ import annotations

import random
from datetime import UTC, datetime

import pytest
from post_tweet import dropped
from post_tweet.errors import PoolBroken, Unreachable
from post_tweet.pool import Pool
from post_tweet.repair import Helper, Repair, carry_out
from post_tweet.xtext import problems

from tests.helpers.fakes import MemoryStore, records

SOME = records(10)
NOW = datetime(2026, 3, 12, tzinfo=UTC)


def of(*numbers: int) -> dict[str, str]:
    return {SOME[n]["id"]: SOME[n]["text"] for n in numbers}


def texts(pool: Pool) -> list[str]:
    """Those that will be posted."""
    return [record["text"] for record in pool.listing(count=None) if record["fate"] == "waiting"]


def test_a_dropped_text_is_not_filled_in() -> None:
    pool = Pool(MemoryStore())
    pool.drop(of(1, 3), ())
    other_spelling = {**SOME[3], "id": "another id", "text": f"  {SOME[3]['text'].upper()} "}
    done = pool.append([SOME[0], SOME[1], other_spelling, SOME[4]], "run")
    assert (done.added, done.already, done.dropped) == (2, 0, 2) and texts(pool) == [SOME[0]["text"], SOME[4]["text"]]
    assert pool.status()["dropped"] == 2 and pool.verify() == []
    assert pool.append([SOME[1]], "run").dropped == 1, "all of them"
    pool.drop({}, of(1))
    assert pool.append([SOME[1]], "run").added == 1


def test_a_pool_without_dropped_texts_has_no_file() -> None:
    store = MemoryStore()
    Pool(store).drop({}, of(1))
    assert dropped.FILE not in store.objects and Pool(store).status()["dropped"] == 0


def test_two_people_at_once() -> None:
    """The first writer's file is gone on from, not written over."""
    store = MemoryStore()
    one, other = Pool(store), Pool(store)
    store.before[dropped.FILE] = lambda: other.drop(of(2), ())
    one.drop(of(1), ())
    assert one.dropped() == of(2, 1)
    store.after[dropped.FILE] = lambda: other.drop({}, of(1))
    one.drop(of(5), ())
    assert one.dropped() == of(2, 5)


def test_a_text_that_is_dropped_while_it_is_filled_in() -> None:
    """Whoever drops it has looked for it in the pool before it was there: so the fill takes it out."""
    store = MemoryStore()
    pool, person = Pool(store), Pool(store)
    pool.append(SOME[:2], "run")

    def drop() -> None:
        person.drop(of(4), ())
        assert SOME[4]["text"] not in texts(person)

    store.before["state.json"] = drop
    pool.append(SOME[3:6], "run")
    assert texts(pool) == [SOME[n]["text"] for n in (0, 1, 3, 5)]


def test_damage_is_noticed_and_what_can_be_read_is_kept() -> None:
    store, rng = MemoryStore(), random.Random(3)
    pool = Pool(store)
    pool.append(SOME[:2], "run")
    pool.drop(of(*range(2, 9)), ())
    whole = store.objects[dropped.FILE]
    lines = whole.splitlines(keepends=True)
    damaged = [b"", b"\0" * len(whole), whole[:-1], whole[: len(whole) // 2], b"".join(lines[:-2]), b"".join(lines[1:])]
    damaged += [b"".join([*lines, lines[-1]]), b'{"hello": "world"}\n', b"[" * 100_000]
    for bit in rng.sample(range(8 * len(whole)), 60):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        damaged.append(bytes(flipped))
    for data in damaged:
        store.objects[dropped.FILE] = data
        kept, wrong = dropped.salvaged(data)
        if not wrong:  # a line twice says the same
            assert kept == of(*range(2, 9))
            continue
        for call in (pool.dropped, lambda: pool.drop(of(9), ()), lambda: pool.append(SOME[9:], "run")):
            with pytest.raises(PoolBroken, match=r"dropped\.jsonl is damaged .*pool repair"):
                call()
        assert pool.status()["damage"] and pool.verify() and store.objects[dropped.FILE] == data
        plan = Repair(pool, Helper(lambda text: text, problems), NOW).plan()
        assert len(plan.said) == 1 and "may come again" in plan.said[0] and plan.state is None
        carry_out(pool, plan)
        assert pool.dropped() == kept and kept.items() <= of(*range(2, 9)).items()
        assert pool.verify() == [] and pool.append([SOME[0]], "run").already == 1


def test_two_repairs_at_once() -> None:
    """The later one writes nothing over what was dropped since the first."""
    store = MemoryStore()
    pool = Pool(store)
    pool.append(SOME[:2], "run")
    pool.drop(of(2, 3), ())
    store.objects[dropped.FILE] = store.objects[dropped.FILE][:-1]
    first, second = (Repair(pool, Helper(lambda text: text, problems), NOW).plan() for _ in range(2))
    carry_out(pool, first)
    pool.drop(of(4), ())
    carry_out(pool, second)
    assert pool.dropped() == of(2, 3, 4)
    store.objects[dropped.FILE] = store.objects[dropped.FILE][:-1]
    store.before[dropped.FILE] = lambda: carry_out(pool, first)
    with pytest.raises(Unreachable, match="run it again"):
        carry_out(pool, second)
