"""What cleaning does to a text, and what it leaves alone."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.scripts import SENTENCES
from training.common.text import text_id
from training.corpus.clean import Style, clean, cleaned, has_entities, restyle, unclean

KEPT = [
    "👩‍💻 🏳️‍🌈 ❤️‍🩹 1️⃣ 🏴󠁧󠁢󠁳󠁣󠁴󠁿 👋🏿", "🩷🫨🫩 \U0001fbff", "می‌خواهم", "ന്‍", "① … ½ ™ ｶﾞ ﬁ", "AT&T &c. 3 < 4 && x;",
    "?a=1&lang&region; &notion; &bogus;", "\ue000 of a font", "‏שלום‏ \u200eabc", "x^2 ~ {y}", "<b>not markup</b>",
]  # fmt: skip
ALTERED = {
    "salt &amp; pepper &lt;3 n&#39;ever &#x41; &eacute;": ("salt & pepper <3 n'ever A é", "entities"),
    "&amp;lt; &amp;copy;": ("&lt; &copy;", "entities"),
    "Donau\u00addampf": ("Donaudampf", "soft hyphens"),
    "ภาษา\u200bไทย \u2066x\u2069\ufeff": ("ภาษาไทย x", "invisible"),
    "\u200eabc\u200f": ("abc", "direction"),
    "a bell\x07rings": ("a bell rings", "control"),
    "\ud83d\ude42 and \ud83d": ("🙂 and", "halves"),
    "a\uffff\ufdd0b\U0001fffe": ("ab", "not characters"),
}
SPACES = {
    "a\xa0b\u3000c\u202fd\te  f ": "a b c d e f",
    " one \r\n\ttwo\rthree\u2028four\x85\n\n\n\nfive \n": "one\ntwo\nthree\nfour\n\nfive",
    "Vraiment\xa0?": "Vraiment ?",
    "e\u0301te\u0301": "été",
}


@pytest.mark.parametrize("text", [*KEPT, *SENTENCES])
def test_what_stays(text: str) -> None:
    assert cleaned(text) == (text, []) and unclean(text) is None


@pytest.mark.parametrize("raw", ALTERED)
def test_what_is_altered_is_told(raw: str) -> None:
    text, notes = cleaned(raw)
    assert text == ALTERED[raw][0] and len(notes) == 1 and ALTERED[raw][1] in notes[0]


@pytest.mark.parametrize("raw", SPACES)
def test_white_space_and_composition_are_no_alteration(raw: str) -> None:
    assert cleaned(raw) == (SPACES[raw], [])


def test_entities_that_are_left_can_be_told() -> None:
    assert has_entities(clean("&amp;lt;")) and not has_entities(clean("&lt; & &copy for"))


@given(st.text(st.characters()))
def test_a_cleaned_text_is_clean(raw: str) -> None:
    text, notes = cleaned(raw, entities=False)
    assert cleaned(text, entities=False) == (text, []) and unclean(text) is None
    text.encode()
    assert all(line == " ".join(line.split()) for line in text.split("\n")) and "\n\n\n" not in text
    # Nothing that is written is lost: every letter, mark, digit, sign and unknown or private character stays.
    seen = [
        c for c in unicodedata.normalize("NFC", raw) if unicodedata.category(c)[0] in "LMNPS" and c not in "\u180e="
    ]
    assert [c for c in text if unicodedata.category(c)[0] in "LMNPS" and c != "="] == seen
    if not notes:
        assert text.split() == unicodedata.normalize("NFC", raw).split()


@pytest.mark.parametrize("raw", ["हिन्दी की किताब", "กำลังไป", "می‌خواهم", "Größe"])
def test_plain_style_keeps_marks_of_every_script(raw: str) -> None:
    assert text_id(restyle(raw, Style())) == text_id(raw)
