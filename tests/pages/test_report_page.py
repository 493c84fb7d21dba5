"""The page of a run: its figures against counts by other means, and the page itself as a browser reads it."""

from __future__ import annotations

import json
import random
import re
import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from post_tweet.pool import Pool
from post_tweet.store import open_store

from tests.helpers import labelled
from tests.helpers.browser import axe
from training.cli.main import main
from training.common import jsonl
from training.common.paths import MODELS
from training.common.text import DELIMITER, text_id
from training.curate import fill
from training.curate.decisions import open_decisions
from training.judge.rules import CHOSEN, RULES, glosses
from training.pages.report import facts, page, plots, words
from training.runs.owner import Owner
from training.settings import Bot

HOSTILE = "<script>alert(1)</script> & \x1b[31m \u202e </style> \ud800"
"""A text that would break out of the page, or hide something in it."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's folder, written by hand: the corpus real, candidates and verdicts counted as they are made."""
    folder = tmp_path_factory.mktemp("run")
    texts = labelled.proverbs()[:300]
    (folder / "corpus.txt").write_text(DELIMITER.join(texts))
    rng = random.Random(5)
    candidates = [f"{text.rstrip('.')} {number}." for number, text in enumerate(labelled.carriers(400, 1))]
    candidates += [HOSTILE.rstrip("\ud800")]
    verdicts = [rng.choice(["kept", "spare", "band", "repetition"]) for _ in candidates[:-1]] + ["kept"]
    heats = [rng.choice([0.6, 0.8, 1.0]) for _ in candidates]

    def lines(name: str, records: list[dict[str, Any]]) -> None:
        (folder / name).write_text("".join(json.dumps(record) + "\n" for record in records))

    lines(
        "candidates.jsonl",
        [
            {"text": text, "tokens": 9, "logprob": -2.0, "finished": True, "temperature": heat}
            for text, heat in zip(candidates, heats, strict=True)
        ],
    )
    pairs = list(zip(candidates, verdicts, strict=True))
    rng.shuffle(pairs)
    lines("verdicts.jsonl", [{"text": text, "verdict": verdict, "detail": ""} for text, verdict in pairs])
    lines(
        "pool.jsonl",
        [
            {"id": f"{n:016x}", "text": text, "score": -1.0 - n / 100, "nearest": texts[n], "nearest_ratio": 50.0}
            for n, (text, verdict) in enumerate(pairs)
            if verdict == "kept" and n < 300
        ],
    )
    metrics = [
        {"epoch": n, "training": None if not n else 4.0 - n, "held_out": loss, "bits": loss / 3, "seconds": 9 * n}
        for n, loss in enumerate((4.5, 3.6, 3.5, 3.55))
    ]
    lines("metrics.jsonl", metrics)
    stage = {"finished": "2026-01-31T09:00:00Z", "python": "3.11.7", "packages": {"numpy": "2.4.6"}}
    manifest = {
        "corpus": {**stage, "seconds": 2.0, "key": "", "settings": {}},
        "finetune": {
            **stage, "seconds": 3600.0, "key": "", "settings": {"base": "nano"}, "metrics": metrics, "best_epoch": 2,
        },
    }  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(manifest))
    ledger = {"read": 310, "dropped": {"reposts": 7}, "duplicates": 3, "kept": 300, "altered": {}}
    told = {"form": "lines", "evidence": "x < y", "encoding": "UTF-8", "ledger": ledger, "warnings": [HOSTILE]}
    samples = [{"text": HOSTILE, "line": 1}]
    counts = {"words": 5000, "tokens": 6000, "held_out_texts": 30}
    corpus = {"files": [{"file": "a/b.txt", "samples": samples, **told}], "counts": counts}
    (folder / "corpus.json").write_text(json.dumps(corpus))
    return folder


@pytest.fixture(scope="module")
def found(run: Path) -> facts.Facts:
    return facts.gather(Bot("mybot", run), run, MODELS)


