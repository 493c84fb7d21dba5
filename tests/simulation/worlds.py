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

from tests.simulation.history import START, Delivery, FaultKey, History, World, named
from tests.simulation.search import POST, life
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
            deliveries = [*two, *(replace(each, time=each.time + 200) for each in deliveries)]
            faults = {(0, 0, POST): "crash after", (1, 0, POST - 1): "lost"} | {
                (n, attempt, 0): "crash" for n in range(2) for attempt in (1, 2)
            }
        elif first:
            deliveries.insert(0, Delivery(0, ["by hand", "by hand 2999-01-01T00:00:00Z"][first - 1], by_hand=True))
        end = deliveries[-1].time + 200
        # A name without a time of its own is remembered for 64 posts.
        numbers = (1, 2, 3, 4, 6, 40, *([0] if first in (0, 3) else []))
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
