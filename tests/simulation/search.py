"""Find histories that break a protocol: at random from seeds, or every one with up to two faults; and shrink them.

Flows in: a protocol. Flows out: Runs with violations, and how many were tried.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise, product
from typing import Any

from post_tweet import protocol as post
from post_tweet.app import SHORTEST_LEASE

from tests.simulation.history import CONFLICTS, FAULTS, LOST, Act, Delivery, FaultKey, History, World, history, named
from tests.simulation.world import Protocol, Run, Simulation

HARMLESS = (*CONFLICTS, "slow")
"""One of these alone must not even make a call fail. (A claim that was slow to write is not posted: that may.)"""
SLOTS = (named("slot 0", 0), named("slot 1", 60))
POST = 5
"""The number of a call's post among its calls, if nothing goes wrong: state, text, its record, keys, claim, post."""
ASK = 3
"""The number of its question, if it finds a claim left behind: state, keys, record, question."""
LEFT = ("crash", "crash after", *LOST)
"""What may leave a claim behind with its text posted or not."""
PLACES = range(9)
"""Where a call can be interrupted by the other: before each of its calls, and after the last, if nothing goes wrong."""
MORE = range(16)
"""The same for a call that meets conflicts, asks, and takes the next text."""


def random_runs(seeds: range, protocol: Protocol = post.posting, slots: int = 100) -> Iterator[Run]:
    for seed in seeds:
        yield Simulation(history(seed, slots), protocol).run()


def life(readable: bool) -> int:
    """A life's number; where it is even, X can be read in the end."""
    return -2 if readable else -1


def explore(base: History, depth: int, protocol: Protocol) -> Iterator[Run]:
    """`base`, and `base` with every choice of up to `depth` faults: any kind at any call, then at any call after."""
    simulation = Simulation(base, protocol)
    run = simulation.run()
    alone = len(base.faults) == 1 and set(base.faults.values()) <= set(HARMLESS) and not base.delays
    if alone and len({each.account for each in base.deliveries}) == 1 and simulation.oracle.raised.total():
        run.violations.append("HARMED: one conflict or delay alone makes a call fail")
    yield run
    if depth == 0:
        return
    last = max((place for place, (key, *_) in enumerate(simulation.made) if key in base.faults), default=-1)
    for key, request, _ in simulation.made[last + 1 :]:
        for kind in FAULTS[request]:
            if kind == "sleep" and (base.world.blind or not base.deliveries[key[0]].by_hand):
                continue  # the world would leave it out
            yield from explore(replace(base, faults={**base.faults, key: kind}), depth - 1, protocol)


def one_slot(protocol: Protocol = post.posting, depth: int = 2) -> Iterator[Run]:
    """One slot, another ten minutes later; X readable or not, the text withdrawn in between or not."""
    deliveries = (Delivery(0, SLOTS[0]), Delivery(600, SLOTS[1]))
    for readable, acts in product((True, False), ((), (Act(30, "withdraw"),))):
        base = History(life(readable), World(texts=9, lag=10, readable=readable), deliveries, acts, calm=1)
        yield from explore(base, depth, protocol)


def two_slots(
    protocol: Protocol = post.posting, depth: int = 1, start: int = 0, every: int = 1, places: range = PLACES
) -> Iterator[Run]:
    """Two calls at once, for one slot or for two: the first is interrupted before its call i, the second then before
    its call j until the first has ended. `start`, `every`: take only some interleavings; an odd `every` takes some of
    one slot and of two, X readable or not."""
    cases = list(product(places, places, (True, False), (True, False)))
    for i, j, same, readable in cases[start::every]:
        delays: dict[FaultKey, float] = {(0, 0, i): 10.0, (1, 0, j): 12.0}
        deliveries = (Delivery(0, SLOTS[0]), Delivery(0.2 * i + 0.05, SLOTS[not same]))
        world = World(texts=9, readable=readable)
        yield from explore(History(life(readable), world, deliveries, delays=delays, calm=1), depth, protocol)


def two_heirs(protocol: Protocol = post.posting, depth: int = 1, start: int = 0, every: int = 1) -> Iterator[Run]:
    """A call that ends in the middle of its post, and two that find its claim at once, interleaved as above: Lambda's
    retry of it and the next slot, or the same slot delivered again."""
    cases = list(product(LEFT, MORE, MORE, (True, False), (True, False)))
    for left, i, j, same, readable in cases[start::every]:
        simulation = Simulation(
            History(0, World(texts=9), (Delivery(0, SLOTS[0]),), faults={(0, 0, POST): left}, calm=0)
        )
        simulation.run()
        begun = simulation.begun[0, 1]  # the retry
        delays: dict[FaultKey, float] = {(0, 1, i): 10.0, (1, 0, j): 12.0}
        deliveries = (Delivery(0, SLOTS[0]), Delivery(begun + 0.2 * i + 0.05, SLOTS[not same]))
        world = World(texts=9, readable=readable)
        base = History(life(readable), world, deliveries, faults={(0, 0, POST): left}, delays=delays, calm=1)
        yield from explore(base, depth, protocol)


