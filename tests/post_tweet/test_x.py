"""tweepy's real client against X on loopback: every row of the table of outcomes, and what X reads in a text."""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path

import pytest
from post_tweet import app
from post_tweet.errors import BadInput
from post_tweet.place import CannotTell, Found, NotFound, Posted, Refused, Secret, Unknown
from post_tweet.x import NAMES, Credentials, X

from tests.helpers.loopback_x import KEYS, LoopbackX, loopback_x, secret


@pytest.fixture
def x() -> Iterator[LoopbackX]:
    with loopback_x() as server:
        yield server


def client(x: LoopbackX, **keys: str) -> X:
    return X(lambda: secret(**keys), x.url, timeout=(1.0, 0.75))


def body(**fields: object) -> str:
    return json.dumps(fields)


def test_posted_and_then_a_duplicate(x: LoopbackX) -> None:
    assert client(x).post("a soft answer, äöü ’ 100 %") == Posted("1001")
    assert x.published == ["a soft answer, äöü ’ 100 %"]
    again = client(x).post("a soft answer, äöü ’ 100 %")
    assert isinstance(again, Refused) and (again.scope, again.reason) == ("text", "duplicate")


REFUSALS = [
    (403, body(detail="Your Tweet text is too long. For more", status=403), "text", "too-long"),
    (400, body(detail="Your Tweet text is too long.", status=400), "text", "too-long"),
    (402, body(title="CreditsDepleted", type="https://api.twitter.com/2/problems/credits"), "account", "credits"),
    (403, body(title="x", type="https://api.x.com/2/problems/spend-cap-reached"), "account", "spend-cap"),
    (403, body(title="x", type="https://api.twitter.com/2/problems/oauth1-permissions"), "account", "permissions"),
    (403, body(errors=[{"code": 453, "message": "You currently have access to a subset"}]), "account", "access-level"),
    (401, body(title="Unauthorized", status=401), "account", "keys"),
    (403, body(title="Forbidden", detail="suspended"), "account", "forbidden"),
    (400, body(errors=[{"message": "invalid"}]), "account", "invalid"),
    (403, body(detail="Your account is locked", id="1453000"), "account", "forbidden"),
    (403, body(errors=[{"code": 187, "message": "Status is a duplicate."}]), "text", "duplicate"),
    (401, "[1]", "account", "keys"),
]


@pytest.mark.parametrize(("status", "answer", "scope", "reason"), REFUSALS)
def test_refusals(x: LoopbackX, status: int, answer: str, scope: str, reason: str) -> None:
    x.script(status=status, body=answer)
    result = client(x).post("a text")
    assert isinstance(result, Refused) and (result.scope, result.reason) == (scope, reason)
    assert len(x.requests) == 1


def test_a_rate_limit_with_an_unreadable_header_is_still_a_refusal(x: LoopbackX) -> None:
    x.script(status=429, body=body(title="Too Many Requests"), headers={"x-rate-limit-reset": "soon"})
    result = client(x).post("a text")
    assert isinstance(result, Refused) and (result.scope, result.reason) == ("account", "rate-limit")


def test_the_advice_is_for_where_the_keys_are(x: LoopbackX, tmp_path: Path) -> None:
    file = tmp_path / "twitter.json"
    file.write_text(x.twitter_json.replace("consumer_secret", "api_key_secret"))
    kept = app.from_file(file)
    for status, here, in_aws in (
        (401, f"write it into {file}.", "store it with `make secrets`."),
        (429, "; post again then.", "; the next slot tries again."),
    ):
        for place, end in ((X(lambda: kept, x.url), here), (client(x), in_aws)):
            x.script(status=status, body=body(title="x"))
            result = place.post("a text")
            assert isinstance(result, Refused) and result.sentence.endswith(end)
    x.reading = 401
    told = X(lambda: kept, x.url).did_post("a text")
    assert isinstance(told, CannotTell) and told.reason.endswith(f"write it into {file}.")


