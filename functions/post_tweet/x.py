"""X as a place to post: its rules, its promise, and every answer of its API as a value."""

from __future__ import annotations

import html
import json
import logging
import os
import re
import time
import unicodedata
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from post_tweet.errors import BadInput
from post_tweet.place import CLOCK_TOLERANCE, CannotTell, Found, NotFound, Posted, Promise, Refused, Secret, Unknown
from post_tweet.xtext import problems, weighted_length

API = "https://api.x.com"
TIMEOUT = (3.05, 15.0)
"""Seconds to connect to an address and to wait for the next piece of an answer; their sum, 18.05 s, is the most that
`post` or `did_post` takes. tweepy passes no time-out and would wait for ever."""
READ_SHARE = 0.4
"""Of the 15 s, for a piece of a reading: if X is silent, did_post does not take all of its time."""
MAX_BODY = 1 << 20
"""Bytes that an answer of X may have; a post's has a few hundred."""
LATEST = 5
"""Posts that did_post reads; X's own minimum."""
UNREADABLE = (400, 403, 404, 410)
"""Statuses that say that the reading would fail again."""
NAMES: dict[str, tuple[str, ...]] = {
    "consumer_key": ("api_key",),
    "consumer_secret": ("api_key_secret", "api_secret_key", "api_secret"),
    "access_token": ("access_key",),
    "access_token_secret": ("access_secret",),
}
"""The four keys, each with the names that X's pages and the tutorial have for it."""
NOWHERE = Secret("", "nowhere")
"""As if the keys were in AWS."""
_TWEEPY_HOST = "https://api.twitter.com"

for _name in ("tweepy", "requests_oauthlib", "oauthlib"):
    # At DEBUG these log signed headers.
    logging.getLogger(_name).setLevel(logging.INFO)


@dataclass(frozen=True)
class Credentials:
    consumer_key: str = field(repr=False)
    consumer_secret: str = field(repr=False)
    access_token: str = field(repr=False)
    access_token_secret: str = field(repr=False)

    @property
    def account(self) -> str | None:
        """The id of the account: its access tokens are "<id>-<rest>"."""
        found = re.match("([0-9]+)-", self.access_token)
        return found[1] if found else None

    @classmethod
    def parse(cls, secret: Secret) -> Credentials:
        """From twitter.json, with tweepy's names or any of NAMES; what else it holds, a bearer token, is not used.

        Raises:
            BadInput: no JSON, or a key is missing or empty; never quotes a value.
        """
        try:
            raw = json.loads(secret.text)
            if not isinstance(raw, dict):
                raise ValueError
        except ValueError:
            raise BadInput(
                f"{secret.where} is not a JSON object with consumer_key, consumer_secret, access_token and "
                "access_token_secret."
            ) from None
        values = {}
        for name, others in NAMES.items():
            value = next((raw[each] for each in (name, *others) if raw.get(each)), None)
            if not isinstance(value, str) or not value.strip():
                raise BadInput(
                    f"{secret.where} lacks {name} (or {others[0]}); copy it from the app's page "
                    '"Keys and tokens" at X.'
                )
            values[name] = value.strip()
        return cls(**values)


class X:
    """tweepy over a session that has time-outs and a deadline, and knows where the API is.

    `base_url` is for tests, as the environment's X_API_URL is; `timeout` as in TIMEOUT.
    """

    name = "X"
    promise = Promise(
        # How long X's refusal of duplicates can be relied on.
        repeats_refused_for=timedelta(hours=6),
        # 10 s, and 5 s for a request that was still on its way when we gave up waiting.
        shown_within=timedelta(seconds=15),
    )

    def __init__(
        self, secret: Callable[[], Secret], base_url: str = "", timeout: tuple[float, float] = TIMEOUT
    ) -> None:
        self._secret, self.timeout = secret, timeout
        self.base_url = (base_url or os.environ.get("X_API_URL") or API).rstrip("/")
        self._kept = NOWHERE
        self._account: str | None = None
        self._response: Any = None
        """The latest answer: tweepy's own reading of it breaks on bodies and headers that it did not expect."""

    def problems(self, text: str, allow: Collection[str] = ()) -> str | None:
        return problems(text, allow)

    def length(self, text: str) -> int:
        return weighted_length(text)

    def connect(self) -> str | None:
        _ = self.client
        return self._account

    @cached_property
    def client(self) -> Any:
        """tweepy's, its session replaced by one with a deadline."""
        import requests
        import tweepy
        from post_tweet.deadline import DeadlineAdapter

        x = self

        class Session(requests.Session):
            def request(self, method: str | bytes, url: str | bytes, *args: Any, **kwargs: Any) -> requests.Response:
                # tweepy names its host in every call; rewritten here, before the signature is made.
                connect, read = x.timeout
                kwargs["timeout"] = (connect, read if method == "POST" else read * READ_SHARE)
                kwargs["allow_redirects"] = False
                kwargs["stream"] = True
                response = super().request(method, str(url).replace(_TWEEPY_HOST, x.base_url), *args, **kwargs)
                x._response = response
                response._content = read_body(response)
                return response

            def get_redirect_target(self, resp: requests.Response) -> None:
                # requests would look where a 302 leads to, and read its body for that, however long it is.
                return None

        self._kept = self._secret()
        credentials = Credentials.parse(self._kept)
        self._account = credentials.account
        client = tweepy.Client(
            consumer_key=credentials.consumer_key,
            consumer_secret=credentials.consumer_secret,
            access_token=credentials.access_token,
            access_token_secret=credentials.access_token_secret,
        )
        client.session = Session()
        for scheme in ("http://", "https://"):
            client.session.mount(scheme, DeadlineAdapter())
        return client

    def post(self, text: str) -> Posted | Refused | Unknown:
        """Publish `text`, once: neither tweepy nor the session tries again."""
        from post_tweet.deadline import within

        client, self._response = self.client, None
        try:
            with within(sum(self.timeout)):
                response = client.create_tweet(text=text, user_auth=True)
            return Posted(str(response.data["id"]))
        except Exception as error:  # every kind occurs: tweepy's, requests', json's, AttributeError, TypeError
            return classify_error(error, self._response, self._kept)

    def did_post(self, text: str, since: datetime | None = None) -> Found | NotFound | CannotTell:
        """Look for `text` among the account's latest 5 posts (a read costs $0.001 a post).

        Not found only if those posts reach back beyond `since`, the time of the first attempt.
        """
        from post_tweet.deadline import within

        client, self._response = self.client, None
        try:
            with within(sum(self.timeout)):
                me = client.get_me(user_auth=True)
                posts = client.get_users_tweets(
                    me.data["id"], max_results=LATEST, tweet_fields=["created_at"], user_auth=True
                )
            if posts.errors:
                return CannotTell("X answered with errors", "later")
            if not posts.data and posts.meta.get("result_count") != 0:
                return CannotTell("X answered without posts and without their number", "later")
            latest = [LatestPost(str(tweet["id"]), tweet["text"], tweet.created_at) for tweet in posts.data or []]
            return find_post(text, latest, since, "next_token" in posts.meta)
        except Exception as error:  # as above; a reading that fails decides nothing
            status = getattr(self._response, "status_code", None)
            if status == 401:
                return CannotTell(keys_refused(self._kept), "keys")
            return CannotTell(_in_short(error, status), "never" if status in UNREADABLE else "later")


