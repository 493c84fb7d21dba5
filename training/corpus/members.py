"""A zip, a tar (also .gz) or a folder as a source of files: their names, and each as a text to read.

An archive can be made to unpack to petabytes, so no more is read of a member than texts can be packed.
"""

from __future__ import annotations

import codecs
import gzip
import io
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, TextIO

from training.common.errors import DeepproverbsError
from training.corpus.containers import Copy, Plain, plain_file

Kind = Literal["", "zip", "tar", "gzip", "folder"]
FREE = 1 << 26
"""Bytes of a member that are read in any case."""
TIMES = 100
"""Above that, a member may be this many times as large as it is packed: exports are 3 to 20 times, bombs 1,000."""
_BROKEN = (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError)
_DOCUMENTS = ("[Content_Types].xml", "mimetype", "word/document.xml", "xl/workbook.xml")
TEXTS = (".txt", ".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".md")


def kind(path: Path) -> Kind:
    """What the path is by its first bytes; "": a file alone, or nothing."""
    if path.is_dir():
        return "folder"
    if not path.is_file():
        return ""  # a pipe can be read only once
    try:
        with path.open("rb") as file:
            head = file.read(512)
        if head.startswith(b"\x1f\x8b"):
            with gzip.open(path) as packed:
                return "tar" if packed.read(512)[257:262] == b"ustar" else "gzip"
    except _BROKEN:
        return ""
    if head.startswith((b"PK\3\4", b"PK\5\6")):
        return "" if _is_document(path) else "zip"
    return "tar" if head[257:262] == b"ustar" else ""


def names(path: Path) -> list[str]:
    """The files in it, in their order; without the directories and what macOS adds."""
    status = path.stat()
    return list(_names(path, status.st_size, status.st_mtime_ns))


@lru_cache(maxsize=4)
def _names(path: Path, size: int, changed: int) -> tuple[str, ...]:
    what = kind(path)
    try:
        if what == "folder":
            found = sorted(each.relative_to(path).as_posix() for each in path.rglob("*") if each.is_file())
        elif what == "zip":
            with zipfile.ZipFile(path) as archive:
                found = [each.filename for each in archive.infolist() if not each.is_dir()]
        elif what == "tar":
            with tarfile.open(path) as packed:
                found = [each.name for each in packed if each.isfile()]
        else:
            found = [path.name.removesuffix(".gz")]
    except _BROKEN as error:
        raise _broken(path, error) from error
    return tuple(
        name for name in found if not name.startswith("__MACOSX/") and "/." not in f"/{name}".replace("/./", "/")
    )


def open_member(path: Path, name: str, encoding: str, newline: str | None) -> TextIO:
    """One of its files as text, from the beginning.

    Raises:
        DeepproverbsError: it is broken or has a password; while reading, also where it unpacks to too much.
    """
    binary = _open(path, name)
    if encoding == "utf-8-sig" and binary.peek(2).startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    return io.TextIOWrapper(binary, encoding=encoding, newline=newline)


def _open(path: Path, name: str) -> io.BufferedReader:
    what = kind(path)
    try:
        if what == "folder":
            return (path / name).open("rb")
        if what == "zip":
            with zipfile.ZipFile(path) as archive:
                info = archive.getinfo(name)
                if info.flag_bits & 1:
                    raise DeepproverbsError(f"{path}: {name} has a password; unpack it yourself and give the file.")
                # It stays open until the member is closed.
                limited = _Limited(path, name, archive.open(info), info.compress_size)
        elif what == "tar":
            packed = tarfile.open(path)  # noqa: SIM115  closed with its member
            limited = _Limited(path, name, packed.extractfile(name), path.stat().st_size, packed.close)
        else:
            limited = _Limited(path, name, gzip.open(path), path.stat().st_size)  # noqa: SIM115  closed by it
    except KeyError as error:
        raise DeepproverbsError(f"{path} holds no {name}.") from error
    except _BROKEN as error:
        raise _broken(path, error) from error
    return io.BufferedReader(limited, 1 << 16)


def only_text(path: Path) -> Plain:
    """A copy of the one file of texts in it.

    Raises:
        DeepproverbsError: there are several, or none.
    """
    there = names(path)
    texts = [name for name in there if name.lower().endswith(TEXTS)]
    found = there if len(there) == 1 else texts
    if len(found) != 1:
        few = ", ".join(found[:8]) + (" …" if len(found) > 8 else "")
        raise DeepproverbsError(
            f"{path} is not an export of a network that is known here, and holds {len(found):,} files of texts"
            + (f" ({few}); " if found else "; ")
            + "give the files that you mean."
        )
    if kind(path) == "folder":
        return plain_file(path / found[0])
    copy = Copy()
    with _open(path, found[0]) as member, copy.path.open("wb") as file:
        shutil.copyfileobj(member, file, 1 << 20)
    plain = plain_file(copy.path, f"{path}, {found[0]}")
    return replace(plain, copy=plain.copy or copy)


def _is_document(path: Path) -> bool:
    """Of an office program, or a book: a zip, too."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name in archive.namelist() for name in _DOCUMENTS)
    except _BROKEN:
        return False


class _Limited(io.RawIOBase):
    """What a member unpacks to, up to the limit."""

    def __init__(self, path: Path, name: str, file: Any, packed: int, after: Callable[[], None] | None = None) -> None:
        self._path, self._name, self._file, self._after = path, name, file, after
        self._left = max(FREE, TIMES * packed)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data: bytes = self._file.read(len(buffer))
        except _BROKEN as error:
            raise _broken(self._path, error) from error
        self._left -= len(data)
        if self._left < 0:
            raise DeepproverbsError(
                f"{self._path}: {self._name} unpacks to more than {TIMES} times its size, which texts never do; "
                "unpack it yourself, if you trust it, and give the file."
            )
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._file.close()
            if self._after:
                self._after()
        super().close()


def _broken(path: Path, error: BaseException) -> DeepproverbsError:
    return DeepproverbsError(f"{path} cannot be unpacked ({error}); download it again, or unpack it yourself.")