@pytest.mark.parametrize("names", list(product(*((name, *others) for name, others in NAMES.items()))))
def test_keys_have_the_names_of_x_and_of_the_tutorial(names: tuple[str, ...]) -> None:
    keys = Credentials("1", "2", "3", "4")
    raw = {**dict(zip(names, "1234", strict=True)), "bearer_token": "AAAA", "client_id": "b"}
    assert Credentials.parse(Secret(json.dumps(raw), "here")) == keys
    for name, (asked, others) in zip(names, NAMES.items(), strict=True):
        rest = {other: value for other, value in raw.items() if other != name}
        with pytest.raises(BadInput, match=rf"here lacks {asked} \(or {others[0]}\)"):
            Credentials.parse(Secret(json.dumps(rest), "here"))


def test_wrong_keys_are_refused_by_their_signature(x: LoopbackX) -> None:
    result = client(x, consumer_secret="wrong").post("a text")
    assert isinstance(result, Refused) and result.reason == "keys" and x.published == []


def test_the_rate_limit_tells_when_the_last_spent_limit_is_full_again(x: LoopbackX) -> None:
    x.script(
        status=429,
        body=body(title="Too Many Requests"),
        headers={
            "x-rate-limit-remaining": "5",
            "x-rate-limit-reset": "1800000000",
            "x-user-limit-24hour-remaining": "0",
            "x-user-limit-24hour-reset": "1800003600",
        },
    )
    result = client(x).post("a text")
    assert isinstance(result, Refused) and result.reason == "rate-limit"
    assert "2027-01-15 09:00:00 UTC" in result.sentence


UNKNOWN = [
    {"status": 503, "body": "<html>over capacity</html>"},
    {"status": 500, "body": body(title="Internal")},
    {"status": 500, "body": "[1, 2]"},
    {"status": 201, "body": "not json", "publish": True},
    {"status": 201, "body": body(errors=[{"message": "x"}])},
    {"status": 302, "body": "", "headers": {"Location": "http://127.0.0.1:9/"}},
    {"drop": True, "publish": True},
    {"wait": 1.2, "publish": True},
]


@pytest.mark.parametrize("answer", UNKNOWN)
def test_whatever_may_have_been_posted_is_unknown(x: LoopbackX, answer: dict[str, object]) -> None:
    x.script(**answer)
    assert isinstance(client(x).post("a text"), Unknown)
    assert len(x.requests) == 1, "a post is never repeated by itself"


def test_an_answer_that_trickles_is_given_up_as_a_whole(x: LoopbackX) -> None:
    """Each byte is in time, all of them are not; read to its end, it would be an answer."""
    x.script(trickle=0.1, publish=True)
    assert isinstance(client(x).post("a text"), Unknown)


def test_an_answer_in_chunks_is_read(x: LoopbackX) -> None:
    x.script(chunked=True, publish=True)
    assert client(x).post("a text") == Posted("1001")


def test_an_endless_answer_is_given_up(x: LoopbackX) -> None:
    x.script(body=b" " * (3 << 20), publish=True)
    assert isinstance(client(x).post("a text"), Unknown)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, "keys"), (403, "never"), (404, "never"), (402, "later"), (429, "later"), (500, "later"), (503, "later")],
)
def test_why_the_latest_posts_cannot_be_read(x: LoopbackX, status: int, kind: str) -> None:
    x.reading = status
    answer = client(x).did_post("a text")
    assert isinstance(answer, CannotTell) and answer.kind == kind


def test_no_error_and_no_repr_tells_a_key(x: LoopbackX) -> None:
    texts = []
    for keys in ({}, {"access_token_secret": "wrong-secret-3"}):
        sender = client(x, **keys)
        texts += [repr(sender), str(vars(sender)), repr(sender.client), repr(sender.client.session)]
        for status in (401, 403, 500):
            x.script(status=status, body="{}")
            texts.append(repr(sender.post("a text")))
        try:
            sender.client.create_tweet(text="a text", user_auth=True, poll_options=[1])
        except Exception as error:
            texts.append("".join(traceback.format_exception(error)))
    for value in (*KEYS.values(), "wrong-secret-3"):
        assert value not in " ".join(texts)


