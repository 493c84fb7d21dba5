"""Speak to X: `post(text)` and `did_post(text)`, every outcome as a value.

Nothing but these values comes back: an answer that nobody foresaw is Unknown, never an exception,
because the post may exist.
"""

from __future__ import annotations

import html
import json
import logging
import re
import time
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Literal, Protocol

from post_tweet.errors import BadInput

API = "https://api.x.com"
TIMEOUT = (3.05, 15.0)
"""Seconds to connect to an address and to wait for the next piece of an answer; their sum, 18.05 s, is all that
`post` or `did_post` takes. Both end within the function's 45 s. tweepy passes no time-out and would wait for ever."""
READING = 0.4
"""Of the 15 s, for a piece of a reading: if X is silent, did_post does not take all of its time."""
MOST = 1 << 20
"""Bytes that an answer of X may have; a post's has some hundred."""
LATEST = 5
"""Posts that did_post reads; X's own minimum."""
CLOCKS = timedelta(minutes=5)
"""How far X's clock and ours may be apart."""
NO_READING = (400, 403, 404, 410)
"""Statuses that say that a repetition of the reading fails as well."""
KEYS = (
    "X does not know these keys, or this machine's clock is wrong; make the access token anew and store it with "
    "`make secrets`."
)
_TWEEPY_HOST = "https://api.twitter.com"

for _name in ("tweepy", "requests_oauthlib", "oauthlib"):
    # At DEBUG these log signed headers.
    logging.getLogger(_name).setLevel(logging.INFO)


@dataclass(frozen=True)
class Posted:
    tweet_id: str


@dataclass(frozen=True)
class Refused:
    """X said no, for sure: nothing was posted."""

    scope: Literal["text", "account"]
    reason: str
    sentence: str


@dataclass(frozen=True)
class Unknown:
    """The post may exist."""

    reason: str


@dataclass(frozen=True)
class Found:
    tweet_id: str
    created: datetime | None = None


@dataclass(frozen=True)
class NotFound:
    pass


@dataclass(frozen=True)
class CannotTell:
    reason: str
    kind: Literal["never", "later", "keys"] = "never"
    """never: reading is not allowed, or newer posts hide it; later: this attempt failed; keys: X does not know us."""


class Poster(Protocol):
    def post(self, text: str) -> Posted | Refused | Unknown: ...
    def did_post(self, text: str, since: datetime | None = None) -> Found | NotFound | CannotTell: ...


@dataclass(frozen=True)
class Credentials:
    consumer_key: str = field(repr=False)
    consumer_secret: str = field(repr=False)
    access_token: str = field(repr=False)
    access_token_secret: str = field(repr=False)

    @classmethod
    def parse(cls, text: str, where: str) -> Credentials:
        """From twitter.json, with the tutorial's names (access_key, access_secret) or X's own.

        Raises:
            BadInput: no JSON, or a key is missing or empty; never quotes a value.
        """
        try:
            raw = json.loads(text)
            if not isinstance(raw, dict):
                raise ValueError
        except ValueError:
            raise BadInput(
                f"{where} is not a JSON object with consumer_key, consumer_secret, access_token and "
                "access_token_secret."
            ) from None
        both = {"access_token": "access_key", "access_token_secret": "access_secret"}
        values = {}
        for name in ("consumer_key", "consumer_secret", "access_token", "access_token_secret"):
            value = raw.get(name) or raw.get(both.get(name, name))
            if not isinstance(value, str) or not value.strip():
                raise BadInput(f'{where} lacks {name}; copy it from the app\'s page "Keys and tokens" at X.')
            values[name] = value.strip()
        return cls(**values)


class XPoster:
    """tweepy over a session that has time-outs and a deadline, and knows where the API is.

    Once `post` or `did_post` has returned, nothing of its request is sent any more.
    """

    def __init__(self, credentials: Credentials, base_url: str = API, timeout: tuple[float, float] = TIMEOUT) -> None:
        import requests
        import tweepy
        from post_tweet.deadline import InTime, within

        poster = self

        class Session(requests.Session):
            def request(self, method: str | bytes, url: str | bytes, *args: Any, **kwargs: Any) -> requests.Response:
                # tweepy names its host in every call; rewritten here, before the signature is made.
                allowed = timeout if method == "POST" else (timeout[0], timeout[1] * READING)
                kwargs["timeout"] = allowed
                kwargs["allow_redirects"] = False
                kwargs["stream"] = True
                address = str(url).replace(_TWEEPY_HOST, base_url.rstrip("/"))
                response = super().request(method, address, *args, **kwargs)
                poster._last = response
                response._content = whole(response)
                return response

            def get_redirect_target(self, resp: requests.Response) -> None:
                # requests would look where a 302 leads to, and read its body for that, however long it is.
                return None

        self._last: Any = None
        """The latest answer: tweepy's own reading of it breaks on bodies and headers it did not expect."""
        self.client = tweepy.Client(
            consumer_key=credentials.consumer_key,
            consumer_secret=credentials.consumer_secret,
            access_token=credentials.access_token,
            access_token_secret=credentials.access_token_secret,
        )
        self.client.session = Session()
        for scheme in ("http://", "https://"):
            self.client.session.mount(scheme, InTime())
        self._in_time = partial(within, sum(timeout))

    def post(self, text: str) -> Posted | Refused | Unknown:
        """Publish `text`, once: neither tweepy nor the session tries again."""
        self._last = None
        try:
            with self._in_time():
                response = self.client.create_tweet(text=text, user_auth=True)
            return Posted(str(response.data["id"]))
        except Exception as error:  # every kind occurs: tweepy's, requests', json's, AttributeError, TypeError
            return understood(error, self._last)

    def did_post(self, text: str, since: datetime | None = None) -> Found | NotFound | CannotTell:
        """Look for `text` among the account's latest 5 posts (a read costs $0.001 a post).

        Not found only if those posts reach back beyond `since`, the time of the first attempt.
        """
        self._last = None
        try:
            with self._in_time():
                me = self.client.get_me(user_auth=True)
                posts = self.client.get_users_tweets(
                    me.data["id"], max_results=LATEST, tweet_fields=["created_at"], user_auth=True
                )
            if posts.errors:
                return CannotTell("X answered with errors", "later")
            if not posts.data and posts.meta.get("result_count") != 0:
                return CannotTell("X answered without posts and without their number", "later")
            latest = [Latest(str(tweet["id"]), tweet["text"], tweet.created_at) for tweet in posts.data or []]
            return look_for(text, latest, since, "next_token" in posts.meta)
        except Exception as error:  # as above; a reading that fails decides nothing
            status = getattr(self._last, "status_code", None)
            reason = f"{type(error).__name__}{f', status {status}' if status else ''}"
            if status == 401:
                return CannotTell(reason, "keys")
            return CannotTell(reason, "never" if status in NO_READING else "later")


