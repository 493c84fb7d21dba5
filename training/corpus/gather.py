"""Files → the different texts that are learnt, in batches, and what became of the others.

Texts stream: memory holds 8 bytes of each, a batch, and what is shown of each file.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from training.common import progress
from training.corpus.clean import Style, cleaned, restyle
from training.corpus.duplicates import Seen
from training.corpus.forms.choice import excerpt
from training.corpus.forms.form import Raw
from training.corpus.ledger import Ledger
from training.corpus.read import Reading, open_corpus
from training.corpus.warn import Warning, Watch
from training.settings import CorpusSettings

BATCH = 4096
FEW = 300
"""Texts below which a bot soon repeats what it has learnt."""
LARGE = 100_000_000
"""Bytes of a file from where on recognising it takes long enough to be told."""
_DELIMITER_LINE = re.compile(r"^[^\S\n]*={10,}[^\S\n]*$", re.M)
SHORTER = "=" * 9
"""What a line of ten and more equals signs becomes inside a text, so that it does not part the corpus file."""


@dataclass
class Told:
    """One file: how it was read, and what became of its texts."""

    reading: Reading
    ledger: Ledger
    samples: list[Raw]
    """The first three that are kept, one of the middle, and the last."""
    warnings: list[Warning]

    @property
    def name(self) -> str:
        return self.reading.source.name

    def command(self, more: str = "") -> str:
        """The command that repeats this reading without guessing."""
        options = " ".join(f"--{key} {shlex.quote(value)}" for key, value in self.reading.options.items())
        name = "-" if self.name == "standard input" else shlex.quote(self.name)
        return f"deepproverbs corpus {name} {options}{more}"

    def facts(self) -> dict[str, Any]:
        return {
            "file": self.name,
            "form": self.reading.form.name,
            "evidence": self.reading.found.evidence,
            "encoding": self.reading.encoding.evidence,
            "settings": self.reading.options,
            "command": self.command(),
            "samples": [{"text": raw.text, "line": raw.line} for raw in self.samples],
            "ledger": self.ledger.facts(),
            "warnings": [warning.text for warning in self.warnings],
        }

    def table(self) -> str:
        """One screen for people."""
        reading, ledger = self.reading, self.ledger
        lines = [f"{self.name}: {reading.form.title}; {reading.found.evidence}."]
        lines.append(f"  encoding: {reading.encoding.evidence}")
        names = ["first", "", "", "middle", "last"]
        for name, raw in zip(names, self.samples, strict=False):
            where = f"line {raw.line:,}" if raw.line else ""
            lines.append(f"  {name:>8} {where:>12}  {excerpt(raw.text)}")
        lines.append(f"{ledger.read:>10,} texts read")
        for why, count in sorted(ledger.dropped.items(), key=lambda item: -item[1].count):
            lines.append(f"{-count.count:>10,} {why}{_example(count.example, count.line)}")
        lines.append(f"{-ledger.duplicates:>10,} duplicates")
        lines.append(f"{ledger.kept:>10,} kept")
        for what, count in ledger.altered.items():
            lines.append(f"{count.count:>10,} of them {what}{_example(count.example, count.line)}")
        lines += [f"  ! {warning.text}" for warning in self.warnings]
        return "\n".join(lines)


def _example(text: str, line: int) -> str:
    where = f" (line {line:,}{': ' * bool(text)}{excerpt(text, 60)})"
    return where if line else f" ({excerpt(text, 60)})" if text else ""


@dataclass
class Gathered:
    """What all files gave."""

    told: list[Told] = field(default_factory=list)

    @property
    def ledger(self) -> Ledger:
        total = Ledger()
        for each in self.told:
            total.add(each.ledger)
        return total


class Samples:
    """Some texts of many, evenly: the first three, the last, and up to 64 between, of which one is the middle."""

    def __init__(self) -> None:
        self.count, self.step = 0, 1
        self.first: list[Raw] = []
        self.spread: list[Raw] = []
        self.last: Raw | None = None

    def add(self, raw: Raw) -> None:
        if len(self.first) < 3:
            self.first.append(raw)
        if self.count % self.step == 0:
            self.spread.append(raw)
            if len(self.spread) == 64:
                self.spread, self.step = self.spread[::2], 2 * self.step
        self.count += 1
        self.last = raw

    def shown(self) -> list[Raw]:
        if self.count <= 5 or not self.last:
            return self.spread
        return [*self.first, self.spread[self.count // 2 // self.step], self.last]


def gather(files: list[Path], settings: CorpusSettings, take: Callable[[list[str]], object]) -> Gathered:
    """Read the files and hand on the different texts in batches, as they are learnt.

    Raises:
        DeepproverbsError: a file cannot be read.
        WrongUse: what was said by hand cannot be.
    """
    gathered, seen = Gathered(), Seen()
    with progress.bar(None, "read", "text", delay=2, leave=False) as bar:
        for path in files:
            if path.is_file() and path.stat().st_size >= LARGE:
                bar.say(f"Recognising {path}, {path.stat().st_size / 1e6:,.0f} MB, over all of it …")
            gathered.told.append(_one(open_corpus(path, settings), settings, seen, take, bar))
    if (kept := gathered.ledger.kept) < FEW:
        cure = "a bot does better with a few hundred: add more if you can"
        few = Warning(f"Only {kept:,} text{'s' * (kept != 1)}", "", cure)
        gathered.told[-1].warnings.append(few)
    return gathered


def _one(
    reading: Reading, settings: CorpusSettings, seen: Seen, take: Callable[[list[str]], object], bar: progress.Bar
) -> Told:
    ledger, samples, watch = Ledger(), Samples(), Watch()
    raws = _learnt(reading, settings, ledger)
    while batch := list(islice(raws, BATCH)):
        fresh = seen.new([raw.text for raw in batch])
        kept = [raw for raw, new in zip(batch, fresh, strict=True) if new]
        ledger.duplicates += len(batch) - len(kept)
        for raw in kept:
            samples.add(raw)
            watch.add(raw.text)
        take([raw.text for raw in kept])
        bar.update(len(batch))
    total = reading.ledger
    total.add(ledger)
    warnings = watch.warnings(total.duplicates, total.read)
    cure = "look at the line, or save the file again"
    warnings += [Warning(note.rstrip("."), "", cure) for note in reading.encoding.notes]
    if reading.garbled:
        pairs = ", ".join(f"{a!r} for {b!r}" for a, b in reading.garbled)
        what = f"{reading.garbled_count:,} texts were encoded twice"
        warnings.append(Warning(what, pairs, "--encoding utf-8+repair mends them"))
    return Told(reading, total, samples.shown(), warnings)


def _learnt(reading: Reading, settings: CorpusSettings, ledger: Ledger) -> Iterator[Raw]:
    """The texts as they are learnt."""
    style = Style() if settings.style == "plain" else None
    for raw in reading.texts():
        text, notes = cleaned(raw.text, entities=not raw.plain)
        text = restyle(raw.text, style) if style else text
        if not text:
            ledger.drop("without anything to learn", raw.text, raw.line)
            continue
        for note in notes:
            ledger.alter(f"with {note}", excerpt(raw.text), raw.line)
        if SHORTER in text and _DELIMITER_LINE.search(text):
            ledger.alter("with a line of equals signs made shorter", excerpt(text), raw.line)
            text = _DELIMITER_LINE.sub(SHORTER, text)
        yield Raw(text, raw.line)