def test_nobody_listening_is_unknown() -> None:
    result = X(secret, "http://127.0.0.1:9", timeout=(0.5, 0.5)).post("a text")
    assert isinstance(result, Unknown)


SHOWN = datetime(2026, 1, 1, 12, tzinfo=UTC)
"""When X says that every post was made: its `time` here."""


def test_asking_for_the_latest_posts(x: LoopbackX) -> None:
    assert client(x).did_post("fish & bread") == NotFound()
    x.published += ["one", "fish &amp;  bread", "three"]
    assert client(x).did_post("fish & bread") == Found("1002", SHOWN)
    assert client(x).did_post("two") == NotFound()
    x.readable = False
    assert isinstance(client(x).did_post("three"), CannotTell)


def test_a_page_that_does_not_reach_back_to_the_attempt_tells_nothing(x: LoopbackX) -> None:
    published = SHOWN
    x.published += ["one", "two", "three", "four", "five"]
    assert isinstance(client(x).did_post("lost", published - timedelta(hours=1)), CannotTell)
    assert client(x).did_post("lost", published + timedelta(hours=1)) == NotFound()
    assert client(x).did_post("two", published - timedelta(hours=1)) == Found("1002", SHOWN)
    x.published.pop()
    assert client(x).did_post("lost", published - timedelta(hours=1)) == NotFound()


@pytest.mark.parametrize("shown", ["a &lt;text&gt;", " a  <text>\n"])
def test_a_post_is_known_again_as_x_shows_it(x: LoopbackX, shown: str) -> None:
    x.published.append(shown)
    assert client(x).did_post("a <text>") == Found("1001", SHOWN)


@pytest.mark.parametrize(
    ("token", "account"), [("14927800-Xy-z", "14927800"), ("at-test", None), ("x1-y", None), ("12", None), ("-1", None)]
)
def test_an_access_token_tells_its_account(x: LoopbackX, token: str, account: str | None) -> None:
    assert client(x, access_token=token).connect() == account
    assert x.requests == []


def test_credentials_take_both_spellings_and_hide_their_values() -> None:
    old = {"consumer_key": "a", "consumer_secret": "b1", "access_key": "c1", "access_secret": "d1"}
    credentials = Credentials.parse(Secret(json.dumps(old), "twitter.json"))
    assert credentials.access_token_secret == "d1" and "d1" not in repr(credentials)


@pytest.mark.parametrize("value", ["a\ud800", "a b", "\u0663", "a\0b", "ä"])
def test_what_is_no_key_is_refused_before_it_is_used(value: str) -> None:
    """A signature could not be made with it, and a claim would wait for an answer that never comes."""
    with pytest.raises(BadInput, match="here has a character in access_token that no key has") as error:
        Credentials.parse(Secret(json.dumps({**KEYS, "access_token": value}), "here"))
    assert value not in str(error.value)


@pytest.mark.parametrize("text", ["[" * 200_000, '{"a":' * 200_000, "[]", "", "7", "nul", '{"a": ' + "1" * 9999 + "}"])
def test_credentials_that_are_no_object(text: str) -> None:
    with pytest.raises(BadInput, match="here is not a JSON object"):
        Credentials.parse(Secret(text, "here"))


@pytest.mark.parametrize("missing", ["consumer_key", "consumer_secret", "access_token", "access_token_secret"])
@pytest.mark.parametrize("value", [None, "", "  ", 5])
def test_a_missing_key_is_named_and_no_other_value_shown(missing: str, value: object) -> None:
    with pytest.raises(BadInput, match=f"lacks {missing}") as error:
        Credentials.parse(Secret(json.dumps({**KEYS, missing: value}), "twitter.json"))
    assert not any(value in str(error.value) for value in KEYS.values())


def test_signed_headers_are_not_logged(x: LoopbackX, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    client(x).post("a text")
    assert "oauth_signature" not in caplog.text and KEYS["access_token"] not in caplog.text