def whole(response: Any) -> bytes:
    """The answer's body, of at most MOST bytes."""
    body = b""
    try:
        while chunk := response.raw.read1(MOST, decode_content=True):
            body += chunk
            if len(body) > MOST:
                raise OverflowError("X's answer does not end")
    except BaseException:
        response.close()
        raise
    return body


@dataclass(frozen=True)
class Latest:
    """One of the account's latest posts."""

    id: str
    text: str
    created: datetime


def look_for(
    text: str, latest: Sequence[Latest], since: datetime | None, more: bool = False
) -> Found | NotFound | CannotTell:
    """Is `text` among the latest posts, or certainly not posted since `since`? `more`: there are older ones."""
    for post in latest:
        if _plain(post.text) == _plain(text):
            return Found(post.id, post.created)
    if latest and since and (more or len(latest) >= LATEST) and min(p.created for p in latest) > since - CLOCKS:
        return CannotTell(f"there are {LATEST} newer posts")
    return NotFound()


def _plain(text: str) -> str:
    """As both sides should read: X escapes &, < and >, and shortens links to https://t.co/…"""
    text = re.sub(r"(\s*https://t\.co/\w+)+\s*$", "", html.unescape(text))
    return " ".join(unicodedata.normalize("NFC", text).split())


def understood(error: Exception, last: Any = None) -> Refused | Unknown:
    """What an exception of create_tweet means; `last` is X's answer, if there was one."""
    response: Any = getattr(error, "response", None)
    response = last if response is None else response
    status = getattr(response, "status_code", None)
    if status is None or status >= 500 or status < 400 or status == 408:
        return Unknown(f"{type(error).__name__}{f', status {status}' if status else ''}")
    try:
        body = response.text.lower()
    except Exception:  # an unreadable body still has its status
        body = ""

    def account(reason: str, sentence: str) -> Refused:
        return Refused("account", reason, sentence)

    if "duplicate content" in body or "status is a duplicate" in body:
        return Refused("text", "duplicate", "it is a duplicate of an earlier post")
    if "too long" in body:
        return Refused("text", "too-long", "it is too long")
    if status == 402 or "creditsdepleted" in body:
        return account("credits", "X has no credits left for this app; buy some in the developer portal under Billing.")
    if "spend-cap" in body:
        return account(
            "spend-cap",
            "The app's spending cap at X is reached; raise it in the developer portal or wait for the next period.",
        )
    if "oauth1-permissions" in body:
        return account(
            "permissions",
            "The X app may only read; set its permissions to Read and write, then make the "
            "access token anew and store it with `make secrets`.",
        )
    if re.search(r'"code":\s*453\b', body) or "access level" in body or "client-not-enrolled" in body:
        return account(
            "access-level",
            "The X app's access level does not allow posting; enrol it in pay per use in the developer portal.",
        )
    if status == 401:
        return account("keys", KEYS)
    if status == 429:
        return account("rate-limit", f"X's rate limit is reached{_reset(response)}; the next slot tries again.")
    if status == 400:
        # Not known to be the text's fault: a text is not given up for it, or a change at X would use up the pool.
        return account(
            "invalid",
            "X calls the request invalid; look into the developer portal, and if only this text is at fault, withdraw "
            "it from the pool.",
        )
    return account(
        "forbidden", f"X refused with status {status}; look at the account and the app in the developer portal."
    )


def _reset(response: Any) -> str:
    """When the spent limit is full again: of the limits with nothing remaining, the last reset."""
    resets = []
    for kind in ("x-rate-limit", "x-app-limit-24hour", "x-user-limit-24hour"):
        left, reset = response.headers.get(f"{kind}-remaining"), response.headers.get(f"{kind}-reset")
        if reset and reset.isdigit() and left in ("0", None):
            resets.append(int(reset))
    return time.strftime(" until %Y-%m-%d %H:%M:%S UTC", time.gmtime(max(resets))) if resets else ""
