"""The review's page in a browser: decisions by keyboard that survive a kill, what a screen reader meets, a phone."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import reviewed as made
from tests.helpers.browser import DESK, PHONE, axe, page
from training.common import jsonl
from training.common.files import locked
from training.curate import fill
from training.curate.decisions import Decisions


def start(opened: Any, server: made.Server) -> None:
    """Open the page and wait until it listens to keys."""
    opened.goto(server.address)
    opened.locator("#read:not(:empty)").wait_for()


def text_of(opened: Any) -> str:
    found: str = opened.locator("#text").text_content()
    return found


def press(opened: Any, key: str) -> str:
    """Press a key, and wait until another text is shown. Returns that text."""
    before = text_of(opened)
    opened.keyboard.press(key)
    opened.locator("#text", has_not_text=before).wait_for()
    return text_of(opened)


@pytest.mark.slow
def test_500_decisions_by_keyboard_and_a_kill_in_the_middle_lose_none(chromium: Any, tmp_path: Path) -> None:
    run = made.run(tmp_path, count=520, names=0, kind="digits")
    keys = {"k": "keep", "d": "drop", "s": "star"}
    wanted: dict[str, str] = {}
    for part in (range(250), range(250, 500)):
        with made.server(run) as server, page(chromium) as opened:
            start(opened, server)
            for number in part:
                key, before = "kds"[number % 3], text_of(opened)
                press(opened, key)  # the next text is there: the decision was answered
                wanted[before] = keys[key]
            if part.start == 0:
                server.kill()
            else:
                assert f"Decided: {167:,} kept" in server.end()
    assert len(wanted) == 500 == len((run.folder / "decisions.jsonl").read_text().splitlines())
    log = Decisions(run.folder)
    found = {line.text: line.decision for id in log for line in log.standing(id)}
    assert found == wanted and list(wanted) == run.texts[:500], "each text once, in their order"


def test_keys_do_what_the_help_says(chromium: Any, tmp_path: Path) -> None:
    run = made.run(tmp_path, names=0)
    a, b, c, *_ = run.texts
    with made.server(run) as server, page(chromium, errors="422") as opened:  # the browser notes a refusal
        start(opened, server)
        assert text_of(opened) == a and opened.url == f"{server.base}/", "no token in the address"
        assert press(opened, "k") == b and press(opened, "ArrowRight") == c and press(opened, "ArrowLeft") == b
        assert press(opened, "u") == a and opened.locator("#read").text_content() == "0 of 40"
        opened.keyboard.press("e")
        opened.locator("#new").fill(run.corpus[0])
        opened.keyboard.press("Control+Enter")
        opened.locator("#objection", has_text="The rule copied-run refuses it").wait_for()
        opened.locator("#new").fill("The moon keeps no ledger of what it lent.")
        opened.keyboard.press("Control+Enter")
        opened.locator("#text", has_text=b).wait_for()
        assert press(opened, "ArrowLeft") == "The moon keeps no ledger of what it lent."
        assert a in opened.locator("#said").text_content()
        opened.keyboard.press("/")
        opened.keyboard.type("shadow")
        opened.locator("#text", has_text="shadow").wait_for()
        opened.keyboard.press("Enter")  # from the field to the text
        opened.keyboard.press("?")
        opened.locator("#help-box").wait_for()
        opened.keyboard.press("d")  # a key of the page behind the box
        opened.locator("#keys-on").uncheck()
        opened.keyboard.press("Escape")
        opened.locator("#help-box").wait_for(state="hidden")
        opened.keyboard.press("d")
        opened.wait_for_timeout(200)
        server.end()
    assert [line["decision"] for line in jsonl.records(run.folder / "decisions.jsonl") if "decision" in line] == [
        "keep",
        "edit",
    ], "letters in a box, or turned off, decide nothing"


def test_all_is_reached_by_the_tab_key_and_the_focus_is_seen(chromium: Any, tmp_path: Path) -> None:
    run = made.run(tmp_path)
    with made.server(run) as server, page(chromium) as opened:
        start(opened, server)
        opened.locator("#like li").first.wait_for()
        wanted = set(
            opened.eval_on_selector_all(
                "button, input, select, a[href]",
                "all => all.filter(e => e.checkVisibility() && !e.disabled).map(e => e.id || e.textContent)",
            )
        )
        met, outlines = [], set()
        for _ in range(len(wanted) + 20):
            opened.keyboard.press("Tab")
            here = opened.evaluate(
                "() => { const e = document.activeElement;"
                " return [e.id || e.textContent, getComputedStyle(e).outlineStyle, e.tagName] }"
            )
            met.append(here[0])
            outlines |= {here[1]} if here[2] != "BODY" else set()
        assert wanted <= {*met}, wanted - {*met}
        assert outlines == {"solid"}


def test_the_next_text_is_read_out(chromium: Any, tmp_path: Path) -> None:
    run = made.run(tmp_path)
    with made.server(run) as server, page(chromium) as opened:
        start(opened, server)
        assert opened.locator("#live").get_attribute("aria-live") == "polite"
        assert made.NAMES[0] in opened.locator("#live").text_content()
        press(opened, "k")
        assert opened.locator("#live").text_content() == f"{made.NAMES[1]}. Set apart for israel"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_axe_finds_nothing_serious(chromium: Any, tmp_path: Path, size: tuple[int, int], scheme: Any) -> None:
    run = made.run(tmp_path)
    with made.server(run) as server, page(chromium, size, scheme) as opened:
        start(opened, server)
        opened.locator("#like li").first.wait_for()
        assert axe(opened) == []
        press(opened, "k")
        press(opened, "ArrowLeft")
        opened.keyboard.press("e")
        opened.locator("#new").fill("a")
        opened.locator("#objection", has_text="refuses").wait_for()
        assert axe(opened) == []
        opened.keyboard.press("Escape")
        for button, box in (("#help", "#help-box"), ("#publish", "#publish-box")):
            opened.locator(button).click()
            opened.locator(box).wait_for()
            assert axe(opened) == []
            opened.keyboard.press("Escape")
            opened.locator(box).wait_for(state="hidden")
        wide = opened.evaluate("() => document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0, "nothing stands out at the side"


def test_a_link_on_another_site_s_page_opens_it(chromium: Any, tmp_path: Path) -> None:
    """A terminal that is a page itself: what follows such a link is another site's request, which brings no cookie."""
    run = made.run(tmp_path, names=0)
    with made.server(run) as server, page(chromium) as opened:
        link = f'<link rel="icon" href="data:,"><a href="{server.address}">x</a>'
        opened.route("http://terminal.example/", lambda way: way.fulfill(body=link, content_type="text/html"))
        opened.goto("http://terminal.example/")
        opened.locator("a").click()
        opened.locator("#text", has_text=run.texts[0]).wait_for()
        assert opened.url == f"{server.base}/"


