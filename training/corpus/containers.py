"""What a path really is, by its first bytes and never by its name: a text, a pipe, a document, or something that has to
be exported first.

`-`, pipes and process substitution are copied to a temporary file, because recognising a form reads a file more than
once. The text of a .docx is taken out of it, a paragraph a line.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tempfile
import weakref
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from xml.etree import ElementTree

from training.common.errors import DeepproverbsError
from training.corpus.encoding import OTHER_ENDS, open_text

SHEET = "save its sheet as CSV (UTF-8) and give that"
PLAIN = "save it as plain text (UTF-8) and give that"
BLUESKY = "save the posts as JSON with com.atproto.repo.listRecords (collection app.bsky.feed.post) and give that"
UNPACK = "unpack it and give the file in it"
SIGNS: tuple[tuple[bytes, str, str], ...] = (
    (b"\x1f\x8b", "gzip", UNPACK + ": gunzip FILE"),
    (b"BZh", "bzip2", UNPACK + ": bunzip2 FILE"),
    (b"\xfd7zXZ\0", "xz", UNPACK + ": unxz FILE"),
    (b"\x28\xb5\x2f\xfd", "Zstandard", UNPACK + ": unzstd FILE"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", UNPACK),
    (b"Rar!\x1a\x07", "a RAR archive", UNPACK),
    (b"%PDF-", "a PDF", "copy the text out of it or export it as plain text (UTF-8)"),
    (b"{\\rtf", "a rich text (.rtf)", PLAIN),
    (b"\xd0\xcf\x11\xe0", "an old document of Microsoft Office", PLAIN + ", a table as CSV"),
    (b"SQLite format 3\0", "a SQLite database", "export the table: sqlite3 -csv -header FILE 'select text from …'"),
    (b"PAR1", "a Parquet file", "write its column of texts as CSV or JSON Lines"),
    (b"ARROW1", "an Arrow file", "write its column of texts as CSV or JSON Lines"),
    (b"\x93NUMPY", "a NumPy array", "write its texts one a line"),
    (b"\x89HDF\r\n", "an HDF5 file", "write its texts one a line"),
    (b"\x80\x04\x95", "a Python pickle, which is not opened because it can run programs", "write its texts as JSON"),
    (b"\x89PNG", "a picture", "give the text itself"),
    (b"\xff\xd8\xff", "a picture", "give the text itself"),
    (b"GIF8", "a picture", "give the text itself"),
    (b"\x7fELF", "a program", "give a file of texts"),
    (b"\x0a\xa2\x65\x72\x6f\x6f\x74\x73", "Bluesky's archive (.car)", BLUESKY),
    (b"\x3a\xa2\x65\x72\x6f\x6f\x74\x73", "Bluesky's archive (.car)", BLUESKY),
)
MOST_XML = 200 << 20
"""Bytes of a document's XML that are read; more is a mistake, or made to fill memory."""
WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"


class Copy:
    """A temporary file, which vanishes when nothing refers to it any more, or the program ends."""

    def __init__(self) -> None:
        handle, name = tempfile.mkstemp(prefix="deepproverbs-")
        os.close(handle)
        self.path = Path(name)
        weakref.finalize(self, self.path.unlink, missing_ok=True)


@dataclass(frozen=True)
class Plain:
    """A regular file of text, or a copy of one."""

    path: Path
    called: str
    copy: Copy | None = None
    """The temporary file behind `path`."""


def plain_file(path: Path, called: str = "") -> Plain:
    """The text file that `path` stands for. `called`: its name for people, where it is a copy.

    Raises:
        DeepproverbsError: it cannot be read, is empty, or is something that holds texts in a way that is not read.
    """
    called = called or str(path)
    try:
        if called == "-":
            return Plain(*_copied(sys.stdin.buffer, "standard input"))
        if not stat.S_ISREG(path.stat().st_mode) and not path.is_dir():
            with path.open("rb") as pipe:
                return Plain(*_copied(pipe, called))
        with path.open("rb") as file:
            head = file.read(1 << 16)
    except OSError as error:
        raise DeepproverbsError(f"Cannot read {path}: {error.strerror}; check the name.") from error
    return _opened(path, called, head)


