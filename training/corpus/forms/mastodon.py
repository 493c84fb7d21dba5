"""Mastodon: outbox.json of its archive, alone or in the .zip or .tar.gz, and the file of mastodon-archive.

The archive holds every post, also those to followers or to one person: only public ones are read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from training.corpus.forms.form import Form, Found, Raw, Source
from training.corpus.forms.html_text import text_of
from training.corpus.forms.json_stream import Values
from training.corpus.forms.records import kind_of, whole
from training.corpus.ledger import Ledger

_OUTBOX = re.compile(r"(?:^|/)outbox\.json$")
_PUBLIC = ("https://www.w3.org/ns/activitystreams#Public", "as:Public", "Public")
_BEGINNING = re.compile(r'\ufeff?\s*\{\s*"(?:@context|id|type|totalItems|orderedItems|account|statuses)"\s*:')
_HEAD = 1 << 16
_LOOKED_AT = 1000
"""Values before the first post: the context, the account, favourites."""


def recognise(source: Source) -> Found | None:
    if source.container:
        return Found(f"it holds {name}", details=("outbox", name)) if (name := _outbox(source)) else None
    with source.open() as file:
        if not _BEGINNING.match(file.read(_HEAD)):
            return None
    with source.open() as file:
        ordered, account = False, False
        for number, item in enumerate(Values(file, source.name).items()):
            value = item.value if isinstance(item.value, dict) else {}
            ordered |= item.name == "type" and item.value == "OrderedCollection"
            account |= item.group == "account" and item.name == "acct"
            if item.group == "orderedItems" and {"type", "object"} <= set(value):
                return Found('it is an "OrderedCollection" of posts', details=("outbox", ""))
            if item.group == "statuses" and {"content", "visibility"} <= set(value):
                return Found('it has an "account" and its "statuses"', details=("archive", ""))
            if number > _LOOKED_AT:
                break
    return None


def read(source: Source, found: Found, ledger: Ledger) -> Iterator[Raw]:
    form, name = found.details or recognise(source).details  # type: ignore[union-attr]  # it was recognised
    with source.open(name=name) as file:
        values = Values(file, f"{source.name}{f', {name}' if name else ''}")
        for item in values.items():
            if item.group == "orderedItems" and form == "outbox":
                raw = _activity(item.value, item.line, ledger)
            elif item.group == "statuses" and form == "archive":
                raw = _status(item.value, item.line, ledger)
            else:
                continue
            if raw:
                yield raw


def _outbox(source: Source) -> str:
    return next((name for name in source.names() if _OUTBOX.search(name)), "")


def _activity(value: Any, line: int, ledger: Ledger) -> Raw | None:
    """A post as ActivityPub has it."""
    activity = value if isinstance(value, dict) else {}
    post = activity.get("object")
    if activity.get("type") == "Announce":
        # Its object is the address of another's post.
        return Raw(str(post), line, "repost", plain=True)
    if activity.get("type") != "Create" or not isinstance(post, dict):
        ledger.drop("without a text", str(value)[:200], line)
        return None
    seen_by = [*_many(post.get("to", activity.get("to"))), *_many(post.get("cc", activity.get("cc")))]
    return _post(post.get("content"), post.get("summary"), any(each in _PUBLIC for each in seen_by), post, line, ledger)


def _status(value: Any, line: int, ledger: Ledger) -> Raw | None:
    """A post as Mastodon's API has it."""
    post = value if isinstance(value, dict) else {}
    if isinstance(reblog := post.get("reblog"), dict):
        return Raw(text_of(str(reblog.get("content", ""))), line, "repost", plain=True)
    public = post.get("visibility", "public") in ("public", "unlisted")
    return _post(post.get("content"), post.get("spoiler_text"), public, post, line, ledger)


def _post(html: Any, warning: Any, public: bool, post: dict[str, Any], line: int, ledger: Ledger) -> Raw | None:
    if not public:
        # No example: it was not meant for everybody's eyes.
        ledger.drop("not public", "", line)
        return None
    text = whole(text_of(html), line, ledger) if isinstance(html, str) else ""
    plain = _without_emoji(text, post)
    if plain != text:
        ledger.alter("with a server's own emoji taken out", text, line)
        text = plain
    if not text:
        ledger.drop("without a text", str(post.get("id", "")), line)
        return None
    if warning:
        ledger.drop("under a content warning", f"{warning}: {text}", line)
        return None
    return Raw(text, line, kind_of(post), plain=True)


def _without_emoji(text: str, post: dict[str, Any]) -> str:
    """Without :names: that stand for pictures of the server."""
    tags = [tag.get("name") for tag in _many(post.get("tag")) if isinstance(tag, dict) and tag.get("type") == "Emoji"]
    emojis = [f":{each.get('shortcode')}:" for each in _many(post.get("emojis")) if isinstance(each, dict)]
    for name in (*tags, *emojis):
        if isinstance(name, str) and name in text:
            text = re.sub(rf"[^\S\n]?{re.escape(name)}", "", text).strip()
    return text


def _many(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


MASTODON = Form("mastodon", "Mastodon's archive", recognise, read, takes=frozenset())
