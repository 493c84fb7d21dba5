"""What a review shows after a second run, after posts and withdrawals, and what publishing and undoing then do."""

from __future__ import annotations

import io
import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from post_tweet.pool import Pool
from post_tweet.state import Claim
from post_tweet.store import open_store

from tests.helpers import reviewed as made
from tests.helpers import tiny_run
from training.cli.main import main
from training.cli.review import Reviewed
from training.common import jsonl
from training.common.text import text_id
from training.curate import fill
from training.curate.decisions import What, open_decisions
from training.pages.review.desk import Asked, Desk
from training.runs import reviewed
from training.settings import load

NEW = "The moon keeps no ledger of what it lent."


def texts_by(run: made.Run, *fates: str) -> list[str]:
    """The texts of the pool with one of these fates, as `pool list` knows them."""
    listed = Pool(open_store(str(run.pool))).listing(0, None)
    return [record["text"] for record in listed if record["fate"] in fates]


def post(run: made.Run, count: int) -> None:
    """Let the first texts be posted."""
    pool = Pool(open_store(str(run.pool)))
    state, etag = pool.load()
    assert pool.save(replace(state, next=count, seq=state.seq + 1), etag)


def decide(run: made.Run, *decisions: tuple[str, What] | tuple[str, What, str]) -> None:
    with open_decisions(run.folder, "anna") as log:
        for text, what, *edited in decisions:
            log.decide(text, what, *edited)


def undo(run: made.Run) -> None:
    with open_decisions(run.folder, "anna") as log:
        assert log.undo()


def publish(run: made.Run) -> reviewed.Published:
    with open_decisions(run.folder, "anna") as log:
        return reviewed.publish(run.folder, load(run.bot), str(run.pool), log)


def at(run: made.Run) -> Reviewed:
    return Reviewed(run.folder, load(run.bot), run.bot, str(run.pool))


def shown(run: made.Run, view: str = "all", source: str = "all") -> list[str]:
    """The texts that a review of now shows, in its order."""
    with open_decisions(run.folder, "anna") as log, closing(at(run).desk(log)) as desk:
        return [desk.texts[number] for number in desk.window(Asked(view, source, count=1000)).texts]


def pending(run: made.Run) -> tuple[int, int, int, int]:
    """(new, out, back, there)"""
    with open_decisions(run.folder, "anna") as log, closing(at(run).desk(log)) as desk:
        found = desk.pending()
    return found.new, found.out, found.back, found.there


def two_rounds(folder: Path, publish: str = "at-once") -> tuple[made.Run, list[str], list[str]]:
    """A run whose first 20 texts came into the pool before the newest 20."""
    run = made.run(folder, publish=publish)
    records = [*jsonl.records(run.folder / "pool.jsonl")]
    for some in (records[:20], records[20:]):
        jsonl.write(run.folder / "pool.jsonl", some)
        fill.fill(run.folder / "pool.jsonl", str(run.pool), "plain")
    return run, run.texts[:20], run.texts[20:]


def test_two_real_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    tiny_run.prepare(monkeypatch, tmp_path)
    bot = tiny_run.make(tmp_path)
    run = made.Run(tmp_path / "run", bot, [], [])
    assert main(["run", *run.options(), "--force"]) == 0
    first = texts_by(run, "waiting")
    decide(run, (first[2], "drop"), (first[3], "keep"))
    publish(run)
    post(run, 1)
    Pool(open_store(str(run.pool))).withdraw([4])
    assert main(["run", *run.options(), "--force"]) == 0
    newest = [record["text"] for record in jsonl.records(run.folder / "pool.jsonl")]
    apart = [record["text"] for record in jsonl.records(run.folder / "review.jsonl")]
    assert newest and apart and not {*first} & {*newest}
    wanted = [first[1], first[2], first[3], *first[5:], *newest]
    assert shown(run) == [*apart, *wanted] and shown(run, source="pool") == wanted
    assert shown(run, "open") == [*apart, first[1], *first[5:], *newest]
    assert shown(run, "decided") == first[2:4], "what the review took out is shown, and may come back"
    capsys.readouterr()
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n" * len(apart) + "y\n" + "s\n" + "k\n" * len([*first, *newest])))
    assert main(["review", *run.options(), "--terminal"]) == 0
    out = capsys.readouterr().out
    places = [out.index(f"\n  {text}\n") for text in [*apart, first[1], *first[5:], *newest]]
    assert places == sorted(places), "what was set apart first, then the pool"
    assert out.count("keeps its turn there") == 1 and shown(run, "open") == []
    assert pending(run)[:3] == (0, 0, 0)


