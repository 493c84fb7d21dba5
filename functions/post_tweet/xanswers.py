"""What X's answers mean. Pure: status, headers and body of an answer in, one of place.py's values out, whatever they
hold: X's own server, a proxy or a page of errors may have written them.

The status decides. Words count only in the fields that X has for them, of a JSON answer of 400 or 403: a text that says
"too long" is echoed in other places.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from post_tweet.place import CLOCK_TOLERANCE, CannotTell, Found, NotFound, Posted, Refused, Secret, Unknown
from post_tweet.xtext import is_shown_as

LATEST = 5
"""Posts that did_post reads; X's own minimum."""
MANY = 100
"""Posts or errors that an answer may hold; X itself never gives more."""
NOTHING_DONE = frozenset(
    [400, 401, 402, 403, 404, 405, 406, 407, 410, 411, 413, 414, 415, 416, 417, 421, 422, 426, 428, 429, 431, 451]
)
"""Statuses that say that the request was turned down before anything was done. Not 408, 409, 425, 499 and those that
nobody has defined: after them the post may exist."""
UNREADABLE = (400, 403, 404, 410)
"""Statuses that say that the reading would fail again."""
NOWHERE = Secret("", "nowhere")
"""As if the keys were in AWS."""
_ID = re.compile("[0-9]{1,20}")
_DUPLICATE = re.compile(
    r"you are not allowed to \w+ an? \w+ with duplicate content\b|(your )?(status|tweet|post) is a duplicate\b"
)
_TOO_LONG = re.compile(
    r"((your|the) )?((tweet|post|status)( text)?|text) (is|was) too long\b|(tweet|post) needs to be a bit shorter\b"
)


