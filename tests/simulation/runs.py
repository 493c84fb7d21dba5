"""`make simulate`: a million slots at random, every single and double fault of small histories, the mutations' table.

python -m tests.simulation                       all of it, on 2 processes: about 10 minutes
python -m tests.simulation --slots 20000         fewer random slots
python -m tests.simulation --seed 309            one life, event by event
python -m tests.simulation --mutations           the table alone
"""

from __future__ import annotations

import argparse
import multiprocessing
import multiprocessing.pool
import re
import time
from collections import Counter
from collections.abc import Iterable
from itertools import chain

from tests.simulation.history import history
from tests.simulation.mutations import MUTATIONS, hunt
from tests.simulation.search import (
    MORE,
    old_claims,
    old_heirs,
    one_slot,
    random_runs,
    restored,
    short_leases,
    shrink,
    sleepers,
    story,
    two_heirs,
    two_slots,
)
from tests.simulation.world import Run, Simulation
from tests.simulation.worlds import accounts, damaged, denied, given_up, inherited, memories, outages

CHUNK = 50
"""Histories that a process takes at a time."""
SLOTS = 100
"""Slots a history."""
PARTS = 192
"""Portions of the interleavings, of which every third is taken."""
COUNTED = ("slots", "calls", "faults", "posts", "missed", "abandoned")


def summed(runs: Iterable[Run]) -> tuple[Counter[str], Run | None]:
    """The runs' numbers added up, and the first that broke a rule."""
    total: Counter[str] = Counter(dict.fromkeys(("histories", *COUNTED, "violations"), 0))
    broken = None
    for run in runs:
        total["histories"] += 1
        total["violations"] += len(run.violations)
        for name in COUNTED:
            total[name] += getattr(run, name)
        broken = broken or (run if run.violations else None)
    return total, broken


def lives(first: int) -> tuple[Counter[str], Run | None]:
    return summed(random_runs(range(first, first + CHUNK), slots=SLOTS))


def alone(_: int) -> tuple[Counter[str], Run | None]:
    return summed(one_slot(depth=2))


def side_by_side(start: int) -> tuple[Counter[str], Run | None]:
    """Some of the interleavings of two concurrent calls, with every fault and every two; and with every fault at the
    calls that are made only after a fault, too."""
    total, broken = summed(two_slots(depth=2, start=start, every=PARTS))
    more, worse = summed(two_slots(depth=1, start=start, every=PARTS, places=MORE))
    return total + more, broken or worse


def heirs(start: int) -> tuple[Counter[str], Run | None]:
    """Some of the interleavings of two calls that find one claim left behind, with every further fault."""
    return summed(two_heirs(depth=1, start=start, every=PARTS))


def rare(_: int) -> tuple[Counter[str], Run | None]:
    return summed(chain(old_claims(depth=2), old_heirs(), short_leases(), sleepers(depth=1)))


def around(_: int) -> tuple[Counter[str], Run | None]:
    return summed(chain(memories(), inherited(), outages(), denied(depth=1), given_up()))


def lost(start: int) -> tuple[Counter[str], Run | None]:
    """A state that is lost, cut or put back, and repaired, in some of the ways."""
    return summed(damaged(start=start, every=PARTS))


def owned(_: int) -> tuple[Counter[str], Run | None]:
    return summed(accounts(depth=1))


def back(_: int) -> tuple[Counter[str], Run | None]:
    return summed(restored(depth=1))


def report(name: str, results: Iterable[tuple[Counter[str], Run | None]]) -> bool:
    started = time.monotonic()
    total: Counter[str] = Counter()
    broken = None
    for counts, run in results:
        total.update(counts)
        broken = broken or run
    numbers = "  ".join(f"{total[key]:,} {key}" for key in ("histories", *COUNTED, "violations"))
    print(f"{name}: {numbers}  ({time.monotonic() - started:.0f} s)", flush=True)
    if broken:
        print(f"\nThe seed {broken.history.seed}, shrunk:\n{story(shrink(broken))}", flush=True)
    return broken is None


def one_mutation(number: int) -> tuple[str, int, str]:
    caught = hunt(MUTATIONS[number])
    by = caught.run.violations[0] if caught.run else "NOT CAUGHT"
    return caught.mutation.name, caught.after, re.sub(r" \d{4}-\d\d-\d\dT[\d:]+Z", "", by)


def table(pool: multiprocessing.pool.Pool) -> bool:
    print("\n| rule taken out of the protocol | histories until caught | by |\n|---|---|---|", flush=True)
    rows: list[str] = []
    for name, after, violation in pool.imap(one_mutation, range(len(MUTATIONS))):
        rows.append(violation)
        print(f"| {name} | {after:,} | {violation} |", flush=True)
    caught = sum(violation != "NOT CAUGHT" for violation in rows)
    print(f"\n{caught} of {len(rows)} mutations caught.")
    return caught == len(rows)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description="Simulate the posting protocol.")
    parser.add_argument("--slots", type=int, default=1_000_000, help="random slots (default: 1,000,000)")
    parser.add_argument("--seed", type=int, help="tell one life, event by event")
    parser.add_argument("--mutations", action="store_true", help="print the table of mutations alone")
    parser.add_argument("--all", action="store_true", help="all interleavings of two calls (three times as long)")
    parser.add_argument("--processes", type=int, default=2)
    args = parser.parse_args()
    if args.seed is not None:
        run = Simulation(history(args.seed, SLOTS), log=True).run()
        print(story(run, most=1_000_000))
        return 1 if run.violations else 0
    with multiprocessing.get_context("spawn").Pool(args.processes) as pool:
        if args.mutations:
            return 0 if table(pool) else 1
        chunks, parts = range(0, -(-args.slots // SLOTS), CHUNK), range(0, PARTS, 1 if args.all else 3)
        good = report("Random lives", pool.imap_unordered(lives, chunks))
        good &= report("One slot, up to two faults", pool.imap_unordered(alone, range(1)))
        good &= report("Two calls at once, up to two faults", pool.imap_unordered(side_by_side, parts))
        good &= report("Two heirs of one claim, one more fault", pool.imap_unordered(heirs, parts))
        good &= report("Old claims, short leases, wrong clocks and sleepers", pool.imap_unordered(rare, range(1)))
        good &= report("A text restored at any moment, one fault", pool.imap_unordered(back, range(1)))
        good &= report("Full memories, older pools, outages, an X that denies", pool.imap_unordered(around, range(1)))
        good &= report("Keys of two accounts, one fault", pool.imap_unordered(owned, range(1)))
        good &= report("A state lost, cut or put back, and repaired", pool.imap_unordered(lost, parts))
        good &= table(pool)
    return 0 if good else 1
