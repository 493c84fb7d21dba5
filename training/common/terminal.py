"""How texts come to a terminal, a pipe or a log: `put` prints all that the program prints.

A text of a pool or a corpus, a file's name, X's answer may hold what a terminal obeys (ESC, CR, the controls of C1),
what turns the line around it (bidi overrides, isolates), or what nobody sees. `visible` shows these as Python does: a
backslash, x or u, and the number. What the place cannot show becomes such an escape, too, and never an error: a post
that was made must not end in a traceback for the ü in its text.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Literal

Stream = Literal["stdout", "stderr"]
Around = Callable[..., AbstractContextManager[object]]
Escape = Callable[[str], str]
"""One character → how it is written where it cannot stand itself."""

# Controls, format characters (but Arabic's marks of numbers, which are seen), lone surrogates, separators of lines, and
# all else that Unicode calls default ignorable. tests/common/test_terminal.py holds it against Unicode's own lists.
_HIDDEN = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ud800-\udfff\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U00013430-\U0001343f"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_FLAG = re.compile("\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{3,6}\U000e007f")
"""The flags of England, Scotland, Wales: a black flag and letters that nobody sees."""
ZWSP, ZWNJ, ZWJ = "\u200b", "\u200c", "\u200d"
UNSPACED = ("KHMER", "LAO", "MYANMAR", "TAI", "THAI", "TIBETAN")
"""Scripts that part words by ZWSP, as Unicode's names of characters begin."""
JOINED = (
    *("ADLAM", "ARABIC", "BALINESE", "BENGALI", "BRAHMI", "CHAKMA", "DEVANAGARI", "GRANTHA", "GUJARATI", "GURMUKHI"),
    *("HANIFI", "JAVANESE", "KAITHI", "KANNADA", "LIMBU", "MALAYALAM", "MANDAIC", "MANICHAEAN", "MEETEI", "MODI"),
    *("MONGOLIAN", "NEWA", "NKO", "ORIYA", "PHAGS-PA", "SHARADA", "SINHALA", "SOGDIAN", "SUNDANESE", "SYRIAC", "TAMIL"),
    *("TELUGU", "TIRHUTA", *UNSPACED),
)
"""Scripts in which ZWJ and ZWNJ choose a letter's shape, and so tell words apart."""


around: Around = nullcontext
"""What takes a bar away while a line is printed; progress.py sets it."""


def python_escape(character: str) -> str:
    r"""`\x1b`, `\u202e` or `\U000e0001`."""
    number = ord(character)
    return f"\\x{number:02x}" if number < 256 else toml_escape(character)


def toml_escape(character: str) -> str:
    r"""`\u001b` or `\U000e0001`, as in a string of TOML."""
    number = ord(character)
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def json_escape(character: str) -> str:
    r"""`\u001b` or `\udb40\udc01`, as in a string of JSON."""
    data = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{data[at : at + 2].hex()}" for at in range(0, len(data), 2))


def visible(text: str, escape: Escape = python_escape) -> str:
    """`text` without anything that a terminal obeys or a reader cannot see, but for the ends of lines.

    Joiners stay where a script or an emoji needs them, one variation selector behind what it varies, flags of letters.
    What is visible already comes back as it is.
    """
    if not _HIDDEN.search(text):
        return text
    flags = {at for flag in _FLAG.finditer(text) for at in range(flag.start() + 1, flag.end())}

    def shown(match: re.Match[str]) -> str:
        at = match.start()
        return match[0] if at in flags or _needed(text, at) else escape(match[0])

    return _HIDDEN.sub(shown, text)


def one_line(text: object) -> str:
    """A name, a slot, a message: visible, and its ends of lines too, so that it cannot pass for a line of ours."""
    return visible(str(text)).replace("\n", "\\n")


def _needed(text: str, at: int) -> bool:
    """Whether the hidden character there shapes a real text."""
    this, before, after = text[at], text[at - 1 : at], text[at + 1 : at + 2]
    if not before or (kind := unicodedata.category(before))[0] in "CZ":
        return False
    if this in (ZWSP, ZWNJ, ZWJ):
        scripts = UNSPACED if this == ZWSP else JOINED
        if kind[0] in "LM" and _script(before) in scripts:
            return True
        return this == ZWJ and _is_emoji(before) and unicodedata.category(after or " ") in ("So", "Sm")
    # One of an emoji, a keycap or a Han character, and never a row of them, in which a message could hide.
    if this in "\ufe0e\ufe0f":
        return after == "\u20e3" if before.isascii() else kind[0] in "SP" or before == "ℹ"
    if "\ufe00" <= this <= "\ufe0d" or this >= "\U000e0100":
        return kind in ("Lo", "Sm") and not _HIDDEN.match(before)
    return "\u180b" <= this <= "\u180f" and _script(before) == "MONGOLIAN"


def _script(character: str) -> str:
    return unicodedata.name(character, "").partition(" ")[0]


def _is_emoji(character: str) -> bool:
    """Also the last character of one that has a skin or a variation."""
    return character == "\ufe0f" or "\U0001f3fb" <= character <= "\U0001f3ff" or unicodedata.category(character) == "So"


def shown(text: str, encoding: str, escape: Escape = python_escape) -> str:
    """`text` as a place of this encoding can show it."""
    text = visible(text, escape)
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        escapes: dict[str, str | int | None] = {}
        for character in set(text):
            try:
                character.encode(encoding)
            except UnicodeEncodeError:
                escapes[character] = escape(character)
        return text.translate(str.maketrans(escapes))
    return text


def put(text: str, on: Stream, escape: Escape = python_escape, *, heading: str = "", end: str = "\n") -> None:
    """Print `text` there. `heading`: what stands before it, the program's own words, which may have colours.

    Where whoever read us has gone (`| head`) nothing is printed from here on, and the work goes on.

    Raises:
        OSError: the place cannot be written otherwise, as a file on a full disk.
    """
    stream = getattr(sys, on)
    if stream is None:
        return
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        with around(stream):
            stream.write(heading + shown(text, encoding, escape) + end)
            stream.flush()
    except BrokenPipeError:
        setattr(sys, on, None)


def be_lenient() -> None:
    """Let what others print through our streams (help, a bar) never fail at a character; nor what is typed in."""
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
