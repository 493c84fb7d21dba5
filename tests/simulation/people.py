"""What people do in a simulated life: they fill, take out, pause, post by themselves; and what befalls its state.

Flows in: an Act. Flows out: what it does to the pool and to the account, and what the oracle must know of it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from post_tweet.errors import PostError
from post_tweet.repair import Helper, Repair, carry_out
from post_tweet.xtext import problems

from tests.simulation.history import START, Act, Delivery
from tests.simulation.oracle import Published
from tests.simulation.place import SimulatedX
from tests.simulation.pools import BrokenOff, BytesPool

if TYPE_CHECKING:
    from tests.simulation.world import Simulation

DAMAGES = ("put back", "delete", "truncate")
"""Of the state's file: an earlier version again, none, or only its beginning."""


def act(world: Simulation, act: Act) -> None:
    world.say("somebody", f"{act.what} {act.number or ''}")
    try:
        if act.what in (*DAMAGES, "repair"):
            assert isinstance(world.pool, BytesPool)
            damage(world, world.pool, act)
        else:
            do(world, act)
    except PostError as error:
        if not world.pool.damaged:
            raise
        world.say("somebody", f"is told {type(error).__name__}: {error}")


def do(world: Simulation, act: Act) -> None:
    state = world.pool.state
    match act.what:
        case "refill":
            world.pool.fill(act.number)
            if world.pool.damaged:
                world.oracle.wrong("FILLED: a damaged pool was filled")
        case "withdraw" if state.next + act.number < state.total:
            world.pool.withdraw([state.next + act.number])
        case "restore" if waiting := [*state.withdrawn.within(state.next, state.total)]:
            world.pool.restore([waiting[act.number % len(waiting)]])
        case "pause":
            world.open_since = 1e12
            world.pool.pause(START + timedelta(seconds=world.time))
        case "resume":
            world.open_since = world.time
            world.pool.resume()
        case "post":
            own = [Published(world.time, f"my own words {world.time} {n}", "") for n in range(act.number)]
            world.timeline += own
        case "forbid":
            world.readable = False
        case "allow":
            world.readable = True


def damage(world: Simulation, pool: BytesPool, act: Act) -> None:
    """`number`: how many versions back, how many tenths of the file are left, at which request a repair breaks off."""
    match act.what:
        case "put back" if pool.versions:
            lost = pool.state
            pool.store.objects[pool.state_key] = pool.versions[max(0, len(pool.versions) - 1 - act.number)]
            world.oracle.put_back(pool.state, lost, world.time)
        case "delete":
            pool.store.objects.pop(pool.state_key, None)
        case "truncate" if pool.state_key in pool.store.objects:
            data = pool.versions[-1]
            pool.store.objects[pool.state_key] = data[: len(data) * act.number // 10]
        case "repair":
            repair(world, pool, act.number)


def repair(world: Simulation, pool: BytesPool, breaks_off: int) -> None:
    """`deepproverbs pool repair`, with the account asked wherever it can be read; it ends at its request `breaks_off`,
    or goes through (0)."""
    account = world.oracle.posts[0].account if world.oracle.posts else None
    place = SimulatedX(world, Delivery(world.time, "repair", account=account))
    helper = Helper(str, problems, place.did_post if world.readable else None, account)
    now = START + timedelta(seconds=world.time)
    before, pool.store.breaks_off = pool.state, breaks_off
    try:
        plan = Repair(pool, helper, now).plan()
        for sentence in plan.said:
            world.say("the repair", sentence)
        carry_out(pool, plan)
    except BrokenOff:
        world.say("somebody", f"breaks the repair off at its request {breaks_off}")
    finally:
        pool.store.breaks_off = 0
        pool.reread()
    if pool.state != before:
        world.open_since = 1e12  # it leaves the pool paused
        world.oracle.repaired(pool.state, now)
