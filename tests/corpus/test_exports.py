"""Exports of networks, in miniature and as they really look: the owner's own public posts are read and nothing else."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from training.common.errors import DeepproverbsError
from training.common.manifest import key_of
from training.corpus import members
from training.corpus.forms.html_text import text_of
from training.corpus.forms.x_archive import CUT_AT
from training.corpus.read import Reading, open_corpus
from training.settings import NOTHING_SAID, CorpusSettings

KEEP_ALL = CorpusSettings(drop=(), links="keep", mentions="keep")
SECRET = "my secret, for one person alone"


def js(name: str, records: list[Any], part: int = 0) -> str:
    return f"window.YTD.{name}.part{part} = {json.dumps(records, indent=2)}"


def tweet(number: int, text: str, **more: Any) -> dict[str, Any]:
    """As the archive has it: strings for numbers, `retweeted` false in any case."""
    return {
        "tweet": {
            "edit_info": {"initial": {"editTweetIds": [str(number)], "editableUntil": "2023-04-01T12:00:00.000Z"}},
            "retweeted": False,
            "source": '<a href="https://mobile.example.com" rel="nofollow">X for Kettles</a>',
            "entities": {"hashtags": [], "user_mentions": [], "urls": []},
            "display_text_range": ["0", str(len(text))],
            "favorite_count": "3",
            "id_str": str(number),
            "truncated": False,
            "retweet_count": "0",
            "id": str(number),
            "created_at": "Sat Apr 01 12:00:00 +0000 2023",
            "full_text": text,
            "lang": "en",
        }
        | more
    }


TWEETS = [
    tweet(1, "A patient kettle &amp; its lid &lt;3"),
    tweet(2, "RT @friend: what others said…"),
    tweet(3, "@friend @other that is true", in_reply_to_status_id_str="9", in_reply_to_screen_name="friend"),
    tweet(4, "look at this https://t.co/abcDEF123"),
    tweet(5, "https://t.co/abcDEF124"),
    tweet(6, "they wrote &amp;lt; for a sign, &copy; stays"),
    tweet(7, "two lines\nof @friend"),
]
POSTS = [
    "A patient kettle & its lid <3",
    "look at this",
    "they wrote &lt; for a sign, &copy; stays",
    "two lines\nof",
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


def archive(path: Path, files: dict[str, str | bytes], root: str = "") -> Path:
    """A folder, a .zip or a .tar.gz, by the path's name."""
    contents = {f"{root}{name}": text.encode() if isinstance(text, str) else text for name, text in files.items()}
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
            for name, data in contents.items():
                packed.writestr(name, data)
    elif path.name.endswith((".tar.gz", ".tar")):
        with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as tar:
            for name, data in contents.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    else:
        for name, data in contents.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(data)
    return path


def texts(reading: Reading) -> list[str]:
    found = [raw.text for raw in reading.texts()]
    assert reading.ledger.read == len(found) + sum(each.count for each in reading.ledger.dropped.values())
    assert SECRET not in repr(reading.ledger) + repr(found)
    return found


def dropped(reading: Reading) -> dict[str, int]:
    return {why: count.count for why, count in reading.ledger.dropped.items()}


CONTAINERS = ["folder", "a.zip", "a.tar.gz", "a.tar"]


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


PUBLIC = "https://www.w3.org/ns/activitystreams#Public"
FOLLOWERS = "https://example.social/users/me/followers"


def note(html: str, to: list[str], cc: list[str] | None = None, **more: Any) -> dict[str, Any]:
    return {
        "id": "https://example.social/users/me/statuses/1/activity",
        "type": "Create",
        "actor": "https://example.social/users/me",
        "published": "2023-04-01T12:00:00Z",
        "to": to,
        "cc": cc or [],
        "object": {
            "id": "https://example.social/users/me/statuses/1",
            "type": "Note",
            "summary": None,
            "inReplyTo": None,
            "attributedTo": "https://example.social/users/me",
            "to": to,
            "cc": cc or [],
            "sensitive": False,
            "content": html,
            "contentMap": {"en": html},
            "attachment": [],
            "tag": [],
        }
        | more,
    }


