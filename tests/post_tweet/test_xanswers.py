"""Whatever X answers is one of place.py's values: tweepy's real client against any status, header and body. X's copy of
a post is known again, by X's own rules of links."""

from __future__ import annotations

import html
import json
import re
import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from post_tweet.place import CannotTell, Found, NotFound, Posted, Refused, Unknown
from post_tweet.x import X
from post_tweet.xanswers import LatestPost, find_post
from post_tweet.xtext import is_shown_as

from tests.helpers.loopback_x import Answer, LoopbackX, loopback_x, secret
from tests.helpers.oracle_x import meaning, shown_by_x

SHOWN = datetime(2026, 1, 1, 12, tzinfo=UTC)
FEW = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def server() -> Iterator[LoopbackX]:
    with loopback_x() as running:
        yield running


@pytest.fixture(scope="module")
def place(server: LoopbackX) -> X:
    """One for all: no answer may spoil it for the next."""
    return X(secret, server.url, timeout=(1.0, 0.75))


@pytest.fixture
def x(server: LoopbackX) -> LoopbackX:
    server.published, server.answers, server.pages = [], [], []
    server.shows = lambda text: (text, [])
    return server


SURELY_NOT = {*range(400, 408), 410, 411, *range(413, 418), 421, 422, 426, 428, 429, 431, 451} - {408}
WORDS = ["Your Tweet text is too long.", "You are not allowed to create a Tweet with duplicate content.", "spend-cap"]


@pytest.mark.parametrize(
    "status", [*range(200, 210), 226, *range(300, 309), *range(400, 452), 499, *range(500, 512), 599]
)
def test_the_status_decides_first(x: LoopbackX, place: X, status: int) -> None:
    """No word of a body makes a text refused, but in a JSON answer of 400 and 403; no status that leaves it open, or
    that nobody has defined, is a refusal."""
    for body in ("", *WORDS, *(json.dumps({"detail": word}) for word in WORDS)):
        x.script(status=status, body=body)
        answer = place.post("a text")
        if status in SURELY_NOT:
            assert isinstance(answer, Refused), (status, body)
            assert answer.scope == "account" or (status in (400, 403) and body[:1] == "{")
        else:
            assert isinstance(answer, Unknown), (status, body)


ECHOES = [
    {"detail": "The value [{text}] is not valid."},
    {"detail": "{text}"},
    {"errors": [{"message": "{text} is not valid", "parameters": {"text": ["{text}"]}}]},
    {"title": "Your Tweet text is too long", "type": "duplicate content"},
    {"errors": [{"parameters": {"text": ["Your Tweet text is too long."]}, "message": "One parameter is invalid."}]},
    {"detail": "This request has taken too long."},
    {"detail": "A header is too long."},
    {"detail": "Your account is locked for Tweets with duplicate content."},
    {"text": "Your Tweet text is too long.", "request": {"detail": "Your Tweet text is too long."}},
    {"errors": "Your Tweet text is too long."},
    {"errors": ["Your Tweet text is too long.", 187, None]},
    {"detail": ["Your Tweet text is too long."], "code": "187"},
]


@pytest.mark.parametrize("text", ["You are too long here", "Your Tweet text is too long.", "a status is a duplicate"])
@pytest.mark.parametrize("status", [400, 403])
@pytest.mark.parametrize("body", ECHOES)
def test_an_echo_of_the_text_is_no_refusal_of_it(
    x: LoopbackX, place: X, text: str, status: int, body: dict[str, Any]
) -> None:
    x.script(status=status, body=json.dumps(body).replace("{text}", text))
    answer = place.post(text)
    assert isinstance(answer, Refused)
    assert (answer.scope, answer.reason) == ("account", "invalid" if status == 400 else "forbidden")


@pytest.mark.parametrize("status", [400, 403])
@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"detail": "You are not allowed to create a Post with duplicate content."}, "duplicate"),
        ({"errors": [{"message": "You are not allowed to create a Tweet with duplicate content."}]}, "duplicate"),
        ({"errors": [{"code": 187, "message": "x"}]}, "duplicate"),
        ({"detail": "Your post is too long"}, "too-long"),
        ({"errors": [{}, {"detail": "Your Tweet text is too long. For more information"}]}, "too-long"),
        ({"errors": [{"code": 186, "message": "Tweet needs to be a bit shorter."}]}, "too-long"),
    ],
)
def test_what_x_says_of_a_text(x: LoopbackX, place: X, status: int, body: dict[str, Any], reason: str) -> None:
    x.script(status=status, body=json.dumps(body))
    answer = place.post("a text")
    assert isinstance(answer, Refused) and (answer.scope, answer.reason) == ("text", reason)


LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(
        ["7", "1001", "²", "\u0663", "9" * 30, "../x", "2026-01-01T12:00:00.000Z", "0001-01-01T00:00:00+23:00",
         "9999-12-31T23:59:59-23:00", "2026-01-01", "a text", "duplicate content", "https://t.co/a", "\ud800",
         187, 453, 1 << 64, -1]
    ),
)  # fmt: skip
NAMES = ["data", "id", "text", "errors", "detail", "message", "title", "type", "code", "meta", "result_count"]
NAMES += ["next_token", "created_at", "entities", "urls", "url", "expanded_url", "status", "name"]
JSON = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=6)
)
POST = st.fixed_dictionaries({"id": LEAVES, "text": LEAVES, "created_at": LEAVES}, optional={"entities": JSON})
PAGE = st.fixed_dictionaries(
    {}, optional={"data": st.lists(POST | JSON, max_size=6) | JSON, "meta": JSON, "errors": JSON}
)
ODD = [b"[" * 300_000, b'{"data":' * 100_000, b'{"data":{"id":' + b"1" * 9999 + b"}}", b"\xff\xfe\x00", b'{"a":"\xff"}']
BODIES = st.one_of(
    *(shape.map(lambda raw: json.dumps(raw).encode()) for shape in (JSON, PAGE)),
    st.fixed_dictionaries({"data": st.fixed_dictionaries({"id": LEAVES})}).map(lambda raw: json.dumps(raw).encode()),
    st.binary(max_size=30),
    st.sampled_from(ODD),
)
NUMBERS = st.sampled_from(["0", "1", "²", "\u0663\u0664", "9" * 30, "9" * 5000, "-1", "1e9", " 7 ", "", "1800000000"])
HEADERS = st.dictionaries(
    st.sampled_from(
        ["x-rate-limit-reset", "x-rate-limit-remaining", "x-app-limit-24hour-reset", "x-user-limit-24hour-reset"]
    ),
    NUMBERS.map(lambda value: value.encode().decode("latin-1")),
    max_size=4,
) | st.fixed_dictionaries(
    {}, optional={"Set-Cookie": st.just("\u00e4=;;=\0"), "Content-Encoding": st.sampled_from(["gzip", "br", "x"])}
)
STATUSES = st.sampled_from([200, 201, 204, 302, 400, 401, 402, 403, 404, 409, 429, 431, 499, 500, 503]) | st.integers(
    200, 999
)


@FEW
@given(status=STATUSES, headers=HEADERS, body=BODIES)
@example(429, {"x-rate-limit-reset": "1" * 30}, b"{}")
@example(429, {"x-rate-limit-reset": "\u00b2"}, b"{}")
@example(201, {}, b'{"data":{"id":null}}')
def test_any_answer_to_a_post_is_a_value(
    x: LoopbackX, place: X, status: int, headers: dict[str, str], body: bytes
) -> None:
    x.answers = [Answer(status, body, headers)]
    answer = place.post("a text")
    assert isinstance(answer, Posted | Refused | Unknown) and x.answers == []
    if isinstance(answer, Posted):
        assert status in (200, 201) and re.fullmatch("[0-9]{1,20}", answer.tweet_id)
        assert str(json.loads(body)["data"]["id"]) == answer.tweet_id
    if isinstance(answer, Refused):
        assert status in SURELY_NOT and (answer.scope == "account" or status in (400, 403))
    repr(answer).encode()


@FEW
@given(
    headers=HEADERS,
    first=st.none() | BODIES,
    second=BODIES,
    statuses=st.tuples(STATUSES, STATUSES),
    plain=st.booleans(),
)
def test_any_answer_to_a_reading_is_a_value(
    x: LoopbackX,
    place: X,
    headers: dict[str, str],
    first: bytes | None,
    second: bytes,
    statuses: tuple[int, int],
    plain: bool,
) -> None:
    me = b'{"data":{"id":"7"}}' if first is None else first
    x.pages = [
        Answer(200 if first is None else statuses[0], me),
        Answer(200 if plain else statuses[1], second, headers),
    ]
    answer = place.did_post("a text", SHOWN)
    assert isinstance(answer, Found | NotFound | CannotTell)
    if not isinstance(answer, CannotTell):
        body = json.loads(second)
        data = body.get("data", [])
        if isinstance(answer, Found):
            assert any(str(post.get("id")) == answer.tweet_id and "a text" in post["text"] for post in data if post)
        else:
            assert isinstance(data, list) and body.get("meta", {}).get("result_count", len(data)) == len(data)
            assert not any(post.get("text") == "a text" for post in data)


WORDS_OF_TEXTS = st.sampled_from(
    ["salt &amp; pepper", "five &times nine", "a&notb", "&copy", "&lt;3", "<3", "a & b", "AT&T;", "&amp;amp;", "&#38;",
     "a", "b", "the fear", "é", "e\u0301", "\u1e9b\u0323", "\ufb01", "👩\u200d🚀", "🇨🇭", "1️⃣", "日本", "’", "\u00a0",
     "\n", "\n\n", "  ", " ", ".", ":", "(", ")", "king.To", "king.to", "notes.md", "example.com/a", "example.com/b",
     "https://example.com/a", "http://example.com/a", "https://example.com/a?b=c&d=e", "HTTP://Example.com/A",
     "https://t.co/AAAAAAAAAA", "https://t.co/BBBBBBBBBB", "www.b.co.uk", "例え.jp", "a.zzzz", "3.5"]
)  # fmt: skip
TEXTS = st.lists(WORDS_OF_TEXTS, min_size=1, max_size=6).map(" ".join) | st.lists(WORDS_OF_TEXTS, min_size=1).map(
    "".join
)
TURNS = [
    html.escape,
    lambda text: html.escape(text, quote=False),
    html.unescape,
    str.strip,
    lambda text: unicodedata.normalize("NFD", text),
]
OTHERS = st.one_of(
    TEXTS.map(lambda other: lambda text: other),
    st.sampled_from(TURNS).map(lambda turn: lambda text: turn(text)),
    st.tuples(WORDS_OF_TEXTS, WORDS_OF_TEXTS).map(lambda pair: lambda text: text.replace(*pair)),
    WORDS_OF_TEXTS.map(lambda word: lambda text: f"{text} {word}"),
    WORDS_OF_TEXTS.map(lambda word: lambda text: text.replace(word, "", 1)),
)