def test_the_figures_are_those_of_the_files(run: Path, found: facts.Facts) -> None:
    verdicts = [json.loads(line) for line in (run / "verdicts.jsonl").read_text().splitlines()]
    counts = Counter(record["verdict"] for record in verdicts)
    assert found.counts == dict(counts) and found.candidates == 401
    heat_of = {
        r["text"]: r["temperature"] for r in map(json.loads, (run / "candidates.jsonl").read_text().splitlines())
    }
    for heat in found.heats:
        mine = [record["verdict"] for record in verdicts if heat_of[record["text"]] == heat.temperature]
        assert heat.candidates == len(mine)
        assert heat.kept == mine.count("kept") / len(mine)
        assert heat.passed == (mine.count("kept") + mine.count("spare")) / len(mine)
    assert sum(heat.candidates for heat in found.heats) == 401
    assert found.seconds == 3602 and len(found.pool) == len((run / "pool.jsonl").read_text().splitlines())
    shares = {rule.name: rule for rule in found.rules}
    assert shares["repetition"].first == counts["repetition"] / 401
    assert found.origin.licence == "mit" and len(found.beside) == 50
    scores = [each.score for each in found.pool]
    extremes = {extreme.what: extreme.texts for extreme in found.extremes}
    assert extremes["most probable"][0][1] == f"{max(scores):.2f} nats a token"
    assert extremes["least probable"][0][1] == f"{min(scores):.2f} nats a token"


def test_of_several_rounds_all_texts_are_told_and_the_newest_candidates(tmp_path: Path) -> None:
    """The figures against those of the files, round by round."""
    bot = Bot("mybot", tmp_path)
    texts = labelled.proverbs()[:60]
    (tmp_path / "corpus.txt").write_text(DELIMITER.join(texts[:20]))
    rounds = {1: texts[20:30], 2: texts[30:60]}
    lines = [{"text": text, "tokens": 9, "logprob": -2.0, "finished": True, "temperature": 1.0} for text in texts[20:]]
    jsonl.write(tmp_path / "candidates.jsonl", [*lines, *({**line, "text": f"{n}"} for n, line in enumerate(lines))])
    for number, some in rounds.items():
        records = [{"id": text_id(t), "text": t, "score": -1.0, "nearest": "", "nearest_ratio": 9.0} for t in some[:8]]
        jsonl.write(tmp_path / "pool.jsonl", records)
        fill.fill(tmp_path / "pool.jsonl", str(tmp_path / "pool"), "mybot")
        stages = {"filter": {"round": number, "first": 10 if number == 2 else 0}}
    jsonl.write(tmp_path / "verdicts.jsonl", [{"text": text, "verdict": "band"} for text in reversed(rounds[2])])
    jsonl.write(tmp_path / "review.jsonl", [{**record, "text": f"of israel {n}"} for n, record in enumerate(records)])
    (tmp_path / "manifest.json").write_text(json.dumps(stages))
    (tmp_path / "bot.toml").write_text('name = "mybot"\n')
    replace(Owner.of(tmp_path, bot, tmp_path / "bot.toml"), pool="pool", asked="pool").write(tmp_path)
    Pool(open_store(str(tmp_path / "pool"))).withdraw([0])
    with open_decisions(tmp_path, "anna") as log:
        log.decide("of israel 3", "drop")
        log.decide("of israel 4", "keep")
    found = facts.gather(bot, tmp_path, MODELS)
    assert [each.text for each in found.pool] == [*rounds[2][:8], *rounds[1][1:8]]
    assert found.quality["sets"]["pool"]["texts"] == 15 and len(found.lengths["pool"]) == 15
    assert (found.candidates, found.machine, found.heats[0].candidates) == (30, 30, 30), "one number everywhere"
    assert (found.round, found.set_apart) == (2, 6)
    html = page.render(found, tmp_path)
    assert "The texts are from 2 rounds" in html and "could not be read" not in html
    (tmp_path / "pool" / "state.json").write_text("{")
    found = facts.gather(bot, tmp_path, MODELS)
    assert [each.text for each in found.pool] == rounds[2][:8] and "state.json" in found.unread
    assert "the pool could not be read" in page.render(found, tmp_path)


