"""Mastodon's archives: what the owner wrote for everybody, as text."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.exports import (
    CONTAINERS,
    LINK,
    MENTION,
    OUTBOX,
    PUBLIC,
    SECRET,
    TAG,
    archive,
    dropped,
    note,
    texts,
)
from training.corpus.forms.html_text import text_of
from training.corpus.read import open_corpus
from training.settings import NOTHING_SAID

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
