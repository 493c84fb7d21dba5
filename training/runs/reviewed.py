"""What a person decided → the pool: `deepproverbs review` at its end, its page, and `review --publish`.

In:  RUN/decisions.jsonl, RUN/review.jsonl, RUN/pool.jsonl, the corpus, the pool.
Out: RUN/approved.jsonl, the pool records of what is to be published, starred texts first; those of them that are new
     in the pool; RUN/withdrawn.json, the texts that this took out of a pool: it alone lets them in again.

A text that was dropped or edited after it came into the pool is withdrawn there. An edited text is judged as a new one,
when it is written and again before it is published.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from post_tweet.pool import Appended, Pool
from post_tweet.store import open_store

from training.common import jsonl, progress
from training.common.errors import DeepproverbsError
from training.common.files import copy_of, read_note, write_note
from training.common.manifest import Manifest
from training.common.text import text_id
from training.curate import fill
from training.curate.decisions import Decisions
from training.runs import owner
from training.runs.anew import APART, POOL, Anew, Objection
from training.runs.in_pool import InPool, See, unwanted
from training.runs.rounds import STAGE
from training.settings import Bot

WITHDRAWN = "withdrawn.json"
NOTED = {"names", "round"}
"""What review.jsonl has beside a pool record."""


@dataclass
class Published:
    """What `publish` did."""

    added: Appended = field(default_factory=lambda: Appended("", 0, 0))
    approved: int = 0
    withdrawn: int = 0
    """Texts taken out of the pool, as they were dropped or edited, or no decision stands for them any more."""
    restored: int = 0
    late: int = 0
    """Dropped or edited texts that the pool has already posted or passed, or is posting at this moment."""
    refused: list[tuple[str, Objection]] = field(default_factory=list)
    conflicts: int = 0
    waiting: int = 0
    """Texts that nobody has decided about: those set apart, and, if a person reads the pool first, of the pool."""


def records_of(run: Path, names: Collection[str] = (APART, POOL)) -> dict[str, dict[str, Any]]:
    """The records of the run's texts by their ids: those set apart, then those of the pool."""
    found: dict[str, dict[str, Any]] = {}
    for name in names:
        if (run / name).exists():
            for _, record in fill.pool_records(run / name):
                found.setdefault(text_id(record["text"]), record)
    return found


def check(run: Path) -> None:
    """Before the run's texts are read. Raises DeepproverbsError: they are damaged, and there is no copy of them."""
    manifest = Manifest(run)
    manifest.keep(STAGE, run / APART)
    manifest.rely(run / POOL, cure="`deepproverbs run` chooses them again")


def held(run: Path, bot: Bot) -> bool:
    """Do the texts of RUN/pool.jsonl wait for a person? Where all were set apart it holds none, and they do."""
    path = run / POOL
    reads = bot.publish == "after-review" or (path.exists() and not path.stat().st_size)
    return reads and "filled" not in Manifest(run).stages.get(STAGE, {})