def test_on_a_phone_the_buttons_are_large_and_always_there(chromium: Any, tmp_path: Path) -> None:
    run = made.run(tmp_path, names=0)
    with made.server(run) as server, page(chromium, PHONE) as opened:
        start(opened, server)
        for name in ("keep", "drop", "star", "start-edit"):
            box = opened.locator(f"#{name}").bounding_box()
            assert box["height"] >= 44 and box["width"] >= 44 and box["y"] + box["height"] <= PHONE[1]
        opened.locator("#keep").click()
        opened.locator("#text", has_text=run.texts[1]).wait_for()
        opened.locator("#undo").click()
        opened.locator("#text", has_text=run.texts[0]).wait_for()


def test_when_the_program_ends_the_page_says_so_and_shows_no_other_text(chromium: Any, tmp_path: Path) -> None:
    run = made.run(tmp_path, names=0)
    with made.server(run) as server, page(chromium, errors="ERR_CONNECTION_REFUSED") as opened:
        start(opened, server)
        press(opened, "k")
        server.end()
        opened.keyboard.press("k")
        opened.locator("#problem", has_text="Not saved").wait_for()
        assert text_of(opened) == run.texts[1]


def test_publishing_from_the_page(chromium: Any, tmp_path: Path) -> None:
    run = made.run(tmp_path, publish="after-review", names=0)
    with made.server(run) as server, page(chromium) as opened:
        start(opened, server)
        press(opened, "k")
        press(opened, "d")
        opened.locator("#publish").click()
        opened.locator("#publish-what", has_text="1 text comes into the pool.").wait_for()
        opened.locator("#unread").check()
        opened.locator("#publish-now").click()
        opened.locator("#publish-said", has_text="Added 39 texts").wait_for()
    state = json.loads((run.pool / "state.json").read_text())
    assert sum(batch["count"] for batch in state["batches"]) == 39


def test_what_a_person_meets_who_reads_on_and_publishes_twice(chromium: Any, tmp_path: Path) -> None:
    run = made.run(tmp_path, count=12)
    fill.fill(run.folder / "pool.jsonl", str(run.pool), "plain")
    with made.server(run) as server, page(chromium, errors="409") as opened:  # the browser notes a refusal
        start(opened, server)
        where, told, what, said = map(opened.locator, ("#where", "#told", "#publish-what", "#publish-said"))
        for _ in made.NAMES:
            press(opened, "k")
        assert text_of(opened) == "All that was set apart is read. Of the pool, 12 texts are still to be read."
        opened.locator("#go-on").click()
        opened.locator("#text", has_text=run.texts[0]).wait_for()
        assert where.text_content() == "in the pool" and not opened.locator("#go-on").is_visible()
        press(opened, "s")
        assert told.text_content() == "Starred. It is in the pool already and keeps its turn there."
        press(opened, "d")
        assert told.text_content() == ""
        opened.locator("#publish").click()
        what.get_by_text("4 texts come into the pool.").wait_for()
        sentences = ("1 text is taken out of it.", "1 text that you kept, starred or edited is there already.")
        assert all(sentence in what.text_content() for sentence in sentences)
        with locked(run.folder):
            opened.locator("#publish-now").click()
            said.get_by_text("New texts are being made for this bot at this moment").wait_for()
            assert "--" not in said.text_content() and opened.locator("#publish-now").text_content() == "Try again"
        opened.locator("#publish-now").click()
        said.get_by_text("Added 4 texts to the pool").wait_for()
        assert "1 text taken out of the pool" in said.text_content()
        opened.keyboard.press("Escape")
        opened.locator("#view").select_option("drop")
        opened.locator("#text", has_text=run.texts[1]).wait_for()
        assert where.text_content() == "taken out of the pool · dropped"
        opened.locator("#publish").click()
        what.get_by_text("Nothing is left to publish: the pool has all that you decided.").wait_for()
        assert not opened.locator("#publish-now").is_visible()
        opened.keyboard.press("Escape")
        opened.keyboard.press("u")
        opened.locator("#where", has_text=re.compile("^taken out of the pool$")).wait_for()
        opened.locator("#publish").click()
        what.get_by_text("1 text taken out before may be posted again.").wait_for()
        assert "Next: " in server.end()
