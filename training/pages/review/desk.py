"""The texts that a person reads, in memory: what the page and the terminal ask of them, without the network.

In:  RUN/review.jsonl, the pool, RUN/pool.jsonl, the decisions.
Out: windows of texts in an order, counts. Of each text only the id, the text and its numbers are held; the rest of its
     record is read from the file when it is shown, 100,000 texts take 60 MB.

First come all that were set apart, then those that wait to come into the pool, then those that are in it, of whatever
round, in the order in which they will be posted. Of an edited text that is in the pool the original stands here, as it
is what was decided about. What is posted, and what somebody else took out of the pool, is not shown.
"""

from __future__ import annotations

import json
import re
import tempfile
import unicodedata
from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from training.common import jsonl
from training.common.errors import DeepproverbsError, WrongUse
from training.common.terminal import visible
from training.common.text import text_id
from training.curate import fill
from training.curate.decisions import WHAT, Decisions, conflict
from training.judge.rules import set_apart
from training.pages.places import looks
from training.runs import owner
from training.runs.anew import APART, POOL
from training.runs.in_pool import InPool, Pending, See, pending
from training.runs.reviewed import NOTED

OPEN, DIFFER = 0, len(WHAT) + 1
"""Of nobody's decision, and of several; between them those of WHAT, from 1."""
STATUS = ("open", *WHAT, "conflict")
VIEWS = {
    "open": (OPEN, DIFFER),
    "decided": tuple(range(1, DIFFER)),
    **{name: (number,) for number, name in enumerate(STATUS) if name != "open"},
    "all": tuple(range(len(STATUS))),
}
"""What a view shows, by the numbers of STATUS."""
SOURCES = {"all": (0, 1, 2), "apart": (0,), "pool": (1, 2)}
"""By the files that texts are read from: review.jsonl, pool.jsonl, and a copy of the pool's."""


@dataclass(frozen=True)
class Asked:
    """What the page asks for."""

    view: str = "open"
    source: str = "all"
    sort: str = "file"
    down: bool = False
    """The greatest first."""
    query: str = ""
    """Words that the text must hold, in any case and order."""
    after: int = -1
    """The number of the text that the window follows, which may itself have left the view; -1: the first texts."""
    count: int = 12


@dataclass(frozen=True)
class Window:
    texts: list[int]
    """Their numbers."""
    total: int
    """Texts in the view."""
    before: int
    """Those of them that come before the window."""


