"""A pool is rebuilt from what is there: nothing comes twice, nothing is lost that a file still holds."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from post_tweet.errors import EmptyPool, PoolBroken, PostError, TooLate
from post_tweet.filling import pack, pack_plain
from post_tweet.numbers import Numbers
from post_tweet.pool import Pool
from post_tweet.repair import Helper, Plan, Repair, carry_out
from post_tweet.state import PostRecord
from post_tweet.xtext import problems

from tests.helpers.fakes import MemoryStore, records
from tests.helpers.invoking import World, claimed

IDS = {record["text"]: record["id"] for record in records(400)}


def helper(**values: Any) -> Helper:
    return Helper(lambda text: IDS.get(text, "unknown"), problems, **values)


def repair(world: World, **values: Any) -> Plan:
    plan = Repair(world.pool, helper(**values), world.now).plan()
    carry_out(world.pool, plan)
    return plan


def used(posts: int = 3, batches: tuple[int, ...] = (5, 4)) -> World:
    """A pool of some batches, some of whose texts were posted, one an hour."""
    world, start = World(0), 0
    for count in batches:
        world.pool.append(records(count, start), f"run {start}")
        start += count
    for number in range(posts):
        world.invoke(f"slot {number}")
        world.wait(hours=1)
    return world


def post_the_rest(world: World) -> Counter[str]:
    """Posts until the pool is empty. Returns how often each text has been published."""
    world.pool.resume()
    world.wait(minutes=5)
    for number in range(400):
        try:
            world.invoke(f"later {number}")
        except EmptyPool:
            break
        world.wait(hours=1)
    return Counter(world.x.published)


def test_a_pool_that_has_lost_its_state_posts_nothing_twice() -> None:
    world = used()
    del world.store.objects["state.json"]
    for call in (lambda: world.invoke("slot 3"), lambda: world.pool.append(records(3, 100), "more"), world.pool.status):
        with pytest.raises(PoolBroken, match="pool repair"):
            call()
    assert world.pool.store.list("posts/") and len(world.x.published) == 3
    plan = repair(world)
    state = world.state
    assert (state.next, state.total, bool(state.paused)) == (4, 9, True), plan.said
    assert "Text 3 may have been under way" in " ".join(plan.said) and world.pool.verify() == []
    assert repair(world).said == [], "a second repair finds nothing to do"
    with pytest.raises(TooLate):
        world.pool.resume() and world.invoke("slot 2026-01-01T02:00:00Z")
    assert post_the_rest(world) == Counter({r["text"]: 1 for r in records(9) if r != records(4)[3]})


def test_the_account_tells_what_was_under_way() -> None:
    for published in (True, False):
        world = used()
        if published:
            world.x.published.append(records(4)[3]["text"])
        del world.store.objects["state.json"]
        world.x.account = "7"
        repair(world, ask=world.x.did_post, account="7")
        assert (world.state.next, world.state.account) == (3 + published, "7") and world.pool.verify() == []
        assert post_the_rest(world) == Counter({r["text"]: 1 for r in records(9)})


def test_an_older_state_put_back_is_noticed_and_brought_up_to_date() -> None:
    world = used(2)
    old = world.store.objects["state.json"]
    for number in (2, 3):
        world.invoke(f"slot {number}")
        world.wait(hours=1)
    world.store.objects["state.json"] = old
    with pytest.raises(PoolBroken, match="older than the posts"):
        world.invoke("slot 9")
    with pytest.raises(PoolBroken, match="older than the posts"):
        world.pool.append(records(1, 90), "more")
    assert len(world.pool.status()["damage"]) == len(world.pool.verify()) == 2 and len(world.x.published) == 4
    repair(world)
    assert world.state.next == 5 and world.pool.verify() == [] and world.pool.status()["damage"] == []
    assert [e.index for e in world.state.recent] == [0, 1, 2, 3, 4]
    assert max(post_the_rest(world).values()) == 1


def test_an_older_state_with_the_claim_of_a_text_that_was_posted_since() -> None:
    world = used(1)
    kept: list[bytes] = []
    world.store.after["state.json"] = lambda: kept.append(world.store.objects["state.json"])
    world.invoke("slot 1")
    world.wait(hours=1)
    world.store.objects["state.json"] = kept[0]
    assert world.invoke("slot 1").outcome == "posted" and world.x.asked == 0, "the record tells"
    assert len(world.x.published) == 2 and world.state.next == 2 and world.pool.verify() == []


def test_the_order_of_batches_is_found_by_what_was_posted() -> None:
    world = used(14, (5, 7, 6, 4))
    expected = [batch.id for batch in world.state.batches][:3]
    del world.store.objects["state.json"]
    repair(world)
    assert [batch.id for batch in world.state.batches][:3] == expected and world.state.total == 22
    assert post_the_rest(world) == Counter({r["text"]: 1 for r in records(22) if r != records(15)[14]})


def test_a_batch_without_a_post_fills_the_gap_between_two() -> None:
    world = used(2, (2, 3, 4, 5))
    world.pool.withdraw(range(2, 5))
    world.invoke("slot 5")
    ids = [batch.id for batch in world.state.batches]
    del world.store.objects["state.json"]
    repair(world)
    assert [batch.id for batch in world.state.batches] == ids and world.state.next == 7


DAMAGE: dict[str, Callable[[bytes], bytes | None]] = {
    "gone": lambda data: None,
    "empty": lambda data: b"",
    "cut": lambda data: data[: len(data) // 2],
    "a line lost": lambda data: b"".join(line for at, line in enumerate(data.splitlines(True)) if at != 6),
    "a letter": lambda data: data.replace(b"day g", b"dax g"),
    "foreign": lambda data: pack(records(10, 300), "x")[1],
}


@pytest.mark.parametrize("sealed", [True, False])
@pytest.mark.parametrize("how", DAMAGE)
def test_a_damaged_batch_keeps_its_good_texts_and_blocks_no_fill(how: str, sealed: bool, monkeypatch: Any) -> None:
    if not sealed:
        monkeypatch.setattr("post_tweet.filling.pack", pack_plain)
    world = used(3, (10, 4))
    key = world.state.batches[0].key
    changed = DAMAGE[how](world.store.objects.pop(key))
    if changed is not None:
        world.store.objects[key] = changed
    with pytest.raises(PoolBroken, match="pool repair"):
        world.pool.append(records(2, 200), "more")
    assert world.pool.verify() != []
    plan = repair(world)
    kept = {"gone": 0, "empty": 0, "cut": 2, "a line lost": 6, "a letter": 6, "foreign": 0}[how]
    assert f"{3 + kept if kept else 0:,} of its texts are kept" in plan.said[0]
    assert world.state.remaining == kept + 4 and not world.state.paused and world.state.next == 3
    assert world.pool.verify() == [] and repair(world).said == []
    assert world.pool.append(records(3), "again").added == 0, "what was posted does not come back"
    assert world.pool.append(records(14), "again").added == 7 - kept, "what was lost may"
    found = post_the_rest(world)
    assert set(found) == {r["text"] for r in records(14)} and max(found.values()) == 1


@pytest.mark.parametrize("packed", [pack, pack_plain])
def test_a_lost_batch_is_written_again_from_its_file(packed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("post_tweet.filling.pack", packed)
    world = used(3, (10, 4))
    key, before = world.state.batches[1].key, dict(world.store.objects)
    world.store.objects[key] = b"x"
    repair(world, texts=records(14))  # ten of them were in the pool when they were filled in
    assert world.store.objects == before and world.pool.verify() == []


def test_a_damaged_record_is_written_again_and_its_text_never_posted() -> None:
    world = used(3)
    world.store.objects["posts/2026/1.json"] = b"{"
    del world.store.objects["posts/2026/2.json"]
    assert len(world.pool.verify()) == 2
    repair(world)
    assert world.pool.verify() == [] and world.pool.show(2)["post"]["slot"] == "slot 2"
    del world.store.objects["state.json"]
    world.store.objects["posts/2026/2.json"] = b""
    repair(world)
    assert world.state.next == 4 and max(post_the_rest(world).values()) == 1


def test_a_state_of_another_pool_is_no_help() -> None:
    world, other = used(3), used(0, (20,))
    foreign = Pool(MemoryStore())
    foreign.append(records(30, 200), "another bot")
    world.store.objects["state.json"] = foreign.store.objects["state.json"]  # type: ignore[attr-defined]
    with pytest.raises(PoolBroken):
        world.invoke("slot 3")
    plan = repair(world)
    assert "not this pool's" in plan.said[0] and world.state.total == 9
    assert max(post_the_rest(world).values()) == 1 and other.state.total == 20


def test_all_batches_lost_and_the_state_leave_the_records() -> None:
    world = used(3)
    for key in [key for key in world.store.objects if not key.startswith("posts/")]:
        del world.store.objects[key]
    repair(world)
    assert world.state.next == world.state.total == 3 and world.pool.verify() == []
    assert world.pool.append(records(9), "again").added == 6
    assert post_the_rest(world) == Counter({r["text"]: 1 for r in records(9)})


def test_a_damaged_state_still_tells_what_was_withdrawn() -> None:
    world = used(2)
    world.pool.withdraw([6, 7])
    state = world.store.objects["state.json"]
    world.store.objects["state.json"] = state.replace(b'"next": 2', b'"next": 0')
    with pytest.raises(PoolBroken, match="checksum differs"):
        world.invoke("slot 2")
    repair(world)
    assert world.state.withdrawn == Numbers.of((6, 7)) and world.state.next == 3
    assert [batch.run for batch in world.state.batches] == ["run 0", "run 5"]


def test_an_orphan_that_repeats_texts_is_not_posted_twice() -> None:
    world = used(2)
    batch, data = pack(records(6, 3), "loser of a race")
    world.store.objects[batch.key] = data
    del world.store.objects["state.json"]
    repair(world)
    assert world.state.total == 15 and max(post_the_rest(world).values()) == 1


def test_a_state_of_a_newer_version_is_left_alone() -> None:
    world = used(1)
    raw = {**json.loads(world.store.objects["state.json"]), "writer": "x", "format": 99}
    world.store.objects["state.json"] = json.dumps(raw).encode()
    with pytest.raises(PoolBroken, match="newer version"):
        repair(world)


def test_a_pool_of_nothing_cannot_be_rebuilt() -> None:
    world = World(0)
    world.store.objects["state.json"] = b"{}"
    with pytest.raises(PoolBroken, match="nothing to rebuild"):
        repair(world)
    world.store.objects["posts/2026/99999999999.json"] = PostRecord(
        99999999999, None, "t", None, datetime(2026, 1, 1, tzinfo=UTC).isoformat()
    ).dump()
    with pytest.raises(PoolBroken, match="cannot be this pool's"):
        repair(world)


def test_a_repair_that_is_broken_off_anywhere_is_done_by_the_next() -> None:
    for stop in range(12):
        world = used(3, (10, 4))
        key = world.state.batches[0].key
        world.store.objects[key] = world.store.objects[key][:700]
        world.store.objects["posts/2026/1.json"] = b""
        del world.store.objects["state.json"]
        left, put_if = [stop], world.store.put_if

        def put(key: str, data: bytes, etag: str | None, left: list[int] = left, put_if: Any = put_if) -> str:
            if left[0] == 0:
                raise KeyboardInterrupt
            left[0] -= 1
            return str(put_if(key, data, etag))

        world.store.put_if = put  # type: ignore[method-assign]
        try:
            repair(world)
        except KeyboardInterrupt:
            assert stop < 6
        world.store.put_if = put_if  # type: ignore[method-assign]
        repair(world)
        assert world.pool.verify() in ([], [s for s in world.pool.verify() if "belongs to no fill" in s])
        assert world.pool.append(records(14), "again").added >= 4
        assert max(post_the_rest(world).values()) == 1


def test_a_healthy_pool_is_left_as_it_is() -> None:
    world = used(3)
    before = dict(world.store.objects)
    assert repair(world) == Plan(etag=world.pool.load()[1]) and world.store.objects == before
    state, etag = world.pool.load()
    world.pool.save(replace(state, seq=9, forgotten=(world.now - timedelta(days=1)).isoformat()), etag)
    assert repair(world).said == []
    with pytest.raises(PostError):
        world.invoke("slot 2025-01-01T02:00:00Z")


def test_a_text_given_up_by_an_older_version_gets_its_record() -> None:
    world = World()
    claimed(world)
    world.x.readable = False
    world.wait(hours=7)
    assert world.invoke("tuesday").index == 1
    wanted = world.store.objects.pop("posts/2026/0.json")
    repair(world)
    assert world.store.objects["posts/2026/0.json"] == wanted and repair(world).said == []


def test_a_text_with_a_link_that_its_owner_permits_may_have_been_under_way_too() -> None:
    world = World(0)
    linked = {**records(2)[1], "text": "read https://example.org", "allow": ["link"]}
    world.pool.append([records(1)[0], linked, records(3)[2]], "test")
    world.invoke("slot 0")
    world.lose("slot 1")
    del world.store.objects["state.json"]
    plan = repair(world)
    assert world.state.next == 2 and "Text 1 may have been under way" in " ".join(plan.said)
