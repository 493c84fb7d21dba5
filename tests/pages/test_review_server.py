"""The review's server: who may ask it, and what decisions do."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rapidfuzz import fuzz
from starlette.testclient import TestClient

from tests.helpers import reviewed as made
from training.cli.review import Reviewed
from training.common.files import locked
from training.common.text import normal_form, text_id
from training.curate.decisions import Decisions, open_decisions
from training.pages.review.app import Review
from training.pages.review.desk import Desk, hidden
from training.pages.review.guard import PAGE_TOKEN, Guard
from training.settings import Bot, load

PORT = 8123
HERE = f"http://127.0.0.1:{PORT}"


@dataclass
class Page:
    """The server and a browser that has opened it."""

    run: made.Run
    guard: Guard
    client: TestClient
    decisions: Decisions
    facts: dict[str, Any]

    def get(self, path: str, **query: Any) -> Any:
        answer = self.client.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, body: Any, **headers: str | None) -> Any:
        sent = {"Origin": HERE, PAGE_TOKEN: self.guard.page_token, "Content-Type": "application/json"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items() if value is not None}
        for name in [name.replace("_", "-") for name, value in headers.items() if value is None]:
            sent = {key: value for key, value in sent.items() if key.lower() != name.lower()}
        return self.client.post(path, content=body if isinstance(body, bytes) else json.dumps(body), headers=sent)

    def decide(self, text: str, what: str, edited: str | None = None) -> Any:
        more = {} if edited is None else {"edited": edited}
        id = text_id(text)
        return self.post("/decide", {"n": self.number(text), "id": id, "decision": what, **more})

    def number(self, text: str) -> int:
        found = self.get("/texts", view="all", source="all", count=100)["texts"]
        return next(each["n"] for each in found if each["text"] == text)

    def shown(self, **query: Any) -> list[str]:
        return [each["text"] for each in self.get("/texts", count=100, **query)["texts"]]


@pytest.fixture
def run(tmp_path: Path) -> made.Run:
    return made.run(tmp_path)


@pytest.fixture
def page(run: made.Run) -> Iterator[Page]:
    at = Reviewed(run.folder, load(run.bot), run.bot, str(run.pool))
    with open_decisions(run.folder, "anna") as decisions, closing(at.desk(decisions)) as desk:

        def publish(unread: bool) -> list[str]:
            return at._publish(decisions, unread)

        review = Review(desk, decisions, load(run.bot), lambda: False, lambda: at.anew(decisions), publish, at.ours)
        guard = Guard(review.app, PORT)
        review.page_token = guard.page_token
        with TestClient(guard, base_url=HERE, follow_redirects=True) as client:
            client.get(guard.address)
            text = client.get("/").text
            facts = json.loads(text.partition('type="application/json">')[2].partition("</script>")[0])
            yield Page(run, guard, client, decisions, facts)


def test_the_token_moves_from_the_address_into_a_cookie(page: Page) -> None:
    answer = TestClient(page.guard, base_url=HERE, follow_redirects=False).get(page.guard.address)
    cookie = answer.headers["set-cookie"]
    assert answer.status_code == 200 and 'http-equiv="refresh" content="0;url=/"' in answer.text
    assert "HttpOnly" in cookie and "samesite=strict" in cookie.lower() and "domain" not in cookie.lower()
    assert page.guard.token not in page.client.get("/").text, "the page cannot read what its cookie holds"
    assert len(page.guard.token) >= 32 and page.guard.token != page.guard.page_token


def test_an_address_for_once_is_good_once(page: Page) -> None:
    address = page.guard.address_for_once()
    assert page.guard.token not in address
    first, second = (TestClient(page.guard, base_url=HERE) for _ in range(2))
    assert first.get(address).status_code == 200 and first.get("/").status_code == 200
    assert second.get(address).status_code == 403 and second.get("/").status_code == 403
    assert second.get(page.guard.address).status_code == 200, "the printed one stays good"


PATHS = [
    "/",
    "/review.js",
    "/style.css",
    "/texts",
    "/text?n=0",
    "/like?n=0",
    "/decisions.jsonl",
    "/decisions.csv",
    "/no",
]


@pytest.mark.parametrize("path", PATHS)
def test_without_the_token_nothing_is_told(page: Page, path: str) -> None:
    stranger = TestClient(page.guard, base_url=HERE, follow_redirects=False)
    for cookie in ("", "wrong", page.guard.token[:-1], page.guard.token + "x", page.guard.page_token, "é"):
        stranger.cookies.clear()
        headers = {"Cookie": f"review-{PORT}={cookie}".encode()} if cookie else {}
        answer = stranger.get(path, headers=headers)
        assert answer.status_code == 403 and "open the address" in answer.text and "the king" not in answer.text
    assert stranger.get("/?token=wrong").status_code == 403


@pytest.mark.parametrize(
    "host", ["evil.example", f"evil.example:{PORT}", "127.0.0.1", "127.0.0.1:1", f"127.0.0.1.evil.example:{PORT}", ""]
)
def test_another_name_for_this_machine_is_refused(page: Page, host: str) -> None:
    """DNS rebinding: the site's name leads here, and its page asks."""
    assert page.client.get("/", headers={"Host": host}).status_code == 421
    assert page.post("/undo", {}, Host=host, Origin=f"http://{host}").status_code == 421
    assert page.client.get("/", headers={"Host": f"localhost:{PORT}"}).status_code == 200


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "https://127.0.0.1:8123", "http://127.0.0.1:9000", ""]
)
def test_another_site_can_change_nothing(page: Page, origin: str) -> None:
    first = page.facts["texts"][0]
    body = {"n": first["n"], "id": first["id"], "decision": "drop"}
    assert page.post("/decide", body, Origin=origin).status_code == 403
    assert page.client.get("/texts", headers={"Origin": origin}).status_code == 403
    assert page.decisions.counts()["drop"] == 0


