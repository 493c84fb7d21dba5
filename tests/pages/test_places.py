"""How texts look on X, Mastodon and Bluesky, and how long they are there."""

from __future__ import annotations

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st
from post_tweet import xtext

from training.pages.places import Look, graphemes, looks, on_bluesky, on_mastodon, on_x

FAMILY = "👩‍👩‍👧‍👦"
FLAG = "🇨🇭"


def lengths(text: str) -> list[int]:
    return [look.length for look in looks(text)]


@pytest.mark.parametrize(
    ("text", "x", "mastodon", "bluesky"),
    [
        ("a wise son", 10, 10, 10),
        ("das größte Glück", 16, 16, 16),
        ("e\u0301tude", 5, 5, 5),  # an accent of its own is part of its letter
        ("古い猫", 6, 3, 3),  # X counts two for each
        (FAMILY, 11, 1, 1),  # X of this program: too high, never too low
        (FLAG * 2, 8, 2, 2),
        ("नमस्ते", 6, 3, 3),
        ("see https://example.org/a/very/long/path/indeed", 47, 27, 47),
        ("see http://a.bc", 27, 27, 15),  # a short link counts as a long one
        ("@anna@example.org knows", 46, 11, 23),  # the name's server is not counted
        ("  a wise son \n", 14, 10, 14),  # Mastodon takes the space away
        ("one\n\n\ntwo", 9, 9, 9),
        ("", 0, 0, 0),
    ],
)
def test_each_place_counts_in_its_own_way(text: str, x: int, mastodon: int, bluesky: int) -> None:
    found = lengths(text)
    assert found[1:] == [mastodon, bluesky]
    assert found[0] == xtext.weighted_length(text) and (found[0] == x or not text.isascii() or "@" in text)


@given(st.text())
def test_graphemes_are_those_of_unicode(text: str) -> None:
    assert graphemes(text) == len(regex.findall(r"\X", text)) <= len(text)
    assert on_bluesky(text).length == graphemes(text)


@given(st.text())
def test_nothing_of_a_text_is_lost_in_its_looks(text: str) -> None:
    for look, shown in zip(looks(text), (text.strip(), text.strip(), text), strict=True):
        parts = ["".join(words for _, words in parts) for parts in look.paragraphs]
        assert "".join(parts) == (regex.sub("\n{2,}", "", shown) if look.place == "Mastodon" else shown)


def problem(look: Look) -> str:
    return look.problem


def test_what_is_too_long_or_empty_is_told() -> None:
    assert [*map(problem, looks(""))] == ["is empty"] * 3 and [*map(problem, looks(" \n "))] == ["is empty"] * 3
    assert [*map(problem, looks("a" * 280))] == ["", "", ""]
    assert [*map(problem, looks("a" * 301))] == ["weighs 301 of 280", "", "has 301 of 300 characters"]
    assert on_mastodon("a" * 501).problem == "has 501 of 500 characters" and not on_mastodon(f" {'a' * 500} ").problem
    assert on_bluesky("a" * 300).problem == "" and on_bluesky(FAMILY * 300).problem == "has 7,500 of 3,000 bytes"


def test_what_the_owner_permits_is_no_problem() -> None:
    assert on_x("#wisdom is here").problem == "holds #" and not on_x("#wisdom is here", ["hashtag"]).problem
    assert [look.problem for look in looks("#wisdom is here", ["hashtag"])] == ["", "", ""]


def test_what_leads_elsewhere_differs_from_place_to_place() -> None:
    text = "@anna says #truth.It is on https://example.org, for $AAPL and a@b.c"
    x, mastodon, bluesky = ([part for part in look.paragraphs[0] if part[0]] for look in looks(text))
    assert ("mention", "@anna") in x and ("link", "https://example.org,") in x and ("tag", "$AAPL") in x
    assert ("tag", "#truth") in mastodon and ("mention", "@anna") in mastodon
    assert not [part for part in mastodon if part[1] == "$AAPL"]
    assert bluesky == [], "without facets all is plain"
    assert ("link", "truth.It") in on_x("the truth.It is").paragraphs[0], "X takes a missing space for a domain"
    assert on_mastodon("the truth.It is").paragraphs == [[("", "the truth.It is")]]


def test_mastodon_makes_paragraphs() -> None:
    assert [parts[0][1] for parts in on_mastodon("one\ntwo\n\nthree\n\n\n").paragraphs] == ["one\ntwo", "three"]
