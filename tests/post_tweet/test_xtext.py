"""The weighted length against twitter-text's own answers, frozen here."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from post_tweet import xtext
from post_tweet.xtext import LIMIT, MOST, find_link, problems, weighted_length

from tests.helpers.oracle_x import extract_urls_with_indices, parse_tweet

ORACLE = [
    ("king.To", 23), ("see notes.md now", 31), ("a.com,b.com", 47), ("a.com.zzz", 27),
    ("x.com/(b.com", 47), ("\u65e5.com", 6), ("q\u0303.com", 23), ("a.com\u30c6b.com", 48),
    ("3.5", 3), ("https://t.co/abc", 23), ("a_b.com", 7), ("\u3002x.com", 25), ("\u00e9.a.com", 23),
    (".\u2026&https://t.co/Acom+uk", 30),
]  # fmt: skip
"""(text, twitter-text-parser 3.0.0's weightedLength)"""


@pytest.mark.parametrize(("text", "length"), ORACLE)
def test_never_below_x(text: str, length: int) -> None:
    assert weighted_length(text) >= length


@pytest.mark.parametrize(
    ("text", "length"),
    [("abc", 3), ("’“—", 3), ("…", 2), ("€", 2), ("日本", 4), ("é", 1), ("e\u0301", 1), ("🙂", 2),
     ("https://example.com/a/very/long/path/indeed/it/is", 49)],
)  # fmt: skip
def test_what_a_character_weighs(text: str, length: int) -> None:
    assert weighted_length(text) == length


@given(st.text(alphabet=st.characters(max_codepoint=4351, exclude_characters=".．。｡:/"), max_size=300))
def test_texts_without_a_dot_weigh_one_a_character_and_emoji_two(text: str) -> None:
    normal = unicodedata.normalize("NFC", text)
    if all(ord(c) <= 4351 for c in normal):
        assert weighted_length(text) == len(normal) + sum(c in "©®" for c in normal)


@pytest.mark.parametrize("text", ["king.To", "notes.md", "https://t.co/abc", "http://a.io", "www.example.com"])
def test_a_plain_link_is_exactly_one_link(text: str) -> None:
    assert weighted_length(text) == 23 and weighted_length(f"see {text} now") == 31


def test_a_dot_right_before_a_link_is_a_link_too() -> None:
    assert weighted_length("\u65e5.a.com") > weighted_length("\u65e5 a.com")


@given(st.text(st.characters(codec="utf-8"), max_size=60), st.sampled_from(["king.To", " x ", "\u2026"]))
def test_more_text_never_weighs_less(text: str, more: str) -> None:
    assert weighted_length(f"{text} {more}") > weighted_length(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("go to the king.To him", "link"), ("\u0915\u0940.\u092d\u093e\u0930\u0924", "link"),
        ("hi @you", "mentions"), ("hi \uff20you", "mentions"), ("#tag", "holds #"),
        ("\uff03tag", "holds"), ("$ab", "holds"),
        ("a\x07", "U+0007"), ("a\ufeff", "U+FEFF"), ("a\uffff", "U+FFFF"), ("\ud800", "U+D800"),
        ("  ", "empty"), ("a" * (LIMIT + 1), "weighs 281 of 280"),
        ("", "empty"), ("日" * 141, "weighs 282"), ("x" * 260 + " a.b", "weighs 284"), ("http://x.y", "link"),
    ],
)  # fmt: skip
def test_reasons(text: str, reason: str) -> None:
    assert reason in (problems(text) or "")


def test_each_reason_can_be_allowed() -> None:
    text = "see king.To @you #tag $ab"
    every = {"link": "link", "mention": "mentions", "hashtag": "#", "cashtag": "$"}
    assert problems(text, every) is None
    for name, reason in every.items():
        assert reason in (problems(text, set(every) - {name}) or "")


@pytest.mark.parametrize(
    "text", ["a" * LIMIT, "one. two - d's, 3.5, 'so'... then", "line\nline", "\u201cquoted.\u201d then"]
)
def test_texts_that_may(text: str) -> None:
    assert problems(text) is None


PIECES = st.one_of(
    st.text(st.characters(codec="utf-8"), max_size=12),
    st.sampled_from(
        ["king.To", "https://t.co/Ab1", "http://a.io/x?y=z#f", "www.b.co.uk", "例え.jp", "пример.рф", "a_b.com",
         "x.y.z", " ", "\u200d", "👩\u200d🚀", "🇨🇭", "1️⃣",
         "智慧", "é", "e\u0301", "ﬁ", "...", "…", ".", "/", "@", "-", "com",
         "3.5", "king.", ".com", "t.co/a", "münchen.de/weiß", "(a.com)", "a.com:80", "user@mail.com", "\u2028",
         "ß", "İ", "©", "®", "™", "‼"]
    ),
)  # fmt: skip


@settings(max_examples=1000, deadline=None)
@given(st.lists(PIECES, max_size=8).map("".join))
def test_never_below_the_parser(text: str) -> None:
    """twitter-text's own rules, on random Unicode, emoji, CJK, links and bare domains."""
    assert weighted_length(text) >= parse_tweet(text).weightedLength
    if not problems(text, ("mention", "hashtag", "cashtag")):
        assert not extract_urls_with_indices(text), "what X makes a link of is a problem here"


HARD = [
    "a-",
    "a.",
    "a.b/",
    "a/",
    "-a",
    "a-b.",
    "https://",
    "t.co/a",
    "a.b@",
    "a.b-",
    "\u65e5.a",
    "\u0301\u0323",
    "/",
    "é",
]
"""What a label, a path, a link or the normal form could be looked for again and again in."""


@pytest.mark.parametrize("piece", HARD)
def test_a_text_of_any_length_is_looked_at_once(monkeypatch: pytest.MonkeyPatch, piece: str) -> None:
    """A megabyte takes no look, and what takes one is read in steps in proportion: characters that the patterns and the
    normal form are given are counted."""
    given: list[int] = []

    class Counting:
        def __init__(self, pattern: re.Pattern[str]) -> None:
            self.pattern = pattern

        def __getattr__(self, name: str) -> Any:
            def count(text: str) -> Any:
                given.append(len(text))
                return getattr(self.pattern, name)(text)

            return count

    for name in ("_DOT", "_URL", "_SCHEME"):
        monkeypatch.setattr(xtext, name, Counting(getattr(xtext, name)))
    for size in (8 << 10, 1 << 20):
        text = ("x.y " + piece * size)[:size]
        given.clear()
        assert weighted_length(text) >= (size if size > MOST else LIMIT)
        assert sum(given) <= (0 if size > MOST else 3 * size)
        assert "weighs" in (problems(text) or "")
    find_link(text)


def test_the_frozen_answers_are_the_parsers() -> None:
    assert [(text, parse_tweet(text).weightedLength) for text, _ in ORACLE] == ORACLE
