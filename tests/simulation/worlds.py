"""Histories in which something outside the calls goes wrong: the memory of posts is full, the state's file is damaged,
a machine has other keys, X denies what it has published.

Flows in: a protocol. Flows out: Runs, as from search.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import product

from post_tweet import protocol as post

from tests.simulation.history import START, Act, Delivery, FaultKey, History, World, named
from tests.simulation.search import LEFT, MORE, POST, SLOTS, explore, life
from tests.simulation.world import Protocol, Run, Simulation

FULL = 66
"""Slots that fill the memory of posts, and two more."""


def memories(protocol: Protocol = post.posting) -> Iterator[Run]:
    """Slots that come when the memory is full: each of an hour, or of half a minute and all at once after an outage; a
    slot of two names before them, one with a time of the future, one without; every third text unfit or not; and each
    of some slots again after all the others."""
    for interval, late, first, unfit in product((3600.0, 30.0), (False, True), range(4), (41, 3)):
        world = World(texts=300, unfit=unfit, readable=first != 3)
        slots = [named(f"slot {n}", interval * n) for n in range(FULL)]
        at = [60 + (FULL * interval + 20 * n if late else interval * n) for n in range(FULL)]
        deliveries = [Delivery(time, slot) for time, slot in zip(at, slots, strict=True)]
        faults: dict[FaultKey, str | float] = {}
        if first == 3:
            # Two slots that may have posted one text, the one that was due later before the other.
            two = [Delivery(0, named("later", 50)), Delivery(70, named("earlier", -50))]
            deliveries = [
                *two,
                *(replace(each, time=each.time + 200) for each in deliveries[:64]),
            ]  # it alone is forgotten
            faults = {(n, attempt, 0): "crash" for n in range(2) for attempt in (1, 2)}
            faults |= {(0, 0, POST): "crash after", (1, 0, POST): "lost"}
        elif first:
            deliveries.insert(0, Delivery(0, ["by hand", "by hand 2999-01-01T00:00:00Z"][first - 1], by_hand=True))
        end = deliveries[-1].time + 200
        # A name without a time of its own is remembered for 64 posts.
        numbers = (*([0] if first in (0, 3) else []), 1, 2, 3, 4, 6, 40)
        again = [replace(deliveries[n], time=end + 60 * k) for k, n in enumerate(numbers)]
        history = History(life(True), world, (*deliveries, *again), faults=faults, calm=1)
        yield Simulation(history, protocol).run()


def inherited(protocol: Protocol = post.posting) -> Iterator[Run]:
    """A pool of an older version, and slots that it has posted: some it remembers, some not."""
    for past in (63, 64, 65, 100):
        world = World(texts=300, past=past)
        old = [f"past {n} {START - timedelta(hours=past - n):%Y-%m-%dT%H:%M:%SZ}" for n in (0, 30, past - 1)]
        slots = [*old, named("slot 0", 0), named("late", -600), old[0], named("slot 1", 3600)]
        history = History(life(True), world, tuple(Delivery(60 + 60 * n, slot) for n, slot in enumerate(slots)), calm=1)
        yield Simulation(history, protocol).run()


DAMAGES = (("delete", 0), ("truncate", 0), ("truncate", 5), *(("put back", versions) for versions in range(1, 8)))
"""What befalls the state's file: people.damage."""
REPAIRS = (2.0, 30.0, 200.0, 4000.0)
"""Seconds after the damage: while a call is under way, before and after Lambda's retries, after other slots."""