def _copied(pipe: IO[bytes], called: str) -> tuple[Path, str, Copy]:
    copy = Copy()
    with copy.path.open("wb") as file:
        shutil.copyfileobj(pipe, file, 1 << 20)
    with copy.path.open("rb") as file:
        opened = _opened(copy.path, called, file.read(1 << 16))
    return opened.path, called, opened.copy or copy


def _opened(path: Path, called: str, head: bytes) -> Plain:
    if not head.strip(b" \t\r\n\f\v\xef\xbb\xbf"):
        with path.open("rb") as file:
            if not any(piece.strip() for piece in iter(lambda: file.read(1 << 20), b"")) or not head:
                raise DeepproverbsError(
                    f"{called} is empty; give a file with one text a line, or with ========== lines between texts."
                )
    for sign, what, cure in SIGNS:
        if head.startswith(sign):
            raise DeepproverbsError(f"{called} is {what}, not text: {cure}.")
    if head.startswith(b"PK\3\4"):
        if not zipfile.is_zipfile(path):
            raise DeepproverbsError(f"{called} is a zip archive that is broken or cut short: fetch or copy it again.")
        with zipfile.ZipFile(path) as archive:
            members = set(archive.namelist())
            if "word/document.xml" in members:
                copy = _document(archive, called)
                return Plain(copy.path, called, copy)
            what, cure = "a zip archive", "unpack it and give the file in it that holds the texts"
            if "xl/workbook.xml" in members:
                what, cure = "an Excel workbook (.xlsx)", SHEET
            elif "mimetype" in members:
                kind = archive.read("mimetype")[:80]
                epub = b"epub" in kind
                what = "an e-book (.epub)" if epub else "an OpenDocument file"
                cure = SHEET if b"spreadsheet" in kind else "convert it to plain text (UTF-8)" if epub else PLAIN
            raise DeepproverbsError(f"{called} is {what}, not text: {cure}.")
    return Plain(path, called)


def with_ordinary_ends(plain: Plain) -> Plain:
    """A copy in UTF-8 whose lines end in LF, of a file that ends them otherwise throughout."""
    copy = Copy()
    with open_text(plain.path, "utf-8") as file, copy.path.open("w", encoding="utf-8", newline="\n") as out:
        while piece := file.read(1 << 20):
            for end in OTHER_ENDS:
                piece = piece.replace(end, "\n")
            out.write(piece)
    return Plain(copy.path, plain.called, copy)


def _document(archive: zipfile.ZipFile, called: str) -> Copy:
    """The paragraphs of a .docx as a text file: one a line, or with blank lines between if there are breaks in them."""
    if archive.getinfo("word/document.xml").file_size > MOST_XML:
        raise DeepproverbsError(f"{called} holds more than {MOST_XML >> 20} MiB of text; {PLAIN}.")
    paragraphs: list[str] = []
    with archive.open("word/document.xml") as xml:
        try:
            # expat of Python 3.11 limits how far entities can expand, and Word writes none.
            for _, element in ElementTree.iterparse(xml):
                if element.tag == WORD + "p":
                    paragraphs.append("".join(map(_written, element.iter())).strip())
                    element.clear()
        except ElementTree.ParseError as error:
            raise DeepproverbsError(f"{called} is a broken Word document ({error}); {PLAIN}.") from error
    copy = Copy()
    between = "\n\n" if any("\n" in each for each in paragraphs) else "\n"
    copy.path.write_text(between.join(paragraphs) + "\n", encoding="utf-8")
    return copy


def _written(element: ElementTree.Element) -> str:
    if element.tag == WORD + "t":
        return element.text or ""
    return {WORD + "br": "\n", WORD + "cr": "\n", WORD + "tab": "\t"}.get(element.tag, "")
