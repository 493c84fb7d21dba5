"""X's archive: its zip or folder, or its files of posts. From 2019 on data/tweets.js, in parts, with the whole texts of
long posts in note-tweet.js; until then ("Grailbird") data/js/tweets/YEAR_MONTH.js.

No other file of it is opened: neither messages nor what others wrote.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from training.common.errors import DeepproverbsError
from training.corpus.forms.form import Form, Found, Raw, Source
from training.corpus.forms.json_stream import Item, Values
from training.corpus.forms.records import kind_of, whole
from training.corpus.ledger import Ledger

_POSTS = re.compile(r"(?:^|/)(?:(?:tweets?|community-tweets?)(?:-part\d+)?\.js|data/js/tweets/\d{4}_\d\d\.js)$")
_NOTES = re.compile(r"(?:^|/)note-tweets?(?:-part\d+)?\.js$")
_SIGN = re.compile(r"\ufeff?\s*(?:window\.YTD\.(\w+)\.part\d+|Grailbird\.data\.(tweets_\d{4}_\d\d))\s*=\s*")
_OURS = ("tweet", "tweets", "community_tweet", "community_tweets")
_NAMES = re.compile(r"(?:@\w{1,20}\s+)+")
"""At the beginning of a reply: X writes them there, not the author."""
_ENTITY = re.compile("&(amp|lt|gt);")
_CHARACTER = {"amp": "&", "lt": "<", "gt": ">"}
_CUT = re.compile(r"…(?:\s+https://t\.co/\w+)*\s*$")
CUT_AT = 240
"""A post that ends in "…" is cut off from this length on, besides links; X cuts at 280, some before a word."""
_HEAD = 4096


def recognise(source: Source) -> Found | None:
    if not source.container:
        name = _name(source)
        if not name:
            return None
        if name.startswith("tweets_") or name in _OURS:
            more = [each for each in _posts(source) if each != source.path.name]
            beside = f", with {', '.join(more)} beside it" if more else ""
            return Found(f"it begins with the name of X's posts, {name!r}{beside}{_notes_said(source)}")
        what = "your messages, which are never read" if "direct_messages" in name else f"X's {name!r}, not your posts"
        raise DeepproverbsError(f"{source.name} holds {what}; give data/tweets.js of the same archive, or its zip.")
    posts = _posts(source)
    if posts:
        files = f"{len(posts)} files of posts" if len(posts) > 1 else posts[0]
        return Found(f"it holds {files}{_notes_said(source)}")
    if any(name.endswith("data/manifest.js") for name in source.names()):
        raise DeepproverbsError(
            f"{source.name} is X's archive without data/tweets.js; give the part of the download that holds that file."
        )
    return None


def read(source: Source, found: Found, ledger: Ledger) -> Iterator[Raw]:
    notes = _Notes(source)
    for name in _posts(source):
        for item in _values(source, name):
            post = item.value.get("tweet", item.value) if isinstance(item.value, dict) else {}
            text = post.get("full_text", post.get("text"))
            if not isinstance(text, str):
                ledger.drop("without a text", str(item.value)[:200], item.line)
                continue
            raw = Raw(plain(whole(text, item.line, ledger)), item.line, kind_of(post), plain=True)
            if raw.kind != "repost" and not raw.text.startswith("RT @"):
                text = notes.whole(str(post.get("id_str") or post.get("id")), raw.text)
                if not text:
                    ledger.drop("cut off by X (the whole is in note-tweet.js, not found)", raw.text, item.line)
                    continue
                text = _without_media(text, post)
                if raw.kind == "reply" and "replies" not in source.settings.drop:
                    text = _without_names(text, item.line, ledger)
                raw = Raw(text, item.line, raw.kind, plain=True)
            yield raw


def _name(source: Source, name: str = "") -> str:
    """The name before the "=" at the beginning of one of X's files."""
    with source.open(name=name) as file:
        found = _SIGN.match(file.read(_HEAD))
    return (found[1] or found[2]) if found else ""


def _values(source: Source, name: str) -> Iterator[Item]:
    with _open(source, name) as file:
        values = Values(file, f"{source.name}{f', {name}' if source.container else ''}", _SIGN)
        yield from values.items()


def _open(source: Source, name: str) -> Any:
    """A file of the archive; or one beside the file that was given."""
    if source.container or name == source.path.name:
        return source.open(name=name)
    return source.path.with_name(name).open(encoding=source.encoding)


def _posts(source: Source) -> list[str]:
    """The files of posts, the first part first. Parts beside a first part belong to it."""
    if source.container:
        return sorted((name for name in source.names() if _POSTS.search(name) and _name(source, name)), key=_part)
    name = source.path.name
    if name not in ("tweets.js", "tweet.js"):
        return [name]
    stem = name.removesuffix(".js")
    return [name, *sorted((each.name for each in source.path.parent.glob(f"{stem}-part*.js")), key=_part)]


def _part(name: str) -> tuple[str, int]:
    found = re.search(r"-part(\d+)\.js$", name)
    return (name[: found.start()], int(found[1])) if found else (name.removesuffix(".js"), 0)


def _note_files(source: Source) -> list[str]:
    if source.container:
        return [name for name in source.names() if _NOTES.search(name)]
    return sorted(each.name for each in source.path.parent.glob("note-tweet*.js"))


def _notes_said(source: Source) -> str:
    return "; long posts are whole in note-tweet.js" if _note_files(source) else ""


class _Notes:
    """The long posts, by the number of their post and by how they begin: which of the two is there has changed."""

    def __init__(self, source: Source) -> None:
        self._by_id: dict[str, str] = {}
        self._by_beginning: dict[str, list[str]] = {}
        for name in _note_files(source):
            for item in _values(source, name):
                note = item.value.get("noteTweet", item.value) if isinstance(item.value, dict) else {}
                inner = note.get("core") or note.get("noteTweetResults") or {}
                text = inner.get("text") if isinstance(inner, dict) else None
                if isinstance(text, str):
                    text = plain(text)
                    for key in ("tweetId", "noteTweetId"):
                        self._by_id[str(note.get(key))] = text
                    self._by_beginning.setdefault(text[:40], []).append(text)

    def whole(self, number: str, text: str) -> str:
        """The whole post; "" where it is cut off and the rest is not there."""
        if number in self._by_id:
            return self._by_id[number]
        cut = _CUT.search(text)
        beginning = text[: cut.start()].rstrip() if cut else ""
        if len(beginning) < CUT_AT:
            return text
        typed = _NAMES.sub("", beginning, count=1) if beginning.startswith("@") else beginning
        for key in (beginning, typed):
            for note in self._by_beginning.get(key[:40], ()):
                if note.startswith(key):
                    return note
        return ""


def plain(text: str) -> str:
    """X escapes these three characters and no other, once."""
    return _ENTITY.sub(lambda found: _CHARACTER[found[1]], text)


def _without_media(text: str, post: dict[str, Any]) -> str:
    """Without the links that stand for the post's own pictures: they were never typed."""
    for key in ("entities", "extended_entities"):
        entities = post.get(key)
        media = entities.get("media") if isinstance(entities, dict) else None
        for each in media if isinstance(media, list) else ():
            if isinstance(each, dict) and isinstance(url := each.get("url"), str) and url:
                text = text.replace(url, "").rstrip()
    return text


def _without_names(text: str, line: int, ledger: Ledger) -> str:
    found = _NAMES.match(text)
    if not found:
        return text
    ledger.alter("without the names before a reply", text, line)
    return text[found.end() :]


X_ARCHIVE = Form("x-archive", "X's archive", recognise, read, takes=frozenset())