def damaged(protocol: Protocol = post.posting, depth: int = 0, start: int = 0, every: int = 1) -> Iterator[Run]:
    """Six slots; before call i of the third, perhaps while another one posts, the state's file is lost, cut or put
    back, and repaired some time later. The third may have left its post without an answer. A repair may break off at
    its request n, and is run again; the owner then lets the pool post."""
    cases = list(product(DAMAGES, MORE, REPAIRS, (True, False), (None, *LEFT), (True, False)))
    for number, ((what, how), i, wait, readable, left, between) in enumerate(cases[start::every]):
        deliveries = [Delivery(600.0 * n, named(f"slot {n}", 600.0 * n)) for n in range(6)]
        faults: dict[FaultKey, str | float] = {(2, 0, POST): left} if left else {}
        at = 1200 + 0.2 * i + 0.05 + (60 if left and i % 2 else 0)
        if between:
            deliveries.append(Delivery(at + 0.1, named("slot between", at + 0.1)))
            at += 3
        broken = (Act(at + wait, "repair", number % 23),) if number % 3 else ()
        acts = (Act(at, what, how), *broken, Act(at + wait + 1, "repair"), Act(at + wait + 1, "resume"))
        world = World(texts=20, readable=readable, through_bytes=True)
        delays: dict[FaultKey, float] = {(2, 0, i): 4.0}
        history = History(life(readable), world, tuple(deliveries), acts, faults, delays, calm=1)
        yield from explore(history, depth, protocol)


def given_up(protocol: Protocol = post.posting) -> Iterator[Run]:
    """A text is given up when X can no longer tell of it, and a state of before is put back: its record stands."""
    for left, versions, repaired in product(LEFT, range(1, 6), (9, 12)):
        hours = (0, 7, 8, 10, 15)
        deliveries = tuple(Delivery(3600.0 * at, named(f"slot {n}", 3600.0 * at)) for n, at in enumerate(hours))
        faults: dict[FaultKey, str | float] = {(0, attempt, 0): "crash" for attempt in (1, 2)}
        acts = [Act(3600 * 7.5, "put back", versions), Act(3600.0 * repaired, "repair"), Act(3600 * 14.0, "resume")]
        world = World(texts=20, readable=False, through_bytes=True)
        history = History(life(False), world, deliveries, tuple(acts), faults | {(0, 0, POST): left}, calm=1)
        yield Simulation(history, protocol).run()


def accounts(protocol: Protocol = post.posting, depth: int = 1) -> Iterator[Run]:
    """Two machines with the keys of two accounts: the pool is the first's that claims a text, and the other posts, asks
    and settles nothing, whatever it finds."""
    for left, first, readable, same in product((None, *LEFT), ("AB", "BA", "AAB"), (True, False), (True, False)):
        deliveries = tuple(
            Delivery(120.0 * n, SLOTS[0] if same else named(f"slot {n}", 120.0 * n), account=whose)
            for n, whose in enumerate(first)
        )
        last = len(first) - 2
        faults: dict[FaultKey, str | float] = {(last, 0, POST): left, (last, 1, 0): "crash"} if left else {}
        world = World(texts=9, lag=10, readable=readable)
        yield from explore(History(life(readable), world, deliveries, faults=faults, calm=1), depth, protocol)


def denied(protocol: Protocol = post.posting, depth: int = 1) -> Iterator[Run]:
    """An X that shows nothing and publishes everything: a text whose record stands is not posted again."""
    for after, same in product(("crash after", "error after", "crash", "error"), (True, False)):
        for call in (POST + 1, POST + 2):  # the record, and settling
            if call == POST + 1 and "after" not in after:
                continue  # no record
            deliveries = (Delivery(0, SLOTS[0]), Delivery(150, SLOTS[not same]), Delivery(600, named("slot 2", 600)))
            faults: dict[FaultKey, str | float] = {(0, 0, call): after, (0, 1, 0): "crash", (0, 2, 0): "crash"}
            world = World(texts=9, window=0, lag=1e9, denies=True)
            yield from explore(History(life(True), world, deliveries, faults=faults, calm=1), depth, protocol)


def outages(protocol: Protocol = post.posting) -> Iterator[Run]:
    """Hours in which X loses every answer, at once or after having posted, and can be read or not: what the claim names
    stays bounded."""
    for left, interval, readable in product(("lost", "lost after"), (70.0, 130.0), (True, False)):
        deliveries = tuple(Delivery(interval * n, named(f"slot {n}", interval * n)) for n in range(150))
        faults: dict[FaultKey, str | float] = {}
        for n in range(100):
            for attempt in range(3):
                # Of a call that takes over, too: state, keys, record, question, claim, post.
                faults |= {(n, attempt, place): left for place in (POST, POST + 1)}
        world = World(texts=300, readable=readable)
        yield Simulation(History(life(readable), world, deliveries, faults=faults, calm=1), protocol).run()
