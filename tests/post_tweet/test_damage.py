"""Every file of a pool, damaged in every way, one at a time: then a post, a fill, a status and a verify. Each damage is
noticed, or harmless for a reason that can be said; nothing is posted twice, and `pool repair` ends it.

`-s` prints the table.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest
from post_tweet.errors import PostError
from post_tweet.filling import pack, pack_plain
from post_tweet.pool import Pool
from post_tweet.repair import Helper, Repair, carry_out
from post_tweet.xtext import problems

from tests.helpers.fakes import MemoryStore, records
from tests.helpers.invoking import World

IDS = {record["text"]: record["id"] for record in records(60)}
FLIPS = 14
"""Bits that are flipped in a file, each alone, at places drawn from all of it."""


@dataclass(frozen=True)
class Case:
    key: str
    how: str
    data: bytes | None
    """None: the file is gone."""


def used() -> tuple[World, bytes, bytes]:
    """A pool of three batches with five posts, one text withdrawn and one claimed. Also its state some posts ago, and
    that of a pool of other texts."""
    world, other = World(0), Pool(MemoryStore())
    for start, count in ((0, 4), (4, 6), (10, 3)):
        world.pool.append(records(count, start), f"run {start}")
    world.pool.withdraw([8])
    old = b""
    for number in range(5):
        if number == 3:
            old = world.store.objects["state.json"]
        world.invoke(f"slot {number}")
        world.wait(hours=1)
    other.append(records(20, 40), "another bot")
    foreign = other.store.get("state.json")[0]
    return world, old, foreign


def cases(world: World, old: bytes, foreign: bytes) -> Iterator[Case]:
    rng = random.Random(15)
    batches = [batch.key for batch in world.state.batches]
    for key in ["state.json", *batches, *(f"posts/2026/{n}.json" for n in range(5))]:
        data = world.store.objects[key]
        flips = FLIPS * (2 if key == "state.json" else 1)
        for bit in sorted(rng.sample(range(8 * len(data)), flips)):
            flipped = bytearray(data)
            flipped[bit // 8] ^= 1 << bit % 8
            yield Case(key, "a bit flipped", bytes(flipped))
        for part in (0.2, 0.5, 0.9):
            yield Case(key, "cut", data[: int(part * len(data))])
        yield Case(key, "empty", b"")
        yield Case(key, "gone", None)
        yield Case(key, "foreign", b'{"hello": "world"}\n')
        yield Case(key, "zeros", bytes(len(data)))
    yield Case("state.json", "older", old)
    yield Case("state.json", "another pool's", foreign)
    for one, other in ((0, 1), (1, 2), (2, 0)):
        yield Case(batches[one], "another batch's", world.store.objects[batches[other]])
    lines = world.store.objects[batches[1]].splitlines(keepends=True)
    yield Case(batches[1], "two lines exchanged", b"".join([*lines[:3], lines[4], lines[3], lines[5]]))
    yield Case("posts/2026/2.json", "another record", world.store.objects["posts/2026/3.json"])
    yield Case("posts/2026/9.json", "a record too many", world.store.objects["posts/2026/3.json"])


def put(world: World, case: Case) -> None:
    world.store.objects.pop(case.key, None)
    if case.data is not None:
        world.store.objects[case.key] = case.data


def noticed(world: World) -> dict[str, bool]:
    """Who says that something is wrong."""
    said = {}
    calls: dict[str, Callable[[], Any]] = {
        "fill": lambda: world.pool.append(records(2, 50), "more"),
        "status": world.pool.status,
        "verify": world.pool.verify,
        "post": lambda: world.invoke("slot 5"),
    }
    for name, call in calls.items():
        try:
            result = call()
        except PostError:
            said[name] = True
        else:
            said[name] = bool(result["damage"]) if name == "status" else bool(result) if name == "verify" else False
    return said


def repair(world: World) -> None:
    helper = Helper(lambda text: IDS.get(text, "unknown"), problems)
    carry_out(world.pool, Repair(world.pool, helper, world.now).plan())


def post_all(world: World) -> None:
    world.pool.resume()
    world.wait(minutes=10)
    for number in range(20):
        with suppress(PostError):
            world.invoke(f"later {number}")
        world.wait(hours=1)


@pytest.mark.slow
@pytest.mark.parametrize("packed", [pack, pack_plain])
def test_no_damage_of_a_pool_is_silent_and_none_posts_twice(packed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("post_tweet.filling.pack", packed)  # an older version's batches have no checksums
    table: dict[tuple[str, str], Counter[str]] = {}
    wrong: list[str] = []
    for number in range(len(list(cases(*used())))):
        world, old, foreign = used()
        case = list(cases(world, old, foreign))[number]
        put(world, case)
        said = noticed(world)
        who = next((name for name in ("post", "fill", "status", "verify") if said[name]), "nobody")
        table.setdefault((case.key.split("/")[0], case.how), Counter())[who] += 1
        name = f"{number}, {case.key} {case.how}"
        if who == "nobody":
            wrong.append(f"{name}: silent")
        repair(world)
        if left := [s for s in world.pool.verify() if "remove it" not in s and "stays as it is" not in s]:
            wrong.append(f"{name}: not repaired: {left}")
        post_all(world)
        if max(Counter(world.x.published).values()) > 1:
            wrong.append(f"{name}: a text is posted twice")
    columns = ("post", "fill", "status", "verify", "nobody")
    print(f"\n{'file':<12}{'damage':<22}{'noticed first by':<20}", *columns)
    for (key, how), counter in table.items():
        print(f"{key:<12}{how:<42}", *(f"{counter[column]:>{len(column)}}" for column in columns))
    total = sum(table.values(), Counter[str]())
    print(f"{total.total()} damages", dict(total))
    assert wrong == [] and total.total() >= 200
