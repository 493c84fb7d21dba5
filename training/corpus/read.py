"""A text file → its raw texts, by the form that it has (training/corpus/forms)."""

from __future__ import annotations

import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.common.errors import DeepproverbsError, brief
from training.corpus import members
from training.corpus.clean import clean
from training.corpus.containers import Plain, plain_file, with_ordinary_ends
from training.corpus.encoding import REPAIR, Encoding, find_encoding
from training.corpus.forms import archive_of, form_of
from training.corpus.forms.choice import excerpt
from training.corpus.forms.delimited import DELIMITED
from training.corpus.forms.form import Form, Found, Raw, Source
from training.corpus.ledger import Ledger
from training.corpus.posts import learnable
from training.settings import NOTHING_SAID, CorpusSettings

TWICE = re.compile("[ÂÃâÄÅÐÑÎÏØÙãåæçèéìíðŸ√‚][\x80-\xbf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ©®§°∂¬≠Äàãåç]")
"""What text in UTF-8 looks like, read as cp1252 or Mac Roman; ftfy then says whether it is."""

AS_IT_IS = CorpusSettings(drop=(), links="keep", mentions="keep")
"""Nothing is taken out of what is compared or judged."""


@dataclass
class Reading:
    """One file, recognised. `texts` may be called as often as it is wanted; the ledger is that of the last call."""

    source: Source
    form: Form
    found: Found
    ledger: Ledger = field(default_factory=Ledger)
    encoding: Encoding = field(default_factory=lambda: Encoding("utf-8-sig", "UTF-8"))
    plain: Plain | None = None
    """Keeps the copy of a pipe while it is read."""
    garbled: list[tuple[str, str]] = field(default_factory=list)
    """(as it stands, as it was meant) of the first texts that were encoded twice."""
    garbled_count: int = 0

    def texts(self) -> Iterator[Raw]:
        """The raw texts, in the file's order; those left out are in the ledger."""
        ledger = self.ledger = Ledger()
        self.garbled, self.garbled_count = [], 0
        count = 0
        for raw in self._raws(ledger):
            if post := learnable(self._decoded(raw, ledger), self.source.settings, ledger):
                count += 1
                yield post
        ledger.read += count + sum(each.count for each in ledger.dropped.values())

    def _raws(self, ledger: Ledger) -> Iterator[Raw]:
        try:
            yield from self.form.read(self.source, self.found, ledger)
        except UnicodeDecodeError as error:
            raise _not_utf8(self.source.name) from error

    def _decoded(self, raw: Raw, ledger: Ledger) -> Raw:
        text = raw.text
        if "\0" in text:
            ledger.alter("with zero bytes (NUL) taken out", excerpt(text.replace("\0", "␀")), raw.line)
            raw = replace(raw, text=text.replace("\0", ""))
        if not text.isascii() and TWICE.search(text):
            from ftfy import fix_encoding

            meant = fix_encoding(text)
            if meant != text:
                if self.source.encoding.endswith("+" + REPAIR):
                    ledger.alter("whose encoding was repaired", excerpt(text), raw.line)
                    return replace(raw, text=meant)
                self.garbled_count += 1
                if len(self.garbled) < 3:
                    self.garbled.append(_pair(text, meant))
        return raw

    @property
    def options(self) -> dict[str, str]:
        """Settings of [corpus] that repeat this reading without guessing."""
        said = self.source.settings.encoding
        encoding = {"encoding": said} if said else {}
        return {"form": self.form.name, **self.found.options, **encoding}


def _pair(text: str, meant: str) -> tuple[str, str]:
    """The first words that differ."""
    for a, b in zip(text.split(), meant.split(), strict=False):
        if a != b:
            return a, b
    return text[:40], meant[:40]


