"""What must hold, whatever fails. The oracle sees what X really published and every state that was written.

Flows in: facts as they happen. Flows out: violations, a sentence each; the first word tells kinds apart.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from post_tweet.effects import Outcome
from post_tweet.state import PostRecord, Settled, State

from tests.simulation.history import World

UNFIT = "king.to"
"""A link, in a text that was filled in by mistake."""
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


@dataclass
class Oracle:
    world: World
    violations: list[str] = field(default_factory=list)
    posts: list[Published] = field(default_factory=list)
    """All that X published for us, in order."""
    started: set[str] = field(default_factory=set)
    settled: dict[int, Settled] = field(default_factory=dict)
    raised: Counter[str] = field(default_factory=Counter)
    """Errors and crashes a slot, each of which AWS reports."""
    withdrawn: set[int] = field(default_factory=set)

    def wrong(self, what: str) -> None:
        self.violations.append(what)

    def published(self, post: Published) -> None:
        if any(earlier.text == post.text for earlier in self.posts):
            self.wrong(f"DOUBLE: X publishes {post.text!r} a second time, for {post.slot}")
        for other in self.posts:
            if other.slot == post.slot and not self.unseen(other.text):
                self.wrong(f"EXTRA: {post.slot} posts {other.text!r} and {post.text!r}")
        if UNFIT in post.text:
            self.wrong(f"UNFIT: X publishes {post.text!r}, which no pool may hold")
        self.posts.append(post)

    def unseen(self, text: str) -> bool:
        """X denied this post, which its owner had withdrawn: it shows posts late, or a machine was asleep before it
        sent this one."""
        entry = next((e for index, e in self.settled.items() if text_of(index) == text), None)
        return bool(entry and entry.outcome == "refused" and entry.reason == "withdrawn" and not self.world.tight)

    def wrote(self, before: State, after: State) -> None:
        """An invocation has written a state."""
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
        if after.next == before.next:
            return
        new = [entry for entry in after.recent[-1:] if entry not in before.recent]
        entry = new[0] if new else None
        for index in range(before.next, after.next):
            if entry and index == entry.index:
                if index in self.settled:
                    self.wrong(f"BOOKS: text {index} is settled twice")
                self.settled[index] = entry
                if entry.outcome == "abandoned" and entry.reason == NO_KEYS:
                    self.wrong(f"GIVEN UP: text {index}, by a machine that X does not even know")
                if entry.outcome == "abandoned" and entry.reason == LATER and index not in before.withdrawn:
                    self.wrong(f"GIVEN UP: text {index}, although X only wants to be asked later")
            elif index not in before.withdrawn:
                self.wrong(f"LOST: text {index} is passed over, with no word of what became of it")
            else:
                self.withdrawn.add(index)

    def returned(self, slot: str, result: Outcome, was_open: bool, next_index: int) -> None:
        kind = result.outcome
        if kind == "posted" and not any(post.text == result.text for post in self.posts):
            self.wrong(f"UNTRUE: {slot} says it posted {result.text!r}, and X has no such post")
        if kind in ("posted", "already-settled"):
            assert result.index is not None
            if kind == "posted" and result.index >= next_index:
                self.wrong(f"UNTRUE: {slot} says it posted text {result.index}, and the state still holds it ready")
            entry = self.settled.get(result.index)
            if kind == "posted" and self.unseen(result.text or ""):
                pass  # the post came so late that its text had been taken out: a true answer, too late for the books
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

    def end(self, state: State, notes: dict[int, PostRecord]) -> None:
        """Everything is over, and everything must be accounted for."""
        mine = {post.text: post for post in self.posts}
        credited = Counter(slot for entry in self.books() if entry.outcome == "posted" for slot in entry.slots)
        for slot, times in credited.items():
            if times > 1:
                self.wrong(f"BOOKS: {slot} is settled as posted {times} times")
        for index in range(state.next):
            if index not in self.settled and index not in self.withdrawn:
                self.wrong(f"LOST: text {index} is behind `next`, and the books do not know it")
        texts = {index: text_of(index) for index in self.settled}
        for index, entry in self.settled.items():
            out = texts[index] in mine
            if entry.outcome == "posted" and not out:
                self.wrong(f"LOST: text {index} is settled as posted, and X has no such post")
            if entry.outcome == "posted" and index not in notes:
                self.wrong(f"BOOKS: the post of text {index} has no record")
            elif entry.outcome == "posted" and notes[index].slot not in (None, *entry.slots, mine[texts[index]].slot):
                self.wrong(f"BOOKS: the post of text {index} is recorded for {notes[index].slot}")
            if entry.outcome == "refused" and out and (self.world.tight or entry.reason != "withdrawn"):
                self.wrong(f"BOOKS: text {index} was published and is settled as refused ({entry.reason})")
        pending = {state.claim.text} if state.claim else set()
        for text in mine.keys() - set(texts.values()) - pending:
            self.wrong(f"BOOKS: X published {text!r}, and the books do not know it")
        sent = {post.slot for post in self.posts}
        for slot in self.started - sent:
            if not self.raised[slot]:
                self.wrong(f"SILENT: {slot} was missed, and no call of it raised an error")


def text_of(index: int) -> str:
    """Every 41st text may not be posted."""
    return f"read more at {UNFIT} {index}" if index % 41 == 7 else f"saying number {index}"
