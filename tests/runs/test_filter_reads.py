"""`filter` reads candidates and originals as the bot and the command line say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.corpus.inputs import SAYINGS, between, numbered, table
from training.cli.main import main
from training.common.errors import DeepproverbsError
from training.corpus.read import open_corpus
from training.runs.filter_file import as_candidates
from training.settings import CorpusSettings

BOT = """
[corpus]
file = "mine.csv"
field = "tweet"
reference = ["book.txt", "old.csv"]
[filter]
characters = ""
closed_vocabulary = false
min_words = 1
skip = ["opening", "edges"]
"""
NEW = ["An impatient lantern forgets the way home", "Seven bridges wait for one river", "The window sleeps through it"]
OLD = "Every basket remembers the market it came from"
BOOK = "In the orchard nobody counts the apples"


@pytest.fixture
def bot(tmp_path: Path) -> Path:
    """Its corpus and a reference are tables with a decoy, another reference has a form of its own."""
    (tmp_path / "mine.csv").write_bytes(table([(n, "decoy", t) for n, t in numbered()], ["id", "text", "tweet"]))
    (tmp_path / "old.csv").write_bytes(table([("decoy", OLD), ("decoy", "x " + OLD)], ["text", "tweet"]))
    (tmp_path / "book.txt").write_bytes(between("==========", [BOOK, "a second", "a third", "a fourth"]))
    (tmp_path / "bot.toml").write_text(BOT)
    rows = [("decoy", text) for text in (*NEW, SAYINGS[0], OLD, BOOK)]
    (tmp_path / "new.csv").write_bytes(table(rows, ["text", "tweet"]))
    return tmp_path


def verdicts(folder: Path, *words: str) -> dict[str, str]:
    line = ["filter", str(folder / "new.csv"), "--out", str(folder / "pool.jsonl"), *words]
    assert main([*line, "--bot", str(folder)]) == 0
    lines = (folder / "verdicts.jsonl").read_text(encoding="utf-8").splitlines()
    return {each["text"]: each["verdict"] for each in map(json.loads, lines)}


def test_the_bot_s_field_and_references_hold(bot: Path) -> None:
    found = verdicts(bot)
    assert set(found) == {*NEW, SAYINGS[0], OLD, BOOK}
    assert all(found[text].startswith("cop") for text in (SAYINGS[0], OLD, BOOK)), found
    assert not any(found[text].startswith("cop") for text in NEW)


def test_a_corpus_that_is_named_comes_beside_the_references(bot: Path) -> None:
    (bot / "other.txt").write_text("\n".join(NEW) + "\n")
    found = verdicts(bot, "--corpus", str(bot / "other.txt"))
    assert all(found[text].startswith("cop") for text in (*NEW, OLD, BOOK))
    assert not found[SAYINGS[0]].startswith("cop")


def test_calibrate_counts_the_bot_s_texts(bot: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["filter", str(bot / "new.csv"), "--bot", str(bot), "--calibrate"]) == 0
    assert "| rule | real texts (30) | candidates (6) |" in capsys.readouterr().out


def test_the_command_line_holds_for_the_candidates(bot: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["filter", str(bot / "new.csv"), "--bot", str(bot), "--calibrate", "--form", "fortune"]) == 1
    assert "is not a fortune file" in capsys.readouterr().err


def test_json_lines_with_another_field_are_read_by_it(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    path.write_text("".join(json.dumps({"text": "decoy", "tweet": text}) + "\n" for text in SAYINGS))
    with as_candidates(path, CorpusSettings()) as same:
        assert same == path
    with as_candidates(path, CorpusSettings(), CorpusSettings(field="tweet")) as made:
        assert [json.loads(line)["text"] for line in made.read_text().splitlines()] == SAYINGS
    with (
        pytest.raises(DeepproverbsError, match="nosuch"),
        as_candidates(path, CorpusSettings(), CorpusSettings(field="nosuch")),
    ):
        pass
    assert open_corpus(path, CorpusSettings(field="tweet")).options["field"] == "tweet"