MENTION = (
    '<span class="h-card"><a href="https://example.social/@ann" class="u-url mention">@<span>ann</span></a></span>'
)
LINK = (
    '<a href="https://example.org/a/very/long/path" target="_blank" rel="nofollow noopener noreferrer">'
    '<span class="invisible">https://</span><span class="ellipsis">example.org/a/very/lo</span>'
    '<span class="invisible">ng/path</span></a>'
)
TAG = '<a href="https://example.social/tags/tea" class="mention hashtag" rel="tag">#<span>tea</span></a>'
OUTBOX = {
    "@context": ["https://www.w3.org/ns/activitystreams", {"ostatus": "http://ostatus.org#"}],
    "id": "outbox.json",
    "type": "OrderedCollection",
    "totalItems": 8,
    "orderedItems": [
        note("<p>A patient kettle &amp; its lid &lt;3</p>", [PUBLIC], [FOLLOWERS]),
        note(f"<p>one<br />two</p><p>three {TAG}</p>", [FOLLOWERS], [PUBLIC]),
        note(f"<p>{SECRET}</p>", [FOLLOWERS]),
        note(f"<p>{MENTION} {SECRET}</p>", ["https://example.social/users/ann"]),
        note(f"<p>{MENTION} a reply</p>", [PUBLIC], inReplyTo="https://example.social/users/ann/statuses/2"),
        note(f"<p>read {LINK}</p>", [PUBLIC]),
        note("<p>the end of a film</p>", [PUBLIC], summary="spoilers", sensitive=True),
        {"type": "Announce", "to": [PUBLIC], "object": "https://example.social/users/ann/statuses/3"},
        note("", [PUBLIC], attachment=[{"type": "Document", "url": "/media/1.png"}]),
    ],
}
TOOTS = ["A patient kettle & its lid <3", "one\ntwo\n\nthree #tea", "read"]