def test_a_request_that_a_form_could_send_is_refused(page: Page) -> None:
    first = page.facts["texts"][0]
    body = {"n": first["n"], "id": first["id"], "decision": "drop"}
    assert page.post("/decide", body, Origin=None).status_code == 403
    assert page.post("/decide", body, **{PAGE_TOKEN: "wrong"}).status_code == 403
    assert page.post("/decide", body, **{PAGE_TOKEN: None}).status_code == 403
    assert page.post("/decide", body, Sec_Fetch_Site="cross-site").status_code == 403
    assert page.client.get("/texts", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        assert page.post("/decide", body, Content_Type=kind).status_code == 415
    assert page.client.get("/decide").status_code == 405 and page.client.request("PUT", "/decide").status_code == 403
    assert page.decisions.counts()["drop"] == 0
    assert page.post("/decide", body).status_code == 200 and page.decisions.counts()["drop"] == 1


def test_every_answer_is_closed(page: Page) -> None:
    stranger = TestClient(page.guard, base_url=HERE)
    answers = [page.client.get(path) for path in PATHS] + [stranger.get("/"), page.post("/decide", {})]
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
        assert answer.headers["cache-control"] == "no-store" and answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "server" not in answer.headers and "access-control-allow-origin" not in answer.headers
    text = page.client.get("/").text
    assert "<script>" not in text and " style=" not in text and " onclick" not in text
    assert not re.findall(r"(?:src|href)=\"(?:https?:)?//", text), "nothing comes from elsewhere"


def test_a_text_cannot_break_out_of_the_page(tmp_path: Path) -> None:
    run = made.run(tmp_path)
    evil = "</script><script>alert(1)</script><img src=x onerror=alert(2)> & \u2028 \ud83d"
    path = run.folder / "review.jsonl"
    record = json.loads(path.read_text().splitlines()[0]) | {"text": evil, "names": "<b>&"}
    path.write_text(json.dumps(record) + "\n")
    with open_decisions(run.folder, "<i>") as decisions, closing(Desk(run.folder, decisions)) as desk:
        review = Review(desk, decisions, Bot(name="<u>"), lambda: False, NotImplemented, NotImplemented)
        with TestClient(review.app) as client:
            text = client.get("/").text
    assert "<script>alert" not in text and "<img" not in text and "<u>" not in text and "<b>" not in text
    data = text.partition('type="application/json">')[2].partition("</script>")[0]
    assert json.loads(data)["texts"][0]["text"] == evil


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"[]", 400),
        (b"{", 400),
        (b"\xff", 400),
        (b"x" * (1 << 17), 413),
        ({}, 404),
        ({"n": -1}, 404),
        ({"n": 10**9}, 404),
        ({"n": True}, 404),
        ({"n": 0, "id": "other", "decision": "keep"}, 409),
        ({"n": 0, "id": None, "decision": "burn"}, 400),
        ({"n": 0, "id": None, "decision": "edit"}, 400),
        ({"n": 0, "id": None, "decision": "edit", "edited": "  "}, 400),
        ({"n": 0, "id": None, "decision": "keep", "edited": "x"}, 400),
        ({"n": 0, "id": None, "decision": ["keep"]}, 400),
    ],
)
def test_what_is_no_decision_is_refused_in_a_sentence(page: Page, body: Any, status: int) -> None:
    if isinstance(body, dict) and body.get("id", "") is None:
        body["id"] = page.facts["texts"][0]["id"]
    answer = page.post("/decide", body)
    assert answer.status_code == status and answer.json()["error"]
    assert sum(page.decisions.counts().values()) == 0