class Publishing:
    """One publication of a run's texts.

    unread: texts of the pool that nobody has read, too; never those set apart.
    """

    def __init__(self, run: Path, bot: Bot, pool: str, decisions: Decisions, unread: bool = False) -> None:
        self.run, self.bot, self.pool, self.decisions, self.unread = run, bot, pool, decisions, unread
        self.done = Published()
        self.records = records_of(run)
        self.placed: dict[str, dict[str, Any]] = {}
        """Text → record, of those in the pool that somebody kept or wrote: they may be of any round."""
        lines = [*decisions.lines.values()]  # others may decide meanwhile
        wanted = {text for line in lines for text in (line.text, line.edited) if text}

        def see(_: int, record: dict[str, Any]) -> None:
            if record["text"] in wanted and record.keys() >= fill.FIELDS:
                self.placed[record["text"]] = {name: value for name, value in record.items() if name != "check"}

        self.there = in_pool(pool, bot, see)
        self.ours = withdrawn(run, pool)
        """What reviews took out of it before."""

    @cached_property
    def anew(self) -> Anew:
        return Anew(self.bot, self.run, self.pool, self.decisions)

    def publish(self) -> Published:
        """All steps, each of which may be repeated: what is done already is left as it is."""
        done, run, started = self.done, self.run, time.monotonic()
        approved = self.approved()
        done.approved = len(approved)
        self._note_dropped(approved)
        self.there.look_again()  # after that: another run may have put them there, and looks itself from now on
        self._withdraw({record["text"] for record in approved})
        if approved:
            jsonl.write(run / "approved.jsonl", approved)
            if (manifest := Manifest(run)).stages:
                manifest.record("review", "", {}, started, [run / "approved.jsonl"])
            done.added = fill.fill(run / "approved.jsonl", self.pool, reviews_of(self.bot))
        counts = self.decisions.counts()
        done.conflicts = counts["conflict"]
        mine = held(run, self.bot)
        open_ones = [id for id, record in self.records.items() if self._is_open(id, record["text"])]
        apart = records_of(run, [APART])
        done.waiting = sum(id in apart or (mine and not self.unread) for id in open_ones)
        if mine and STAGE in Manifest(run).stages and not any(id not in apart for id in open_ones if not self.unread):
            Manifest(run).note(STAGE, filled=done.added.batch)  # the round is over: `run` may begin another
        return done

    def _is_open(self, id: str, text: str) -> bool:
        """Whether nobody has decided about a text that may still be decided about."""
        fate = self.there.fate(text)
        if self.decisions.standing(id) or fate == "past":
            return False
        return fate != "withdrawn" or text in self.ours

    def approved(self) -> list[dict[str, Any]]:
        """The records to publish: what was starred, then the rest in the order of the files."""
        starred: list[dict[str, Any]] = []
        kept: list[dict[str, Any]] = []
        left = dict(self.records)
        for id in [*self.records, *(id for id in self.decisions if id not in self.records)]:
            decided = self.decisions.decided(id)
            record = left.pop(id, None)
            if decided is None:
                if self.unread and record and "names" not in record and not self.decisions.standing(id):
                    kept.append(_plain(record))
            elif decided.decision != "drop":
                text = decided.edited or decided.text
                made = self._record(text, decided.text, self.placed.get(text, record))
                if made:
                    (starred if decided.decision == "star" else kept).append(made)
        return [*starred, *kept]

    def _record(self, text: str, original: str, record: dict[str, Any] | None) -> dict[str, Any] | None:
        """None: the rules refuse the text. One that stands in the run's files, or in the pool, has passed them."""
        if record and text == record["text"]:
            return _plain(record)
        if self.anew.posted.get(text_id(text)) == text:
            return dict(self.anew.record(text))  # it is in the pool already, or again
        if objection := self.anew.objection(text, original):
            self.done.refused.append((text, objection))
            return None
        self.anew.known.add(text)
        return dict(self.anew.record(text))

    def _note_dropped(self, approved: Iterable[dict[str, Any]]) -> None:
        """Have the pool remember what is not to come, from any run; and no longer what this run's people let come."""
        gone = {*self.decisions.gone()} - {record["text"] for record in approved}
        lines = [*self.decisions.lines.values()]  # others may decide meanwhile
        # Who kept a text and took that back says nothing of it: another run's people may have dropped it.
        said = [line for line in lines if line.decision in ("drop", "edit") or self.decisions.standing(line.id)]
        spoken_of = {text for line in said for text in (line.text, line.edited) if text}
        fill.note_dropped(self.pool, gone, spoken_of - gone)

    def _withdraw(self, approved: Collection[str]) -> None:
        """Take out of the pool what is not to be published, and put back what this took out and now is."""
        there, before = self.there, withdrawn(self.run, self.pool)
        gone = unwanted(there, self.decisions, approved)
        if not gone and not before:
            return
        pool, state, at = Pool(open_store(self.pool)), there.state, there.index
        out = [at[text] for text in gone if text in at]
        new = [index for index in out if index >= state.next and index not in state.withdrawn]
        late = [at[text] for text in self.decisions.gone() if text in at and text in gone]
        self.done.late = sum(there.fate_of(index) == "past" and index not in state.withdrawn for index in late)
        back = [at[text] for text in before if text not in gone and text in at]
        texts = {index: text for text, index in at.items()}
        ours = {*(text for text in before if text in gone), *(texts[index] for index in new)}
        noted = ours | set(before)
        if noted != set(before):  # first, so that a crash forgets none
            _note_withdrawn(self.run, self.pool, noted)
        if posting := [index for index in new if there.fate_of(index) == "past"]:
            pool.withdraw(posting)  # the post may fail
        self.done.withdrawn = pool.withdraw({*new} - {*posting}) if new else 0
        self.done.restored = pool.restore(back).restored if back else 0
        if ours != noted:
            _note_withdrawn(self.run, self.pool, ours)


