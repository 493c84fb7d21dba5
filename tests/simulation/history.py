"""What happens in one simulated life of a bot, as data: made from a seed, replayed exactly, taken apart by shrink.

Flows in: a seed. Flows out: a History: the deliveries of the scheduler, what people do, which calls fail and how.
Times are seconds from the start.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from post_tweet import effects
from post_tweet.state import due as due_of

from tests.simulation.texts import text_of

START = datetime(2026, 1, 1, tzinfo=UTC)
LAMBDA_TIMEOUT = 45.0
X_TIMEOUT = 18.0

LOST = ("lost", "lost after", "late")
CONFLICTS = ("conflict", "conflict after")
FAULTS: dict[type[effects.Effect], tuple[str, ...]] = {
    effects.Load: ("crash", "error", "slow", "sleep after"),
    effects.Read: ("crash", "error", "slow"),
    effects.Recorded: ("crash", "error", "slow"),
    effects.Connect: ("crash", "error", "slow"),
    effects.Save: ("crash", "crash after", "error", "error after", *CONFLICTS, "slow after", "sleep after"),
    effects.Note: ("crash", "crash after", "error", "error after"),
    effects.Publish: ("crash", "crash after", *LOST, "account", "too long", "slow after", "sleep"),
    effects.Ask: ("crash", "forbidden", "later", "slow", "sleep after"),
}
"""What can go wrong at a call. `after`: the call has done its work, and nobody hears of it (crash, error, conflict)
or hears of it late (slow: seconds, sleep: minutes to hours, which only a call by hand survives)."""

FaultKey = tuple[int, int, int]
"""(delivery, attempt, call)."""


@dataclass(frozen=True)
class Delivery:
    time: float
    slot: str
    skew: float = 0.0
    """Seconds that the clock of this machine is wrong by."""
    by_hand: bool = False
    """From the command line: nobody ends it after 45 s, and nobody retries."""
    account: str | None = None
    """Whose keys this machine has; None: they do not say."""


@dataclass(frozen=True)
class Act:
    """What people do: refill, withdraw, restore, pause, resume, post by themselves, forbid reading or allow it."""

    time: float
    what: str
    number: int = 0


@dataclass(frozen=True)
class World:
    texts: int = 200
    window: float = 6.6 * 3600
    """X refuses a text that it published up to so long ago."""
    blind: float = 3.0
    """Two equal posts within these seconds may both be published."""
    lag: float = 0.0
    """A post shows in the account's latest so much later."""
    readable: bool = True
    edits: bool = False
    """The pool holds texts that X shows otherwise than it was sent (texts.FORMS)."""
    unfit: int = 41
    """One of so many texts may not be posted."""
    past: int = 0
    """Posts of an older version: it remembers the last 64, and not that there were others."""
    repeats: bool = False
    """X publishes what it has published before, and promises nothing else."""
    denies: bool = False
    """X never shows what it has published: only texts whose record stands must not be published again."""
    lease: float = 55.0
    through_bytes: bool = False
    """The real Pool over a store of bytes, instead of states as objects (30 times faster)."""

    @property
    def tight(self) -> bool:
        """X shows its posts at once; only then is the books' "withdrawn" exact."""
        return self.blind > 0 and self.lag <= 10

    def text(self, index: int) -> str:
        return text_of(index, self.edits, self.unfit)


@dataclass(frozen=True)
class History:
    seed: int
    world: World
    deliveries: tuple[Delivery, ...]
    acts: tuple[Act, ...] = ()
    faults: dict[FaultKey, str | float] = field(default_factory=dict)
    """A fault's name, or a number in [0, 1) that chooses one when it is known which call it is."""
    delays: dict[FaultKey, float] = field(default_factory=dict)
    """Seconds that a call starts later: how two invocations are interleaved on purpose."""
    calm: int = 3
    """Slots at the end, with nothing wrong any more."""

    @property
    def slots(self) -> int:
        return len({delivery.slot for delivery in self.deliveries})


def named(name: str, due: float) -> str:
    """A slot's name, with the time that it was due."""
    return f"{name} {START + timedelta(seconds=due):%Y-%m-%dT%H:%M:%SZ}"


