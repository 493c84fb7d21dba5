"""What must hold, whatever fails. The oracle sees what X really published and every state that was written.

Flows in: facts as they happen. Flows out: violations, a sentence each; the first word tells kinds apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from post_tweet.effects import Outcome
from post_tweet.errors import Abandoned, PostError, TooLate, Unreachable, WrongClock
from post_tweet.state import PostRecord, Settled, State, due, when

from tests.simulation.history import START, World
from tests.simulation.texts import UNFIT

MEMORY, UNPOSTED = 64, 16
"""Posts and other texts that a state remembers."""
SIX_HOURS = 6 * 3600
"""For so long X certainly refuses a text that it has published."""
ATTEMPTS = 64
"""At one text that may have been posted."""
LATER = "later"
"""Why X does not answer, when it will again."""
NO_KEYS = "timestamp out of bounds"
"""What X says to a machine whose clock is wrong."""


@dataclass(frozen=True)
class Published:
    time: float
    text: str
    slot: str
    """Of the invocation that sent it; "" for the owner's own."""
    account: str | None = None


def times_of(entry: Settled) -> Iterator[datetime]:
    """When its slots were due, or when it was posted if their names have no time, or a later one."""
    posted = when(entry.time)
    for slot in entry.slots:
        at = due(slot)
        yield posted if at is None or at > posted + timedelta(minutes=5) else at