class Reader(HTMLParser):
    """What a page holds: its tags with their attributes, and its words."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_the_page_stands_alone_and_holds_texts_as_texts(run: Path, found: facts.Facts) -> None:
    path = page.write(found, run)
    html = path.read_text(encoding="utf-8")
    reader = Reader(html)
    assert not {"script", "link", "iframe", "img", "object"} & {tag for tag, _ in reader.tags}
    for _, attributes in reader.tags:
        for name in ("href", "src", "action"):
            assert (attributes.get(name) or "#").startswith("#")
        assert not [name for name in attributes if name.startswith("on")]
    assert "http" not in re.sub(r' xmlns(:\w+)?="[^"]*"|\(https://[^)]*\)', "", html)
    assert "<script>alert(1)</script> &" in "".join(reader.words)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", html) and r"\x1b" in html
    ids = [attributes["id"] for _, attributes in reader.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {a["href"] for tag, a in reader.tags if tag == "a"} <= {f"#{name}" for name in ids}


def test_plots_have_the_colours_of_the_page_and_say_what_they_show(found: facts.Facts) -> None:
    drawn = [
        plots.losses(found.metrics, found.best_epoch),
        plots.lengths(found.lengths),
        plots.novelty(found.quality["sets"]),
    ]
    assert "2: 1.167" in drawn[0] and "chosen: 1.167" in drawn[0]
    for svg in drawn:
        root = ET.fromstring(svg.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1))
        words = {child.tag.rpartition("}")[2]: child.text for child in root if child.text}
        assert root.get("role") == "img" and words["title"] and words["desc"]
        assert not re.search(r"#[0-9a-f]{6}", svg) and "var(--ink)" in svg
        for reference in re.findall(r'(?:url\(#|href="#)([\w-]+)', svg):
            assert svg.count(f'id="{reference}"') == 1
    assert drawn[0] == plots.losses(found.metrics, found.best_epoch)


@pytest.mark.parametrize(
    ("text", "nearest", "marked"),
    [
        (
            "fear of the lord, a lion",
            "the fear of the king as a lion",
            "<mark>fear of the</mark> lord, <mark>a lion</mark>",
        ),
        ("a < b and more", "a < b, and less", "<mark>a &lt; b and</mark> more"),
        ("nothing in common", "", "nothing in common"),
    ],
)
def test_what_two_texts_share_is_marked(text: str, nearest: str, marked: str) -> None:
    assert str(page.shared_words(text, nearest)) == marked


def test_a_run_of_which_little_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As `filter` alone leaves it: no losses, no candidates, no ledger."""
    texts = labelled.proverbs()[:50]
    (tmp_path / "corpus.txt").write_text(DELIMITER.join(texts))
    record = {"id": "0" * 16, "text": "a wise son", "score": 0.0, "nearest": "", "nearest_ratio": 0.0}
    (tmp_path / "pool.jsonl").write_text(json.dumps(record) + "\n")
    html = page.render(facts.gather(Bot("small", tmp_path), tmp_path, MODELS), tmp_path)
    assert "This run did not fine-tune a model" in html and "a wise son" in html
    (tmp_path / "bot.toml").write_text('name = "small"\n')
    assert main(["report", "--bot", str(tmp_path), "--run", str(tmp_path / "none")]) == 2
    assert "`deepproverbs run --bot " in capsys.readouterr().err


def test_many_settings_are_told_apart(run: Path, found: facts.Facts) -> None:
    html = page.render(replace(found, chosen=["filter.copy_run"]), run)
    chosen, others = html.split("The other settings, at their defaults")
    assert "copy_run" in chosen[chosen.index("Settings that this bot chose") :] and "copy_run" not in others


