"""What a person decided about texts: RUN/decisions.jsonl, a log that is only ever appended to.

    {"key", "id", "text", "decision": "keep" | "drop" | "edit" | "star", "edited"?, "over"?, "at", "by"}
    {"key", "undo": the key of such a line, "at", "by"}

`id` and `text` are the original's; `edited` is what is published in its place; `key` is a hash of all the rest, so a
line proves itself. A line is on the disk before `decide` returns; half a line, which a killed program leaves, is cut
off at the next start. Answers of an older version, in RUN/reviewed.jsonl, count as the first lines.

`over` names the lines about the text that whoever decided knew of. So logs of two people are merged by putting their
lines together, in any order and however often: decisions that did not know of each other and differ are a conflict,
which waits until somebody decides, knowing both.
"""

from __future__ import annotations

import csv
import getpass
import hashlib
import io
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args

from training.common import jsonl
from training.common.errors import DeepproverbsError, WrongUse
from training.common.files import lock
from training.common.text import text_id

What = Literal["keep", "drop", "edit", "star"]
WHAT: tuple[What, ...] = get_args(What)
FILE, ANSWERS = "decisions.jsonl", "reviewed.jsonl"


@dataclass(frozen=True, slots=True)
class Decision:
    """A line of the log. `undo`: the key of the line that it takes back; it has no other content then."""

    key: str
    id: str = ""
    text: str = ""
    decision: str = ""
    edited: str = ""
    over: tuple[str, ...] = ()
    at: str = ""
    by: str = ""
    undo: str = ""

    @classmethod
    def made(cls, **facts: Any) -> Decision:
        """With the key that belongs to it."""
        bare = cls("", **facts)
        rest = [getattr(bare, name) for name in cls.__slots__ if name != "key"]
        return replace(bare, key=hashlib.blake2b(json.dumps(rest).encode(), digest_size=8).hexdigest())

    def line(self) -> bytes:
        facts = {name: getattr(self, name) for name in self.__slots__}
        facts = {name: value for name, value in facts.items() if value}
        try:
            return jsonl.line(facts).encode()
        except UnicodeEncodeError:  # half a character, which JSON can escape
            return json.dumps(facts).encode() + b"\n"


@dataclass(frozen=True)
class Merged:
    """What a merge did."""

    added: int
    known: int
    conflicts: list[str]
    """Ids of the texts about which people differ now."""