def test_each_decision_about_a_text_of_an_earlier_round(tmp_path: Path) -> None:
    run, (a, b, c, d, *rest), newest = two_rounds(tmp_path)
    decide(run, (a, "star"), (b, "drop"), (c, "edit", NEW))
    assert pending(run) == (1, 2, 0, 1)
    done = publish(run)
    assert (done.added.added, done.added.already, done.withdrawn) == (1, 1, 2)
    assert texts_by(run, "waiting") == [a, d, *rest, *newest, NEW] and pending(run) == (0, 0, 0, 2)
    approved = {record["text"]: record for record in jsonl.records(run.folder / "approved.jsonl")}
    assert approved[a]["score"] == next(r["score"] for r in Pool(open_store(str(run.pool))).records() if r["text"] == a)
    assert shown(run, source="pool") == [a, b, c, d, *rest, *newest], "the edited one stands where the original did"
    assert shown(run, "edit") == [c] and shown(run, "open", "pool") == [d, *rest, *newest]
    undo(run)
    assert pending(run) == (0, 1, 1, 1)
    done = publish(run)
    assert (done.withdrawn, done.restored) == (1, 1) and texts_by(run, "waiting") == [a, c, d, *rest, *newest]
    post(run, 4)  # a, c and d, and it went past b
    assert shown(run, source="pool") == [*rest, *newest]
    assert publish(run).late == 0, "it was taken out before"


def test_a_kept_text_that_nobody_keeps_any_more_leaves_the_pool(tmp_path: Path) -> None:
    run, first, newest = two_rounds(tmp_path)
    decide(run, (made.NAMES[0], "keep"), (first[0], "keep"))
    publish(run)
    assert texts_by(run, "waiting") == [*first, *newest, made.NAMES[0]]
    undo(run)
    undo(run)
    assert pending(run) == (0, 1, 0, 0), "what came at once stays; what was set apart came by the decision alone"
    assert publish(run).withdrawn == 1 and texts_by(run, "waiting") == [*first, *newest]
    assert made.NAMES[0] in shown(run, "open", "apart")
    decide(run, (made.NAMES[0], "keep"))
    assert publish(run).restored == 1 and texts_by(run, "waiting") == [*first, *newest, made.NAMES[0]]


def test_what_an_operator_took_out_is_not_offered_again(tmp_path: Path) -> None:
    run, first, newest = two_rounds(tmp_path)
    decide(run, (made.NAMES[0], "keep"))
    publish(run)
    Pool(open_store(str(run.pool))).withdraw([0, 25, 40])
    assert shown(run) == [*made.NAMES[1:], *first[1:], *newest[:5], *newest[6:]]
    undo(run)
    assert publish(run).waiting == 3 == len(shown(run, "open", "apart")), "nor is it told to be unread"


def test_what_is_being_posted_is_not_offered(tmp_path: Path) -> None:
    run, first, newest = two_rounds(tmp_path)
    pool = Pool(open_store(str(run.pool)))
    state, etag = pool.load()
    claim = Claim("2026-01-31", "cron", 0, first[0], "2026-01-31T09:00:00Z", "2026-01-31T09:00:00Z")
    assert pool.save(replace(state, claim=claim, seq=state.seq + 1), etag)
    assert shown(run, source="pool") == [*first[1:], *newest]