@pytest.mark.parametrize(
    "query", [{"view": "x"}, {"sort": "x"}, {"source": "x"}, {"after": "x"}, {"after": 10**6}, {"count": 10**6}]
)
def test_what_is_no_window_is_refused(page: Page, query: dict[str, Any]) -> None:
    assert page.client.get("/texts", params=query).status_code == 400


def test_first_those_that_were_set_apart(page: Page) -> None:
    assert page.facts["ask"]["source"] == "apart"
    assert [text["text"] for text in page.facts["texts"]] == made.NAMES
    first = page.facts["texts"][0]
    assert first["names"] == "israel" and first["why"].startswith("It names a people")
    assert first["nearest"] in page.run.corpus and [look["place"] for look in first["looks"]] == [
        "X",
        "Mastodon",
        "Bluesky",
    ]


def test_windows_follow_the_order_whatever_was_decided_meanwhile(page: Page) -> None:
    texts = page.run.texts
    assert page.shown(source="pool") == texts
    assert page.decide(texts[1], "keep").status_code == 200
    assert page.decide(texts[2], "drop").status_code == 200
    assert page.shown(source="pool") == [texts[0], *texts[3:]]
    assert page.shown(source="pool", view="decided") == texts[1:3] and page.shown(view="drop") == [texts[2]]
    # Text 2 has left the view, and what follows it is still known.
    after = page.get("/texts", source="pool", after=page.number(texts[2]), count=2)
    assert [each["text"] for each in after["texts"]] == texts[3:5] and (after["total"], after["before"]) == (38, 1)
    records = [json.loads(line) for line in (page.run.folder / "pool.jsonl").read_text().splitlines()]
    for name in ("score", "nearest_ratio"):
        for down in (0, 1):
            found = page.shown(source="pool", view="all", sort=name, down=down)
            known = {record["text"]: record[name] for record in records}
            assert [known[text] for text in found] == sorted(known.values(), reverse=bool(down))
    lengths = [len(text) for text in page.shown(source="pool", view="all", sort="length")]
    assert lengths == sorted(lengths)


def test_search_finds_parts_of_words_in_any_case_and_order(page: Page) -> None:
    texts = page.run.texts
    for query in ("the", "THE  shadow", "shadow the", "adow", "oar idle", ".", "no such word", "é"):
        wanted = [text for text in texts if all(word in text.lower() for word in query.lower().split())]
        assert page.shown(source="pool", q=query) == wanted


def test_a_decision_is_on_the_disk_when_it_is_answered(page: Page) -> None:
    text = made.NAMES[0]
    answer = page.decide(text, "keep").json()
    assert answer["text"]["status"] == "keep" and answer["counts"]["apart"]["keep"] == 1
    line = json.loads((page.run.folder / "decisions.jsonl").read_bytes())
    assert (line["text"], line["decision"], line["by"]) == (text, "keep", "anna")
    undone = page.post("/undo", {}).json()
    assert undone["text"]["status"] == "open" and undone["counts"]["apart"]["open"] == 4
    assert page.post("/undo", {}).status_code == 404


