"""X as one invocation of a simulated life finds it: it knows its keys or not, publishes, refuses, shows its posts late.

Flows in: calls. Flows out: the answers of place.py, and what was published, for the oracle.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from post_tweet.place import CLOCK_TOLERANCE, CannotTell, Found, NotFound, Posted, Refused, Unknown
from post_tweet.x import X
from post_tweet.xanswers import LatestPost, find_post

from tests.helpers.fakes import LikeX
from tests.simulation.history import START, Delivery
from tests.simulation.oracle import NO_KEYS, Published
from tests.simulation.texts import shown

if TYPE_CHECKING:
    from tests.simulation.world import Simulation


@dataclass
class SimulatedX(LikeX):
    """X, for one invocation."""

    world: Simulation
    delivery: Delivery

    def __post_init__(self) -> None:
        if self.world.history.world.repeats:
            self.promise = replace(X.promise, repeats_refused_for=None)

    def connect(self) -> str | None:
        return self.delivery.account

    def _knows_us(self) -> bool:
        """X refuses a signature whose time is far off."""
        return abs(self.delivery.skew) <= CLOCK_TOLERANCE.total_seconds()

    def post(self, text: str) -> Posted | Refused | Unknown:
        if not self._knows_us():
            return Refused("account", "keys", NO_KEYS)
        if text in self.world.too_long:
            return Refused("text", "too-long", "it is too long")
        world, now = self.world.history.world, self.world.time
        window = 0 if world.repeats else world.window
        if any(p.text == text and world.blind <= now - p.time <= window for p in self._timeline()):
            return Refused("text", "duplicate", "it is a duplicate")
        published = Published(now, text, self.delivery.slot, self.delivery.account)
        self.world.timeline.append(published)
        self.world.oracle.published(published)
        return Posted(str(len(self.world.timeline)))

    def _timeline(self) -> list[Published]:
        """What this account has published."""
        return [p for p in self.world.timeline if p.account == self.delivery.account]

    def did_post(self, text: str, since: datetime | None = None) -> Found | NotFound | CannotTell:
        if not self._knows_us():
            return CannotTell(NO_KEYS, "keys")
        if not self.world.readable:
            return CannotTell("forbidden")
        mine = self._timeline()
        seen = [(n, p) for n, p in enumerate(mine) if p.time <= self.world.time - self.world.history.world.lag][-5:]
        copies = [(*shown(p.text, n), START + timedelta(seconds=p.time)) for n, p in seen]
        latest = [LatestPost("?", copy, created, links) for copy, links, created in copies]
        return find_post(text, latest, since, more=len(mine) > 5)