def test_of_an_edited_text_whose_original_is_in_no_file_the_original_stands_in_the_list(tmp_path: Path) -> None:
    run = made.run(tmp_path, publish="after-review", names=0)
    a, b, *rest = run.texts
    decide(run, (a, "edit", NEW), (b, "keep"))
    publish(run)
    records = [*jsonl.records(run.folder / "pool.jsonl")]
    jsonl.write(run.folder / "pool.jsonl", records[2:])  # the next round's
    assert shown(run) == [*rest, a, b] and shown(run, "edit") == [a]
    with open_decisions(run.folder, "anna") as log, closing(at(run).desk(log)) as desk:
        found = desk.shown(desk.at[text_id(a)])
        assert (found["text"], found["now"], found["fate"], found["status"]) == (a, NEW, "waiting", "edit")
        assert desk.counts()["pool"]["unread"] == len(rest)
    decide(run, (a, "drop"))
    assert publish(run).withdrawn == 1 and texts_by(run, "waiting") == [b]
    assert shown(run, "drop") == [a]


def test_a_pool_that_cannot_be_read_leaves_the_run_s_own_texts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, _, newest = two_rounds(tmp_path)
    (run.pool / "state.json").write_text("{")
    assert shown(run) == [*made.NAMES, *newest]
    assert f"Here are the texts of {run.folder} alone, as its pool cannot be read" in capsys.readouterr().err


def test_when_all_is_posted_there_is_nothing_to_review(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = made.run(tmp_path, names=0)
    fill.fill(run.folder / "pool.jsonl", str(run.pool), "plain")
    post(run, 40)
    assert main(["review", *run.options(), "--terminal"]) == 2
    assert "nothing to review" in capsys.readouterr().err


def test_nothing_is_asked_of_the_pool_while_texts_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be far away."""
    run, first, newest = two_rounds(tmp_path)
    with open_decisions(run.folder, "anna") as log, closing(at(run).desk(log)) as desk:

        def gone(*_: Any) -> Any:
            raise AssertionError

        for name in ("load", "records", "record"):
            monkeypatch.setattr(Pool, name, gone)
        for number in desk.window(Asked(count=100)).texts:
            assert desk.shown(number)["text"] == desk.texts[number]
        assert desk.pending().there == 0
        assert isinstance(desk, Desk) and len(desk.texts) == 4 + len([*first, *newest])


def test_the_terminal_asks_before_it_shows_the_pool(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run, first, _ = two_rounds(tmp_path)

    def said(answers: str) -> str:
        monkeypatch.setattr("sys.stdin", io.StringIO(answers))
        assert main(["review", *run.options(), "--terminal"]) == 0
        return capsys.readouterr().out

    out = said("k\nd\n\ns\nn\n")
    assert "4 texts to read and 40 of the pool; 0 read before." in out and "Read the 40 texts of the pool, too?" in out
    assert first[0] not in out and "2 approved, 1 refused." in out and "Added 2 texts" in out
    out = said("\nwhat\ny\ns\nu\nu\nk\nq\n")
    assert "1 text to read and 40 of the pool; 3 read before." in out and out.count("Please answer y or n.") == 1
    assert f"2/41 (in the pool)\n  {first[0]}" in out and out.count("keeps its turn there") == 1
    assert f"Undone: star {first[0]}" in out and f"Undone: star {made.NAMES[3]}" in out
    assert out.count(made.NAMES[3]) == 2, "and what was decided before is asked again when that is taken back"
    log = [json.loads(line) for line in (run.folder / "decisions.jsonl").read_text().splitlines()]
    assert (log[-1]["text"], log[-1]["decision"]) == (made.NAMES[3], "keep")


def test_where_a_person_reads_first_the_terminal_does_not_ask_whether(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = made.run(tmp_path, count=3, publish="after-review")
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n" * 4 + "y\ny\nn\n"))
    assert main(["review", *run.options(), "--terminal"]) == 0
    out = capsys.readouterr().out
    assert "7 texts to read; 0 read before." in out and "Read the" not in out and "2 approved, 5 refused." in out


def test_an_edited_text_that_is_published_moves_none_behind_the_question(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the terminal: what waits to come in is to be read, however many edits are in the pool already."""
    run = made.run(tmp_path, count=6, names=0, publish="after-review")
    decide(run, (run.texts[0], "edit", NEW), (run.texts[1], "edit", "A quiet clerk waits for nobody at noon."))
    publish(run)
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n" * 4))
    assert main(["review", *run.options(), "--terminal"]) == 0
    out = capsys.readouterr().out
    assert "4 texts to read; 2 read before." in out and "of the pool" not in out and shown(run, "open") == []