def reviews_of(bot: Bot) -> str:
    """What the batches are called that reviews fill in."""
    return f"{bot.name} review"


def in_pool(pool: str, bot: Bot, see: See = lambda *_: None) -> InPool:
    """What the pool holds now. Raises PostError: it cannot be read."""
    return InPool(pool, reviews_of(bot), see)


def withdrawn(run: Path, pool: str) -> list[str]:
    """The texts that reviews of this run took out of the pool."""
    return _withdrawn(run).get(owner.from_run(run, pool), [])


def publish(run: Path, bot: Bot, pool: str, decisions: Decisions, unread: bool = False) -> Published:
    """Put into the pool what was decided to be published. `unread`: see `Publishing`."""
    return Publishing(run, bot, pool, decisions, unread).publish()


def _plain(record: dict[str, Any]) -> dict[str, Any]:
    """A record without what the pool need not know."""
    return {name: record[name] for name in sorted(record.keys() - NOTED)}


def _withdrawn(run: Path) -> dict[str, list[str]]:
    """Pool → the texts that reviews of this run took out of it.

    Raises:
        DeepproverbsError: the note of them is damaged, and so is its copy.
    """
    path = run / WITHDRAWN
    try:
        return read_note(path, lambda note: {pool: [*map(str, texts)] for pool, texts in note.items()}, progress.say)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise DeepproverbsError(
            f"{path} cannot be read ({error}), and neither can its copy {copy_of(path)}; put one back, or delete both: "
            "what reviews took out of the pool then stays out."
        ) from error


def _note_withdrawn(run: Path, pool: str, texts: Iterable[str]) -> None:
    write_note(run / WITHDRAWN, {**_withdrawn(run), owner.from_run(run, pool): sorted(texts)}, twice=True)


def sentences(done: Published, pool: str, on_page: bool = False) -> Iterator[str]:
    """What a person should know of it beside what was added. `on_page`: it is shown where texts are edited."""

    def some(count: int) -> str:
        return f"{count:,} text{'s' * (count != 1)}"

    if done.withdrawn:
        yield f"{some(done.withdrawn)} taken out of {pool}: dropped, edited, or no longer kept."
    if done.restored:
        yield f"{some(done.restored)} may be posted from {pool} again."
    if done.late:
        what = f"{some(done.late)} of {pool} that you dropped or edited"
        yield f"Too late for {what}: posted already, at this moment, or passed over."
    for text, objection in done.refused:
        yield f"Not published: {text!r}. {objection} Edit it{'' if on_page else ' in `deepproverbs review`'}."
    if done.conflicts:
        yield f"People differ about {some(done.conflicts)}; not published until somebody decides."
    if done.waiting:
        yield f"Nobody has read {some(done.waiting)} yet."