def read_body(response: Any) -> bytes:
    """The answer's body, of at most MAX_BODY bytes."""
    body = b""
    try:
        while chunk := response.raw.read1(MAX_BODY, decode_content=True):
            body += chunk
            if len(body) > MAX_BODY:
                raise OverflowError("X's answer does not end")
    except BaseException:
        response.close()
        raise
    return body


@dataclass(frozen=True)
class LatestPost:
    """One of the account's latest posts."""

    id: str
    text: str
    created: datetime


def find_post(
    text: str, latest: Sequence[LatestPost], since: datetime | None, more: bool = False
) -> Found | NotFound | CannotTell:
    """Is `text` among the latest posts, or certainly not posted since `since`? `more`: there are older ones."""
    for post in latest:
        if _normal(post.text) == _normal(text):
            return Found(post.id, post.created)
    hidden = bool(latest) and (more or len(latest) >= LATEST)
    if hidden and since and min(p.created for p in latest) > since - CLOCK_TOLERANCE:
        return CannotTell(f"there are {LATEST} newer posts")
    return NotFound()


def _normal(text: str) -> str:
    """What a text and X's copy of it have in common: X escapes &, < and >, and shortens links to https://t.co/…"""
    text = re.sub(r"(\s*https://t\.co/\w+)+\s*$", "", html.unescape(text))
    return " ".join(unicodedata.normalize("NFC", text).split())


def keys_refused(kept: Secret) -> str:
    return f"X does not know these keys, or this machine's clock is wrong; make the access token anew and {kept.keep}."


def classify_error(error: Exception, last: Any = None, kept: Secret = NOWHERE) -> Refused | Unknown:
    """What an exception of create_tweet means; `last` is X's answer, if there was one, and `kept` the keys."""
    response: Any = getattr(error, "response", None)
    response = last if response is None else response
    status = getattr(response, "status_code", None)
    if status is None or status >= 500 or status < 400 or status == 408:
        return Unknown(_in_short(error, status))
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
            "The X app may only read; set its permissions to Read and write, then make the access token anew and "
            f"{kept.keep}.",
        )
    if re.search(r'"code":\s*453\b', body) or "access level" in body or "client-not-enrolled" in body:
        return account(
            "access-level",
            "The X app's access level does not allow posting; enrol it in pay per use in the developer portal.",
        )
    if status == 401:
        return account("keys", keys_refused(kept))
    if status == 429:
        return account("rate-limit", f"X's rate limit is reached{_reset(response)}; {kept.again}.")
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


def _in_short(error: Exception, status: int | None) -> str:
    return f"{type(error).__name__}{f', status {status}' if status else ''}"


def _reset(response: Any) -> str:
    """When the spent limit is full again: of the limits with nothing remaining, the last reset."""
    resets = []
    for kind in ("x-rate-limit", "x-app-limit-24hour", "x-user-limit-24hour"):
        left, reset = response.headers.get(f"{kind}-remaining"), response.headers.get(f"{kind}-reset")
        if reset and reset.isdigit() and left in ("0", None):
            resets.append(int(reset))
    return time.strftime(" until %Y-%m-%d %H:%M:%S UTC", time.gmtime(max(resets))) if resets else ""
