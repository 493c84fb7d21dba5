"""What a terminal obeys and what nobody sees is shown; what a place cannot show is no error; all is printed so."""

from __future__ import annotations

import ast
import errno
import io
import json
import os
import re
import sys
import tomllib
import unicodedata

import pytest
import regex

from training.common.paths import ROOT
from training.common.terminal import json_escape, one_line, put, shown, toml_escape, visible
from training.common.toml import toml

HOSTILE = (
    "\x1b[31m\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\ \x9b2J \x85 \x07\r\x08\x7f\x00\t "
    "\u202e\u202a\u2066\u2069\u200e\u061c \ud800 \udfff \u2028\u2029 "
    "\u200b\u200c\u200d\ufeff\xad\u2060\u3164 \U000e0041\U000e0100"
)
"""Without a letter before a joiner: none of these is needed."""
REAL = [
    "می‌خواهم", "ه‍ ", "क्‍ष", "ശ്രീമാന്‍", "සිංහල ශ්‍රී", "ភាសា​ខ្មែរ", "👩‍🔬", "👨‍👩‍👧‍👦",
    "👩🏽‍🚀", "🏳️‍🌈", "🧔🏻‍♀️", "🙂‍↔️", "❤️‍🔥", "1️⃣", "ℹ️", "™️", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "葛󠄀飾", "é\u0301 ẵ",
    "שָׁלוֹם", "ٱلسَّلَامُ", "ᠮᠣᠩᠭᠣᠯ ᠤ᠋", "two\nlines", "ü € 漢字 🤿", "۝١٢", "\\x1b",
]  # fmt: skip


@pytest.mark.parametrize("text", REAL)
def test_real_texts_stay(text: str) -> None:
    assert visible(text) == text


def test_hostile_ones_do_not() -> None:
    said = visible(HOSTILE)
    assert said.isprintable() and said == visible(said)
    assert said.startswith(r"\x1b[31m\x1b]8;;http://evil") and r"\u202e" in said and r"\ud800" in said
    assert one_line("a\nb\u2066") == r"a\nb\u2066"


def test_a_message_cannot_hide_in_what_is_kept() -> None:
    """One joiner or selector behind what it shapes; a row of them is shown."""
    assert visible("ا\u200c\u200c\u200d") == "ا\u200c" + r"\u200c\u200d"
    assert visible("葛\U000e0101\U000e0102\U000e0103") == "葛\U000e0101" + r"\U000e0102\U000e0103"
    assert visible("1\U000e0100#\ufe0f \u3164\U000e0100") == r"1\U000e0100#\ufe0f \u3164\U000e0100"
    assert visible("a\ufe00 \ufe0f") == r"a\ufe00 \ufe0f"
    assert visible("pay\u200dpal \u0430\u200d") == r"pay\u200dpal а\u200d"
    assert visible("🏴\U000e0041\U000e0042") == "🏴" + r"\U000e0041\U000e0042"
    assert visible("🏴" + "\U000e0061" * 9 + "\U000e007f") == "🏴" + r"\U000e0061" * 9 + r"\U000e007f"


def test_every_hidden_character_of_unicode_is_shown() -> None:
    """Unicode's own lists, as `regex` and Python have them."""
    ignorable = regex.compile(r"[\p{Default_Ignorable_Code_Point}\p{Bidi_Control}\p{Cc}\p{Cs}\p{Zl}\p{Zp}]")
    counted = regex.compile(r"\p{Prepended_Concatenation_Mark}")
    kept = []
    for code in range(sys.maxunicode + 1):
        character = chr(code)
        hidden = bool(ignorable.match(character)) or unicodedata.category(character) == "Cf"
        if character == "\n" or counted.match(character):
            continue
        if hidden and visible(f"a{character}b") == f"a{character}b":
            kept.append(hex(code))
        if not hidden and visible(character) != character:
            assert unicodedata.category(character) == "Cn" or "VARIATION" in unicodedata.name(character), hex(code)
    assert not kept


def test_escapes_are_those_of_the_form() -> None:
    text = HOSTILE + "ü🤿\ue000"
    for encoding in ("utf-8", "ascii", "latin-1", "cp437"):
        line = shown(json.dumps([text], ensure_ascii=False), encoding, json_escape)
        assert json.loads(line) == [text] and line.encode(encoding) and line.isprintable() is ("\ue000" not in line)
        whole = text.replace("\ud800", "").replace("\udfff", "")  # TOML has no lone surrogates
        line = shown(f"a = {toml(whole)}", encoding, toml_escape)
        assert tomllib.loads(line) == {"a": whole} and line.encode(encoding)
        assert shown(text, encoding).encode(encoding)
    assert shown("ü€🤿", "ascii") == r"\xfc\u20ac\U0001f93f"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp437", "cp1252", "utf-8"])
def test_no_character_stops_a_command(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(raw, encoding, errors="strict"))
    put("".join(map(chr, range(0x3000))) + HOSTILE + "🤿", "stdout")
    assert b"\x1b" not in raw.getvalue() and raw.getvalue().endswith(b"\n")


class Gone(io.StringIO):
    """Who read us has gone away, or the disk is full."""

    def __init__(self, code: int) -> None:
        super().__init__()
        self.code = code

    def write(self, text: str) -> int:
        raise OSError(self.code, os.strerror(self.code))


def test_whoever_has_gone_away_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", Gone(errno.EPIPE))
    put("one", "stderr")
    assert sys.stderr is None
    put("two", "stderr")
    monkeypatch.setattr("sys.stderr", Gone(errno.ENOSPC))
    with pytest.raises(OSError, match="No space"):
        put("what is lost on a full disk is told", "stderr")


PRINTING = {
    "training/cli/main.py": "click's help",
    "training/cli/__init__.py": "a fixed sentence before anything is loaded",
    "functions/post_tweet/telemetry.py": "the log of the function, with escapes of its own",
}
PROGRAMS = ("tf1", "pytorch")  # their lines are read by ours


def test_nothing_is_printed_past_put() -> None:
    bare = re.compile(
        r"(print|pprint\..*|click\.s?echo|traceback\.print.*|sys\.(__)?std(out|err)(__)?\.(write|writelines))"
    )
    found = {
        (path.relative_to(ROOT).as_posix(), node.lineno)
        for folder in ("training", "infra", "functions")
        for path in (ROOT / folder).rglob("*.py")
        if path.parent.name not in PROGRAMS
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and bare.fullmatch(ast.unparse(node.func))
    }
    assert {path for path, _ in found} == PRINTING.keys() and len(found) == len(PRINTING)