def test_a_writer_reads_first_whether_it_worked(run: Path, found: facts.Facts) -> None:
    """In words, with the figures of the files; and the texts stand before the first number."""
    learnt, count, new, varied = words.answers(found)
    assert learnt.short.startswith("Yes: ") and "22\N{NO-BREAK SPACE}% less" in learnt.short  # 3.5 of 4.5 nats
    assert "1.17 bits a character, before 1.50" in learnt.long and "lower is better" in learnt.long
    assert count.short.startswith(f"{len(found.pool):,} texts, the best of ") and "wrote 401." in count.short
    four = found.quality["sets"]["pool"]["novelty"]["4"]
    assert new.short.startswith(f"{four:.0%}".replace("%", "\N{NO-BREAK SPACE}%")) and "alike" in varied.short
    worse = [{**line, "bits": 1.5 + line["epoch"] / 10} for line in found.metrics]
    assert next(words.answers(replace(found, metrics=worse))).short.startswith("No: ")
    assert next(words.answers(replace(found, metrics=[]))).short == "This run did not fine-tune a model."
    html = page.render(found, run)
    assert html.index(">What it writes<") < html.index(">Did it work?<") < html.index(">What next?<")
    assert html.index(">What next?<") < html.index("<details>") < html.index("<table")
    lines = words.told(found, run / "report.html", run).splitlines()
    assert len(lines) <= 6 and lines[0].endswith(str(run / "report.html")) and "--json" in lines[-1]


def test_every_rule_is_explained_to_people() -> None:
    assert set(glosses()) == {*(rule.name for rule in RULES), *CHOSEN}


@pytest.mark.parametrize(("days", "told"), [(1, "1 day"), (59, "59 days"), (300, "10 months"), (20_000, "54 years")])
def test_how_long_a_pool_lasts(found: facts.Facts, days: int, told: str) -> None:
    answers = list(words.answers(replace(found, pool=found.pool[:1] * days)))
    assert f"At one a day they last {told}." in answers[1].long


def test_options_and_commands_are_set_so_that_they_can_be_copied() -> None:
    assert page.options("<b> or --epochs 4.") == '&lt;b&gt; or <code class="option">--epochs 4</code>.'
    spans = page.pieces("deepproverbs review --bot 'a b' --run c")
    assert (
        re.sub("<[^>]+>", "", spans) == "deepproverbs review --bot &#39;a b&#39; --run c" and spans.count("<span>") == 3
    )


def test_in_print_all_is_open(run: Path, found: facts.Facts, chromium: Any) -> None:
    path = page.write(found, run)
    with chromium.new_context() as context:
        tab = context.new_page()
        tab.goto(path.as_uri())
        seen = "[...document.querySelectorAll('table, .pairs, .settings')].map((e) => e.checkVisibility())"
        visible = "({contentVisibilityAuto: true, visibilityProperty: true})"
        shown = seen.replace("checkVisibility()", f"checkVisibility{visible}")
        assert not any(tab.evaluate(shown))
        tab.emulate_media(media="print")
        tab.wait_for_function(f"{shown}.every(Boolean)")  # once it is laid out anew
        assert len(tab.evaluate(shown)) > 5


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [(390, 844), (1280, 900)])
def test_in_a_browser(run: Path, found: facts.Facts, chromium: Any, scheme: str, size: tuple[int, int]) -> None:
    """Nothing that stands in the way of a screen reader or of low sight, and nothing wider than the window."""
    path = page.write(found, run)
    with chromium.new_context(color_scheme=scheme, viewport={"width": size[0], "height": size[1]}) as context:
        tab = context.new_page()
        said: list[str] = []
        tab.on("console", lambda message: said.append(message.text))
        tab.goto(path.as_uri())
        for _ in ("folded", "open"):
            assert axe(tab) == []
            assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
            tab.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true })")
        assert said == [] and tab.title() == "mybot: a report"
