"""A record of JSON → its raw text; those that have none are counted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

from training.common.errors import DeepproverbsError
from training.corpus.forms.form import Raw, Source
from training.corpus.ledger import Ledger

MOST_MISSING = 0.1
"""Share of the records that may be without the field that was found: above it is the wrong one."""


def raw_of(record: Any, value: Any, line: int, ledger: Ledger) -> Raw | None:
    """The text at a record's field. None: there is none."""
    if isinstance(value, list) and value and all(isinstance(each, str) for each in value):
        value = "\n".join(value)  # a poem's lines
    if not isinstance(value, str):
        return None
    return Raw(whole(value, line, ledger), line, kind_of(record))


def whole(text: str, line: int, ledger: Ledger) -> str:
    """The text without halves of characters: "\\ud83d" alone, which JSON can hold and no file can."""
    if text.isascii() or not any("\ud800" <= c <= "\udfff" for c in text):
        return text
    halves = text.encode("utf-16-le", "surrogatepass")
    joined = halves.decode("utf-16-le", "ignore")
    if len(joined.encode("utf-16-le")) < len(halves):
        ledger.alter("with half a character taken out", joined, line)
    return joined


def kind_of(record: Any) -> Literal["", "repost", "reply", "deleted"]:
    """What the fields that networks and scrapers add say about a post."""
    if not isinstance(record, Mapping) or _SIGNS.isdisjoint(record):
        return ""
    if "subreddit" in record and record.get("body", record.get("selftext")) in _DELETED:
        return "deleted"
    for each in (record, record.get("value"), record.get("tweet"), record.get("node")):
        if isinstance(each, Mapping):
            references = each.get("referenced_tweets")
            types = (
                [r.get("type") for r in references if isinstance(r, Mapping)] if isinstance(references, list) else []
            )
            if "retweeted" in types or any(_says(each.get(key)) for key in _REPOST_KEYS):
                return "repost"
            # Bluesky's `reply` is an object; twint's conversation is named after its first post.
            answers = isinstance(each.get("reply"), Mapping) or (
                "tweet" in each and "conversation_id" in each and str(each["conversation_id"]) != str(each.get("id"))
            )
            if answers or "replied_to" in types or any(_says(each.get(key)) for key in _REPLY_KEYS):
                return "reply"
    return ""


_DELETED = ("[deleted]", "[removed]", "[deleted by user]")
"""What Reddit leaves of a post."""
_REPOST_KEYS = (
    "retweeted_status",
    "retweeted_status_id",
    "retweetedTweet",
    "retweet",
    "is_retweet",
    "reblog",
    "isRetweet",
)
_REPLY_KEYS = (
    *("in_reply_to_status_id", "in_reply_to_status_id_str", "in_reply_to_user_id", "in_reply_to_user_id_str"),
    *(
        "in_reply_to_screen_name",
        "inReplyToTweetId",
        "inReplyToUser",
        "in_reply_to_id",
        "inReplyTo",
        "isReply",
        "is_reply",
    ),
)
_SIGNS = frozenset(
    [
        *(*_REPOST_KEYS, *_REPLY_KEYS),
        *("referenced_tweets", "reply", "conversation_id", "subreddit", "value", "tweet", "node"),
    ]
)


def _says(value: Any) -> bool:
    return bool(value) and str(value).strip().lower() not in ("", "0", "nan", "none", "null", "false")


class Missing:
    """Counts the records without the field."""

    def __init__(self, source: Source, field: str) -> None:
        self._source, self._field = source, field
        self._records = self._missing = self._first = 0

    def saw(self, raw: Raw | None, record: Any, line: int, ledger: Ledger) -> None:
        self._records += 1
        if raw is None:
            self._missing += 1
            self._first = self._first or line
            ledger.drop(
                f"without a text in {self._field!r}" if self._field else "no texts", json.dumps(record)[:200], line
            )

    def check(self) -> None:
        """
        Raises:
            DeepproverbsError: none has it, or too many are without it and nobody said that this is right.
        """
        many = self._missing > (self._records if self._source.settings.field else MOST_MISSING * self._records)
        if self._records and (many or self._missing == self._records):
            what = f"have no text in {self._field!r}" if self._field else "are no texts"
            raise DeepproverbsError(
                f"{self._source.name}: {self._missing:,} of {self._records:,} entries {what} "
                f"(first: line {self._first}); name the field with the texts with --field."
            )
