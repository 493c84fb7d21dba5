"""X's archive in all its ages: the owner's own posts and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.exports import (
    CONTAINERS,
    KEEP_ALL,
    SECRET,
    TWEETS,
    archive,
    dropped,
    js,
    texts,
    tweet,
)
from training.common.errors import DeepproverbsError
from training.corpus import members
from training.corpus.forms.x_archive import CUT_AT
from training.corpus.read import open_corpus

POSTS = [
    "A patient kettle & its lid <3",
    "look at this",
    "they wrote &lt; for a sign, &copy; stays",
    "two lines\nof it",
]
OTHERS = {
    "data/direct-messages.js": js("direct_messages", [{"dmConversation": {"messages": [{"text": SECRET}]}}]),
    "data/direct-messages-group.js": js("direct_messages_group", [{"text": SECRET}]),
    "data/like.js": js("like", [{"like": {"tweetId": "1", "fullText": "another's words"}}]),
    "data/deleted-tweets.js": js("deleted_tweets", [tweet(99, "deleted with reason")]),
    "data/manifest.js": 'window.__THAR_CONFIG = {"userInfo": {"accountId": "1"}}',
    "data/account.js": js("account", [{"account": {"email": "me@example.org"}}]),
    "assets/a.png": "\x89PNG",
    "Your archive.html": "<html></html>",
}


@pytest.mark.parametrize("root", ["", "twitter-2023-04-01-abc/"])
@pytest.mark.parametrize("name", CONTAINERS)
def test_x_s_archive(tmp_path: Path, name: str, root: str) -> None:
    path = archive(tmp_path / name, {"data/tweets.js": js("tweets", TWEETS), **OTHERS}, root)
    reading = open_corpus(path)
    assert reading.form.name == "x-archive" and "data/tweets.js" in reading.found.evidence
    assert texts(reading) == POSTS
    assert dropped(reading) == {"reposts": 1, "replies": 1, "only a link": 1}
    assert {what: count.count for what, count in reading.ledger.altered.items()} == {
        "with links taken out": 1,
        "with names taken out": 1,
    }
    lines = js("tweets", TWEETS).split("\n")[reading.ledger.dropped["reposts"].line - 1 :]
    assert lines[0] == "  {" and next(line for line in lines if '"id"' in line).strip() == '"id": "2",'


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("tweets.js", js("tweets", TWEETS)),
        ("tweet.js", js("tweet", [each["tweet"] for each in TWEETS])),
        ("renamed.txt", js("community_tweet", TWEETS)),
        ("tweets.json", "\ufeff" + js("tweets", TWEETS).replace("\n", "\r\n")),
    ],
)
def test_x_s_file_alone(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_bytes(content.encode())
    reading = open_corpus(tmp_path / name)
    assert reading.form.name == "x-archive" and texts(reading) == POSTS


def test_replies_of_x_without_the_names_that_were_never_typed(tmp_path: Path) -> None:
    (tmp_path / "tweets.js").write_text(js("tweets", TWEETS))
    reading = open_corpus(tmp_path / "tweets.js", KEEP_ALL)
    found = texts(reading)
    assert reading.ledger.altered["without the names before a reply"].example == "@friend @other that is true"
    assert found[1:5] == [
        "RT @friend: what others said…",
        "that is true",
        "look at this https://t.co/abcDEF123",
        "https://t.co/abcDEF124",
    ]


def test_parts_in_their_order_and_beside_a_file_alone(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        f"data/tweets{f'-part{n}' if n else ''}.js": js("tweets", [tweet(n, f"post number {n}")], n) for n in range(12)
    }
    wanted = [f"post number {n}" for n in range(12)]
    reading = open_corpus(archive(tmp_path / "a.zip", files))
    assert texts(reading) == wanted and "12 files of posts" in reading.found.evidence
    folder = archive(tmp_path / "folder", files)
    reading = open_corpus(folder / "data" / "tweets.js")
    assert texts(reading) == wanted and "tweets-part11.js beside it" in reading.found.evidence
    assert texts(open_corpus(folder / "data" / "tweets-part3.js")) == wanted[3:4]


LONG = "It is a long story about a kettle &amp; a lid. " * 12
CUT = LONG[:270].rsplit(" ", 1)[0]
NOTES = {
    "by its post": {"noteTweet": {"tweetId": "20", "noteTweetResults": {"text": LONG.strip()}}},
    "by how it begins": {"noteTweet": {"noteTweetId": "777", "core": {"text": LONG.strip(), "urls": []}}},
}


@pytest.mark.parametrize("kind", NOTES)
def test_long_posts_are_whole(tmp_path: Path, kind: str) -> None:
    posts = [tweet(20, f"{CUT}… https://t.co/abc"), tweet(21, "short… https://t.co/abc"), tweet(22, "wait…")]
    files: dict[str, str | bytes] = {"data/tweets.js": js("tweets", posts)}
    notes = js("note_tweet", [NOTES[kind]])
    reading = open_corpus(archive(tmp_path / "a.zip", files | {"data/note-tweet.js": notes}))
    assert texts(reading) == [LONG.strip().replace("&amp;", "&"), "short…", "wait…"]
    folder = archive(tmp_path / "b", files | {"data/note-tweet.js": notes})
    assert texts(open_corpus(folder / "data" / "tweets.js"))[0] == LONG.strip().replace("&amp;", "&")
    # Without that file, half a story is not learnt.
    assert len(CUT) > CUT_AT
    reading = open_corpus(archive(tmp_path / "c.zip", files))
    assert texts(reading) == ["short…", "wait…"]
    assert dropped(reading) == {"cut off by X (the whole is in note-tweet.js, not found)": 1}


def test_links_that_stand_for_pictures_were_never_typed(tmp_path: Path) -> None:
    media = {"media": [{"url": "https://t.co/pic1", "type": "photo"}]}
    (tmp_path / "tweets.js").write_text(js("tweets", [tweet(1, "my kettle https://t.co/pic1", entities=media)]))
    assert texts(open_corpus(tmp_path / "tweets.js", KEEP_ALL)) == ["my kettle"]


@pytest.mark.parametrize("name", ["folder", "a.zip"])
def test_grailbird(tmp_path: Path, name: str) -> None:
    def month(number: int, posts: list[dict[str, Any]]) -> str:
        return f"Grailbird.data.tweets_2019_{number:02} = \n {json.dumps(posts, indent=1)}".replace("/", "\\/")

    posts = [
        {"id": 1, "text": "A kettle of January", "user": {"name": "Me"}},
        {"id": 2, "text": "RT @a: cut off…", "retweeted_status": {"text": "cut off by nobody"}},
        {"id": 3, "text": "@a yes", "in_reply_to_status_id": 5},
        {"id": 4, "text": "see http://t.co/a \u003c"},
    ]
    files: dict[str, str | bytes] = {
        "data/js/tweets/2019_02.js": month(2, [{"id": 5, "text": "A kettle of February"}]),
        "data/js/tweets/2019_01.js": month(1, posts),
        "data/js/tweet_index.js": "var tweet_index = []",
        "data/js/user_details.js": "var user_details = {}",
    }
    path = archive(tmp_path / name, files)
    reading = open_corpus(path)
    assert texts(reading) == ["A kettle of January", "see <", "A kettle of February"]
    assert dropped(reading) == {"reposts": 1, "replies": 1}
    if name == "folder":
        assert texts(open_corpus(path / "data/js/tweets/2019_02.js")) == ["A kettle of February"]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("data/direct-messages.js", "messages, which are never read; give data/tweets.js"),
        ("data/direct-messages-group.js", "messages, which are never read"),
        ("data/like.js", "X's 'like', not your posts; give data/tweets.js"),
        ("data/deleted-tweets.js", "X's 'deleted_tweets'"),
    ],
)
def test_other_files_of_x_are_refused(tmp_path: Path, name: str, sentence: str) -> None:
    folder = archive(tmp_path / "a", dict(OTHERS))
    with pytest.raises(DeepproverbsError, match=sentence) as refused:
        open_corpus(folder / name)
    assert SECRET not in str(refused.value)
    with pytest.raises(DeepproverbsError, match=r"X's archive without data/tweets.js"):
        open_corpus(folder)


def test_nothing_but_posts_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    real = members.open_member

    def spy(path: Path, name: str, encoding: str, newline: str | None) -> Any:
        opened.append(name)
        return real(path, name, encoding, newline)

    monkeypatch.setattr(members, "open_member", spy)
    path = archive(tmp_path / "a.zip", {"data/tweets.js": js("tweets", TWEETS), **OTHERS})
    texts(open_corpus(path))
    assert set(opened) == {"data/tweets.js"}


def test_a_file_of_that_name_that_is_none_of_x_s(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"src/tweets.js": "export const tweets = []", "a.txt": "one\ntwo\n"})
    assert [text.strip() for text in texts(open_corpus(path))] == ["one", "two"]


def test_an_archive_that_is_not_utf_8_is_told(tmp_path: Path) -> None:
    content = js("tweets", [tweet(1, "KETTLE")]).encode().replace(b"KETTLE", b"k\xe9ttle")
    path = archive(tmp_path / "a.zip", {"data/tweets.js": content})
    with pytest.raises(DeepproverbsError, match=r"a.zip holds a file that is not UTF-8"):
        texts(open_corpus(path))


def test_broken_files_of_x_say_where(tmp_path: Path) -> None:
    (tmp_path / "tweets.js").write_text(js("tweets", TWEETS)[:-300])
    with pytest.raises(DeepproverbsError, match=r"tweets.js is JSON up to line \d+, column \d+: it ends"):
        texts(open_corpus(tmp_path / "tweets.js"))
    path = archive(tmp_path / "a.zip", {"data/tweets.js": js("tweets", TWEETS)[:-300]})
    with pytest.raises(DeepproverbsError, match=r"a.zip, data/tweets.js is JSON up to line"):
        texts(open_corpus(path))
