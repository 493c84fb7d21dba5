"""Links and names are taken out without traces, reposts and replies left out, and all of it is counted."""

from __future__ import annotations

import itertools
import string
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.common.errors import WrongUse
from training.corpus.forms.form import Raw
from training.corpus.language import dangling
from training.corpus.ledger import Ledger
from training.corpus.posts import learnable
from training.settings import NOTHING_SAID, Bot, override

TAKEN_OUT = {
    "look https://t.co/abc": "look",
    "see https://x.com/a. Next": "see. Next",
    "A (https://a.b/c_(d)) b": "A b",
    "www.example.com/x is it": "is it",
    "youtu.be/xyz watch": "watch",
    "YOUTUBE.COM/watch?v=1 go": "go",
    "glued togetherhttps://t.co/x": "glued together",
    "見てhttps://t.co/abcとても": "見てとても",
    "see http://a.de/käse?x=1&y ok": "see ok",
    "Read this: https://a.com/b": "Read this",
    "see https://a.com/b, then https://b.com/c, ok": "see, then, ok",
    "what https://t.co/x?": "what?",
    "new post 👉 https://t.co/x": "new post",
    "Nice — https://t.co/x": "Nice",
    '"https://t.co/x" ha': "ha",
    "cut off https://t…": "cut off",
    "[the text](https://a.com/b) stays": "the text stays",
    "line one\nhttps://a.com/b": "line one",
    "line one\n\nhttps://a.com/b\n\nline two": "line one\n\nline two",
    "@ann hi": "hi",
    "hi @ann": "hi",
    "@ann, @bob and @cy hello": "hello",
    "@ann: hello": "hello",
    ".@ann said so": "said so",
    "hello @ann!": "hello!",
    "hi @ann , you": "hi, you",
    "hey @ann@mastodon.social you": "hey you",
    "hey @ann.bsky.social": "hey",
    "great photo via @ann": "great photo",
    "great photo (via @ann)": "great photo",
    "great photo h/t @ann.": "great photo.",
    "I love @ann's cats.": "I love cats.",
    "Bob (@bob) says": "Bob says",
    "<@!123> hi": "hi",
    "@ann keep  double": "keep  double",
    "write bob.b+x@mail.example.org now": "write now",
    "#tea @ann": "#tea",
    "@ann 👍": "👍",
}


@pytest.mark.parametrize("text", TAKEN_OUT)
def test_what_is_taken_out_leaves_no_trace(text: str) -> None:
    ledger = Ledger()
    raw = learnable(Raw(text, 7), NOTHING_SAID, ledger)
    assert raw and raw.text == TAKEN_OUT[text] and raw.line == 7
    assert [(count.count, count.example, count.line) for count in ledger.altered.values()] == [(1, text, 7)]
    assert not ledger.dropped
    # Kept where the owner wants it so.
    settings = replace(NOTHING_SAID, links="keep", mentions="keep")
    assert learnable(Raw(text), settings, ledger) == Raw(text)


BROKEN = [
    "Thanks to @ann for the lovely picture of her hallway ✨",
    "See the whole winter catalogue at https://a.com/b",
    "See it at https://a.com/b. All of it",
    "A talk by @ann on compilers",
    "Lovely evening with @ann, @bob and @cy!",
    "write to bob.b+x@mail.example.org now",
    "line one\nof @ann\nline three",
    "Danke an alle, auch der @ann",
    "Merci à @ann pour la photo",
]


@pytest.mark.parametrize("text", BROKEN)
def test_a_sentence_that_lost_a_part_is_left_out(text: str) -> None:
    """A bot that read "Thanks to for the picture" would write the like."""
    ledger = Ledger()
    assert learnable(Raw(text, 3), NOTHING_SAID, ledger) is None and not ledger.altered
    (why,) = ledger.dropped
    assert why == "broken without their link or name" and ledger.dropped[why].line == 3
    settings = replace(NOTHING_SAID, links="keep", mentions="keep")
    assert learnable(Raw(text), settings, Ledger()) == Raw(text)