def test_an_edited_text_is_judged_as_a_new_one(page: Page) -> None:
    text, original = page.run.texts[0], page.run.corpus[0]
    refusals = {
        original: "copied-run",
        "A patient.": "too-short",
        "See example.org for the rest of it.": "link",
        "A quiet clerk writes to @anna at noon.": "mention",
        f"A quiet clerk waits at noon{' and sings of it' * 20}.": "length",
        page.run.texts[1]: "duplicate",
        page.run.texts[1][:-1] + " now.": "near-duplicate",
        "A quiet\x07 clerk waits at noon.": "characters",
        "A quiet clerk waits at noon": "edges",
    }
    for new, rule in refusals.items():
        answer = page.decide(text, "edit", new)
        assert answer.status_code == 422 and f"The rule {rule} refuses it" in answer.json()["error"], (new, answer.text)
        checked = page.post("/check", {"n": page.number(text), "text": new}).json()
        assert checked["objection"] == answer.json()["error"]
    assert sum(page.decisions.counts().values()) == 0
    new = "The moon keeps no ledger of what it lent."
    answer = page.decide(text, "edit", f"  {new}\r\n").json()
    assert answer["text"]["now"] == new and answer["text"]["text"] == text and answer["text"]["status"] == "edit"
    assert page.post("/check", {"n": page.number(text), "text": "The moon keeps a ledger."}).json()["objection"] == ""
    # Nobody else may write it now; whoever wrote it may mend it.
    assert "near-duplicate" in page.decide(page.run.texts[3], "edit", "The moon keeps no ledgers of what it lent.").text
    assert page.decide(text, "edit", "The moon keeps no ledger of all it lent.").status_code == 200
    assert page.decide(text, "edit", text).json()["text"]["status"] == "keep", "the original is no edit"


def test_what_nobody_sees_is_told() -> None:
    assert hidden("a\u202eb\u200bc\x1b") == ["U+001B", "U+200B", "U+202E"]
    assert hidden("क\u094d\u200dष, 👩\u200d👧\nand a flag 🇨🇭") == [], "what scripts and emoji need"


def test_likeness_is_told_from_60_per_cent_on(page: Page) -> None:
    """Against rapidfuzz's own ratios."""
    known, low = [*page.run.texts[:40], *made.NAMES], 0
    for text in known:
        ratios = [fuzz.ratio(normal_form(text), normal_form(other)) for other in known if other != text]
        found = [each["ratio"] for each in page.get("/like", n=page.number(text))["like"]]
        assert found == pytest.approx(sorted((r for r in ratios if r >= 60), reverse=True)[:5], abs=0.06)
        low += any(50 <= ratio < 60 for ratio in ratios) and len(found) < 5
    assert low, "some have others that are less like them"


def test_a_full_disk_is_told_and_decides_nothing(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("training.curate.decisions.os.write", full)
        answer = page.decide(made.NAMES[0], "keep")
    assert answer.status_code == 500 and "No space left on device; nothing was decided" in answer.json()["error"]
    assert page.shown(source="apart") == made.NAMES


def test_it_publishes_and_says_what_it_did(page: Page) -> None:
    page.decide(made.NAMES[0], "keep")
    before = page.get("/pending")
    assert (before["new"], before["out"], before["back"], before["there"], before["held"]) == (1, 0, 0, 0, False)
    said = page.post("/publish", {}).json()["said"]
    after = page.get("/pending")
    assert (after["new"], after["there"]) == (0, 1) and page.get("/text", n=0)["fate"] == "waiting"
    assert said[0].startswith("Added 1 text to ") and "Nobody has read 3 texts yet." in said


def test_while_a_run_is_at_work_it_publishes_nothing_and_says_why(page: Page) -> None:
    page.decide(made.NAMES[0], "keep")
    with locked(page.run.folder):
        answer = page.post("/publish", {})
    said = answer.json()["error"]
    assert answer.status_code == 409 and "New texts are being made" in said and "try again" in said and "--" not in said
    assert page.post("/publish", {}).json()["said"][0].startswith("Added 1 text to ")


def test_what_was_decided_can_be_taken_along(page: Page, tmp_path: Path) -> None:
    page.decide(made.NAMES[0], "star")
    page.decide(made.NAMES[1], "drop")
    page.post("/undo", {})
    log = page.client.get("/decisions.jsonl")
    assert log.content == (page.run.folder / "decisions.jsonl").read_bytes()
    assert "attachment" in log.headers["content-disposition"]
    table = page.client.get("/decisions.csv").content.decode("utf-8-sig").splitlines()
    assert len(table) == 2 and table[1].startswith(f"star,{made.NAMES[0]},,anna,")
