"""The log of decisions: it survives kills, two people's logs are merged in any order, and nothing is lost."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.common.errors import DeepproverbsError, WrongUse
from training.common.paths import ROOT
from training.common.text import text_id
from training.curate.decisions import Decision, Decisions, as_csv, conflict, open_decisions, read

TEXTS = ["a wise son", "the sluggard sleeps", "an ox is strong"]


def outcome(log: Decisions, text: str) -> tuple[str, str] | None:
    line = log.decided(text_id(text))
    return (line.decision, line.edited) if line else None


def test_the_latest_decision_counts_and_undo_brings_back_the_one_before(tmp_path: Path) -> None:
    with open_decisions(tmp_path, "anna") as log:
        log.decide(TEXTS[0], "keep")
        log.decide(TEXTS[0], "edit", "a wise daughter")
        log.decide(TEXTS[1], "drop")
        assert outcome(log, TEXTS[0]) == ("edit", "a wise daughter")
        assert log.counts() == {"keep": 0, "drop": 1, "edit": 1, "star": 0, "conflict": 0}
        undone = [log.undo(), log.undo(), log.undo(), log.undo()]
        assert [line and line.decision for line in undone] == ["drop", "edit", "keep", None]
        log.decide(TEXTS[0], "star")
    again = Decisions(tmp_path)
    assert outcome(again, TEXTS[0]) == ("star", "") and outcome(again, TEXTS[1]) is None
    assert len((tmp_path / "decisions.jsonl").read_text().splitlines()) == 7, "whatever was decided stays written"


def test_an_undo_after_a_restart_takes_back_the_last_one(tmp_path: Path) -> None:
    with open_decisions(tmp_path, "anna") as log:
        log.decide(TEXTS[0], "keep")
        log.decide(TEXTS[0], "drop")
    with open_decisions(tmp_path, "anna") as log:
        assert log.undo() and outcome(log, TEXTS[0]) == ("keep", "")
    with open_decisions(tmp_path, "ben") as log:
        assert log.undo() is None, "only one's own"


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_half_a_line_is_cut_off_and_what_stands_before_it_stays(tmp_path: Path, cut: int) -> None:
    with open_decisions(tmp_path, "anna") as log:
        log.decide(TEXTS[0], "keep")
        whole = log.path.stat().st_size
        log.decide(TEXTS[1], "drop")
    os.truncate(log.path, whole + cut)
    with open_decisions(tmp_path, "anna") as log:
        assert outcome(log, TEXTS[0]) == ("keep", "") and outcome(log, TEXTS[1]) is None
        log.decide(TEXTS[1], "star")
    assert outcome(Decisions(tmp_path), TEXTS[1]) == ("star", "")


def test_a_line_that_is_no_decision_stops_it(tmp_path: Path) -> None:
    with open_decisions(tmp_path, "anna") as log:
        log.decide(TEXTS[0], "keep")
    data = log.path.read_bytes()
    flipped = data.replace(b"wise", b"vise")
    edited, strange = data.replace(b'"keep"', b'"edit"'), data.replace(b'"by"', b'"to"')
    for line in (b"no\n", b"{}\n", b'{"key": "a"}\n', edited, strange, flipped):
        log.path.write_bytes(data + line)
        with pytest.raises(DeepproverbsError, match="line 2: not a decision"):
            Decisions(tmp_path)


def test_a_full_disk_decides_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_decisions(tmp_path, "anna") as log:
        log.decide(TEXTS[0], "keep")
        data, write = log.path.read_bytes(), os.write
        calls = itertools.count()

        def full(fd: int, some: memoryview) -> int:
            if next(calls):
                raise OSError(28, "No space left on device")
            return write(fd, some[:9])

        monkeypatch.setattr(os, "write", full)
        with pytest.raises(DeepproverbsError, match="No space left on device; nothing was decided"):
            log.decide(TEXTS[1], "drop")
        monkeypatch.undo()
        assert log.path.read_bytes() == data and outcome(log, TEXTS[1]) is None
        log.decide(TEXTS[1], "drop")
    assert outcome(Decisions(tmp_path), TEXTS[1]) == ("drop", "")


def test_one_review_at_a_time(tmp_path: Path) -> None:
    with (
        open_decisions(tmp_path),
        pytest.raises(DeepproverbsError, match="Another review"),
        open_decisions(tmp_path),
    ):
        pass


@pytest.mark.slow
def test_what_was_answered_survives_a_kill_at_any_moment(tmp_path: Path) -> None:
    """A program decides and says so, line by line, until it is killed: whatever it said stands in the log."""
    code = (
        "import sys; from pathlib import Path; from training.curate.decisions import open_decisions\n"
        "with open_decisions(Path(sys.argv[1]), 'anna') as log:\n"
        "    for n in range(10**6):\n"
        "        log.decide(f'{sys.argv[2]} text {n}', 'keep'); print(n, flush=True)\n"
    )
    paths = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "functions")])}
    said = []
    for turn in range(5):
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path), str(turn)], stdout=subprocess.PIPE, text=True, env=paths
        )
        assert process.stdout
        said += [f"{turn} text {process.stdout.readline().strip()}" for _ in range(10 + 13 * turn)]
        process.kill()
        rest, _ = process.communicate()
        said += [f"{turn} text {line}" for line in rest.split("\n")[:-1]]
    log = Decisions(tmp_path)
    assert all(outcome(log, text) == ("keep", "") for text in said) and len(said) >= 180


def test_the_answers_of_an_older_version_count(tmp_path: Path) -> None:
    answers = [{"id": text_id(TEXTS[n]), "text": TEXTS[n], "publish": n == 0} for n in (0, 1)]
    lines = "".join(json.dumps(answer) + "\n" for answer in answers)
    (tmp_path / "reviewed.jsonl").write_text(lines + '{"id": "half')
    with open_decisions(tmp_path, "anna") as log:
        assert (outcome(log, TEXTS[0]), outcome(log, TEXTS[1])) == (("keep", ""), ("drop", ""))
        log.decide(TEXTS[1], "keep")
        assert log.undo() and log.undo() is None, "an old answer is nobody's to undo"
        log.decide(TEXTS[0], "drop")
    assert outcome(Decisions(tmp_path), TEXTS[0]) == ("drop", "")


def two(tmp_path: Path) -> tuple[Path, Path]:
    for name in ("anna", "ben"):
        (tmp_path / name).mkdir()
    return tmp_path / "anna", tmp_path / "ben"


def test_two_people_differ_until_somebody_decides_knowing_both(tmp_path: Path) -> None:
    a, b = two(tmp_path)
    with open_decisions(a, "anna") as log:
        log.decide(TEXTS[0], "keep")
        log.decide(TEXTS[1], "keep")
        log.decide(TEXTS[2], "drop")
    with open_decisions(b, "ben") as log:
        log.decide(TEXTS[0], "drop")
        log.decide(TEXTS[1], "star")
    with open_decisions(a, "anna") as log:
        merged = log.merge(b / "decisions.jsonl")
        assert (merged.added, merged.known, merged.conflicts) == (2, 0, [text_id(TEXTS[0])])
        assert outcome(log, TEXTS[0]) is None
        assert {line.by for line in log.standing(text_id(TEXTS[0]))} == {"anna", "ben"}
        assert outcome(log, TEXTS[1]) == ("star", ""), "a star keeps"
        assert log.merge(b / "decisions.jsonl").added == 0
        log.decide(TEXTS[0], "edit", "a wise child")
        assert outcome(log, TEXTS[0]) == ("edit", "a wise child")
    with open_decisions(b, "ben") as log:
        assert log.merge(a / "decisions.jsonl").conflicts == [], "anna knew of ben's when she decided"
        assert outcome(log, TEXTS[0]) == ("edit", "a wise child") and outcome(log, TEXTS[2]) == ("drop", "")


def test_an_undone_line_does_not_bring_back_what_a_later_one_knew(tmp_path: Path) -> None:
    a, b = two(tmp_path)
    with open_decisions(a, "anna") as log:
        log.decide(TEXTS[0], "keep")
        log.decide(TEXTS[0], "drop")
    with open_decisions(b, "ben") as log:
        log.merge(a / "decisions.jsonl")
        log.decide(TEXTS[0], "star")
    with open_decisions(a, "anna") as log:
        log.undo()
        log.merge(b / "decisions.jsonl")
        assert outcome(log, TEXTS[0]) == ("star", "")


def test_what_is_no_log_is_refused(tmp_path: Path) -> None:
    with open_decisions(tmp_path, "anna") as log:
        for content in (None, "", "{}\n", "hello\n"):
            if content is not None:
                (tmp_path / "other").write_text(content)
            with pytest.raises(WrongUse):
                log.merge(tmp_path / "other")
        assert log.path.read_bytes() == b""


def test_a_foreign_log_is_read_as_it_is(tmp_path: Path) -> None:
    """Without its last line feed, as an editor leaves it, with half a line, and as an older version's answers."""
    a, b = two(tmp_path)
    with open_decisions(b, "ben") as log:
        log.decide(TEXTS[0], "keep")
    data = log.path.read_bytes()
    other = tmp_path / "other.jsonl"
    answer = {"id": text_id("the ant"), "text": "the ant", "publish": False}
    for content in (data[:-1], data + data[:20], json.dumps(answer).encode() + b"\n"):
        other.write_bytes(content)
        with open_decisions(a, "anna") as log:
            assert log.merge(other).added == 1
        assert other.read_bytes() == content, "it is another person's file"
        log.path.unlink()