class Desk:
    """The texts of a run and its pool that wait for a person, or have been decided about.

    Args:
        pool: reads the pool, and shows each of its texts to what it is given; None: there is none.
        ours: the texts that reviews took out of the pool.

    Raises:
        WrongUse: there is no text, or a line is not a pool record.
        PostError: the pool cannot be read.
    """

    def __init__(
        self, run: Path, decisions: Decisions, pool: Callable[[See], InPool] | None = None, ours: Collection[str] = ()
    ) -> None:
        self.run, self.decisions, self.ours = run, decisions, ours
        self._make_pool = pool or (lambda see: InPool("", see=see))
        self.files: list[BinaryIO | None] = []
        try:
            self.files += ((run / name).open("rb") if (run / name).exists() else None for name in (APART, POOL))
            self.copy = cast(BinaryIO, tempfile.TemporaryFile())  # noqa: SIM115, closed with the others
            self.files.append(self.copy)  # the pool may be far away
            self._read()
        except BaseException:
            self.close()
            raise

    def _read(self) -> None:
        copied: list[tuple[int, int]] = []

        def see(number: int, record: dict[str, Any]) -> None:
            copied.append((number, self.copy.tell()))
            self.copy.write(json.dumps(record).encode() + b"\n")

        self.pool = self._make_pool(see)
        self.texts: list[str] = []
        self.at: dict[str, int] = {}
        """Id → number."""
        self.written: dict[int, str] = {}
        """Number → the text of its record, where that is an edited one that stands in the pool."""
        source, offsets, numbers = [], [], dict[str, list[float]]()
        originals = {line.edited: line.text for line in self.decisions.lines.values() if line.edited}
        for which, offset, record in self._records(copied):
            text = originals.get(record["text"], record["text"]) if which == 2 else record["text"]
            id = text_id(text)
            if id in self.at:
                continue
            number = self.at[id] = len(self.texts)
            if text != record["text"]:
                self.written[number] = record["text"]
            for name, value in record.items():
                if name not in NOTED and isinstance(value, int | float) and not isinstance(value, bool):
                    column = numbers.setdefault(name, [])
                    column += [np.nan] * (number - len(column))
                    column.append(value)
            self.texts.append(text)
            source.append(which)
            offsets.append(offset)
        self.source, self.offsets = np.array(source, np.uint8), np.array(offsets, np.int64)
        count = len(self.texts)
        self.scores: dict[str, NDArray[np.float64]] = {
            "file": np.arange(count, dtype=np.float64),
            **{name: np.array(column + [np.nan] * (count - len(column))) for name, column in numbers.items()},
            "length": np.fromiter(map(len, self.texts), np.float64, count),
        }
        """By the names of the numbers in the records, in the order of the texts."""
        self.status = np.zeros(count, np.uint8)
        for id in self.decisions:
            self.look_again(id)
        self._note_gone()
        if self.gone.all():
            raise WrongUse(f"There is nothing to review in {self.run}; `{owner.command('run', self.run)}` makes texts.")
        self._orders: dict[tuple[str, bool], tuple[NDArray[np.int64], NDArray[np.int64]]] = {}
        folded = [_folded(text).encode("utf-8", "surrogatepass") for text in self.texts]
        self._starts = np.cumsum([0, *(len(text) + 1 for text in folded)])
        self._all = b"\n".join([*folded, b""])

    def _records(self, copied: list[tuple[int, int]]) -> Iterator[tuple[int, int, dict[str, Any]]]:
        """(file, offset, record) of each text. `copied`: the numbers and offsets of the pool's."""
        for which, name in enumerate((APART, POOL)):
            for offset, record in fill.pool_records(self.run / name) if self.files[which] else ():
                if which == 0 or record["text"] not in self.pool.index:
                    yield which, offset, record
        ours = set(self.ours)
        for number, offset in copied:
            if (fate := self.pool.fate_of(number)) != "past":
                record = jsonl.value_at(self.copy, offset)
                if fate == "waiting" or record["text"] in ours:
                    yield 2, offset, record

    def _note_gone(self) -> None:
        """Note which texts are not to be shown."""
        gone, ours = np.zeros(len(self.texts), bool), set(self.ours)
        for number in range(len(gone)) if self.pool.index else ():
            stands = self._stands(number)
            fate = self.pool.fate(stands)
            gone[number] = fate == "past" or (fate == "withdrawn" and stands not in ours)
        self.gone = gone  # at once: others may be reading

    def read_pool_again(self, ours: Collection[str]) -> None:
        """After it has changed: what has come into it, and what is posted now."""
        self.ours, self.pool = ours, self._make_pool(lambda *_: None)
        self._note_gone()

    def pending(self) -> Pending:
        """What publishing would do."""
        return pending(self.pool, self.decisions, self.ours)

    def _stands(self, number: int) -> str:
        """The text that is in the pool, or would come there: the edited one, if there is one."""
        if STATUS[self.status[number]] == "edit" and (line := self.decisions.decided(text_id(self.texts[number]))):
            return line.edited
        text = self.texts[number]
        return text if text in self.pool.index else self.written.get(number, text)

    def look_again(self, id: str) -> None:
        """Note what was decided about a text."""
        if (number := self.at.get(id)) is not None:
            standing = self.decisions.standing(id)
            decided = self.decisions.decided(id)
            differ = bool(standing) and conflict(standing)
            self.status[number] = DIFFER if differ else WHAT.index(decided.decision) + 1 if decided else OPEN

    def window(self, asked: Asked) -> Window:
        """The texts to show."""
        order, place = self._order(asked.sort, asked.down)
        wanted = np.isin(self.status, VIEWS[asked.view]) & np.isin(self.source, SOURCES[asked.source]) & ~self.gone
        if asked.query.strip():
            wanted &= self.find(asked.query)
        shown = order[wanted[order]]
        start = 0
        if asked.after >= 0:
            start = int(np.searchsorted(place[shown], place[asked.after], side="right"))
        return Window(shown[start : start + asked.count].tolist(), len(shown), start)

    def _order(self, name: str, down: bool) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The numbers of the texts in an order, unknown scores last, and the place of each text in it."""
        if (name, down) not in self._orders:
            scores = self.scores[name]
            order = np.argsort(-scores if down else scores, kind="stable")
            place = np.empty_like(order)
            place[order] = np.arange(len(order))
            self._orders[name, down] = order, place
        return self._orders[name, down]

    def find(self, query: str) -> NDArray[np.bool_]:
        """Which texts hold all words of the query, as parts of words, too."""
        found = np.ones(len(self.texts), bool)
        for word in _folded(query).encode("utf-8", "surrogatepass").split():
            # A match goes on to the end of its line: each text is met once, however often it holds the word.
            hits = [match.start() for match in re.finditer(re.escape(word) + rb"[^\n]*", self._all)]
            numbers = np.searchsorted(self._starts, np.array(hits, np.int64), side="right") - 1
            holds = np.zeros(len(self.texts), bool)
            holds[numbers] = True
            found &= holds
        return found

    def counts(self) -> dict[str, Any]:
        """How many texts have which status, in all and by source; of the pool's also how many "unread" ones are not
        there yet."""
        found: dict[str, Any] = {}
        for name, which in SOURCES.items():
            counted = np.bincount(self.status[np.isin(self.source, which) & ~self.gone], minlength=len(STATUS)).tolist()
            found[name] = {**dict(zip(STATUS, counted, strict=True)), "total": sum(counted)}
        found["pool"]["unread"] = int(((self.source == 1) & (self.status == OPEN) & ~self.gone).sum())
        return found

    def record(self, number: int) -> dict[str, Any]:
        """The whole record of a text."""
        file = self.files[self.source[number]]
        assert file is not None
        found: dict[str, Any] = jsonl.value_at(file, int(self.offsets[number]))
        if found["text"] != self.written.get(number, self.texts[number]):
            raise DeepproverbsError(f"The texts of {self.run} changed while they were read; start the review again.")
        return found

    def known(self, number: int) -> dict[str, Any]:
        """What is known of a text beside its record: its id, its words before anybody edited them, its fate."""
        text = self.texts[number]
        return {"id": text_id(text), "text": text, "fate": self.pool.fate(self._stands(number))}

    def shown(self, number: int) -> dict[str, Any]:
        """All that the page shows of a text."""
        record, text = self.record(number), self.texts[number]
        id = text_id(text)
        decided = self.decisions.decided(id)
        now = decided.edited or text if decided else text
        names = record.get("names")
        return {
            "n": number,
            "id": id,
            "text": text,
            "now": now,
            "source": ("apart", "pool", "pool")[self.source[number]],
            "fate": self.pool.fate(now),
            "gone": bool(self.gone[number]),
            "names": names,
            "why": " ".join((set_apart.__doc__ or "").split()) if names else "",
            "scores": {name: _or_none(scores[number]) for name, scores in self.scores.items() if name != "file"},
            "nearest": record.get("nearest", ""),
            "ratio": record.get("nearest_ratio", 0.0),
            "status": STATUS[self.status[number]],
            "said": [
                {"by": line.by, "decision": line.decision, "edited": line.edited}
                for line in self.decisions.standing(id)
            ],
            "looks": [asdict(look) for look in looks(now, record.get("allow", ()))],
            "hidden": hidden(now),
        }

    def close(self) -> None:
        for file in self.files:
            if file:
                file.close()


def hidden(text: str) -> list[str]:
    """Characters that nobody sees and that may turn a text around, such as U+202E."""
    odd: set[str] = set()

    def note(character: str) -> str:
        odd.add(f"U+{ord(character):04X}")
        return ""

    visible(text, note)
    return sorted(odd)


def asked_of(query: dict[str, str], desk: Desk) -> Asked:
    """What a request asks for.

    Raises:
        ValueError: no such view, source or order, or no number.
    """
    asked = Asked(
        query.get("view", "open"), query.get("source", "all"), query.get("sort", "file"), query.get("down") == "1"
    )
    asked = replace(
        asked, query=query.get("q", "")[:200], after=int(query.get("after", -1)), count=int(query.get("count", 12))
    )
    if asked.view not in VIEWS or asked.source not in SOURCES or asked.sort not in desk.scores:
        raise ValueError("no such view")
    if not (-1 <= asked.after < len(desk.texts) and 0 <= asked.count <= 100):
        raise ValueError("no such window")
    return asked


def _folded(text: str) -> str:
    """The form in which texts are searched: one line, no capitals."""
    return unicodedata.normalize("NFC", text).casefold().replace("\n", " ")


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 4)