@settings(max_examples=600, deadline=None)
@given(posted=TEXTS, change=OTHERS, told=st.booleans())
@example("see king.To", lambda _: "see", False)
@example("https://t.co/AAAAAAAAAA", lambda _: "https://t.co/BBBBBBBBBB", False)
@example("see https://example.com/a now", lambda _: "see https://example.com/b now", True)
def test_a_post_is_known_again_and_no_other_is_taken_for_it(posted: str, change: Any, told: bool) -> None:
    """X's copy, by X's own parser. Without its links (`told`) those that X has shortened tell nothing."""
    copy, links = shown_by_x(posted)
    known = {link["url"]: link["expanded_url"] for link in links} if told else {}
    shortened = any(link["url"] != link["expanded_url"] for link in links)
    assert is_shown_as(copy, posted, known) is (None if shortened and not told else True)
    other = change(posted)
    if meaning(other) != meaning(posted):
        assert not is_shown_as(copy, other, known)
    if "t.co/" not in copy and meaning(other) != meaning(posted):
        assert is_shown_as(copy, other, known) is False


@settings(FEW, max_examples=60)
@given(posted=st.lists(TEXTS.filter(str.strip), min_size=1, max_size=4), asked=TEXTS.filter(str.strip), by=OTHERS)
def test_what_was_posted_is_found_and_what_was_not_is_not(
    x: LoopbackX, place: X, posted: list[str], asked: str, by: Any
) -> None:
    """Over the wire, with the links that X tells of if it is asked."""
    x.published, x.shows = posted, shown_by_x
    for text in (*posted, asked, by(posted[-1])):
        answer = place.did_post(text)
        alike = [number for number, other in enumerate(posted, 1001) if meaning(other) == meaning(text)]
        if alike:
            assert isinstance(answer, Found) and int(answer.tweet_id) in alike
        else:
            assert isinstance(answer, NotFound | CannotTell)


OTHER = {"id": "5", "text": "another", "created_at": "2026-01-01T12:00:00.000Z"}
PAGES: list[tuple[dict[str, Any], str]] = [
    ({"data": [OTHER], "meta": {"result_count": 1}}, "NotFound"),
    ({"data": [OTHER]}, "NotFound"),
    ({"meta": {"result_count": 0}}, "NotFound"),
    ({}, "later"),
    ({"meta": {"result_count": False}}, "later"),
    ({"data": {}, "meta": {"result_count": 0}}, "later"),
    ({"data": [OTHER], "meta": {"result_count": 2}}, "later"),
    ({"data": [OTHER], "meta": {"result_count": 1}, "errors": [{}]}, "later"),
    *(({"data": [{**OTHER, **odd}], "meta": {"result_count": 1}}, "later") for odd in (
        {"id": None}, {"id": "\u0663"}, {"text": 5}, {"text": None}, {"created_at": "soon"}, {"created_at": 7},
    )),
    ({"data": [{}, {**OTHER, "text": "a text"}], "errors": [{}], "meta": None}, "Found"),
]  # fmt: skip


@pytest.mark.parametrize(("page", "expected"), PAGES)
def test_only_a_page_that_can_be_read_to_its_end_shows_that_nothing_was_posted(
    x: LoopbackX, place: X, page: dict[str, Any], expected: str
) -> None:
    x.pages = [Answer(200, b'{"data":{"id":"7"}}'), Answer(200, json.dumps(page))]
    answer = place.did_post("a text", SHOWN)
    assert (answer.kind if isinstance(answer, CannotTell) else type(answer).__name__) == expected


def test_a_link_behind_the_text_is_not_known_to_be_its_own(x: LoopbackX, place: X) -> None:
    """Of a picture, or of another text that ends with a link."""
    x.published = ["a text https://t.co/Ab1"]
    assert isinstance(place.did_post("a text"), CannotTell)
    assert place.did_post("a") == NotFound()


def test_a_copy_that_does_not_end_is_not_looked_at() -> None:
    for shown in ("x" * (1 << 20), "a" + "\u0301\u0323" * (1 << 19), "https://t.co/a " * 60_000, "&amp;" * 200_000):
        assert is_shown_as(shown, "a text.", {}) is False
        assert find_post("a text.", [LatestPost("1", shown, SHOWN)] * 5, SHOWN + timedelta(days=1)) == NotFound()