LINES = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 1), st.sampled_from(["keep", "drop", "undo", "merge"])))


@given(LINES)
def test_merging_is_the_same_in_any_order_and_however_often(
    tmp_path_factory: pytest.TempPathFactory, acts: list[tuple[int, int, Any]]
) -> None:
    """People decide, undo and merge in any order; whoever then has all lines sees the same, and each line is there."""
    root = tmp_path_factory.mktemp("merge")
    folders = [root / str(n) for n in range(3)]
    written: set[str] = set()
    for folder in folders:
        folder.mkdir()
    for who, text, act in acts:
        with open_decisions(folders[who], f"person {who}") as log:
            if act == "merge":
                other = folders[(who + 1) % 3] / "decisions.jsonl"
                if other.exists() and other.stat().st_size:
                    log.merge(other)
            elif act == "undo":
                log.undo()
            else:
                log.decide(TEXTS[text], act)
            written |= log.lines.keys()
    found = []
    for order in itertools.permutations(range(3)):
        target = root / "".join(map(str, order))
        target.mkdir()
        with open_decisions(target, "all") as log:
            for n in (*order, *order):
                path = folders[n] / "decisions.jsonl"
                if path.exists() and path.stat().st_size:
                    log.merge(path)
            assert log.lines.keys() == written
            found.append({id: sorted(line.key for line in log.standing(id)) for id in map(text_id, TEXTS)})
    assert all(each == found[0] for each in found)


def test_a_table_holds_what_stands_and_no_formula(tmp_path: Path) -> None:
    with open_decisions(tmp_path, "anna") as log:
        log.decide("=1+1", "edit", "@home, at last")
        log.decide(TEXTS[0], "keep")
        log.decide(TEXTS[1], "drop")
        log.undo()
        rows = as_csv(log).decode("utf-8-sig").splitlines()
    assert rows[0] == "decision,text,edited,by,at" and len(rows) == 3
    assert rows[1].startswith("edit,'=1+1,\"'@home, at last\",anna,2")


def test_half_a_character_can_be_decided_about(tmp_path: Path) -> None:
    with open_decisions(tmp_path, "anna") as log:
        log.decide("broken \ud83d", "drop")
    assert [line.text for line in read(tmp_path / "decisions.jsonl")] == ["broken \ud83d"]


def test_a_star_and_a_keep_agree() -> None:
    def line(decision: str, edited: str = "") -> Decision:
        return Decision("k", decision=decision, edited=edited)

    assert not conflict([line("keep"), line("star")]) and not conflict([line("edit", "x"), line("edit", "x")])
    assert conflict([line("star"), line("drop")]) and conflict([line("edit", "x"), line("edit", "y")])
