"""The world of one history: a virtual clock, a pool in memory, an X that really publishes, people, and faults.

Flows in: a History and a protocol (post.posting, or a broken copy of it). Flows out: a Run. The same history gives
the same run, to the last event.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from post_tweet import effects, telemetry
from post_tweet import protocol as post
from post_tweet.errors import Account, PostError, Unreachable
from post_tweet.place import CLOCK_TOLERANCE, CannotTell, NotFound, Refused, Unknown
from post_tweet.runtime import Runtime
from post_tweet.state import when

from tests.simulation import people
from tests.simulation.describe import describe_answer, describe_effect
from tests.simulation.history import FAULTS, LAMBDA_TIMEOUT, START, X_TIMEOUT, Act, Delivery, FaultKey, History, named
from tests.simulation.oracle import ATTEMPTS, Oracle, Published
from tests.simulation.place import SimulatedX
from tests.simulation.pools import BytesPool, StatePool

Protocol = Callable[[effects.Call], effects.Effects]


class Crash(BaseException):
    """The process is gone."""


@dataclass
class Invocation:
    number: int
    delivery: Delivery
    attempt: int
    start: float
    end: float
    """When Lambda ends it."""
    protocol: effects.Effects
    runtime: Runtime
    call: int = 0
    alive: bool = True

    @property
    def name(self) -> str:
        return f"{self.delivery.slot}, call {self.number}.{self.attempt}"


@dataclass
class Run:
    history: History
    violations: list[str]
    log: list[str]
    posts: int = 0
    slots: int = 0
    missed: int = 0
    calls: int = 0
    faults: int = 0
    abandoned: int = 0


class Simulation:
    def __init__(self, history: History, protocol: Protocol = post.posting, log: bool = False) -> None:
        self.history, self.protocol, self.logging = history, protocol, log
        self.log: list[str] = []
        self.time = 0.0
        self.events: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self.count = 0
        self.pool: StatePool | BytesPool = (BytesPool if history.world.through_bytes else StatePool)(history.world)
        right = all(abs(each.skew) < 9 for each in history.deliveries)
        self.oracle = Oracle(history.world, self.pool.notes, right)
        self.pool.fill(history.world.texts)
        if past := self.oracle.inherit(history.world.past):
            assert isinstance(self.pool, StatePool)
            self.pool.inherit(past)
        self.timeline: list[Published] = []
        """The posts of all accounts, ours and the owner's."""
        self.open_since = -1.0
        """The pool has not been paused since then."""
        self.too_long: set[str] = set()
        """Texts that X will not have, now or ever."""
        self.readable = history.world.readable
        self.calm = False
        self.calls = self.faults = 0
        self.made: list[tuple[FaultKey, type[effects.Effect], float]] = []
        """Every call that was made and when, in order: where an exhaustive search puts its faults."""
        self.begun: dict[tuple[int, int], float] = {}
        """When each (delivery, attempt) began."""

    def say(self, who: str, what: str) -> None:
        if self.logging:
            self.log.append(f"{self.time:12.2f}  {who:<24} {what}")

    def at(self, time: float, what: Callable[..., None], *arguments: Any) -> None:
        self.count += 1
        heapq.heappush(self.events, (time, self.count, what, arguments))

    def run(self) -> Run:
        for number, delivery in enumerate(self.history.deliveries):
            self.at(delivery.time, self.begin, number, delivery, 0)
        for act in self.history.acts:
            self.at(act.time, people.act, self, act)
        self.drain()
        self.recover()
        self.oracle.end(self.pool.state)
        return self.result()

    def drain(self) -> None:
        while self.events:
            self.time, _, what, arguments = heapq.heappop(self.events)
            what(*arguments)

    def recover(self) -> None:
        """Everything works again, except that in every second life X still cannot be read: some more slots must post,
        without anybody's help."""
        self.calm, self.readable = True, self.history.seed % 2 == 0
        if self.pool.damaged:
            people.act(self, Act(self.time, "repair"))
        people.act(self, Act(self.time, "resume"))
        start, known = self.time + 3600, len(self.history.deliveries)
        if claim := self.pool.state.claim:
            since = (when(claim.since) - START).total_seconds()
            # Of a text that is told from others by its links alone, X says nothing even where it can be read.
            tells = self.readable and not self.history.world.edits
            if abs(since - start) < 1800:
                start += 3600  # it looks as if it were held just now, until its lease is over
            elif (since > start and not tells) or (
                not self.readable and max(claim.attempts, len(claim.slots)) >= ATTEMPTS
            ):
                # A machine with a wrong clock has left it, or too many calls: the sentence asks for a person.
                people.act(self, Act(self.time, "withdraw", claim.index - self.pool.state.next))
        if self.pool.state.remaining < 40:
            self.pool.fill(100)
        self.say("", "all is well again")
        slots = [named(f"calm {extra}", start + 600 * extra) for extra in range(self.history.calm)]
        account = self.pool.state.account
        for extra, slot in enumerate(slots):
            self.at(start + 600 * extra, self.begin, known + extra, Delivery(0, slot, account=account), 0)
        before = len(self.oracle.violations)
        self.drain()
        for slot in slots:
            lost = any(entry.reason == "duplicate" and slot in entry.slots for entry in self.oracle.memory)
            if self.oracle.raised[slot] and not lost and len(self.oracle.violations) == before:
                self.oracle.wrong(f"STUCK: {slot} fails although nothing is wrong any more")

    def result(self) -> Run:
        books = self.oracle.books()
        sent = {p.slot for p in self.oracle.posts}
        return Run(
            self.history,
            self.oracle.violations,
            self.log,
            posts=len(self.oracle.posts),
            slots=len(self.oracle.started),
            missed=len(self.oracle.started - sent),
            calls=self.calls,
            faults=self.faults,
            abandoned=sum(entry.outcome == "abandoned" for entry in books),
        )

    # The scheduler and Lambda

    def begin(self, number: int, delivery: Delivery, attempt: int) -> None:
        skew = timedelta(seconds=delivery.skew)

        def clock() -> datetime:
            return START + timedelta(seconds=self.time) + skew

        until = None if delivery.by_hand else clock() + timedelta(seconds=LAMBDA_TIMEOUT)
        place, lease = SimulatedX(self, delivery), timedelta(seconds=self.history.world.lease)
        call = effects.Call(delivery.slot, f"{number}.{attempt}", lease, place, until=until)
        runtime = Runtime(self.pool, place, telemetry.Metrics(), clock)
        end = self.time + (1e12 if delivery.by_hand else LAMBDA_TIMEOUT)
        running = Invocation(number, delivery, attempt, self.time, end, self.protocol(call), runtime)
        self.oracle.started.add(delivery.slot)
        self.begun[number, attempt] = self.time
        self.calls += 1
        self.say(running.name, "starts" + (f", its clock {delivery.skew:+.0f} s" if abs(delivery.skew) > 9 else ""))
        self.proceed(running, None)

    def proceed(self, running: Invocation, answer: Any) -> None:
        """Give the protocol its answer, and find a time for what it wants next."""
        send = running.protocol.throw if isinstance(answer, PostError) else running.protocol.send
        try:
            effect = send(answer)
            while isinstance(effect, effects.Now | effects.Warn):
                if isinstance(effect, effects.Warn):
                    self.say(running.name, f"warns: {effect.message}")
                    effect = running.protocol.send(None)
                else:
                    effect = running.protocol.send(running.runtime.now())
        except StopIteration as end:
            self.say(running.name, f"ends: {end.value.outcome}, text {end.value.index}")
            was_open = self.open_since < running.start
            self.oracle.returned(running.name, running.delivery.slot, end.value, was_open, self.pool.state.next)
            return
        except PostError as error:
            began = START + timedelta(seconds=running.start + running.delivery.skew)
            self.oracle.failed(running.name, running.delivery.slot, error, began)
            self.failed(running, f"raises {type(error).__name__}: {error}")
            return
        delay = self.history.delays.get((running.number, running.attempt, running.call), 0.0)
        wait = 0.1 + 0.013 * ((running.number * 7 + running.call * 5) % 11)
        self.at(self.time + delay + wait, self.execute, running, effect)

    def failed(self, running: Invocation, how: str) -> None:
        """Lambda calls again after one minute and after two."""
        self.say(running.name, how)
        self.oracle.raised[running.delivery.slot] += 1
        if not running.delivery.by_hand and running.attempt < 2:
            again = self.time + 60 * (running.attempt + 1) + running.number % 7
            self.at(again, self.begin, running.number, running.delivery, running.attempt + 1)

    # One call, and what may go wrong with it

    def execute(self, running: Invocation, effect: effects.Effect) -> None:
        if self.time > running.end:
            self.failed(running, "was ended by Lambda")
            return
        fault = self.fault(running, effect)
        running.call += 1
        if fault == "sleep":
            self.say(running.name, f"falls asleep before {describe_effect(effect)}")
            self.at(self.time + 1800, self.carry_out, running, effect, "")
        else:
            self.carry_out(running, effect, fault)

    def carry_out(self, running: Invocation, effect: effects.Effect, fault: str) -> None:
        before = self.pool.state if isinstance(effect, effects.Save) else None
        answer: Any = None
        try:
            answer = self.apply(running, effect, fault)
        except PostError as error:
            answer = error
        except Crash:
            self.failed(running, f"crashes at {describe_effect(effect)} ({fault})")
            return
        finally:
            if before is not None and self.pool.state is not before and self.pool.state != before:
                account = running.delivery.account
                self.oracle.wrote(before, self.pool.state, running.name, account, running.start, self.time)
        if self.logging:
            self.say(
                running.name,
                f"{describe_effect(effect)} -> {describe_answer(answer)}" + (f" ({fault})" if fault else ""),
            )
        slow = {"slow": 16.0, "slow after": 16.0, "late": X_TIMEOUT, "sleep after": 8 * 3600.0}.get(fault, 0.0)
        if slow:
            self.at(self.time + slow, self.later, running, answer)
        else:
            self.proceed(running, answer)

    def later(self, running: Invocation, answer: Any) -> None:
        if self.time > running.end:
            self.failed(running, "was ended by Lambda")
        else:
            self.proceed(running, answer)

    def fault(self, running: Invocation, effect: effects.Effect) -> str:
        if self.calm:
            return ""
        key = running.number, running.attempt, running.call
        self.made.append((key, type(effect), self.time))
        planned = self.history.faults.get(key)
        if planned is None:
            return ""
        kinds = FAULTS[type(effect)]
        name = planned if isinstance(planned, str) else kinds[int(planned * len(kinds))]
        if name == "sleep" and (self.history.world.blind or not running.delivery.by_hand):
            return ""  # asleep between the look at the clock and the post: X alone can help, if it sees all duplicates
        if name not in kinds:
            return ""
        self.faults += 1
        return name

    def apply(self, running: Invocation, effect: effects.Effect, fault: str) -> Any:
        """Do it, or not, and say so, or not."""
        if fault == "crash":
            raise Crash
        if isinstance(effect, effects.Publish | effects.Ask):
            return self.at_x(running, effect, fault)
        if fault == "error":
            raise Account("keys") if isinstance(effect, effects.Connect) else Unreachable("time-out")
        if fault == "conflict":
            return False
        answer = running.runtime.perform(effect)
        if fault == "crash after":
            raise Crash
        if fault == "error after":
            raise Unreachable("time-out")
        return False if fault == "conflict after" else answer

    def at_x(self, running: Invocation, effect: effects.Publish | effects.Ask, fault: str) -> Any:
        if isinstance(effect, effects.Ask):
            self.oracle.asks(running.name, running.delivery.account, self.pool.state)
            if fault in ("forbidden", "later") and abs(running.delivery.skew) <= CLOCK_TOLERANCE.total_seconds():
                return CannotTell(fault, "later" if fault == "later" else "never")
            answer = running.runtime.perform(effect)
            if isinstance(answer, NotFound):
                self.oracle.denies(effect.text, self.time)
            return answer
        match fault:
            case "lost":
                return Unknown("time-out")
            case "late":
                self.at(self.time + X_TIMEOUT + 4, self.arrive, running, effect)
                return Unknown("time-out")
            case "account":
                return Refused("account", "credits", "no credits")
            case "too long" if not any(p.text == effect.text for p in self.timeline):
                self.too_long.add(effect.text)
        answer = running.runtime.perform(effect)
        if fault == "crash after":
            raise Crash
        return Unknown("reset") if fault == "lost after" else answer

    def arrive(self, running: Invocation, effect: effects.Publish) -> None:
        self.say("X", f"receives {effect.text!r} of {running.name} at last")
        running.runtime.perform(effect)
