"""A file's bytes → text. Read without asking is only what proves itself; everything else is refused with a guess to
look at, because no program knows that "château" is right, and a person sees it.

In order: a byte order mark; the whole file is strict UTF-8; UTF-16 or UTF-32 without a mark, where the zeros lie in one
position of each unit and the text that comes out is sane. `[corpus] encoding` says it by hand:

    cp1252          any encoding that Python knows, strictly
    utf-8+cp1252    UTF-8, and what is not UTF-8 as cp1252
    utf-8+repair    UTF-8, and texts that were encoded twice ("cafÃ©") are repaired
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TextIO
from unicodedata import category

from training.common.errors import DeepproverbsError, WrongUse

PIECE = 1 << 20
REPAIR = "repair"
MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig", "UTF-8"),
    (codecs.BOM_UTF32_LE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF32_BE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF16_LE, "utf-16", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16", "UTF-16"),
)
SHIFTS = re.compile(rb"\x1b(?:\$[@ABC()]|\([BJI]|\$\)C|\.[AF])|^(?:~\{[!-}]+~\}[^\n]*\n?){3}", re.M)
"""Escapes of ISO-2022 and HZ, which hide other scripts in what looks like ASCII. (Colours of a terminal, ESC [, do
not.)"""
CYRILLIC = ("cp1251", "koi8-r", "mac-cyrillic", "iso8859-5", "cp866")
"""Of these charset-normalizer often takes the wrong one; the likeliest first."""
OTHER_ENDS = ("\u0085", "\u2028", "\u2029")
"""What some programs end lines with. Everywhere else they are characters of a line."""
NEW_EMOJI = frozenset(map(chr, range(0x1F000, 0x1FC00)))
"""Those of the years after Python's tables are not assigned to it."""
FEW_ZEROS = 1 / 1000
"""A text file with more zero bytes than this is none."""


@dataclass(frozen=True)
class Encoding:
    """How a file is decoded, and why."""

    name: str
    """What `Source.encoding` takes."""
    evidence: str
    """For people: "UTF-8, all 1,204 lines of it"."""
    notes: tuple[str, ...] = ()
    """What is odd in the file: sentences for people."""
    other_ends: bool = False
    """Its lines end in U+0085, U+2028 or U+2029, and in nothing else."""


def open_text(path: Path, encoding: str, newline: str | None = None) -> TextIO:
    """The file as text, strictly. `encoding` may name a second one, for the bytes that are none of the first."""
    first, _, second = encoding.partition("+")
    errors = "strict" if second in ("", REPAIR) else _other(second)
    return path.open(encoding="utf-8-sig" if first == "utf-8" else first, errors=errors, newline=newline)


def _other(encoding: str) -> str:
    name = f"deepproverbs-{encoding}"

    def decode(error: UnicodeError) -> tuple[str, int]:
        if not isinstance(error, UnicodeDecodeError):
            raise error
        return error.object[error.start : error.end].decode(encoding), error.end

    codecs.register_error(name, decode)
    return name


def find_encoding(path: Path, said: str, called: str) -> Encoding:
    """Read the whole file once and say how it is encoded. `called`: its name for people.

    Raises:
        DeepproverbsError: it is empty, no text, or in an encoding that does not prove itself; or not in the one said.
        WrongUse: there is no such encoding.
    """
    if said:
        return _said(path, said, called)
    with path.open("rb") as file:
        head = file.read(1 << 16)
        mark = next((each for each in MARKS if head.startswith(each[0])), None)
        if mark:
            bad = _fault(file, mark[1])
            if bad:
                raise DeepproverbsError(
                    f"{called} begins with the byte order mark of {mark[2]}, but {bad.where} it is not; save it again "
                    "as UTF-8."
                )
            return Encoding(mark[1], f"{mark[2]}, by its byte order mark")
        zeros = _zeros(file)
        size = sum(zeros.places)
        bad = _fault(file, "utf-8")
        few = sum(zeros.zeros) <= max(2, size * FEW_ZEROS)
        wide = _wide(file, zeros.places, zeros.zeros) if bad or not few else ""
        if wide:
            return Encoding(wide, f"{wide.upper()} without a byte order mark: every second or fourth byte is zero")
        if not few:
            raise DeepproverbsError(
                f"{called} is not text: {sum(zeros.zeros):,} of its {size:,} bytes are zero; "
                "export it as text, CSV or JSON first."
            )
        if bad:
            raise DeepproverbsError(_not_utf8(file, bad, called))
        if zeros.shift:
            raise DeepproverbsError(
                f"{called}, line {zeros.shift}: an escape of ISO-2022 or HZ, an old encoding of Chinese, Japanese or "
                "Korean; say which with --encoding iso2022_jp, iso2022_kr or hz, or save the file as UTF-8."
            )
        notes = []
        if zeros.first:
            notes.append(
                f"{sum(zeros.zeros):,} zero byte{'s' * (sum(zeros.zeros) > 1)} (NUL), the first in line {zeros.first}: "
                "taken out of the text."
            )
        other_ends = zeros.odd_ends > 2 and zeros.lines <= 2
        if other_ends:
            notes.append(f"{zeros.odd_ends:,} line ends of another kind (U+0085, U+2028 or U+2029): split there.")
        return Encoding("utf-8-sig", "plain ASCII" if zeros.ascii else "UTF-8", tuple(notes), other_ends)


@dataclass
class _Zeros:
    """What one pass over the bytes finds."""

    places: list[int]
    """Bytes at the positions 0 to 3 of each four."""
    zeros: list[int]
    """How many of these are zero."""
    first: int = 0
    """The line of the first zero byte."""
    shift: int = 0
    """The line of the first escape of ISO-2022."""
    lines: int = 1
    odd_ends: int = 0
    ascii: bool = True


def _zeros(file: BinaryIO) -> _Zeros:
    found = _Zeros([0] * 4, [0] * 4)
    file.seek(0)
    carried = b""
    while piece := file.read(PIECE):
        for place in range(4):
            found.places[place] += len(piece[place::4])
        if b"\0" in piece:
            for place in range(4):
                found.zeros[place] += piece[place::4].count(0)
            found.first = found.first or found.lines + _ends(piece[: piece.index(0)])
        joined = carried + piece
        if not found.shift and (b"\x1b" in joined or b"~{" in joined) and (shift := SHIFTS.search(joined)):
            found.shift = max(1, found.lines + _ends(piece[: max(0, shift.start() - len(carried))]))
        if not piece.isascii():
            found.ascii = False
            found.odd_ends += sum(piece.count(end.encode()) for end in OTHER_ENDS)
        found.lines += _ends(piece)
        carried = piece[-64:]
    return found


def _ends(piece: bytes) -> int:
    """Line ends in a piece; a CRLF that is cut in two counts twice, in one of 16,000 pieces."""
    return piece.count(b"\n") + piece.count(b"\r") - piece.count(b"\r\n")


def _wide(file: BinaryIO, places: list[int], zeros: list[int]) -> str:
    """utf-16-le, utf-16-be, utf-32-le or utf-32-be where the zeros say so and the text is sane, else ""."""
    share = [zero / max(1, count) for zero, count in zip(zeros, places, strict=True)]
    even, odd = (share[0] + share[2]) / 2, (share[1] + share[3]) / 2
    names = []
    if share[3] > 0.99 and share[2] > 0.3 and share[0] < 0.1:  # emoji have a 1 in the third byte
        names.append("utf-32-le")
    if share[0] > 0.99 and share[1] > 0.3 and share[3] < 0.1:
        names.append("utf-32-be")
    # Japanese has 12 % zero high bytes, of line ends and spaces; a low byte is zero in a few of all characters.
    if odd > 0.02 and odd > 10 * even:
        names.append("utf-16-le")
    if even > 0.02 and even > 10 * odd:
        names.append("utf-16-be")
    return next((name for name in names if not _fault(file, name) and _sane(file, name)), "")


def _sane(file: BinaryIO, name: str) -> bool:
    """Whether the text has no control characters and hardly any that are not assigned."""
    file.seek(0)
    decoder = codecs.getincrementaldecoder(name)()
    total = odd = 0
    while piece := file.read(PIECE):
        text = decoder.decode(piece)
        sample = text if total == 0 else text[:4096]
        total += len(sample)
        kinds = [category(c) for c in sample if c not in "\t\n\r\f"]
        if "Cc" in kinds:
            return False
        odd += kinds.count("Cn") + kinds.count("Co") - sum(c in NEW_EMOJI and category(c) == "Cn" for c in sample)
    return odd <= total * 0.02


@dataclass(frozen=True)
class _Fault:
    """A byte that an encoding does not have."""

    byte: int
    position: int
    """In the file, from 0."""
    line: int
    reason: str

    @property
    def where(self) -> str:
        return f"in line {self.line:,} (byte {self.byte:#04x} at position {self.position:,})"


def _fault(file: BinaryIO, encoding: str) -> _Fault | None:
    """The first byte that cannot be decoded, or None. Holds a piece of the file."""
    file.seek(0)
    decoder = codecs.getincrementaldecoder(encoding)()
    before, lines = 0, 1
    while True:
        piece = file.read(PIECE)
        held = decoder.getstate()[0] if before else b""  # the beginning of a character that the last piece cut
        try:
            text = decoder.decode(piece, final=not piece)
        except UnicodeDecodeError as error:
            at = before - len(held) + error.start
            ends = error.object[: error.start].decode(encoding.removesuffix("-sig"), "replace")
            line = lines + ends.count("\n") + ends.count("\r") - ends.count("\r\n")
            return _Fault(error.object[error.start], at, line, error.reason)
        if not piece:
            return None
        before += len(piece)
        lines += text.count("\n") + text.count("\r") - text.count("\r\n")


def _said(path: Path, said: str, called: str) -> Encoding:
    for name in said.split("+"):
        try:
            if name != REPAIR:
                "".encode(name)
        except LookupError as error:
            raise WrongUse(
                f"There is no encoding {name!r}; common ones are utf-8, utf-16, cp1252, cp1251, cp1250, shift_jis, "
                "gb18030 and big5, and utf-8+cp1252 reads as cp1252 what is not UTF-8."
            ) from error
    first, _, second = said.partition("+")
    if said.count("+") > 1 or (second and first not in ("utf-8", "utf8")):
        raise WrongUse(f"The encoding {said!r} cannot be: what follows a + is for the rest of a file in utf-8.")
    if second == REPAIR:
        return Encoding("utf-8+" + REPAIR, "UTF-8, as said; what was encoded twice is repaired")
    line, position = 1, 0
    try:
        with open_text(path, f"utf-8+{second}" if second else said, "") as text:
            while piece := text.read(PIECE):
                line += piece.count("\n")
                position += len(piece)
    except UnicodeDecodeError as error:
        with path.open("rb") as file:
            bad = None if second else _fault(file, said)
            other = _fault(file, "utf-8")
        where = bad.where if bad else f"after line {line:,} (byte {error.object[error.start]:#04x})"
        cure = "leave --encoding out: all of it is UTF-8" if not other else "name another"
        raise DeepproverbsError(f"{called} is not {said}, {where}; {cure}.") from error
    except UnicodeError as error:  # utf-16 without a mark
        raise DeepproverbsError(f"{called} is not {said}: {error}; name utf-16-le or utf-16-be.") from error
    name = f"utf-8+{second}" if second else "utf-8-sig" if first.lower() in ("utf-8", "utf8") else said
    return Encoding(name, f"{said}, as said")


def _not_utf8(file: BinaryIO, bad: _Fault, called: str) -> str:
    """The refusal: where, how many lines, how they read, and the option that says so."""
    file.seek(0)
    lines = odd = other = 0
    shown: list[bytes] = []
    for line in iter(lambda: file.readline(PIECE), b""):
        lines += 1
        if not line.isascii():
            try:
                line.decode("utf-8")
                other += 1
            except UnicodeDecodeError:
                odd += 1
                if len(shown) < 40:
                    shown.append(line.strip())
    guesses = ["utf-8+cp1252"] if other else _guesses(b"\n".join(shown))
    read = []
    for name in guesses[:3]:
        second = name.removeprefix("utf-8+")
        try:
            texts = [_excerpt(line, second, name != second) for line in shown[:2]]
        except UnicodeDecodeError:
            continue
        read.append(f"\n  --encoding {name} reads:" + "".join(f"\n      {text}" for text in texts))
    several = (
        f"{odd:,} of its {lines:,} lines {'is' if odd == 1 else 'are'} not UTF-8, the first is line {bad.line:,}"
        if other
        else f"it is not UTF-8 {bad.where}"
    )
    if bad.reason == "unexpected end of data":
        return (
            f"{called} ends in the middle of a character, in line {bad.line:,} (byte {bad.byte:#04x} at position "
            f"{bad.position:,}): it was cut short. Fetch or copy it again, or delete that character."
        )
    detail = f" (byte {bad.byte:#04x} at position {bad.position:,})" if other else ""
    advice = "See which reading is right, and name it:" if read else "Save it again as UTF-8, or name its --encoding."
    return f"{called} does not say how it is encoded: {several}{detail}. {advice}{''.join(read)}"


def _excerpt(line: bytes, encoding: str, mixed: bool) -> str:
    at = next(i for i, byte in enumerate(line) if byte > 127)
    start = max(0, at - 40)
    piece = line[start : at + 40]
    text = piece.decode("utf-8", _other(encoding)) if mixed else piece.decode(encoding, "strict")
    return ("…" if start else "") + text + ("…" if at + 40 < len(line) else "")


def _guesses(sample: bytes) -> list[str]:
    """Encodings that fit the odd lines: cp1252 where it can be, which is most of what people have, then
    charset-normalizer's guess."""
    from charset_normalizer import from_bytes

    best = from_bytes(sample).best()
    guess = best.encoding.replace("_", "-") if best else ""
    letters = sum(byte > 127 or chr(byte).isalpha() for byte in sample)
    dense = sum(byte > 127 for byte in sample) > 0.4 * letters  # another script, or nothing but capitals
    names = [guess, *CYRILLIC] if guess in CYRILLIC else [guess, "cp1252"] if dense else ["cp1252", guess]
    found: list[str] = []
    for name in names:
        try:
            sample.decode(name or "ascii")
        except (UnicodeDecodeError, LookupError):
            continue
        if name not in found and not name.startswith(("utf-16", "utf-32", "ascii")):
            found.append(name)
    return found
