"""Texts before a person on a terminal: answers, stops, edits, and what reaches the pool."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from training.cli import main as cli
from training.common import jsonl
from training.common.text import text_id
from training.curate import write
from training.curate.decisions import Decisions, open_decisions
from training.curate.review import review

TEXTS = ["the king of israel is wise", "the jews went up", "an egyptian found bread", "the greeks seek wisdom"]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    records = write.records(TEXTS, [-2.0] * len(TEXTS), ["a wise son"])
    jsonl.write(tmp_path / "review.jsonl", ({**record, "names": "israel"} for record in records))
    return tmp_path


def ask(run: Path, answers: str, refused: str = "") -> str:
    said: list[str] = []
    records = [*jsonl.records(run / "review.jsonl")]
    with open_decisions(run, "anna") as decisions:
        review(records, decisions, io.StringIO(answers), said.append, lambda text, _: refused and f"No {text}.", 4)
    return "\n".join(said)


def decided(run: Path) -> list[str]:
    decisions = Decisions(run)
    found = [decisions.decided(record["id"]) for record in jsonl.records(run / "review.jsonl")]
    return [f"{line.decision} {line.edited}".strip() if line else "" for line in found]


def test_answers_are_kept_and_no_text_is_asked_twice(run: Path) -> None:
    said = ask(run, "y\nwhat\nn\nq\n")
    assert decided(run) == ["keep", "drop", "", ""]
    assert "4 texts to read; 0 read before" in said and "1/4 (israel)\n  the king of israel" in said
    assert "Please answer y" in said and "1 approved, 1 refused" in said
    with (run / "decisions.jsonl").open("a") as file:
        file.write('{"key": "half')  # killed while writing
    said = ask(run, "no\nYES")
    assert "2 texts to read; 2 read before" in said and TEXTS[0] not in said
    assert decided(run) == ["keep", "drop", "drop", "keep"]
    assert "0 texts to read; 4 read before" in ask(run, "")


def test_star_edit_and_undo(run: Path) -> None:
    said = ask(run, "s\nu\ny\ne the jews went down\nu\nu\nu\nn\nq\n")
    assert "Undone: star the king" in said and "Undone: edit the jews" in said and "nothing to undo" in said
    assert decided(run) == ["drop", "", "", ""]
    assert ask(run, "e a new\\nline\ne\ne an egyptian found bread\n").endswith("2 approved, 1 refused.")
    assert decided(run) == ["drop", "edit a new\nline", "keep", ""], "what nobody changed is no edit"


def test_what_the_rules_refuse_is_asked_again(run: Path) -> None:
    said = ask(run, "e a copy\nn\n", refused="!")
    assert "No a copy. Write another" in said and decided(run) == ["drop", "", "", ""]


def test_where_people_differ_it_asks_again_and_says_who_said_what(run: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    with open_decisions(other, "ben") as log:
        log.decide(TEXTS[0], "drop")
    ask(run, "y\n")
    with open_decisions(run, "anna") as log:
        log.merge(other / "decisions.jsonl")
    said = ask(run, "y\nq\n")
    assert "anna: keep" in said and "ben: drop" in said and decided(run)[0] == "keep"


def test_without_a_review_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in (tmp_path, tmp_path / "none"):
        assert cli.main(["review", "--run", str(folder)]) == 2
        assert "nothing to review" in capsys.readouterr().err


def test_the_command_fills_the_pool(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for expected in ("Added 2 texts", "Nothing added"):
        monkeypatch.setattr("sys.stdin", io.StringIO("y\ny\nn\nn\n"))
        assert cli.main(["review", "--run", str(run), "--pool", str(run / "pool")]) == 0
        assert expected in capsys.readouterr().out
    listed = cli.main(["pool", "list", "--pool", str(run / "pool")])
    out = capsys.readouterr().out
    assert listed == 0 and TEXTS[0] in out and TEXTS[1] in out and TEXTS[2] not in out
    approved = [json.loads(line)["text"] for line in (run / "approved.jsonl").read_text().splitlines()]
    assert approved == TEXTS[:2]


def test_nothing_approved_fills_nothing(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert cli.main(["review", "--run", str(run), "--pool", str(run / "pool")]) == 0
    assert "0 approved, 0 refused" in capsys.readouterr().out
    assert not (run / "approved.jsonl").exists() and not (run / "pool").exists()


def test_the_answers_of_an_older_version_go_on_counting(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    old = [{"id": text_id(TEXTS[n]), "text": TEXTS[n], "publish": n == 0} for n in (0, 1)]
    jsonl.write(run / "reviewed.jsonl", old)
    monkeypatch.setattr("sys.stdin", io.StringIO("n\ny\n"))
    assert cli.main(["review", "--run", str(run), "--pool", str(run / "pool")]) == 0
    out = capsys.readouterr().out
    assert "2 texts to read; 2 read before" in out and "Added 2 texts" in out and "2 approved, 2 refused" in out