PROSE = [
    "At 3.5 km/h, e.g. a.b and/or 1/2, etc.",
    "Go to example.com today. It is in St.Louis.",
    "5 @ 3 each, meet @ noon, @_@ and me@",
    "either/or and C/C++ at 9:30//10:00, $5/mo",
    "A node.js file.py/x and w/ a c/o",
    "The end...and/or a start.com",
    "  spaces  stay  ,as they were .",
    "wait… what",
    "RT is a street. It says RT",
    "a\n\n\n\nb",
]


@pytest.mark.parametrize("text", PROSE)
def test_prose_is_left_alone(text: str) -> None:
    ledger = Ledger()
    assert learnable(Raw(text), NOTHING_SAID, ledger) == Raw(text)
    assert ledger == Ledger()


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (Raw("RT @ann: hello"), "reposts"),
        (Raw("hello", kind="repost"), "reposts"),
        (Raw("hello", kind="reply"), "replies"),
        (Raw("https://t.co/x"), "only a link"),
        (Raw("👉 https://t.co/x"), "only a link"),
        (Raw("@ann"), "only names"),
        (Raw("@ann @bob !"), "only names"),
        (Raw("@ann https://t.co/x"), "only links and names"),
    ],
)
def test_what_is_left_out_is_counted(raw: Raw, why: str) -> None:
    ledger = Ledger()
    assert learnable(raw, NOTHING_SAID, ledger) is None
    assert list(ledger.dropped) == [why] and ledger.dropped[why].example == raw.text and not ledger.altered


def test_reposts_and_replies_can_be_kept() -> None:
    settings, ledger = replace(NOTHING_SAID, drop=()), Ledger()
    assert learnable(Raw("RT @ann: hello", kind="repost"), settings, ledger) == Raw("hello", kind="repost")
    assert learnable(Raw("hello", kind="reply"), settings, ledger) == Raw("hello", kind="reply")
    # Each alone.
    settings = replace(settings, drop=("replies",))
    assert learnable(Raw("hello", kind="repost"), settings, ledger) and not ledger.dropped


def test_each_setting_stands_alone() -> None:
    text = "@ann see https://a.com/@bob/1 now"
    only_links = replace(NOTHING_SAID, mentions="keep")
    only_names = replace(NOTHING_SAID, links="keep")
    assert learnable(Raw(text), only_links, Ledger()) == Raw("@ann see now")
    assert learnable(Raw(text), only_names, Ledger()) == Raw("see https://a.com/@bob/1 now")


def test_an_unknown_word_is_refused() -> None:
    with pytest.raises(WrongUse, match=r"corpus.drop must be one of reposts, replies, damaged, not 'retweets'"):
        override(Bot(name="a"), "corpus", drop=("retweets",))


WORDS = st.lists(st.text(string.ascii_letters + "äéßक", min_size=1, max_size=8), min_size=1, max_size=8)
THINGS = ["https://t.co/aB3", "@some_one", "www.a.com/b", "@a@b.social", "http://a.b/c?d=e#f"]


@given(WORDS, st.lists(st.tuples(st.integers(0, 9), st.sampled_from(THINGS)), min_size=1, max_size=4))
def test_words_stay_wherever_things_stand(words: list[str], things: list[tuple[int, str]]) -> None:
    mixed = list(words)
    for place, thing in things:
        mixed.insert(place, thing)
    raw = learnable(Raw(" ".join(mixed)), NOTHING_SAID, Ledger())
    if raw is None:
        listed = {"about", "by", "in", "on", *itertools.chain(*dangling().values())}
        assert any(before.lower() in listed and after in THINGS for before, after in itertools.pairwise(mixed))
        return
    kept = [
        word
        for word in words
        if word.lower() not in ("via", "by", "cc", "ht", "rt", "source", "link", "and", "y", "et")
    ]
    assert [word for word in raw.text.split(" ") if word in kept] == kept
    assert raw.text == " ".join(raw.text.split()) and "@" not in raw.text and "/" not in raw.text
    assert learnable(raw, NOTHING_SAID, Ledger()) == raw


@given(st.text())
def test_nothing_is_altered_or_dropped_without_a_word(text: str) -> None:
    ledger = Ledger()
    raw = learnable(Raw(text), NOTHING_SAID, ledger)
    assert sum(count.count for count in ledger.dropped.values()) == (raw is None)
    assert raw is None or raw.text == text or ledger.altered