class Decisions:
    """The log of a run's folder, read; `open_decisions` gives one that can be written.

    Raises:
        DeepproverbsError: a line is not what this writes.
    """

    def __init__(self, run: Path, by: str = "") -> None:
        self.path, self.by = run / FILE, by
        self.lines: dict[str, Decision] = {}
        """By their keys, in the order of the file."""
        self._of_text: dict[str, list[Decision]] = {}
        self._undone: set[str] = set()
        self._fd = -1
        for decision in _answers(run / ANSWERS):
            self._take(decision)
        for decision in read(self.path):
            self._take(decision)

    def __iter__(self) -> Iterator[str]:
        """The ids of texts that somebody has decided about, undone or not."""
        return iter([*self._of_text])

    def standing(self, id: str) -> list[Decision]:
        """The decisions that stand: none, one, several that agree, or a conflict."""
        lines = self._of_text.get(id, ())
        stand = [line for line in lines if line.key not in self._undone]
        if len(stand) < 2:
            return stand
        over = {key for line in stand for key in self._known_to(line)}
        return [line for line in stand if line.key not in over]

    def decided(self, id: str) -> Decision | None:
        """The decision, if there is one and people agree. Of a text that one keeps and another stars, the star."""
        standing = self.standing(id)
        if not standing or conflict(standing):
            return None
        return max(standing, key=lambda line: (line.decision == "star", line.at))

    def gone(self) -> Iterator[str]:
        """Texts that must not come (back): those not to be published as they were made, and all that people ever wrote
        in their place."""
        for id, lines in [*self._of_text.items()]:  # others may decide meanwhile
            standing = self.standing(id)
            if standing and (conflict(standing) or standing[0].decision in ("drop", "edit")):
                yield lines[0].text
            yield from (line.edited for line in lines if line.edited)

    def written(self, original: str) -> list[str]:
        """A text, and all that was ever written in its place."""
        return [original, *(line.edited for line in self._of_text.get(text_id(original), ()) if line.edited)]

    def decide(self, text: str, what: What, edited: str = "") -> Decision:
        """Write a decision; it is on the disk when this returns.

        Raises:
            DeepproverbsError: the disk does not take it. Then nothing was decided.
        """
        assert (what == "edit") == bool(edited)
        id = text_id(text)
        over = tuple(line.key for line in self.standing(id))
        facts = {"id": id, "text": text, "decision": what, "edited": edited, "over": over}
        return self._append(Decision.made(**facts, at=_now(), by=self.by))

    def undo(self) -> Decision | None:
        """Take back this person's latest decision that stands; returns it, or None: there is none."""
        for line in reversed(list(self.lines.values())):
            mine = line.by == self.by and line.at and not line.undo and line.key not in self._undone
            if mine and line in self.standing(line.id):
                self._append(Decision.made(undo=line.key, at=_now(), by=self.by))
                return line
        return None

    def merge(self, path: Path) -> Merged:
        """Add the lines of another log that are not here.

        Raises:
            WrongUse: the file is missing, or no such log.
        """
        if not path.is_file():
            raise WrongUse(f"Cannot read {path}: no such file; give the other person's {FILE}.")
        theirs = list(read(path, foreign=True))
        if not theirs:
            raise WrongUse(f"{path} holds no decision; give the other person's {FILE}.")
        new = [line for line in theirs if line.key not in self.lines]
        self._write(b"".join(line.line() for line in new))
        for line in new:
            self._take(line)
        about = dict.fromkeys(line.id for line in theirs if line.id)
        return Merged(len(new), len(theirs) - len(new), [id for id in about if conflict(self.standing(id))])

    def counts(self) -> dict[str, int]:
        """How many texts were kept, dropped, edited and starred, and about how many people differ ("conflict")."""
        found = dict.fromkeys((*WHAT, "conflict"), 0)
        for id in self:
            if line := self.decided(id):
                found[line.decision] += 1
            elif self.standing(id):
                found["conflict"] += 1
        return found

    def _append(self, line: Decision) -> Decision:
        self._write(line.line())
        self._take(line)
        return line

    def _take(self, line: Decision) -> None:
        if line.key in self.lines:
            return
        self.lines[line.key] = line
        if line.undo:
            self._undone.add(line.undo)
        else:
            self._of_text.setdefault(line.id, []).append(line)

    def _known_to(self, line: Decision) -> set[str]:
        """All that was known when `line` was decided; what was known to an undone line, too."""
        found: set[str] = set()
        new = [*line.over]
        while new:
            key = new.pop()
            if key not in found:
                found.add(key)
                new += self.lines[key].over if key in self.lines else ()
        return found

    def _write(self, lines: bytes) -> None:
        """All of it or nothing, and on the disk."""
        data = memoryview(lines)
        try:
            whole = os.fstat(self._fd).st_size
        except OSError as error:
            raise DeepproverbsError(f"{self.path} is not open; nothing was decided.") from error
        try:
            while data:
                data = data[os.write(self._fd, data) :]
            os.fsync(self._fd)
        except OSError as error:
            os.ftruncate(self._fd, whole)
            raise DeepproverbsError(
                f"Cannot write {self.path}: {error.strerror}; nothing was decided. Free some space, then decide again."
            ) from error


def as_csv(decisions: Decisions) -> bytes:
    """What stands, a row a decision, for a spreadsheet: a text that one would take for a formula gets a ' before it."""
    out = io.StringIO(newline="")
    rows = csv.writer(out)
    rows.writerow(["decision", "text", "edited", "by", "at"])
    for id in decisions:
        for line in decisions.standing(id):
            cells = [line.decision, line.text, line.edited, line.by, line.at]
            rows.writerow(["'" + cell if cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell for cell in cells])
    return out.getvalue().encode("utf-8-sig", "replace")


