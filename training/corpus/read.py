"""A text file → its raw texts, by the form that it has (training/corpus/forms)."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from training.common.errors import DeepproverbsError
from training.corpus.clean import clean
from training.corpus.forms import form_of
from training.corpus.forms.form import Form, Found, Raw, Source
from training.corpus.ledger import Ledger
from training.settings import NOTHING_SAID, CorpusSettings


@dataclass
class Reading:
    """One file, recognised. `texts` may be called as often as it is wanted; the ledger is that of the last call."""

    source: Source
    form: Form
    found: Found
    ledger: Ledger = field(default_factory=Ledger)

    def texts(self) -> Iterator[Raw]:
        """The raw texts, in the file's order; those left out are in the ledger."""
        ledger = self.ledger = Ledger()
        try:
            for raw in self.form.read(self.source, self.found, ledger):
                ledger.read += 1
                yield raw
        except UnicodeDecodeError as error:
            raise _not_utf8(self.source.path, error) from error
        ledger.read += sum(each.count for each in ledger.dropped.values())


def open_corpus(path: Path, settings: CorpusSettings = NOTHING_SAID) -> Reading:
    """Recognise a file. One of gigabytes costs no more memory than a line of it.

    Raises:
        DeepproverbsError: the file is missing, empty, binary, wrongly encoded or breaks its form.
    """
    source = Source(path, _encoding(path), settings)
    try:
        form, found = form_of(source)
    except UnicodeDecodeError as error:
        raise _not_utf8(path, error) from error
    return Reading(source, form, found)


def read_texts(path: Path, settings: CorpusSettings = NOTHING_SAID) -> Iterator[str]:
    """The raw texts of a file. Raises as `open_corpus`."""
    return (raw.text for raw in open_corpus(path, settings).texts())


def load_corpus(path: Path, settings: CorpusSettings = NOTHING_SAID) -> list[str]:
    """The texts of a file that needs no cleaning: a corpus.txt or a reference."""
    return [text for raw in read_texts(path, settings) if (text := clean(raw))]


def _encoding(path: Path) -> str:
    try:
        with path.open("rb") as file:
            head = file.read(65536)
    except OSError as error:
        raise DeepproverbsError(f"Cannot read {path}: {error.strerror}; check the name.") from error
    if not head.strip():
        raise DeepproverbsError(
            f"{path} is empty; give a file with one text a line, or with ========== lines between texts."
        )
    utf16 = head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    if b"\0" in head and not utf16:
        raise DeepproverbsError(f"{path} is a binary file, not text; export it as text, CSV or JSONL first.")
    return "utf-16" if utf16 else "utf-8-sig"


def _not_utf8(path: Path, error: UnicodeDecodeError) -> DeepproverbsError:
    return DeepproverbsError(
        f"{path} is not UTF-8 (byte {error.object[error.start]:#04x} at {error.start}); "
        f"convert it first, for example: iconv -f WINDOWS-1252 -t UTF-8 {path}"
    )