def old_claims(protocol: Protocol = post.posting, depth: int = 1) -> Iterator[Run]:
    """Three slots hours apart, X not readable, or once for an hour, each left alone by Lambda after its first call. The
    first leaves a claim; its clock may be a day off."""
    alone: dict[FaultKey, str | float] = {(n, attempt, 0): "crash" for n in range(2) for attempt in (1, 2)}
    opened = (Act(4.5 * 3600, "allow"), Act(5.5 * 3600, "forbid"))
    kinds = product(((0, 5, 10), (0, 5, 13)), (0.0, -86400.0, 86400.0), ("crash", "crash after"), ((), opened))
    for hours, skew, left, acts in kinds:
        deliveries = [Delivery(3600 * at, named(f"slot {n}", 3600 * at)) for n, at in enumerate(hours)]
        deliveries[0] = replace(deliveries[0], skew=skew)
        world = World(texts=9, readable=False)
        faults = {**alone, (0, 0, POST): left}
        yield from explore(History(life(False), world, tuple(deliveries), acts, faults, calm=1), depth, protocol)


def short_leases(protocol: Protocol = post.posting) -> Iterator[Run]:
    """The shortest lease, and a second call just after it: the post of the first may have been on its way for long."""
    for left, k, same, readable, repeats in product(LOST, range(24), (True, False), (True, False), (True, False)):
        second = Delivery(SHORTEST_LEASE + 0.5 * k, SLOTS[0] if same else named("slot 1", SHORTEST_LEASE))
        world = World(texts=9, lag=10, readable=readable, repeats=repeats, lease=SHORTEST_LEASE)
        slow: dict[FaultKey, float] = {(0, 0, POST): 7.4}  # it has just begun to post within a quarter of the lease
        deliveries = (Delivery(0, SLOTS[0]), second)
        yield Simulation(
            History(life(readable), world, deliveries, faults={(0, 0, POST): left}, delays=slow, calm=1), protocol
        ).run()


def old_heirs(protocol: Protocol = post.posting, start: int = 0, every: int = 1) -> Iterator[Run]:
    """Two calls that find a claim of seven hours at once, interleaved as above; X answers only one of them."""
    alone: dict[FaultKey, str | float] = {(0, attempt, 0): "crash" for attempt in (1, 2)}
    cases = list(product(LEFT, MORE, MORE, (True, False), ("forbidden", "later")))
    for left, i, j, same, unanswered in cases[start::every]:
        at = 7 * 3600.0
        slots = (named("slot 1", at), named("slot 2", at))
        deliveries = (Delivery(0, SLOTS[0]), Delivery(at, slots[0]), Delivery(at + 0.2 * i + 0.05, slots[not same]))
        faults = {**alone, (0, 0, POST): left, (1, 0, ASK): unanswered}
        delays: dict[FaultKey, float] = {(1, 0, i): 10.0, (2, 0, j): 12.0}
        yield Simulation(History(life(True), World(texts=9), deliveries, (), faults, delays, calm=1), protocol).run()


def sleepers(protocol: Protocol = post.posting, depth: int = 1) -> Iterator[Run]:
    """A call by hand on a machine that falls asleep in the middle of it, and a slot of the schedule that is just before
    its call i when it wakes up."""
    after: list[dict[FaultKey, str | float]] = [{(0, 0, call): "sleep after"} for call in (0, POST - 1, POST + 2)]
    refused: dict[FaultKey, str | float] = {
        (0, 0, POST): "account",
        (0, 0, POST + 1): "conflict",
        (0, 0, POST + 2): "sleep after",
    }
    asleep: dict[FaultKey, str | float] = {(0, 0, POST): "sleep"}
    for faults, i, readable in product([*after, asleep, refused], MORE, (True, False)):
        # X sees every duplicate: nothing else helps a call that is asleep between its look at the clock and its post.
        world = World(texts=9, readable=readable, blind=0)
        first = Delivery(0, "by hand", by_hand=True)
        base = History(life(readable), world, (first,), faults=faults, calm=1)
        simulation = Simulation(replace(base, calm=0))
        simulation.run()
        times = [time for *_, time in simulation.made]
        (woken,) = [later for earlier, later in pairwise([*times, simulation.time]) if later - earlier > 1000]
        second = Delivery(woken - 3, named("slot 1", woken - 3))
        base = replace(base, deliveries=(first, second), delays={(1, 0, i): 10.0})
        yield from explore(base, depth, protocol)


def restored(protocol: Protocol = post.posting, depth: int = 1) -> Iterator[Run]:
    """A slot that finds its text withdrawn, and posts the next one or finds that one unfit; just before its call i the
    text is restored. A lost answer may leave a claim on a text after it."""
    for number, i, readable, left in product((4, 6), MORE, (True, False), (None, *LEFT)):
        times = [600.0 * slot for slot in range(number + 2)]
        deliveries = tuple(Delivery(time, named(f"slot {n}", time)) for n, time in enumerate(times))
        faults: dict[FaultKey, str | float] = {(number, 0, POST + 3 * (number == 6)): left} if left else {}
        at = times[number] + 0.2 * i + 0.05 + (60 if left and i % 2 else 0)
        acts = (Act(times[number] - 60, "withdraw"), Act(at, "restore"))
        base = History(life(readable), World(texts=12, readable=readable), deliveries, acts, faults, calm=1)
        yield from explore(base, depth, protocol)


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
