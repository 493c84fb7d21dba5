"""The normal form over all of Unicode: what it tells apart, what it does not, and its words in every script."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.helpers import labelled
from tests.helpers.scripts import SENTENCES
from training.common.text import count_words, indented, normal_form, text_id, text_of_units, units_of, words_of

TEXTS = st.one_of(
    st.text(), st.text(st.characters(categories=["L", "M", "N", "Zs", "P", "S", "Cf"])), st.sampled_from(SENTENCES)
)
EMOJI = [
    "🙂",
    "🙃",
    "🩷",
    "🫨",
    "👩‍💻",
    "👨‍💻",
    "🏳️‍🌈",
    "👋🏿",
    "👋🏻",
    "🏴󠁧󠁢󠁳󠁣󠁴󠁿",
    "🏴󠁧󠁢󠁥󠁮󠁧󠁿",
    "🇩🇪",
    "🇫🇷",
    "#️⃣",
    "*️⃣",
    "→",
    "❤️",
    "💚",
]


def as_before(text: str) -> str:
    """The normal form that pools were filled with before marks counted as letters."""
    plain = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"', "–": "-", "—": "-", "…": "..."})
    folded = unicodedata.normalize("NFC", text).translate(plain).casefold()
    return re.sub(r"(?:[^\w']|_)+", " ", folded).strip()


def test_what_is_in_old_pools_keeps_its_id() -> None:
    verses = labelled.bible()[::10]
    typographic = [verse.replace("'", "’").replace(",", " —").replace("e", "é").title() for verse in verses]
    for text in [*verses, *typographic, *SENTENCES]:
        if not any(
            unicodedata.category(c)[0] == "M" or c in "ʼ\u200c\u200d" for c in unicodedata.normalize("NFC", text)
        ):
            assert normal_form(text) == as_before(text)


def letters(text: str) -> list[str]:
    """What people read of a text, by Unicode's own categories: its letters with their marks, and its digits."""
    return [c for c in unicodedata.normalize("NFD", text) if unicodedata.category(c)[0] in "LMN"]


@given(TEXTS)
def test_it_is_its_own_normal_form(text: str) -> None:
    normal = normal_form(text)
    assert normal_form(normal) == normal == " ".join(normal.split())
    assert bool(normal) or not text.strip() or not any(unicodedata.category(c)[0] in "LNPS" for c in text)


@given(TEXTS)
def test_one_id_for_every_spelling(text: str) -> None:
    id = text_id(text)
    assert id == text_id(unicodedata.normalize("NFD", text)) == text_id(f"  {text}\n")
    if normal_form(text).strip("' ") and any(unicodedata.category(c)[0] in "LN" for c in text):
        assert id == text_id(f"«{text}!» …") == text_id(text.replace(" ", " , ")) == text_id(text.replace(" ", "\n\n"))


@given(st.text(st.characters(categories=["L", "Zs"])))
def test_case_is_no_difference(text: str) -> None:
    assume("ı" not in text)  # two letters in Turkish, whose capitals are one elsewhere
    assert text_id(text) == text_id(text.upper()) == text_id(text.casefold())


@given(st.sampled_from(SENTENCES), st.data())
def test_a_letter_or_a_mark_is_a_difference(text: str, data: st.DataObject) -> None:
    """Take one out, or put another in its place: people see it, and so does the id."""
    places = [i for i, c in enumerate(text) if unicodedata.category(c)[0] in "LMN" and not "\ufe00" <= c <= "\ufe0f"]
    place = data.draw(st.sampled_from(places))
    other = data.draw(st.sampled_from(["", "ж", "ि", "น", "水", "é"]))
    changed = text[:place] + other + text[place + 1 :]
    assume(normal_form(changed).replace(" ", "") != "" and letters(changed.casefold()) != letters(text.casefold()))
    assert text_id(changed) != text_id(text)


@given(st.text(st.characters(categories=["L", "M", "N"]), min_size=1, max_size=30))
def test_letters_marks_and_digits_all_stay(text: str) -> None:
    """But for marks without a letter, those of symbols, variants that look alike, and ʼ, which becomes '."""
    normal = normal_form(text)
    lost = set(letters(text.casefold())) - set(letters(normal)) - {"ʼ"}
    assert all(unicodedata.category(c)[0] == "M" for c in lost)


def test_texts_without_words_are_told_apart() -> None:
    assert len({text_id(text) for text in EMOJI}) == len(EMOJI)
    assert text_id("🙂") == text_id(" 🙂!") == text_id("🙂 .") and text_id("❤️") == text_id("❤")
    assert len({text_id(text) for text in ["!", "?", "...", "", "'"]}) == 5


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("İSTANBUL", "istanbul"), ("STRASSE", "straße"), ("мʼята", "м’ята"), ("Donau\u00addampf", "Donaudampf"),
        ("ΐδιος", "ΐδιος"), ("葛\U000e0100城", "葛城"), ("ภาษา\u200bไทย", "ภาษาไทย"), ("\u200fשלום\u200f", "שלום"),
    ],
)  # fmt: skip
def test_the_same_to_a_reader(one: str, other: str) -> None:
    assert text_id(one) == text_id(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("कि पानी", "का पाना"), ("กำลัง", "กาลง"), ("תֵּן", "תֹּן"), ("र्‍य", "र्य"), ("تن‌ها", "تنها"), ("പന്‍", "പന്"),
        ("pero", "però"), ("ключ", "ключ́"), ("が", "か"), ("1", "१"),
    ],
)  # fmt: skip
def test_another_text_to_a_reader(one: str, other: str) -> None:
    assert text_id(one) != text_id(other)


def test_words_of_every_script() -> None:
    assert words_of(normal_form("नमस्ते दुनिया।")) == ["नमस्ते", "दुनिया"]
    assert words_of(normal_form("می‌خواهم نامه‌ای ")) == ["می‌خواهم", "نامه‌ای"]
    assert words_of(normal_form("iPhone15を買った、雨。")) == ["iphone15", "を", "買", "っ", "た", "雨"]
    assert words_of(normal_form("กำลังไป")) == ["กำ", "ลั", "ง", "ไ", "ป"]
    assert units_of(normal_form("東京は夜 ok")) == ["東京は", "京は夜", "ok"] and units_of("雨") == ["雨"]
    assert units_of("a wise son") == words_of("a wise son") == ["a", "wise", "son"]


@given(st.sampled_from(SENTENCES), st.integers(1, 8))
def test_n_units_are_n_words_or_n_and_two_graphemes(text: str, count: int) -> None:
    normal = normal_form(text)
    units, words = units_of(normal), words_of(normal)
    if len(normal.split()) == 1 and len(words) > count + 2:
        assert text_of_units(units[:count]) == "".join(words[: count + 2])
    elif units == normal.split():
        assert text_of_units(units[:count]) == " ".join(words[:count])


def test_words_are_reckoned_where_no_spaces_are_written() -> None:
    """Sentences of three to six words: 4 to 9 graphemes in Japanese, 4 to 7 in Chinese, 9 to 13 in Thai."""
    for text, least, most in [("猫は魚が好きだ", 3, 6), ("我喜欢喝热茶", 3, 6), ("แมวชอบกินปลามาก", 3, 6)]:
        assert least <= count_words(words_of(normal_form(text))) <= most
    assert count_words(["a", "wise", "сын"]) == 3


def test_lines_for_people() -> None:
    assert indented("one\ntwo", 4) == "one\n    two"
