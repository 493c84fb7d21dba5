"""Find histories that break a protocol: at random from seeds, or every one with up to two faults; and shrink them.

Flows in: a protocol. Flows out: Runs with violations, and how many were tried.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Any

from post_tweet import post

from tests.simulation.history import FAULTS, Delivery, FaultKey, History, World, history
from tests.simulation.world import Protocol, Run, Simulation

HARMLESS = ("conflict", "conflict after", "slow")
"""One of these alone must not even make a call fail. (A claim that was slow to write is not posted: that may.)"""
SHARP = ("crash", "crash after", "error after", "conflict after", "lost after", "late", "account", "forbidden")
"""The faults that leave most behind: what two faults in two concurrent calls are made of."""
PLACES = range(8)
"""Where a call can be interrupted by the other: before each of its calls, and after the last."""


def random_runs(seeds: range, protocol: Protocol = post.posting, slots: int = 100) -> Iterator[Run]:
    for seed in seeds:
        yield Simulation(history(seed, slots), protocol).run()


def explore(base: History, depth: int, protocol: Protocol, kinds: tuple[str, ...] | None = None) -> Iterator[Run]:
    """`base`, and `base` with every choice of up to `depth` faults: any kind at any call, then at any call after."""
    simulation = Simulation(base, protocol)
    run = simulation.run()
    alone = len(base.faults) == 1 and set(base.faults.values()) <= set(HARMLESS) and not base.delays
    if alone and simulation.oracle.raised.total():
        run.violations.append("HARMED: one conflict or delay alone makes a call fail")
    yield run
    if depth == 0:
        return
    last = max((place for place, (key, _) in enumerate(simulation.made) if key in base.faults), default=-1)
    for key, request in simulation.made[last + 1 :]:
        for kind in FAULTS[request]:
            if kinds is None or kind in kinds:
                yield from explore(replace(base, faults={**base.faults, key: kind}), depth - 1, protocol, kinds)


def one_slot(protocol: Protocol = post.posting, depth: int = 2) -> Iterator[Run]:
    """One slot, another ten minutes later; X readable or not, the text withdrawn meanwhile or not."""
    deliveries = (Delivery(0, "slot 0", 0), Delivery(600, "slot 1", 600))
    for readable in (True, False):
        base = History(-1, World(texts=9, lag=10, readable=readable), deliveries, calm=1)
        yield from explore(base, depth, protocol)


def two_slots(protocol: Protocol = post.posting, depth: int = 1, start: int = 0, every: int = 1) -> Iterator[Run]:
    """Two calls at once, for one slot or for two: the first is interrupted before its call i, the second then before
    its call j until the first has ended. `start`, `every`: take only some interleavings."""
    cases = list(product(PLACES, PLACES, (True, False), (True, False)))
    for i, j, same, readable in cases[start::every]:
        delays: dict[FaultKey, float] = {(0, 0, i): 10.0, (1, 0, j): 12.0}
        second = Delivery(0.2 * i + 0.05, "slot 0" if same else "slot 1", 0)
        base = History(-1, World(texts=9, readable=readable), (Delivery(0, "slot 0", 0), second), delays=delays, calm=1)
        yield from explore(base, depth, protocol, SHARP if depth > 1 else None)


def shrink(run: Run, protocol: Protocol = post.posting) -> Run:
    """A smaller history with the same kind of violation, told in its log: nothing in it can be left out."""
    kind = run.violations[0].split(":")[0]
    found = run.history

    def breaks(candidate: History) -> bool:
        return any(v.startswith(kind) for v in Simulation(candidate, protocol).run().violations)

    def without(values: Any, part: Any) -> Any:
        if isinstance(values, dict):
            return {key: value for key, value in values.items() if key not in part}
        return tuple(value for value in values if value not in part)

    progress = True
    while progress:
        progress = False
        for name in ("faults", "acts", "deliveries"):
            values = list(getattr(found, name))
            size = max(1, len(values) // 2)
            while size:
                for start in range(0, len(values), size):
                    part = values[start : start + size]
                    candidate = replace(found, **{name: without(getattr(found, name), part)})
                    if name == "deliveries":
                        candidate = renumbered(found, part)
                    if part and breaks(candidate):
                        found, progress = candidate, True
                values, size = list(getattr(found, name)), size // 2
    return Simulation(found, protocol, log=True).run()


def renumbered(whole: History, removed: list[Delivery]) -> History:
    """Without some deliveries; the faults of the others move with them."""
    kept = [number for number, delivery in enumerate(whole.deliveries) if delivery not in removed]
    place = {number: new for new, number in enumerate(kept)}
    faults = {(place[n], a, c): kind for (n, a, c), kind in whole.faults.items() if n in place}
    delays = {(place[n], a, c): time for (n, a, c), time in whole.delays.items() if n in place}
    return replace(whole, deliveries=tuple(whole.deliveries[n] for n in kept), faults=faults, delays=delays)


def story(run: Run, most: int = 120) -> str:
    """A broken history, for people; of a long one the end."""
    left_out = [f"({len(run.log) - most} lines before)"] if len(run.log) > most else []
    violations = [f"!! {violation}" for violation in run.violations]
    return "\n".join([f"World: {run.history.world}", *left_out, *run.log[-most:], *violations])
