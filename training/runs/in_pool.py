"""What a pool holds, as reviews and reports see it: where each text stands, and what publishing would change.

In:  the pool (a folder, s3://, git://), the decisions, the texts that reviews took out of it, RUN/pool.jsonl.
Out: the fate of a text; the counts of what waits to be published; the texts of all rounds of a run.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from post_tweet.errors import PostError
from post_tweet.pool import Pool
from post_tweet.state import State
from post_tweet.store import open_store

from training.curate import fill
from training.curate.decisions import Decisions
from training.runs import owner

Fate = Literal["", "waiting", "withdrawn", "past"]
"""Of a text: not in the pool; to be posted; taken out; posted, passed over, or being posted at this moment."""
See = Callable[[int, dict[str, Any]], object]


class InPool:
    """The texts of a pool by their very words; those that are lost are left out.

    Args:
        url: "" for none, which holds nothing.
        reviews: what the batches are called that reviews fill in.
        see: is called with the number and the record of each text that was read.

    Raises:
        PostError: the pool cannot be read.
    """

    def __init__(self, url: str, reviews: str = "", see: See = lambda *_: None) -> None:
        self.pool = Pool(open_store(url)) if url else None
        self.reviews, self.see, self.state = reviews, see, State()
        self.index: dict[str, int] = {}
        """Text → number, in the order in which they are posted."""
        self.look_again()

    def look_again(self) -> None:
        """Read what others have done since: what was posted and withdrawn, and batches that are new."""
        if not self.pool:
            return
        state, known = self.pool.load()[0], len(self.state.batches)
        if state.batches[:known] != self.state.batches:  # it was repaired
            self.index, known = {}, 0
        first, new = sum(batch.count for batch in state.batches[:known]), replace(state, batches=state.batches[known:])
        for number, record in enumerate(self.pool.records(new), first):
            if record["text"]:
                self.index[record["text"]] = number
                self.see(number, record)
        self.state = state

    def fate(self, text: str) -> Fate:
        number = self.index.get(text)
        return "" if number is None else self.fate_of(number)

    def fate_of(self, number: int) -> Fate:
        claim = self.state.claim
        if number < self.state.next or (claim and claim.index == number):
            return "past"
        return "withdrawn" if number in self.state.withdrawn else "waiting"

    def by_review(self, text: str) -> bool:
        """Has a review put it there?"""
        at = self.index.get(text, -1)
        for batch in self.state.batches if at >= 0 else ():
            if at < batch.count:
                return batch.run == self.reviews
            at -= batch.count
        return False


@dataclass(frozen=True)
class Pending:
    """What publishing would do, in texts."""

    new: int = 0
    """Kept, starred or edited, and not in the pool."""
    out: int = 0
    """In the pool, and to be taken out: dropped, edited, or brought by a decision that was taken back."""
    back: int = 0
    """Taken out by a review, and to be put back."""
    there: int = 0
    """Kept, starred or edited, and in the pool already."""

    def __bool__(self) -> bool:
        return bool(self.new or self.out or self.back)


def unwanted(there: InPool, decisions: Decisions, approved: Collection[str]) -> set[str]:
    """The texts that must not stand in the pool: dropped, edited, differed about; and those that a review brought there
    by a decision that was taken back since."""
    about = {line.id: line.text for line in [*decisions.lines.values()] if line.id}  # others may decide meanwhile
    undone = {text for id, text in about.items() if not decisions.standing(id) and there.by_review(text)}
    return {*decisions.gone(), *undone} - {*approved}


def pending(there: InPool, decisions: Decisions, ours: Collection[str]) -> Pending:
    """`ours`: the texts that reviews took out of the pool. What the rules will say of an edited text is not asked."""
    agreed = filter(None, map(decisions.decided, decisions))
    approved = {line.edited or line.text for line in agreed if line.decision != "drop"}
    gone = unwanted(there, decisions, approved)
    known = sum(1 for text in approved if there.fate(text))
    return Pending(
        new=len(approved) - known,
        out=sum(there.fate(text) == "waiting" for text in gone),
        back=sum(text not in gone and there.fate(text) == "withdrawn" for text in ours),
        there=known,
    )


def texts_of(run: Path, decisions: Decisions) -> tuple[list[dict[str, Any]], str]:
    """The records of a run's texts, the newest round's first, then those of earlier rounds and of reviews that its pool
    holds, posted or not; none that was taken out or dropped. And why the pool could not be read, "": it was."""
    known, there, unread = owner.Owner.read(run), InPool(""), ""
    others: dict[str, dict[str, Any]] = {}
    if known and known.pool:
        try:
            url = owner.from_here(run, known.pool)
            there = InPool(url, see=lambda _, record: others.setdefault(record["text"], record))
        except PostError as error:
            unread, others = str(error), {}
    path, gone = run / "pool.jsonl", {*decisions.gone()}
    newest = {record["text"]: record for _, record in fill.pool_records(path)} if path.exists() else {}
    found = []
    for text, record in {**newest, **others}.items():
        fate = there.fate(text)
        if fate in ("waiting", "past") or (not fate and text not in gone):
            found.append(record)
    return found, unread