def conflict(standing: list[Decision]) -> bool:
    """Whether these decisions about one text differ. A star keeps."""
    outcomes = {("keep" if line.decision == "star" else line.decision, line.edited) for line in standing}
    return len(outcomes) > 1


@contextmanager
def open_decisions(run: Path, by: str = "") -> Iterator[Decisions]:
    """The run's log, to be written by one program at a time. `by`: who decides; the user's name by default.

    Raises:
        DeepproverbsError: another review of the run is open, or the folder cannot be written.
    """
    fd = -1
    try:
        with lock(run / ".review.lock"):
            jsonl.cut_half_line(run / FILE)
            found = Decisions(run, by or user())
            found._fd = fd = os.open(found.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
            folder = os.open(run, os.O_RDONLY)
            try:
                os.fsync(folder)  # the file's name, too, survives
            finally:
                os.close(folder)
            yield found
    except BlockingIOError as error:
        raise DeepproverbsError(f"Another review of {run} is open; end it first, with Ctrl-C.") from error
    finally:
        if fd >= 0:
            os.close(fd)


def user() -> str:
    """Who decides, if nobody says."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user without a name
        return "somebody"


def read(path: Path, foreign: bool = False) -> Iterator[Decision]:
    """The lines of a log; half a line at the end is left out. None: there is no file.

    `foreign`: another person's file, of which the answers of an older version are taken, too.
    """
    if not path.exists():
        return
    for number, (_, data) in enumerate(jsonl.lines(path), 1):
        if not data.endswith(b"\n") and not (foreign and _whole(data)):
            return
        try:
            raw = json.loads(data)
            yield _answer(raw) if foreign and "publish" in raw else _decision(raw)
        except (ValueError, TypeError, KeyError) as error:
            raise (WrongUse if foreign else DeepproverbsError)(
                f"{path}, line {number}: not a decision ({error}); nothing was changed."
            ) from error


def _whole(data: bytes) -> bool:
    """Whether a last line that no line feed ends, as editors leave it, is whole."""
    try:
        json.loads(data)
    except ValueError:
        return False
    return True


def _decision(raw: Any) -> Decision:
    names = set(Decision.__slots__)
    if not isinstance(raw, dict) or not isinstance(raw.get("key"), str) or raw.keys() - names:
        raise ValueError("it lacks the fields of one")
    facts = {**raw, "over": tuple(raw.get("over", ()))}
    if not all(isinstance(value, str) for name, value in facts.items() if name != "over"):
        raise TypeError("a field is no text")
    if not all(isinstance(key, str) for key in facts["over"]):
        raise TypeError("`over` names something other than keys")
    what = facts.get("decision")
    if "undo" not in facts and (what not in WHAT or (what == "edit") != bool(facts.get("edited"))):
        raise ValueError("it decides nothing")
    made = Decision.made(**{name: value for name, value in facts.items() if name != "key"})
    if made.key != facts["key"] or (made.text and made.id != text_id(made.text)):
        raise ValueError("it is not what was written: its key is another line's")
    return made


def _answer(raw: Any) -> Decision:
    """An answer of reviewed.jsonl: always the same line of ours for it."""
    text, publish = raw["text"], raw["publish"]
    if not isinstance(publish, bool) or raw["id"] != text_id(text):
        raise TypeError("another text's id, or no answer")
    return Decision.made(id=raw["id"], text=text, decision="keep" if publish else "drop")


def _answers(path: Path) -> Iterator[Decision]:
    """The answers of an older version; of two about a text the later counts."""
    if not path.exists():
        return
    latest: dict[str, Decision] = {}
    for number, (_, data) in enumerate(jsonl.lines(path), 1):
        if not data.endswith(b"\n"):
            break
        try:
            line = _answer(json.loads(data))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise DeepproverbsError(
                f"{path} is damaged (line {number}: {error}); delete that line, and its text is asked about again."
            ) from error
        latest[line.id] = line
    yield from latest.values()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
