"""A text file → its raw texts, by the form that it has (training/corpus/forms)."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path

from training.common.errors import DeepproverbsError
from training.corpus.clean import clean
from training.corpus.forms import form_of
from training.corpus.forms.form import Source


def read_texts(path: Path, field: str = "text") -> Iterator[str]:
    """Yield the raw texts of one file: UTF-8, or UTF-16 with its mark; any line ends.

    A file of gigabytes costs no more memory than a line of it.

    Raises:
        DeepproverbsError: the file is missing, empty, binary, wrongly encoded or lacks the field.
    """
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
    source = Source(path, "utf-16" if utf16 else "utf-8-sig", field)
    try:
        yield from form_of(source).read(source)
    except UnicodeDecodeError as error:
        raise DeepproverbsError(
            f"{path} is not UTF-8 (byte {error.object[error.start]:#04x} at {error.start}); "
            f"convert it first, for example: iconv -f WINDOWS-1252 -t UTF-8 {path}"
        ) from error


def load_corpus(path: Path) -> list[str]:
    """The texts of a file that needs no cleaning: a corpus.txt or a reference."""
    return [text for raw in read_texts(path) if (text := clean(raw))]