@dataclass
class Answer:
    """An answer of X. `body`: as much as could be read of it, or nothing."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def json(self) -> dict[str, Any]:
        """The object in the body; empty if there is none that can be read."""
        try:
            found = json.loads(self.body)
        except Exception:  # RecursionError too: a megabyte of brackets
            return {}
        return found if isinstance(found, dict) else {}


def read_post(text: str, answer: Answer | None, error: Exception | None, kept: Secret) -> Posted | Refused | Unknown:
    """What became of `text`. `answer`: None if none came; `error`: what was raised on the way; `kept`: the keys."""
    if answer is None:
        return Unknown(in_short(error, None))
    if answer.status in (200, 201) and (found := read_id(answer)):
        return Posted(found)
    if answer.status in NOTHING_DONE:
        return _refusal(text, answer, kept)
    return Unknown(in_short(error, answer.status))


def in_short(error: Exception | None, status: int | None) -> str:
    return f"{type(error).__name__ if error else 'no id'}{f', status {status}' if status else ''}"


def read_id(answer: Answer | None) -> str | None:
    """The id of the post or the account that an answer is about; None if it holds none."""
    return _id_in(_object(answer.json().get("data"))) if answer else None


def _id_in(found: Mapping[str, Any]) -> str | None:
    value = found.get("id")
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 64 else value
    return text if isinstance(text, str) and _ID.fullmatch(text) else None


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _fields(body: dict[str, Any], *names: str) -> Iterator[Any]:
    """These fields of the answer and of its errors."""
    for one in (body, *map(_object, _list(body.get("errors"))[:MANY])):
        yield from (one[name] for name in names if name in one)


def _words(body: dict[str, Any], *names: str) -> list[str]:
    """Those that are texts, in small letters, their beginnings."""
    return [" ".join(value[:500].lower().split()) for value in _fields(body, *names) if isinstance(value, str)]


def _refusal(text: str, answer: Answer, kept: Secret) -> Refused:
    """What an answer means after which nothing was posted."""

    def account(reason: str, sentence: str) -> Refused:
        return Refused("account", reason, sentence)

    status = answer.status
    body = answer.json() if status in (400, 403) else {}
    kinds, said = _words(body, "type", "title", "reason"), _words(body, "detail", "message")
    codes = [code for code in _fields(body, "code") if isinstance(code, int)]
    if status == 401:
        return account("keys", keys_refused(kept))
    if status == 402 or "creditsdepleted" in kinds or any(kind.endswith("/credits") for kind in kinds):
        return account("credits", "X has no credits left for this app; buy some in the developer portal under Billing.")
    if status == 429:
        return account("rate-limit", f"X's rate limit is reached{_reset(answer.headers)}; {kept.again}.")
    if any("spend-cap" in kind for kind in kinds):
        return account(
            "spend-cap",
            "The app's spending cap at X is reached; raise it in the developer portal or wait for the next period.",
        )
    if any("oauth1-permissions" in kind for kind in kinds):
        return account(
            "permissions",
            "The X app may only read; set its permissions to Read and write, then make the access token anew and "
            f"{kept.keep}.",
        )
    if 453 in codes or any("client-not-enrolled" in kind for kind in kinds) or any("access level" in s for s in said):
        return account(
            "access-level",
            "The X app's access level does not allow posting; enrol it in pay per use in the developer portal.",
        )
    if 187 in codes or _says(said, _DUPLICATE, text):
        return Refused("text", "duplicate", "it is a duplicate of an earlier post")
    if 186 in codes or _says(said, _TOO_LONG, text):
        return Refused("text", "too-long", "it is too long")
    if status == 400:
        # Not known to be the text's fault: a text is not given up for it, or a change at X would use up the pool.
        return account(
            "invalid",
            "X calls the request invalid; look in the developer portal, and if only this text is at fault, withdraw "
            "it from the pool.",
        )
    return account(
        "forbidden", f"X refused with status {status}; look at the account and the app in the developer portal."
    )


def _says(said: Sequence[str], pattern: re.Pattern[str], text: str) -> bool:
    """Does a message begin with this, and not because it repeats the text?"""
    return any(pattern.match(message) for message in said) and not pattern.search(" ".join(text.lower().split()))


def keys_refused(kept: Secret) -> str:
    return f"X does not know these keys, or this machine's clock is wrong; make the access token anew and {kept.keep}."


def _reset(headers: Mapping[str, str]) -> str:
    """When the spent limit is full again: of the limits with nothing remaining, the last reset."""
    resets = []
    for kind in ("x-rate-limit", "x-app-limit-24hour", "x-user-limit-24hour"):
        left, reset = headers.get(f"{kind}-remaining"), headers.get(f"{kind}-reset")
        if reset and re.fullmatch("[0-9]{1,10}", reset) and left in ("0", None):  # seconds, up to the year 2286
            resets.append(int(reset))
    return time.strftime(" until %Y-%m-%d %H:%M:%S UTC", time.gmtime(max(resets))) if resets else ""


@dataclass(frozen=True)
class LatestPost:
    """One of the account's latest posts."""

    id: str
    text: str
    """As X shows it."""
    created: datetime
    links: Mapping[str, str] = field(default_factory=dict)
    """Where the short links in it lead, as far as X says."""

    @classmethod
    def parse(cls, raw: Any) -> LatestPost | None:
        """None: it cannot be read."""
        raw = _object(raw)
        found, text = _id_in(raw), raw.get("text")
        try:
            created = datetime.fromisoformat(raw["created_at"]).astimezone(UTC)
        except (KeyError, TypeError, ValueError, OverflowError):
            return None
        if found is None or not isinstance(text, str):
            return None
        urls = map(_object, _list(_object(raw.get("entities")).get("urls"))[:MANY])
        pairs = ((link.get("url"), link.get("expanded_url")) for link in urls)
        return cls(found, text, created, {a: b for a, b in pairs if isinstance(a, str) and isinstance(b, str)})


def read_latest(text: str, answer: Answer | None, since: datetime | None) -> Found | NotFound | CannotTell:
    """Is `text` among the latest posts that the answer holds?"""
    body = answer.json() if answer else {}
    data, meta = _list(body.get("data")), _object(body.get("meta"))
    posts = [post for post in map(LatestPost.parse, data[:MANY]) if post]
    found = find_post(text, posts, since, "next_token" in meta)
    if isinstance(found, NotFound):
        if body.get("errors"):
            return CannotTell("X answered with errors", "later")
        count = meta.get("result_count", len(data) or None)
        if type(count) is not int or not count == len(posts) == len(data) or body.get("data", data) is not data:
            return CannotTell("X answered with other posts than it counts, or in another form", "later")
    return found


def find_post(
    text: str, latest: Sequence[LatestPost], since: datetime | None, more: bool = False
) -> Found | NotFound | CannotTell:
    """Is `text` among the latest posts, or certainly not posted since `since`? `more`: there are older ones."""
    alike = False
    for post in latest:
        shown = is_shown_as(post.text, text, post.links)
        if shown:
            return Found(post.id, post.created)
        alike = alike or shown is None
    if alike:
        return CannotTell("a post differs in its links alone, which X has shortened")
    hidden = bool(latest) and (more or len(latest) >= LATEST)
    if hidden and since and min(p.created for p in latest) > since - CLOCK_TOLERANCE:
        return CannotTell(f"there are {LATEST} newer posts")
    return NotFound()
