"""Every store, and the pool on top of it, against a model: random sequences of calls through two clients at once."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from post_tweet import effects, protocol, telemetry
from post_tweet.errors import EmptyPool, PoolBroken
from post_tweet.pool import Pool
from post_tweet.runtime import Runtime, run_protocol
from post_tweet.store import Conflict, DirectoryStore, Missing, S3Store, Store

from tests.helpers.clones import two_clones
from tests.helpers.fakes import MemoryStore, MemoryX, records
from tests.helpers.locked_moto import BUCKET, locked_moto

KEYS = st.sampled_from(["state.json", "batches/a.jsonl", "batches/b.jsonl", "posts/2026/1.json"])
DATA = st.binary(max_size=20)
FEW = settings(max_examples=10, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck))


class Stores:
    """Where stores come from: each call gives two clients of one new, empty store."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind, self.folder, self.number = kind, folder, itertools.count()

    def __call__(self) -> tuple[Store, Store]:
        name = str(next(self.number))
        if self.kind == "memory":
            store = MemoryStore()
            return store, store
        if self.kind == "directory":
            return DirectoryStore(self.folder / name), DirectoryStore(self.folder / name)
        if self.kind == "git":
            return two_clones(self.folder / name)
        return S3Store(BUCKET, name), S3Store(BUCKET, name)


@pytest.fixture(params=["memory", "directory", "s3", "git"])
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stores]:
    with locked_moto() if request.param == "s3" else nullcontext():
        yield Stores(request.param, tmp_path)


class StoreMachine(RuleBasedStateMachine):
    """The model is a dictionary; an etag is good as long as the object has the bytes that it was given for."""

    def __init__(self, stores: Stores) -> None:
        super().__init__()
        self.stores = stores()
        self.model: dict[str, bytes] = {}
        self.etags: list[tuple[str, bytes, str]] = []

    @rule(key=KEYS, data=DATA, who=st.integers(0, 1))
    def put(self, key: str, data: bytes, who: int) -> None:
        self.stores[who].put(key, data)
        self.model[key] = data

    @rule(key=KEYS, data=DATA, who=st.integers(0, 1))
    def put_new(self, key: str, data: bytes, who: int) -> None:
        if key in self.model:
            with pytest.raises(Conflict):
                self.stores[who].put_if(key, data, None)
        else:
            self.etags.append((key, data, self.stores[who].put_if(key, data, None)))
            self.model[key] = data

    @precondition(lambda self: self.etags)
    @rule(which=st.integers(0, 99), data=DATA, who=st.integers(0, 1))
    def put_over(self, which: int, data: bytes, who: int) -> None:
        key, known, etag = self.etags[which % len(self.etags)]
        if self.model.get(key) == known:
            self.etags.append((key, data, self.stores[who].put_if(key, data, etag)))
            self.model[key] = data
        else:
            with pytest.raises(Conflict):
                self.stores[who].put_if(key, data, etag)

    @rule(key=KEYS, who=st.integers(0, 1))
    def get(self, key: str, who: int) -> None:
        if key in self.model:
            data, etag = self.stores[who].get(key)
            assert data == self.model[key]
            self.etags.append((key, data, etag))
        else:
            with pytest.raises(Missing):
                self.stores[who].get(key)

    @rule(key=KEYS, start=st.integers(0, 25), length=st.integers(1, 25), who=st.integers(0, 1))
    def get_range(self, key: str, start: int, length: int, who: int) -> None:
        expected = self.model.get(key, b"")[start : start + length]
        try:
            assert self.stores[who].get_range(key, start, length) == expected
        except Missing:
            assert expected == b"", "only a range behind the end may be missing"

    @rule(prefix=st.sampled_from(["batches/", "posts/", "nothing/"]), who=st.integers(0, 1))
    def list_keys(self, prefix: str, who: int) -> None:
        assert self.stores[who].list(prefix) == sorted(key for key in self.model if key.startswith(prefix))


def test_stores_behave_like_a_dictionary(stores: Stores) -> None:
    run_state_machine_as_test(lambda: StoreMachine(stores), settings=FEW)