@pytest.mark.parametrize("name", ["outbox.json", "renamed.txt", *CONTAINERS])
def test_mastodon_s_archive(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name in CONTAINERS:
        others = {"actor.json": '{"type": "Person"}', "likes.json": '{"orderedItems": ["https://a"]}'}
        archive(path, {**others, "outbox.json": json.dumps(OUTBOX), "avatar.png": b"\x89PNG"})
    else:
        path.write_text(json.dumps(OUTBOX, indent=1))
    reading = open_corpus(path)
    assert reading.form.name == "mastodon" and texts(reading) == TOOTS
    assert dropped(reading) == {
        "not public": 2,
        "replies": 1,
        "under a content warning": 1,
        "reposts": 1,
        "without a text": 1,
    }
    kept = texts(open_corpus(path, replace(NOTHING_SAID, drop=("reposts",), links="keep", mentions="keep")))
    assert kept == [*TOOTS[:2], "@ann a reply", "read https://example.org/a/very/long/path"]


def test_a_server_s_own_emoji_are_taken_out(tmp_path: Path) -> None:
    tag = [{"type": "Emoji", "name": ":teapot:", "icon": {}}, {"type": "Hashtag", "name": "#tea"}]
    content = OUTBOX | {"orderedItems": [note("<p>my :teapot: is hot :sic:</p>", [PUBLIC], tag=tag)]}
    (tmp_path / "outbox.json").write_text(json.dumps(content))
    reading = open_corpus(tmp_path / "outbox.json")
    assert texts(reading) == ["my is hot :sic:"]
    assert reading.ledger.altered["with a server's own emoji taken out"].count == 1


def test_mastodon_archive_of_kensanata(tmp_path: Path) -> None:
    def status(html: str, **more: Any) -> dict[str, Any]:
        plain = {"reblog": None, "visibility": "public", "spoiler_text": "", "in_reply_to_id": None, "sensitive": False}
        return {"id": 1, "content": html, "account": {"acct": "me"}, "media_attachments": []} | plain | more

    content = {
        "account": {"id": 1, "username": "me", "acct": "me", "note": "<p>about me</p>"},
        "statuses": [
            status("<p>A patient kettle</p>"),
            status("<p>RT</p>", reblog={"content": "<p>another's words</p>"}),
            status("<p>yes</p>", in_reply_to_id=5),
            status(f"<p>{SECRET}</p>", visibility="direct"),
            status("<p>spoiler</p>", spoiler_text="film"),
            status("<p>unlisted</p>", visibility="unlisted"),
        ],
        "favourites": [status("<p>what others wrote</p>")],
        "mentions": [status("<p>what others wrote to me</p>")],
    }
    (tmp_path / "example.social.user.me.json").write_text(json.dumps(content))
    reading = open_corpus(tmp_path / "example.social.user.me.json")
    assert reading.form.name == "mastodon" and texts(reading) == ["A patient kettle", "unlisted"]
    assert dropped(reading) == {"reposts": 1, "replies": 1, "not public": 1, "under a content warning": 1}


HTML: dict[str, str] = {
    "<p>lamp<br>wait</p>": "lamp\nwait",
    "<p>a</p><p>b</p>": "a\n\nb",
    "<p>1 &lt; 2 &amp;amp; x&lt;y&gt;z</p>": "1 < 2 &amp; x<y>z",
    f"<p>{MENTION}, hi</p>": "@ann, hi",
    f"<p>see {LINK}.</p>": "see https://example.org/a/very/long/path.",
    f"<p>tea {TAG}!</p>": "tea #tea!",
    "<p>a<br/>\n<br/>b</p>": "a\n\nb",
    "<ul><li>one</li><li>two</li></ul>": "one\ntwo",
    "<p>3 &lt;b&gt; &#39;x&#39; &nbsp;y</p>": "3 <b> 'x'  y",
    "no marks": "no marks",
    "<p>unclosed<br>x": "unclosed\nx",
    "": "",
}


@pytest.mark.parametrize("html", HTML)
def test_html_to_text(html: str) -> None:
    assert text_of(html) == HTML[html]


# Archives that are none, or worse.


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz"])
def test_an_archive_of_one_file_is_that_file(tmp_path: Path, name: str) -> None:
    lines = "\n".join(f"A patient kettle number {n}." for n in range(30))
    path = archive(tmp_path / name, {"sayings.txt": lines, "__MACOSX/._sayings.txt": b"\0\5"})
    assert [text.strip() for text in texts(open_corpus(path))] == lines.split("\n")
    path = archive(tmp_path / f"b{name}", {"a/data.json": json.dumps({"sayings": lines.split("\n")}), "a/x.png": b"\0"})
    assert texts(open_corpus(path)) == lines.split("\n")


def test_other_archives_are_refused_with_what_is_in_them(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"a.txt": "x", "b.txt": "y"})
    with pytest.raises(
        DeepproverbsError, match=r"a.zip is no export .* holds 2 files of texts \(a.txt, b.txt\); give the"
    ):
        open_corpus(path)
    with pytest.raises(DeepproverbsError, match=r"holds 0 files of texts; give the files"):
        open_corpus(archive(tmp_path / "empty.zip", {}))
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(DeepproverbsError, match=r"a.zip cannot be unpacked \(.*\); download it again"):
        open_corpus(path)


def _zip_bomb(path: Path, size: int) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed, packed.open("data/tweets.js", "w") as file:
        file.write(b'window.YTD.tweets.part0 = [{"full_text": "a b"},')
        for _ in range(size >> 20):
            file.write(b" " * (1 << 20))
        file.write(b"]")


def _tar_bomb(path: Path, size: int) -> None:
    with tarfile.open(path, "w:gz") as packed:
        info = tarfile.TarInfo("data/tweets.js")
        head = b'window.YTD.tweets.part0 = [{"full_text": "a b"},'
        info.size = size
        packed.addfile(info, io.BytesIO(head + b" " * (size - len(head))))