@dataclass
class Oracle:
    world: World
    notes: dict[int, PostRecord] = field(default_factory=dict)
    """The records that stand."""
    clocks_are_right: bool = True
    violations: list[str] = field(default_factory=list)
    posts: list[Published] = field(default_factory=list)
    """All that X published for us, in order."""
    started: set[str] = field(default_factory=set)
    settled: dict[int, Settled] = field(default_factory=dict)
    raised: Counter[str] = field(default_factory=Counter)
    """Errors and crashes a slot, each of which AWS reports."""
    withdrawn: set[int] = field(default_factory=set)
    claims: dict[str, int] = field(default_factory=dict)
    """Text → number, of all that was ever claimed."""
    known: set[int] = field(default_factory=set)
    """Texts of which the books have ever known what became of them."""
    passed: set[int] = field(default_factory=set)
    """Texts that a repair passed over: they may have been posted."""
    unknown: set[str] = field(default_factory=set)
    """Texts under way, their claim lost with the state that an older one has replaced: before the repair nobody can
    know of them."""
    tried: dict[str, float] = field(default_factory=dict)
    """Since when a text may have been posted: its first claim after X last said that it has not published it."""
    since: dict[str, float] = field(default_factory=dict)
    """The same for a claim, by its owner."""
    last: dict[str, float] = field(default_factory=dict)
    """When it was last claimed."""
    owed: dict[str, int] = field(default_factory=dict)
    """The record of a text that a call has given up."""
    memory: list[Settled] = field(default_factory=list)
    """All that was settled as posted or abandoned, in order."""
    again: set[int] = field(default_factory=set)
    """Texts that were settled after a state that was put back: it names one as claimed, and a call may have read it
    before it was replaced, so they may be settled a second time."""
    put_back_at: float = -1e9
    """A call that began before may have read what was put back, and look for a record before it was written."""
    repaired_at: datetime | None = None

    def wrong(self, what: str) -> None:
        self.violations.append(what)

    def published(self, post: Published) -> None:
        for other in self.posts:
            if self.hidden(other, post.time):
                continue
            if other.text == post.text:
                self.wrong(f"DOUBLE: X publishes {post.text!r} a second time, for {post.slot}")
            if other.slot == post.slot and not self.unseen(other.text):
                self.wrong(f"EXTRA: {post.slot} posts {other.text!r} and {post.text!r}")
        if UNFIT in post.text:
            self.wrong(f"UNFIT: X publishes {post.text!r}, which no pool may hold")
        if self.posts and self.posts[0].account != post.account:
            self.wrong(f"ACCOUNT: {post.slot} posts as {post.account}, and the pool is {self.posts[0].account}'s")
        self.posts.append(post)

    def denies(self, text: str, time: float) -> None:
        """X does not show this text. (Within a minute of the last attempt that proves nothing.)"""
        if time - self.last.get(text, -1e9) > 60:
            self.tried.pop(text, None)

    def hidden(self, earlier: Published, now: float) -> bool:
        """Nobody could know of this post: for six hours X refuses to make it again, later there is only its record."""
        if self.world.denies:
            return self.claims[earlier.text] not in self.notes
        return earlier.text in self.unknown and (self.world.repeats or now - earlier.time > SIX_HOURS)

    def asks(self, slot: str, account: str | None, state: State) -> None:
        if state.account != account:
            self.wrong(f"ACCOUNT: {slot} asks as {account}, and the pool is {state.account}'s")

    def inherit(self, count: int) -> tuple[Settled, ...]:
        """What an older version has posted, once an hour before the start. None of it is here to be seen."""
        for index in range(count):
            at = START - timedelta(hours=count - index)
            slot = f"past {index} {at:%Y-%m-%dT%H:%M:%SZ}"
            entry = Settled(slot, index, "posted", "1", at.isoformat())
            self.settled[index] = entry
            self.posts.append(Published((at - START).total_seconds(), self.world.text(index), slot))
            self.claims[self.world.text(index)] = index
            self.memory.append(entry)
        return tuple(self.memory)

    def failed(self, who: str, slot: str, error: PostError, began: datetime) -> None:
        """A call of the slot has raised an error: must it?"""
        if not isinstance(error, Unreachable):
            self.ended(who)
        if isinstance(error, WrongClock) and self.clocks_are_right:
            self.wrong(f"UNTRUE: {slot} raises WrongClock, and all clocks are right")
        if isinstance(error, Abandoned) and not self.again and not self.repaired_at:
            doubtful = (e for e in self.memory if e.outcome == "abandoned" or e.others)
            if not any(slot in entry.slots for entry in doubtful):
                self.wrong(f"UNTRUE: {slot} raises Abandoned, and the books know what it has posted")
        if isinstance(error, TooLate):
            at = due(slot) or began
            times = [time for entry in self.memory[:-MEMORY] for time in times_of(entry)]
            times += [when(e.time) for e in self.memory if e.outcome == "abandoned" and e.reason == "duplicate"]
            if self.repaired_at:
                times.append(self.repaired_at)
            if len(self.settled) >= MEMORY:  # some not posted: an older version may have written such a state
                times.append(when(self.memory[0].time) + timedelta(minutes=5))
            if not any(time >= at for time in times):
                self.wrong(f"UNTRUE: {slot} is too late, and no slot as late as this has been forgotten")

    def unseen(self, text: str) -> bool:
        """X denied this post, which its owner had withdrawn: it shows posts late, or a machine was asleep before it
        sent this one."""
        entry = next((e for index, e in self.settled.items() if self.world.text(index) == text), None)
        return bool(entry and entry.outcome == "refused" and entry.reason == "withdrawn" and not self.world.tight)

    def put_back(self, state: State, lost: State, time: float) -> None:
        """An older state has replaced the one that is `lost`. What it holds ready may be settled anew, and what was
        under way is unknown."""
        self.put_back_at = time
        again = state.claim.index if state.claim else None
        self.again |= {n for n in self.settled if n >= state.next}
        self.settled = {n: e for n, e in self.settled.items() if n < state.next or n in self.notes}
        self.withdrawn = {n for n in self.withdrawn if n < state.next}
        going = {lost.claim.text} if lost.claim else set()
        for text in going | {post.text for post in self.posts}:
            if self.claims[text] not in self.notes and self.claims[text] >= state.next and self.claims[text] != again:
                self.unknown.add(text)

    def repaired(self, state: State, at: datetime) -> None:
        self.repaired_at = at
        if not state.paused:
            self.wrong("REPAIR: the pool goes on by itself, although nothing tells what was withdrawn")
        last = max(self.notes, default=-1)
        self.unknown.clear()
        for post in self.posts:
            index = self.claims[post.text]
            if index >= state.next and not (state.claim and state.claim.text == post.text):
                if self.known.isdisjoint(range(last + 1, index)):
                    self.wrong(f"REPAIR: {post.text!r} was posted, and the repaired state holds it ready")
                # Between the last record and this one a text was refused: that leaves no trace but in the state.
                self.unknown.add(post.text)
        passed = set(range(state.next)) - self.settled.keys() - self.withdrawn - self.passed
        untried = [n for n in passed - self.known - set(self.claims.values()) if UNFIT not in self.world.text(n)]
        if len(untried) > 1 and not self.world.edits:  # two that differ in a link alone can be taken for one another
            self.wrong(f"REPAIR: the texts {sorted(untried)} are passed over, and no call has taken any of them")
        self.passed |= passed
        self.again |= {n for n in self.settled if n >= state.next}

    def wrote(self, before: State, after: State, who: str, account: str | None, began: float, time: float) -> None:
        """The call `who`, with the keys of `account` and since `began`, has written a state."""
        if after.seq <= before.seq:
            self.wrong(f"ORDER: seq goes from {before.seq} to {after.seq}")
        if (after.batches, after.withdrawn, after.paused) != (before.batches, before.withdrawn, before.paused):
            self.wrong("TAKEN: a post changed what people had written: batches, withdrawn or paused")
        if after.claim and after.claim != before.claim and after.claim.index != before.next:
            between = set(range(before.next, after.claim.index))
            if not between <= set(before.withdrawn):
                self.wrong(f"ORDER: text {after.claim.index} is claimed while {before.next} is next")
        if after.claim and after.claim != before.claim and after.writer.startswith(f"{after.claim.owner}:"):
            if after.claim.index in before.withdrawn:
                self.wrong(f"WITHDRAWN: text {after.claim.index} is claimed although its owner took it out")
            if before.paused:
                self.wrong(f"PAUSED: text {after.claim.index} is claimed although the pool is paused")
        if after.claim and not before.claim and after.claim.index in self.notes and began > self.put_back_at:
            self.wrong(f"RECORDED: text {after.claim.index} is claimed although a record of it stands")
        if (before.claim or after.claim) and (before.account or account, after.account) != (account, account):
            self.wrong(f"ACCOUNT: {before.account or account}'s pool is changed as {account} and is {after.account}'s")
        if after.claim:
            if max(len(after.claim.slots), after.claim.attempts) > ATTEMPTS:
                self.wrong(f"BOUND: the claim of text {after.claim.index} names {len(after.claim.slots)} slots")
            text = after.claim.text
            self.claims[text] = after.claim.index
            if after.claim != before.claim:
                if after.claim.owner in self.since:  # given back: what X has denied since is forgotten
                    self.tried[text] = self.since[after.claim.owner]
                self.since[after.claim.owner] = self.tried.setdefault(text, time)
                self.last[text] = time
        posted = sum(entry.outcome in ("posted", "abandoned") for entry in after.recent)
        if posted > MEMORY or len(after.recent) - posted > UNPOSTED:
            self.wrong(f"BOUND: the state remembers {posted} posts and {len(after.recent) - posted} other texts")
        if after.next == before.next:
            if before.claim and not after.claim:
                self.tried.pop(before.claim.text, None)
            return
        new = [entry for entry in after.recent[-1:] if entry not in before.recent]
        entry = new[0] if new else None
        for index in range(before.next, after.next):
            if entry and index == entry.index:
                if index in self.settled and index in self.again:
                    continue
                if index in self.settled:
                    self.wrong(f"BOOKS: text {index} is settled twice")
                self.settled[index] = entry
                if entry.outcome in ("posted", "abandoned"):
                    self.memory.append(entry)
                if entry.outcome == "abandoned":
                    self.owed[who] = index
                if entry.reason == "withdrawn" and index not in before.withdrawn:
                    self.wrong(f"GIVEN UP: text {index}, as withdrawn, and its owner has not withdrawn it")
                self.known.add(index)
                early = time - self.tried.get(self.world.text(index), -1e9) < SIX_HOURS - 300 and not self.world.repeats
                early = early and self.clocks_are_right and index not in before.withdrawn
                if entry.outcome == "abandoned" and early and entry.reason != "duplicate":
                    self.wrong(f"GIVEN UP: text {index}, while X still refuses to publish it a second time")
                if entry.outcome == "abandoned" and entry.reason == NO_KEYS:
                    self.wrong(f"GIVEN UP: text {index}, by a machine that X does not even know")
                if entry.outcome == "abandoned" and entry.reason == LATER and index not in before.withdrawn:
                    self.wrong(f"GIVEN UP: text {index}, although X only wants to be asked later")
            elif index not in before.withdrawn:
                self.wrong(f"LOST: text {index} is passed over, with no word of what became of it")
            else:
                self.withdrawn.add(index)
                self.known.add(index)

    def ended(self, who: str) -> None:
        if (index := self.owed.pop(who, None)) not in (None, *self.notes):
            self.wrong(f"BOOKS: text {index}, which was given up, has no record: an older state would post it again")

    def returned(self, who: str, slot: str, result: Outcome, was_open: bool, next_index: int) -> None:
        self.ended(who)
        kind = result.outcome
        if kind == "posted" and not any(post.text == result.text for post in self.posts):
            self.wrong(f"UNTRUE: {slot} says it posted {result.text!r}, and X has no such post")
        if kind in ("posted", "already-settled"):
            assert result.index is not None
            if kind == "posted" and result.index >= next_index:
                self.wrong(f"UNTRUE: {slot} says it posted text {result.index}, and the state still holds it ready")
            entry = self.settled.get(result.index)
            if result.index in self.passed or (kind == "posted" and self.unseen(result.text or "")):
                pass  # repaired meanwhile; or the post came so late that its text was taken out: too late for the books
            elif not entry or entry.outcome != "posted" or slot not in entry.slots:
                books = f"{entry.outcome} for {entry.slot}" if entry else "nothing"
                self.wrong(f"UNTRUE: {slot} says {kind}, text {result.index}, and the books say {books}")
            elif entry.others and kind == "already-settled":
                self.wrong(f"UNTRUE: {slot} says it has posted text {entry.index}, and one of {entry.slots} has")
        if kind == "paused":
            if was_open:
                self.wrong(f"UNTRUE: {slot} says the pool is paused")
            self.raised[slot] += 1  # accounted for: the owner wanted no post

    def books(self) -> list[Settled]:
        return list(self.settled.values())

    def end(self, state: State) -> None:
        """Everything is over, and everything must be accounted for."""
        mine = {post.text: post for post in self.posts}
        credited = Counter(slot for entry in self.books() if entry.outcome == "posted" for slot in entry.slots)
        for slot, times in credited.items():
            if times > 1 and not self.again:
                self.wrong(f"BOOKS: {slot} is settled as posted {times} times")
        for index in set(range(state.next)) - self.settled.keys() - self.withdrawn - self.passed:
            self.wrong(f"LOST: text {index} is behind `next`, and the books do not know it")
        for index, entry in self.settled.items():
            post = mine.pop(self.world.text(index), None)
            if entry.outcome == "posted":
                note = self.notes.get(index)
                if not post:
                    self.wrong(f"LOST: text {index} is settled as posted, and X has no such post")
                if not note:
                    self.wrong(f"BOOKS: the post of text {index} has no record")
                elif note.slot not in (None, *entry.slots, post and post.slot):
                    self.wrong(f"BOOKS: the post of text {index} is recorded for {note.slot}")
            if entry.outcome == "refused" and post and (self.world.tight or entry.reason != "withdrawn"):
                self.wrong(f"BOOKS: text {index} was published and is settled as refused ({entry.reason})")
        unsettled = {state.claim.text if state.claim else "", *map(self.world.text, self.passed)}
        for text in mine.keys() - unsettled:
            self.wrong(f"BOOKS: X published {text!r}, and the books do not know it")
        sent = {post.slot for post in self.posts}
        for slot in self.started - sent:
            if not self.raised[slot]:
                self.wrong(f"SILENT: {slot} was missed, and no call of it raised an error")
