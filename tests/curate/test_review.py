"""Texts before a person: answers, stops, and what reaches the pool."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from training.cli import main as cli
from training.common import jsonl
from training.common.errors import WrongUse
from training.curate import write
from training.curate.review import review

TEXTS = ["the king of israel is wise", "the jews went up", "an egyptian found bread", "the greeks seek wisdom"]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    records = write.records(TEXTS, [-2.0] * len(TEXTS), ["a wise son"])
    jsonl.write(tmp_path / "review.jsonl", ({**record, "names": "israel"} for record in records))
    return tmp_path


def ask(run: Path, answers: str) -> tuple[Path | None, str]:
    said: list[str] = []
    return review(run, io.StringIO(answers), said.append), "\n".join(said)


def approved(run: Path) -> list[str]:
    return [json.loads(line)["text"] for line in (run / "approved.jsonl").read_text().splitlines()]


def test_answers_are_kept_and_no_text_is_asked_twice(run: Path) -> None:
    path, said = ask(run, "y\nwhat\nn\nq\n")
    assert path == run / "approved.jsonl" and approved(run) == TEXTS[:1]
    assert "4 texts to read, 0 read before" in said and "1/4 (israel)\n  the king of israel" in said
    assert "Please answer y" in said and "1 approved, 1 refused" in said
    with (run / "reviewed.jsonl").open("a") as file:
        file.write('{"id": "half')  # killed while writing
    _, said = ask(run, "no\nYES")
    assert "2 texts to read, 2 read before" in said and TEXTS[0] not in said
    assert approved(run) == [TEXTS[0], TEXTS[3]]
    assert len((run / "reviewed.jsonl").read_text().splitlines()) == 4
    assert "0 texts to read, 4 read before" in ask(run, "")[1]


def test_nothing_approved_fills_nothing(run: Path) -> None:
    assert ask(run, "")[0] is None and not (run / "approved.jsonl").exists()


def test_without_a_review_file(tmp_path: Path) -> None:
    with pytest.raises(WrongUse, match="nothing to review"):
        ask(tmp_path, "")


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
