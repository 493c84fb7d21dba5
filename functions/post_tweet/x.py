"""X as a place to post: its rules, its promise, its keys, and the calls of its API; xanswers.py reads the answers."""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from post_tweet.errors import BadInput
from post_tweet.place import CannotTell, Found, NotFound, Posted, Promise, Refused, Secret, Unknown
from post_tweet.xanswers import (
    LATEST,
    NOWHERE,
    UNREADABLE,
    Answer,
    in_short,
    keys_refused,
    read_id,
    read_latest,
    read_post,
)
from post_tweet.xtext import problems, weighted_length

API = "https://api.x.com"
TIMEOUT = (3.05, 15.0)
"""Seconds to connect to an address and to wait for the next piece of an answer; their sum, 18.05 s, is the most that
`post` or `did_post` takes. tweepy passes no time-out and would wait for ever."""
READ_SHARE = 0.4
"""Of the 15 s, for a piece of a reading: if X is silent, did_post does not take all of its time."""
MAX_BODY = 1 << 20
"""Bytes that an answer of X may have; a post's has a few hundred."""
NAMES: dict[str, tuple[str, ...]] = {
    "consumer_key": ("api_key",),
    "consumer_secret": ("api_key_secret", "api_secret_key", "api_secret"),
    "access_token": ("access_key",),
    "access_token_secret": ("access_secret",),
}
"""The four keys, each with the names that X's pages and the tutorial have for it."""
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
            BadInput: no JSON, or a key is missing, empty or no key; never quotes a value.
        """
        try:
            raw = json.loads(secret.text)
            if not isinstance(raw, dict):
                raise ValueError
        except (ValueError, RecursionError):
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
            if not re.fullmatch("[!-~]+", value.strip()):
                raise BadInput(
                    f"{secret.where} has a character in {name} that no key has; copy it again from the app's page "
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
        self._answer: Answer | None = None
        """The latest: tweepy's own reading of it breaks on bodies and headers that it did not expect."""

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
                x._answer = None
                response = super().request(method, str(url).replace(_TWEEPY_HOST, x.base_url), *args, **kwargs)
                x._answer = Answer(response.status_code, response.headers)
                x._answer.body = response._content = read_body(response)
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
            return_type=requests.Response,  # its body stays as it is
        )
        client.session = Session()
        for scheme in ("http://", "https://"):
            client.session.mount(scheme, DeadlineAdapter())
        return client

    def post(self, text: str) -> Posted | Refused | Unknown:
        """Publish `text`, once: neither tweepy nor the session tries again."""
        from post_tweet.deadline import within

        client, self._answer, failure = self.client, None, None
        try:
            with within(sum(self.timeout)):
                client.create_tweet(text=text, user_auth=True)
        except Exception as error:  # every kind occurs: tweepy's, requests', json's, AttributeError, TypeError
            failure = error
        return read_post(text, self._answer, failure, self._kept)

    def did_post(self, text: str, since: datetime | None = None) -> Found | NotFound | CannotTell:
        """Look for `text` among the account's latest 5 posts (a read costs $0.001 a post).

        Not found only if those posts reach back beyond `since`, the time of the first attempt.
        """
        from post_tweet.deadline import within

        client, self._answer = self.client, None
        try:
            with within(sum(self.timeout)):
                client.get_me(user_auth=True)
                me = read_id(self._answer)
                if me is None:
                    return CannotTell("X did not say whose keys these are", "later")
                client.get_users_tweets(me, max_results=LATEST, tweet_fields=["created_at", "entities"], user_auth=True)
            return read_latest(text, self._answer, since)
        except Exception as error:  # as above; a reading that fails decides nothing
            status = self._answer.status if self._answer else None
            if status == 401:
                return CannotTell(keys_refused(self._kept), "keys")
            return CannotTell(in_short(error, status), "never" if status in UNREADABLE else "later")


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