@pytest.mark.parametrize(("name", "make"), [("a.zip", _zip_bomb), ("a.tar.gz", _tar_bomb)])
def test_a_bomb_is_not_unpacked(
    tmp_path: Path, name: str, make: Callable[[Path, int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """30 MiB in some 30 kB, where 4 MiB are free."""
    monkeypatch.setattr(members, "FREE", 4 << 20)
    make(tmp_path / name, 30 << 20)
    with pytest.raises(DeepproverbsError, match=r"data/tweets.js unpacks to more than 100 times its size"):
        texts(open_corpus(tmp_path / name))


def test_a_member_with_a_password_is_told(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"data/tweets.js": js("tweets", TWEETS)})
    data = bytearray(path.read_bytes())
    # Bit 0 of the flags, in the member's head and in the directory.
    data[6] |= 1
    data[data.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(DeepproverbsError, match=r"data/tweets.js has a password; unpack it yourself"):
        texts(open_corpus(path))


# Chats.


def telegram(number: int, who: str | None, text: Any, **more: Any) -> dict[str, Any]:
    return {
        "id": number,
        "type": "message",
        "date": "2023-04-01T12:00:00",
        "date_unixtime": "1680350400",
        "from": who,
        "from_id": f"user{who}",
        "text": text,
        "text_entities": [{"type": "plain", "text": "…"}],
    } | more


TELEGRAM = [
    telegram(1, "Ann Lee", "A patient kettle & its lid <3"),
    telegram(
        2,
        "Ann Lee",
        ["see ", {"type": "link", "text": "https://example.org/a"}, " and ", {"type": "bold", "text": "wait"}],
    ),
    telegram(3, "Bob", SECRET),
    telegram(4, "Ann Lee", "another's words", forwarded_from="Bob"),
    telegram(5, "Ann Lee", "", photo="a.jpg"),
    telegram(6, "Ann Lee", "made", via_bot="@gif"),
    telegram(7, None, "", type="service", action="pin_message", actor="Bob"),
]
CHAT = {"name": "Bob", "type": "personal_chat", "id": 1, "messages": TELEGRAM}
ANN = replace(NOTHING_SAID, author="Ann Lee")


@pytest.mark.parametrize("whole_account", [False, True])
def test_telegram(tmp_path: Path, whole_account: bool) -> None:
    content = (
        {"about": "Here is the data you requested.", "chats": {"about": "…", "list": [CHAT]}} if whole_account else CHAT
    )
    (tmp_path / "result.json").write_text(json.dumps(content, indent=1))
    with pytest.raises(
        DeepproverbsError, match=r"a chat of 2 people: 'Ann Lee' \(2\), 'Bob' \(1\); say whose .*--author"
    ):
        open_corpus(tmp_path / "result.json")
    reading = open_corpus(tmp_path / "result.json", ANN)
    assert reading.form.name == "telegram" and reading.found.options == {"author": "Ann Lee"}
    assert texts(reading) == ["A patient kettle & its lid <3", "see and wait"]
    assert dropped(reading) == {
        "of other people": 2,
        "forwarded": 1,
        "without a text": 1,
        "made by a bot": 1,
    }
    with pytest.raises(DeepproverbsError, match=r"no messages of 'Eve' but of 'Ann Lee' \(2\), 'Bob' \(1\)"):
        open_corpus(tmp_path / "result.json", replace(ANN, author="Eve"))
    everybody = open_corpus(tmp_path / "result.json", replace(ANN, author="*"))
    assert [raw.text for raw in everybody.texts()][-1] == SECRET and dropped(everybody)["notices"] == 1


def test_telegram_as_it_was_before_2022(tmp_path: Path) -> None:
    messages = [
        {"id": 1, "type": "message", "date": "2019-01-01T00:00:00", "from": "Ann", "from_id": 5, "text": "A kettle"}
    ]
    content = {"name": 'a "b"', "type": "private_group", "id": 1, "messages": messages}
    (tmp_path / "result.json").write_text(json.dumps(content, indent=1))
    reading = open_corpus(tmp_path / "result.json")
    assert reading.form.name == "telegram" and texts(reading) == ["A kettle"]


def test_one_who_writes_alone_is_not_asked_about(tmp_path: Path) -> None:
    content = {"name": "My channel", "type": "public_channel", "id": 1, "messages": TELEGRAM[:2]}
    (tmp_path / "a.txt").write_text(json.dumps(content))
    assert len(texts(open_corpus(tmp_path / "a.txt"))) == 2


def discord(number: int, who: str, text: str, kind: str = "Default", bot: bool = False) -> dict[str, Any]:
    author = {"id": "1", "name": who, "discriminator": "0000", "nickname": who, "isBot": bot, "roles": []}
    return {
        "id": str(number),
        "type": kind,
        "timestamp": "2023-04-01T12:00:00+00:00",
        "content": text,
        "author": author,
    }


def test_discord_s_channel(tmp_path: Path) -> None:
    content = {
        "guild": {"id": "1", "name": "Kettles"},
        "channel": {"id": "2", "type": "GuildTextChat", "name": "general", "topic": None},
        "dateRange": {"after": None, "before": None},
        "exportedAt": "2023-04-02T00:00:00+00:00",
        "messages": [
            discord(1, "ann", "A patient kettle <:teapot:123456789012345678>"),
            discord(2, "ann", "yes <@123456789012345678>", "Reply"),
            discord(3, "ann", "Joined the server.", "GuildMemberJoin"),
            discord(4, "helper", "beep", bot=True),
            discord(5, "bob", SECRET),
            discord(6, "ann", ""),
        ],
        "messageCount": 6,
    }
    (tmp_path / "general.json").write_text(json.dumps(content, indent=2))
    with pytest.raises(DeepproverbsError, match=r"a chat of 2 people"):
        open_corpus(tmp_path / "general.json")
    reading = open_corpus(tmp_path / "general.json", replace(NOTHING_SAID, author="ann"))
    assert reading.form.name == "discord" and texts(reading) == ["A patient kettle", "yes"]
    assert dropped(reading) == {"notices": 1, "of other people": 2, "without a text": 1}
    assert "with a server's own emoji taken out" in reading.ledger.altered


@pytest.mark.parametrize("kind", ["json", "csv"])
@pytest.mark.parametrize("name", CONTAINERS)
def test_discord_s_package_without_messages_between_persons(tmp_path: Path, name: str, kind: str) -> None:
    def channel(*written: str) -> str:
        if kind == "json":
            return json.dumps(
                [{"ID": 1, "Timestamp": "2023-04-01 12:00:00", "Contents": t, "Attachments": ""} for t in written]
            )
        return "ID,Timestamp,Contents,Attachments\r\n" + "".join(f'1,2023-04-01,"{t}",\r\n' for t in written)

    path = archive(
        tmp_path / name,
        {
            "messages/index.json": "{}",
            "messages/c1/channel.json": json.dumps({"id": "1", "type": 0, "name": "general", "guild": {"id": "9"}}),
            f"messages/c1/messages.{kind}": channel("A patient kettle", "", "two\nlines"),
            "messages/c2/channel.json": json.dumps({"id": "2", "type": 1, "recipients": ["5", "6"]}),
            f"messages/c2/messages.{kind}": channel(SECRET),
            "messages/c3/channel.json": json.dumps({"id": "3", "type": "GROUP_DM"}),
            f"messages/c3/messages.{kind}": channel(SECRET),
            f"messages/c4/messages.{kind}": channel(SECRET),
            "account/user.json": "{}",
        },
    )
    reading = open_corpus(path)
    assert reading.form.name == "discord" and texts(reading) == ["A patient kettle", "two\nlines"]
    assert dropped(reading) == {"without a text": 1, "channels between persons, which are not opened": 3}


IOS = f"""\u200e[01.04.23, 12:00:01] Kettles: \u200eMessages and calls are end-to-end encrypted.
[01.04.23, 12:00:02] Ann Lee: A patient kettle: it waits
[01.04.23, 12:00:03] ~\u202fBob: {SECRET}
\u200e[01.04.23, 12:00:04] Ann Lee: \u200eimage omitted
[01.04.23, 12:00:05] Ann Lee: two
lines

and a third
[01.04.23, 12:00:06] Ann Lee: mended \u200e<This message was edited>
"""
ANDROID = f"""4/1/23, 12:00\u202fPM - Messages and calls are end-to-end encrypted. Tap to learn more.
4/1/23, 12:01\u202fPM - Ann Lee: A patient kettle: it waits
4/1/23, 12:02\u202fPM - Bob: {SECRET}
4/1/23, 12:03\u202fPM - Ann Lee: <Media omitted>
4/1/23, 12:03\u202fPM - Ann Lee: IMG-20230401-WA0001.jpg (file attached)
4/1/23, 12:04\u202fPM - Ann Lee: two
lines

and a third
4/1/23, 12:05\u202fPM - Ann Lee: mended <This message was edited>
4/1/23, 12:06\u202fPM - Ann Lee: This message was deleted
4/1/23, 12:07\u202fPM - Bob left
"""
GERMAN = f"""01.04.23, 12:00 - Nachrichten und Anrufe sind Ende-zu-Ende-verschlüsselt.
01.04.23, 12:01 - Ann Lee: A patient kettle: it waits
01.04.23, 12:02 - Bob: {SECRET}
01.04.23, 12:03 - Ann Lee: <Medien ausgeschlossen>
01.04.23, 12:04 - Ann Lee: two
lines

and a third
01.04.23, 12:05 - Ann Lee: mended <Diese Nachricht wurde bearbeitet.>
"""


@pytest.mark.parametrize("name", ["_chat.txt", "WhatsApp Chat with Bob.txt", "a.zip"])
@pytest.mark.parametrize("content", [IOS, ANDROID, GERMAN], ids=["iOS", "Android", "German"])
def test_whatsapp(tmp_path: Path, content: str, name: str) -> None:
    path = tmp_path / name
    if name == "a.zip":
        archive(path, {"_chat.txt": content, "00001-PHOTO.jpg": b"\xff\xd8"})
    else:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(DeepproverbsError, match=r"a chat of 2 people: 'Ann Lee' \(3\), 'Bob' \(1\)"):
        open_corpus(path)
    reading = open_corpus(path, ANN)
    assert reading.form.name == "whatsapp"
    assert texts(reading) == ["A patient kettle: it waits", "two\nlines\n\nand a third", "mended"]
    assert dropped(reading)["notices and placeholders"] >= 1 and dropped(reading)["of other people"] >= 1
    assert reading.ledger.altered['without the mark "edited"'].count == 1


@pytest.mark.parametrize(
    "head",
    [
        "2023-04-01, 12:00 - ",
        "[2023/04/01, 12:00:01] ",
        "[4/1/23, 12:00:01 AM] ",
        "1.4.2023, 12.00 - ",
        "01/04/2023, 12:00 a. m. - ",
        "[2023. 4. 1. 오후 12:00:01] ",
        "01/04/23 12:00 - ",
    ],
)
def test_whatsapp_s_dates_of_all_phones(tmp_path: Path, head: str) -> None:
    (tmp_path / "a.txt").write_text("".join(f"{head}Ann: A kettle {n}\n" for n in range(5)), encoding="utf-8")
    reading = open_corpus(tmp_path / "a.txt")
    assert reading.form.name == "whatsapp" and texts(reading) == [f"A kettle {n}" for n in range(5)]


def test_a_diary_is_no_chat(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("".join(f"0{n}.04.23 it rained: all day\n" for n in range(1, 9)))
    assert open_corpus(tmp_path / "a.txt").form.name != "whatsapp"


# Tables and lines of networks and scrapers.

TABLES: dict[str, tuple[str, list[str], dict[str, int]]] = {
    "tweets.csv": (
        '"tweet_id","in_reply_to_status_id","in_reply_to_user_id","timestamp","source","text","retweeted_status_id",'
        '"retweeted_status_user_id","retweeted_status_timestamp","expanded_urls"\n'
        '"1","","","2018-01-01 00:00:00 +0000","<a>web</a>","A patient ""kettle"" &amp; its\nlid","","","",""\n'
        '"2","","","2018","<a>","RT @a: hi","77","8","2018",""\n'
        '"3","9","8","2018","<a>","@a yes","","","",""\n',
        ['A patient "kettle" & its\nlid'],
        {"reposts": 1, "replies": 1},
    ),
    "twint.csv": (
        "id,conversation_id,created_at,date,time,timezone,user_id,username,name,tweet,retweet\n"
        '1,1,2020-01-01 00:00:00 UTC,2020-01-01,00:00:00,+0000,5,me,Me,"A patient kettle, it waits",False\n'
        "2,1,2020-01-01 00:00:00 UTC,2020-01-01,00:00:00,+0000,5,me,Me,a reply,False\n"
        "3,3,2020-01-01 00:00:00 UTC,2020-01-01,00:00:00,+0000,5,me,Me,of others,True\n",
        ["A patient kettle, it waits"],
        {"reposts": 1, "replies": 1},
    ),
    "comments.csv": (
        "id,permalink,date,ip,subreddit,gildings,link,parent,body,media\n"
        'a1,https://r/1,2020-01-01 00:00:00 UTC,,tea,0,https://r,,"A patient *kettle*",\n'
        "a2,https://r/2,2020-01-01 00:00:00 UTC,,tea,0,https://r,,[deleted],\n"
        "a3,https://r/3,2020-01-01 00:00:00 UTC,,tea,0,https://r,,,\n",
        ["A patient *kettle*"],
        {"deleted": 1, "without a text": 1},
    ),
    "posts.csv": (
        "id,permalink,date,ip,subreddit,gildings,title,url,body\n"
        "a1,https://r/1,2020,,tea,0,A title alone,https://r,\n"
        "a2,https://r/2,2020,,tea,0,A title,https://r,A body\n",
        ["A title alone", "A body"],
        {},
    ),
    "messages.csv": (
        "ID,Timestamp,Contents,Attachments\r\n1,2020,A patient kettle,\r\n2,2020,,https://a/b.png\r\n",
        ["A patient kettle"],
        {"without a text": 1},
    ),
    "discord.csv": (
        "AuthorID,Author,Date,Content,Attachments,Reactions\n"
        '"1","ann","2020","A patient kettle, it ""waits""","",""\n"1","ann","2020","","a.png",""\n',
        ['A patient kettle, it "waits"'],
        {"without a text": 1},
    ),
    "snscrape.jsonl": (
        "\n".join(
            json.dumps({"_type": "snscrape.modules.twitter.Tweet", "url": "https://x/1", **more})
            for more in list[dict[str, Any]](
                [
                    {"rawContent": "A patient kettle https://t.co/a", "renderedContent": "A patient kettle example…"},
                    {"rawContent": "@a yes", "renderedContent": "@a yes", "inReplyToTweetId": 9},
                    {"rawContent": "of others", "renderedContent": "RT", "retweetedTweet": {"id": 5}},
                ]
            )
        ),
        ["A patient kettle"],
        {"reposts": 1, "replies": 1},
    ),
    "records.json": (
        json.dumps(
            {
                "records": [
                    {
                        "uri": "at://did/app.bsky.feed.post/1",
                        "cid": "b",
                        "value": {"$type": "app.bsky.feed.post", **value},
                    }
                    for value in list[dict[str, Any]](
                        [
                            {"text": "A patient kettle", "createdAt": "2024", "langs": ["en"]},
                            {"text": "yes", "reply": {"root": {"uri": "at://"}, "parent": {"uri": "at://"}}},
                        ]
                    )
                ],
                "cursor": "3k",
            }
        ),
        ["A patient kettle"],
        {"replies": 1},
    ),
}


@pytest.mark.parametrize("name", TABLES)
def test_tables_and_lines_of_networks(tmp_path: Path, name: str) -> None:
    content, wanted, left_out = TABLES[name]
    (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + content.encode())
    reading = open_corpus(tmp_path / name)
    assert texts(reading) == wanted and dropped(reading) == left_out


def test_a_broken_row_of_an_export_stops(tmp_path: Path) -> None:
    content = TABLES["comments.csv"][0]
    (tmp_path / "a.csv").write_text(content + "a4,too,few\n")
    with pytest.raises(DeepproverbsError, match=r"a.csv, line 5: expected 10 cells, found 3; mend"):
        texts(open_corpus(tmp_path / "a.csv"))
    (tmp_path / "a.csv").write_text(content + 'a4,"never closed\n')
    with pytest.raises(DeepproverbsError, match=r"line 5: a broken row \(unexpected end of data\)"):
        texts(open_corpus(tmp_path / "a.csv"))
    with pytest.raises(DeepproverbsError, match=r"no column 'nosuch' but 'id', 'permalink'"):
        open_corpus(tmp_path / "a.csv", replace(NOTHING_SAID, field="nosuch"))


def test_tumblr_is_refused_with_advice(tmp_path: Path) -> None:
    (tmp_path / "1.json").write_text(
        json.dumps({"type": "text", "blog_name": "me", "reblog_key": "x", "body": "<p>a</p>"})
    )
    with pytest.raises(DeepproverbsError, match=r"Tumblr.*one a line"):
        open_corpus(tmp_path / "1.json")
    posts: dict[str, str | bytes] = {f"posts/html/{n}.html": "<p>a</p>" for n in range(3)}
    with pytest.raises(DeepproverbsError, match=r"Tumblr.*one a line"):
        open_corpus(archive(tmp_path / "a.zip", posts))


@pytest.mark.parametrize("setting", ["field", "author"])
def test_what_is_said_is_never_ignored(tmp_path: Path, setting: str) -> None:
    said = CorpusSettings(field="nosuch") if setting == "field" else CorpusSettings(author="nosuch")
    archive(tmp_path / "x.zip", {"data/tweets.js": js("tweets", TWEETS)})
    (tmp_path / "tweets.js").write_text(js("tweets", TWEETS))
    (tmp_path / "outbox.json").write_text(json.dumps(OUTBOX))
    (tmp_path / "a.json").write_text(json.dumps([{"text": "a b"}]))
    (tmp_path / "comments.csv").write_text(TABLES["comments.csv"][0])
    (tmp_path / "lines.txt").write_text("one line\nanother line\n")
    for name in ("x.zip", "tweets.js", "outbox.json", "a.json", "comments.csv", "lines.txt"):
        with pytest.raises(DeepproverbsError, match=rf"(no {setting}|column) 'nosuch'"):
            open_corpus(tmp_path / name, said)


def test_bluesky_s_archive_is_refused_with_advice(tmp_path: Path) -> None:
    (tmp_path / "repo.car").write_bytes(b"\x3a\xa2eroots\x81\xd8*X%\0\x01q\x12 " + bytes(32) + b"gversion\x01")
    with pytest.raises(DeepproverbsError, match=r"Bluesky's archive \(.car\), not text: .*listRecords"):
        open_corpus(tmp_path / "repo.car")


def test_documents_are_no_archives(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"[Content_Types].xml": "<x/>", "xl/workbook.xml": "<x/>", "a.txt": "no"})
    with pytest.raises(DeepproverbsError, match=r"Excel"):
        open_corpus(path)


def test_a_folder_s_key_changes_with_what_is_in_it(tmp_path: Path) -> None:
    folder = archive(tmp_path / "a", {"data/tweets.js": js("tweets", TWEETS)})
    before = key_of({}, folder)
    assert key_of({}, folder) == before
    (folder / "data" / "tweets.js").write_text(js("tweets", TWEETS[1:]))
    assert key_of({}, folder) != before