def open_corpus(path: Path, settings: CorpusSettings = NOTHING_SAID) -> Reading:
    """Recognise a file. One of gigabytes costs no more memory than a line of it. `-` is standard input.

    Raises:
        DeepproverbsError: the file is missing, empty, no text, in an encoding that does not prove itself, broken, or
            to be read in two ways.
        WrongUse: what was said by hand cannot be.
    """
    if members.kind(path):
        archive = Source(path, settings=settings)
        try:
            export = archive_of(archive)
        except UnicodeDecodeError as error:
            raise _not_utf8(archive.name) from error
        if export:
            return Reading(archive, *export)
        plain = members.only_text(path)
    else:
        plain = plain_file(path)
    encoding = find_encoding(plain.path, settings.encoding, plain.called)
    if encoding.other_ends:
        plain = with_ordinary_ends(plain)
    source = Source(plain.path, encoding.name, settings, plain.called)
    form, found = form_of(source)
    return Reading(source, form, found, encoding=encoding, plain=plain)


def _not_utf8(name: str) -> DeepproverbsError:
    """Of a file in an archive; those alone are read whole before, and told better."""
    return DeepproverbsError(f"{name} holds a file that is not UTF-8, as exports are; unpack it and give that file.")


def open_beside(path: Path, settings: CorpusSettings) -> Reading:
    """Recognise a file beside the corpus: a reference, or candidates. What [corpus] says holds for it, too, unless the
    file proves that it has another form.

    Raises: as `open_corpus`.
    """
    settings = replace(settings, drop=tuple(each for each in settings.drop if each == "damaged"))
    bare = replace(settings, form="", delimiter="", field="", author="")
    if settings == bare:
        return open_corpus(path, settings)
    try:
        said = open_corpus(path, settings)
    except DeepproverbsError as error:
        said, refused = None, error
    if said and not said.form.weak:
        return said
    try:
        proven = open_corpus(path, bare)
    except DeepproverbsError:
        proven = None
    if said and (not proven or proven.form.weak):
        return said
    if not proven:
        raise refused
    if settings.field and "field" in proven.form.takes:
        return open_corpus(path, replace(bare, field=settings.field))
    return proven


def read_texts(path: Path, settings: CorpusSettings = AS_IT_IS) -> Iterator[str]:
    """The raw texts of a file. Raises as `open_corpus`."""
    reading = open_corpus(path, settings)
    return (raw.text for raw in reading.texts())


def load_corpus(path: Path, settings: CorpusSettings = AS_IT_IS) -> list[str]:
    """The texts of a file that needs no cleaning: a corpus.txt or a reference. `settings`: what the bot says."""
    return [text for raw in open_beside(path, settings).texts() if (text := clean(raw.text))]


def load_built(path: Path) -> list[str]:
    """The texts of a corpus.txt that `build` wrote: its form is known, and never guessed.

    Raises:
        DeepproverbsError: it is missing, or not what `build` writes.
    """
    try:
        return [raw.text for raw in DELIMITED.read(Source(path), Found("as built"), Ledger())]
    except (OSError, UnicodeDecodeError) as error:
        raise DeepproverbsError(f"Cannot read {path}: {error}; make it again with `deepproverbs corpus`.") from error


_BROKEN = (
    *(OSError, ValueError, KeyError, EOFError, RuntimeError, MemoryError, TypeError, IndexError, SyntaxError),
    *(AttributeError, OverflowError, struct.error, zlib.error, zipfile.BadZipFile),
)
"""What NumPy and zipfile raise at one flipped bit or another."""


def load_arrays(path: Path, *names: str) -> dict[str, NDArray[Any]]:
    """Arrays of a corpus.npz (training/corpus/build.py): whole numbers, and offsets that fit their tokens.

    Raises:
        DeepproverbsError: it is missing or damaged.
    """
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            arrays = {name: file[name] for name in names}
        for name, array in arrays.items():
            if array.dtype.kind not in "iu":
                raise ValueError(f"{name} holds no whole numbers")
            if name.endswith("_offsets"):
                tokens = arrays.get(name.removesuffix("_offsets"))
                if array.ndim != 1 or len(array) < 2 or array[0] != 0 or (np.diff(array) < 0).any():
                    raise ValueError(f"{name} are no offsets")
                if tokens is not None and (tokens.ndim != 1 or array[-1] != len(tokens)):
                    raise ValueError(f"{name} are of other tokens")
    except _BROKEN as error:
        raise DeepproverbsError(
            f"{path} cannot be read ({brief(error)}); delete it and make it again with `deepproverbs corpus`, or `run`."
        ) from error
    return arrays