class PoolMachine(RuleBasedStateMachine):
    """The model is a list of texts and what became of them."""

    def __init__(self, stores: Stores) -> None:
        super().__init__()
        self.pools = [Pool(store) for store in stores()]
        self.x = MemoryX()
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.ids: list[str] = []
        self.withdrawn: set[int] = set()
        self.next = 0
        self.paused = False
        self.slots: dict[str, int] = {}

    @rule(start=st.integers(0, 12), count=st.integers(1, 6), who=st.integers(0, 1))
    def append(self, start: int, count: int, who: int) -> None:
        wanted = records(count, start)
        new = [record["id"] for record in wanted if record["id"] not in self.ids]
        added = self.pools[who].append(wanted, "run")
        assert (added.added, added.already) == (len(new), count - len(new))
        self.ids += new

    @precondition(lambda self: self.ids)
    @rule(which=st.integers(0, 99), who=st.integers(0, 1))
    def withdraw(self, which: int, who: int) -> None:
        index = which % len(self.ids)
        fresh = index >= self.next and index not in self.withdrawn
        assert self.pools[who].withdraw([index]) == fresh
        if fresh:
            self.withdrawn.add(index)

    @precondition(lambda self: self.ids)
    @rule(which=st.integers(0, 99), who=st.integers(0, 1))
    def restore(self, which: int, who: int) -> None:
        index = which % len(self.ids)
        back = index >= self.next and index in self.withdrawn
        found = self.pools[who].restore([index])
        assert (found.restored, found.passed) == (back, index < self.next)
        if back:
            self.withdrawn.remove(index)

    @rule(pause=st.booleans(), who=st.integers(0, 1))
    def pause(self, pause: bool, who: int) -> None:
        if self.ids:
            changed = self.pools[who].pause(self.now) if pause else self.pools[who].resume()
            assert changed == (pause != self.paused)
            self.paused = pause

    @rule(slot=st.sampled_from("abcdefgh"), who=st.integers(0, 1))
    def post(self, slot: str, who: int) -> None:
        self.now += timedelta(hours=1)
        runtime = Runtime(self.pools[who], self.x, telemetry.Metrics(), lambda: self.now)
        call = protocol.posting(effects.Call(slot, str(self.now), timedelta(seconds=55), self.x))
        waiting = [i for i in range(self.next, len(self.ids)) if i not in self.withdrawn]
        if slot not in self.slots and not self.paused and not waiting:
            with pytest.raises(EmptyPool):
                run_protocol(call, runtime, slot)
            return
        result = run_protocol(call, runtime, slot)
        if slot in self.slots:
            assert (result.outcome, result.index) == ("already-settled", self.slots[slot])
        elif self.paused:
            assert result.outcome == "paused"
        else:
            assert (result.outcome, result.index) == ("posted", waiting[0])
            self.slots[slot], self.next = waiting[0], waiting[0] + 1

    @invariant()
    def agrees(self) -> None:
        state, _ = self.pools[0].load()
        assert (state.total, state.next, bool(state.paused)) == (len(self.ids), self.next, self.paused)
        assert len(self.x.published) == len(set(self.x.published)) == len(self.slots)

    def teardown(self) -> None:
        if self.ids:
            assert [record["id"] for record in self.pools[1].records()] == self.ids
            assert self.pools[1].verify() == []


def test_pools_behave_like_a_list(stores: Stores) -> None:
    telemetry.quiet = True
    try:
        run_state_machine_as_test(lambda: PoolMachine(stores), settings=FEW)
    finally:
        telemetry.quiet = False


def test_verify_sees_a_state_that_is_older_than_its_posts() -> None:
    pool, x = Pool(MemoryStore()), MemoryX()
    pool.append(records(3), "run")
    old: dict[str, Any] = dict(pool.store.objects)  # type: ignore[attr-defined]
    now = datetime(2026, 1, 1, tzinfo=UTC)
    telemetry.quiet = True
    try:
        runtime = Runtime(pool, x, telemetry.Metrics(), lambda: now)
        run_protocol(protocol.posting(effects.Call("monday", "me", timedelta(seconds=55), x)), runtime, "monday")
    finally:
        telemetry.quiet = False
    assert pool.verify() == []
    note = pool.store.get("posts/2026/0.json")[0]
    pool.store.put("posts/2026/0.json", note.replace(b"monday", b"friday"))
    (said,) = pool.verify()
    assert "its checksum differs" in said
    friday = {**json.loads(note), "slot": "friday"}
    del friday["check"]  # as an older version wrote it
    pool.store.put("posts/2026/0.json", json.dumps(friday).encode())
    (said,) = pool.verify()
    assert "record of the post of text 0 for monday is missing or says something else" in said
    pool.store.put("posts/2026/0.json", note)
    pool.store.put("state.json", old["state.json"])
    (said,) = pool.verify()
    assert "posts/2026/0.json says that text 0 was posted" in said
    pool.store.put("state.json", b"{}")
    with pytest.raises(PoolBroken):
        pool.verify()


def test_the_model_finds_a_store_that_does_not_compare(tmp_path: Path) -> None:
    class Careless(MemoryStore):
        def put_if(self, key: str, data: bytes, etag: str | None) -> str:
            self.put(key, data)
            return self.get(key)[1]

    class CarelessStores(Stores):
        def __call__(self) -> tuple[Store, Store]:
            store = Careless()
            return store, store

    with pytest.raises(BaseException, match=r"DID NOT RAISE"):
        run_state_machine_as_test(lambda: StoreMachine(CarelessStores("memory", tmp_path)), settings=FEW)