def history(seed: int, slots: int = 100) -> History:
    """The life number `seed`: some are calm, in others more than half of all calls fail."""
    rng = random.Random(seed)
    interval = rng.choice([70.0, 300.0, 3600.0, 6 * 3600.0, 86400.0])
    rate = rng.choice([0.0, 0.05, 0.2, 0.5, 0.9])
    twice, late = rng.choice([0.0, 0.05, 0.3]), rng.choice([0.0, 0.05, 0.3])
    loose = rng.random() < 0.3
    world = World(
        texts=rng.choice([slots // 3, slots * 2]),
        window=rng.choice([6.6 * 3600, 1e9]),
        blind=0.0 if loose else 3.0,
        lag=rng.choice([0.0, 120.0]) if loose else rng.choice([0.0, 10.0]),
        readable=rng.random() < 0.7,
        through_bytes=seed % 50 == 0,
    )
    deliveries: list[Delivery] = []

    def skew() -> float:
        if loose and rng.random() < 0.15:
            return rng.choice([-240.0, 240.0, -86400.0, 86400.0])
        return rng.uniform(-2, 2)

    for number in range(slots):
        due = number * interval
        slot = named(f"slot {number}", due)
        time = due + rng.uniform(0, 5)
        if rng.random() < late:
            time += rng.choice([60, interval, 3 * interval, 70 * interval]) * rng.random()
        if by_hand := rng.random() < 0.04:
            # A name with a time in it, as the command line makes, or any other, which is remembered for 64 posts.
            slot = named(f"by hand {number}", time) if rng.random() < 0.5 else f"by hand {number}"
        deliveries.append(Delivery(time, slot, skew(), by_hand))
        most = 66 if due_of(slot) else 20
        while rng.random() < twice:
            again = time + rng.choice([0.3, 5.0, 60.0, interval, most * interval]) * rng.random()
            deliveries.append(Delivery(again, slot, skew(), by_hand))
    faults: dict[FaultKey, str | float] = {}
    for number in range(len(deliveries)):
        for attempt in range(3):
            while rng.random() < rate:
                faults[number, attempt, rng.randrange(10)] = rng.random()
    end = slots * interval
    acts = [Act(rng.uniform(0, end), "refill", rng.randrange(1, slots)) for _ in range(rng.randrange(4))]
    acts += [Act(rng.uniform(0, end), "withdraw", rng.randrange(4)) for _ in range(rng.randrange(6))]
    acts += [Act(rng.uniform(0, end), "post", rng.randrange(1, 7)) for _ in range(rng.randrange(6))]
    for _ in range(rng.randrange(3)):
        start = rng.uniform(0, end)
        acts += [Act(start, "pause"), Act(start + 4 * interval * rng.random(), "resume")]
    for _ in range(rng.randrange(3)):
        start = rng.uniform(0, end)
        acts += [Act(start, "forbid"), Act(start + 9 * interval * rng.random(), "allow")]
    # What follows is of numbers of its own: the lives are what they were before it could happen.
    back = random.Random(f"restore {seed}")
    acts += [
        Act(act.time + 2 * interval * back.random(), "restore", back.randrange(4))
        for act in acts
        if act.what == "withdraw" and back.random() < 0.5
    ]
    more = random.Random(f"edits, leases, accounts {seed}")
    world = replace(
        world,
        edits=more.random() < 0.5,
        unfit=more.choice([41, 41, 3]),
        repeats=world.tight and more.random() < 0.2,
        lease=more.choice([55.0, 55.0, 35.0, 45.0, 90.0]),
    )
    if more.random() < 0.2:
        deliveries = [replace(each, account="B" if more.random() < 0.2 else "A") for each in deliveries]
    if seed % 100 == 50:
        # Texts are told from their numbers, and a state of before a fill numbers them otherwise.
        world = replace(world, texts=2 * slots)
        acts = [act for act in acts if act.what != "refill"] + damages(more, end, interval)
        # A repaired pool does not know the names without a time that it had forgotten.
        deliveries = [each if due_of(each.slot) else replace(each, slot=named(each.slot, 0)) for each in deliveries]
    return History(seed, world, tuple(deliveries), tuple(acts), faults)


def damages(rng: random.Random, end: float, interval: float) -> list[Act]:
    """What befalls the state's file, and its repair, which may break off first."""
    acts = []
    for _ in range(rng.randrange(1, 4)):
        time = rng.uniform(0, end)
        what = rng.choice(["put back", "put back", "delete", "truncate"])
        acts.append(Act(time, what, rng.randrange(30 if what == "put back" else 10)))
        time += rng.choice([30.0, interval, 9 * interval]) * rng.random()
        acts += [Act(time, "repair", rng.randrange(400)), Act(time + 5, "repair"), Act(time + 9, "resume")]
    return acts
