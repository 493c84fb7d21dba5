"""What a person decided, and nothing else, comes into the pool; what they took out does not come back."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from post_tweet.pool import Pool
from post_tweet.state import Claim
from post_tweet.store import open_store

from tests.helpers import reviewed as made
from tests.helpers import tiny_run
from tests.helpers.sampling import quick_bot
from training.cli.main import main
from training.common import jsonl
from training.common.manifest import Manifest
from training.common.text import text_id
from training.curate import fill
from training.curate.decisions import What, open_decisions
from training.runs import reviewed, stages
from training.runs.anew import Known
from training.runs.reviewed import Published
from training.settings import load

NOW = "2026-03-12T09:00:00+00:00"
NEW = "The moon keeps no ledger of what it lent."


def decide(run: made.Run, *decisions: tuple[str, What] | tuple[str, What, str], by: str = "anna") -> None:
    with open_decisions(run.folder, by) as log:
        for text, what, *edited in decisions:
            log.decide(text, what, *edited)


def publish(
    run: made.Run, unread: bool = False, pool: Path | None = None, meanwhile: Callable[[], object] = lambda: None
) -> Published:
    """`meanwhile`: what others do after the pool was read."""
    with open_decisions(run.folder, "anna") as log:
        publishing = reviewed.Publishing(run.folder, load(run.bot), str(pool or run.pool), log, unread)
        meanwhile()
        return publishing.publish()


def post(run: made.Run, count: int) -> None:
    """Let the first texts be posted."""
    pool = Pool(open_store(str(run.pool)))
    state, etag = pool.load()
    assert pool.save(replace(state, next=count, seq=state.seq + 1), etag)


def waiting(run: made.Run) -> list[str]:
    """The texts of the pool that will be posted."""
    return [
        record["text"] for record in Pool(open_store(str(run.pool))).listing(count=None) if record["fate"] == "waiting"
    ]


def test_before_the_pool_is_filled(tmp_path: Path) -> None:
    run = made.run(tmp_path, publish="after-review")
    a, b, c, d, *rest = run.texts
    decide(
        run, (a, "keep"), (b, "drop"), (c, "edit", NEW), (d, "star"), (made.NAMES[0], "keep"), (made.NAMES[1], "drop")
    )
    done = publish(run)
    assert waiting(run) == [d, made.NAMES[0], a, NEW], "starred ones first"
    assert (done.approved, done.added.added, done.withdrawn, done.waiting) == (4, 4, 0, len(rest) + 2)
    record = Pool(open_store(str(run.pool))).show(3)
    assert record["id"] == text_id(NEW) and record["nearest"] in run.corpus and record["score"] == 0
    assert "names" not in Pool(open_store(str(run.pool))).show(1)
    assert publish(run).added.added == 0, "a second time nothing comes in"
    decide(run, (rest[0], "keep"))
    publish(run, unread=True)
    assert waiting(run)[4:] == rest and not {b, c, *made.NAMES[1:]} & set(waiting(run)), "and never what was set apart"


def test_after_the_pool_is_filled(tmp_path: Path) -> None:
    run = made.run(tmp_path)
    fill.fill(run.folder / "pool.jsonl", str(run.pool), "run")
    a, b, c, *rest = run.texts
    decide(run, (a, "keep"), (b, "drop"), (c, "edit", NEW))
    done = publish(run)
    assert (done.withdrawn, done.added.added, done.added.already) == (2, 1, 1)
    assert waiting(run) == [a, *rest, NEW], "what nobody has read stays"
    decide(run, (b, "keep"), (c, "drop"))
    done = publish(run)
    assert (done.restored, done.withdrawn) == (1, 1) and waiting(run) == [a, b, *rest]
    with open_decisions(run.folder, "anna") as log:
        log.undo()  # c is edited again
        log.undo()  # b dropped
    publish(run)
    assert waiting(run) == [a, *rest, NEW]


def test_what_an_operator_has_withdrawn_stays_out(tmp_path: Path) -> None:
    run = made.run(tmp_path)
    fill.fill(run.folder / "pool.jsonl", str(run.pool), "run")
    decide(run, (run.texts[0], "keep"), (run.texts[1], "drop"))
    publish(run)
    Pool(open_store(str(run.pool))).withdraw([0])
    decide(run, (run.texts[2], "drop"))
    assert publish(run).restored == 0 and waiting(run) == run.texts[3:]


def test_what_was_posted_is_too_late(tmp_path: Path) -> None:
    run = made.run(tmp_path)
    fill.fill(run.folder / "pool.jsonl", str(run.pool), "run")
    post(run, 2)
    decide(run, (run.texts[0], "drop"), (run.texts[2], "drop"))
    done = publish(run)
    assert (done.late, done.withdrawn) == (1, 1)
    assert any("Too late" in sentence for sentence in reviewed.sentences(done, "pool"))


def test_what_is_being_posted_is_too_late(tmp_path: Path) -> None:
    """It is taken out nonetheless, for the post may fail, but nobody is told that it will not be posted."""
    run = made.run(tmp_path)
    fill.fill(run.folder / "pool.jsonl", str(run.pool), "run")
    pool = Pool(open_store(str(run.pool)))
    state, etag = pool.load()
    claim = Claim("slot", "somebody", 0, run.texts[0], NOW, NOW, 1)
    assert pool.save(replace(state, claim=claim, seq=state.seq + 1), etag)
    decide(run, (run.texts[0], "drop"), (run.texts[1], "drop"))
    done = publish(run)
    assert (done.withdrawn, done.late) == (1, 1) and [*pool.load()[0].withdrawn] == [0, 1]


@pytest.mark.parametrize("there", [0, 10])
def test_what_others_do_while_it_is_published(tmp_path: Path, there: int) -> None:
    """Another run may fill in what was just dropped, and a post may come: the pool is looked at after that."""
    run = made.run(tmp_path)
    records = [*jsonl.records(run.folder / "pool.jsonl")]
    jsonl.write(tmp_path / "first.jsonl", records[:there])
    if there:
        fill.fill(tmp_path / "first.jsonl", str(run.pool), "run")

    def others() -> None:
        fill.fill(run.folder / "pool.jsonl", str(run.pool), "another run")
        post(run, 2)

    decide(run, (run.texts[0], "drop"), (run.texts[20], "drop"))
    done = publish(run, meanwhile=others)
    assert waiting(run) == [*run.texts[2:20], *run.texts[21:]] and (done.withdrawn, done.late) == (1, 1)
    decide(run, (run.texts[20], "keep"))
    assert publish(run).restored == 1, "and noted: it may come back"


def test_an_edited_text_replaces_the_one_before_it(tmp_path: Path) -> None:
    run = made.run(tmp_path, publish="after-review")
    second = "The sea lends nothing that it wants to keep."
    for text in (NEW, second, NEW):
        decide(run, (run.texts[0], "edit", text))
        publish(run)
        assert waiting(run) == [text]


def test_an_edit_of_marks_alone(tmp_path: Path) -> None:
    """The id stays the same, so a pool that holds the original cannot take it; one that does not can."""
    run = made.run(tmp_path, publish="after-review")
    text = run.texts[0]
    decide(run, (text, "edit", text.title()))
    publish(run)
    assert waiting(run) == [text.title()]
    other = made.run(tmp_path / "other")
    fill.fill(other.folder / "pool.jsonl", str(other.pool), "run")
    decide(other, (text, "edit", text.title()))
    done = publish(other)
    assert [objection.rule for _, objection in done.refused] == ["duplicate"]
    assert text not in waiting(other) and any("change a word" in each for each in reviewed.sentences(done, ""))


def test_texts_that_another_person_s_log_brings_are_judged(tmp_path: Path) -> None:
    """A merged log may hold anything: what no rule has passed is asked, and what breaks one is told and stays out."""
    run = made.run(tmp_path, publish="after-review")
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    with open_decisions(theirs, "ben") as log:
        log.decide("Buy at example.org and never come back.", "keep")
        log.decide(NEW, "star")
        log.decide(run.texts[0], "edit", run.corpus[0])
        log.decide(run.texts[1], "keep")
    with open_decisions(run.folder, "anna") as log:
        log.merge(theirs / "decisions.jsonl")
    done = publish(run)
    assert sorted(objection.rule for _, objection in done.refused) == ["copied-run", "link"]
    assert waiting(run) == [NEW, run.texts[1]]


def test_what_is_like_a_text_and_a_bot_that_asks_nothing_of_likeness() -> None:
    known = Known(["The sea lends nothing it wants to keep.", "A quiet clerk waits at noon."])
    found = known.like("The sea lends nothing that it wants to keep.", 60.0)
    assert [text for text, _ in found] == ["The sea lends nothing it wants to keep."]
    assert known.like("A quiet clerk waits at noon!", 101.0) == [], "near_ratio = 101 is what turns the rule off"


def test_where_people_differ_nothing_is_published(tmp_path: Path) -> None:
    run = made.run(tmp_path)
    fill.fill(run.folder / "pool.jsonl", str(run.pool), "run")
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    with open_decisions(theirs, "ben") as log:
        log.decide(run.texts[0], "drop")
    decide(run, (run.texts[0], "keep"))
    with open_decisions(run.folder, "anna") as log:
        log.merge(theirs / "decisions.jsonl")
    done = publish(run)
    assert (done.conflicts, done.withdrawn) == (1, 1) and run.texts[0] not in waiting(run)
    decide(run, (run.texts[0], "keep"))
    assert publish(run).restored == 1 and waiting(run) == run.texts


def test_the_round_ends_when_all_is_read(tmp_path: Path) -> None:
    run = made.run(tmp_path, count=3, publish="after-review")
    bot = load(run.bot)
    manifest = Manifest(run.folder)
    manifest.stages["filter"] = {"round": 1}
    manifest._write()
    assert reviewed.held(run.folder, bot)
    decide(run, (run.texts[0], "keep"), (run.texts[1], "drop"))
    assert publish(run).waiting == 5 and reviewed.held(run.folder, bot)
    decide(run, (run.texts[2], "keep"))
    assert publish(run).waiting == 4 and not reviewed.held(run.folder, bot), "those set apart wait on"


def test_killed_at_any_moment_it_is_done_when_it_is_called_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(Exception):
        pass

    wanted: list[str] | None = None
    steps = [(Pool, "withdraw"), (Pool, "append"), (jsonl, "write"), (reviewed, "_note_withdrawn"), (Pool, "restore")]
    for number, ((owner, name), after) in enumerate([*itertools.product(steps, (False, True)), ((Pool, "load"), True)]):
        run = made.run(tmp_path / str(number))
        fill.fill(run.folder / "pool.jsonl", str(run.pool), "run")
        decide(run, (run.texts[3], "drop"))
        publish(run)
        decide(run, (run.texts[3], "keep"), (run.texts[1], "drop"), (run.texts[2], "edit", NEW))
        work = getattr(owner, name)

        def killed(*args: Any, work: Any = work, after: bool = after, **kwargs: Any) -> Any:
            if after:
                work(*args, **kwargs)
            raise Killed

        with monkeypatch.context() as patch:
            patch.setattr(owner, name, killed)
            with pytest.raises(Killed):
                publish(run)
        publish(run)
        wanted = wanted or [run.texts[0], *run.texts[3:], NEW]
        assert waiting(run) == wanted, f"killed at {name}"
        decide(run, (run.texts[1], "keep"))
        assert publish(run).restored == 1, f"killed at {name}, it still knows what it took out"


def test_the_command_tells_what_it_did(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = made.run(tmp_path)
    fill.fill(run.folder / "pool.jsonl", str(run.pool), "run")
    decide(run, (run.texts[0], "drop"), (made.NAMES[0], "keep"))
    assert main(["review", *run.options(), "--publish"]) == 0
    out = capsys.readouterr().out
    assert "Added 1 text to" in out and "1 text taken out of" in out and "Nobody has read 3 texts yet." in out
    assert main(["review", *run.options(), "--unread"]) == 2 and "give both" in capsys.readouterr().err


def test_merge_and_export_by_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, other = made.run(tmp_path / "a"), made.run(tmp_path / "b")
    decide(run, (run.texts[0], "keep"))
    decide(other, (run.texts[0], "drop"), (run.texts[1], "star"), by="ben")
    log, table = tmp_path / "ben.jsonl", tmp_path / "all.csv"
    assert main(["review", *other.options(), "--export", str(log)]) == 0
    assert log.read_bytes() == (other.folder / "decisions.jsonl").read_bytes()
    capsys.readouterr()
    assert main(["review", *run.options(), "--merge", str(log), "--export", str(table)]) == 0
    out = capsys.readouterr().out
    assert (
        "2 decisions taken over" in out and "anna: keep" in out and "ben: drop" in out and "Decide 1 text with" in out
    )
    assert len(table.read_text("utf-8-sig").splitlines()) == 4
    assert main(["review", *run.options(), "--merge", str(tmp_path / "none")]) == 2
    assert main(["review", *run.options(), "--publish", "--export", str(tmp_path / "log")]) == 0
    assert "Added 1 text" in capsys.readouterr().out and (tmp_path / "log").exists(), "both"


def test_a_run_that_a_person_reads_first_fills_nothing_until_they_have(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bot").mkdir()
    file, run, pool = quick_bot(tmp_path / "bot"), tmp_path / "run", tmp_path / "pool"
    file.write_text(file.read_text().replace('"proverbs"', '"proverbs"\npublish = "after-review"', 1))
    run.mkdir()
    (run / "corpus.txt").write_bytes((file.parent / "corpus.txt").read_bytes())
    monkeypatch.setattr(stages, "train", lambda *_: (model, None))
    where = ["--bot", str(file), "--run", str(run), "--pool", str(pool)]

    def chosen() -> list[str]:
        assert main(["run", *where, "--count", "10"]) == 0
        out = capsys.readouterr().out
        assert "They come into the pool when you have read them: `deepproverbs review" in out and "Added" not in out
        return [record["text"] for record in jsonl.records(run / "pool.jsonl")]

    first = chosen()
    assert chosen() == first and not (pool / "state.json").exists(), "they go on waiting"
    with open_decisions(run, "anna") as log:
        for number, text in enumerate(first):
            log.decide(text, "drop" if number < 3 else "keep")
    assert main(["review", *where, "--publish"]) == 0
    assert f"Added {len(first) - 3} texts" in capsys.readouterr().out
    assert [record["text"] for record in Pool(open_store(str(pool))).records()] == first[3:]
    second = chosen()
    assert second and not {*first} & {*second}, "another round, and what was dropped is not in it"


def test_what_was_dropped_comes_from_no_other_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither what was dropped before it was ever published, nor the original of an edit: the pool remembers."""
    one, other = made.run(tmp_path, publish="after-review"), made.run(tmp_path / "other")
    a, b, c, d, *rest = one.texts
    assert other.texts == one.texts
    decide(one, (a, "keep"), (b, "drop"), (c, "edit", NEW), (made.NAMES[0], "drop"), (d, "drop"))
    publish(one)
    gone = {b, c, d, made.NAMES[0]}
    assert gone <= {*fill.history(str(one.pool))} and not gone & {*fill.filled(str(one.pool))}
    assert main(["fill", str(other.folder / "pool.jsonl"), "--pool", str(one.pool)]) == 0
    assert "1 was there already; 3 were dropped before and stay out" in capsys.readouterr().out
    assert waiting(one) == [a, NEW, *rest]
    assert main(["pool", "status", "--pool", str(one.pool)]) == 0
    assert "4 dropped by people" in capsys.readouterr().out
    # Undone here it may come; kept there it does.
    with open_decisions(one.folder, "anna") as log:
        log.undo()
        assert not log.decided(text_id(d))
    publish(one)
    assert d not in fill.dropped(str(one.pool)) and b in fill.dropped(str(one.pool))
    decide(other, (b, "keep"))
    publish(other, unread=True, pool=one.pool)  # what nobody has read here cannot bring back c
    assert not {b, d} - {*waiting(one)} and not {c, made.NAMES[0]} & {*waiting(one)}
    assert {*fill.dropped(str(one.pool))} == {c, made.NAMES[0]}


def test_who_takes_back_that_a_text_is_kept_drops_and_brings_back_nothing(tmp_path: Path) -> None:
    """What another run's people have dropped stays out."""
    one, other = (made.run(tmp_path / name, publish="after-review") for name in ("one", "other"))
    decide(one, (one.texts[0], "drop"))
    publish(one)
    decide(other, (one.texts[0], "keep"))
    with open_decisions(other.folder, "anna") as log:
        assert log.undo()
    publish(other, pool=one.pool)
    assert fill.dropped(str(one.pool)) == [one.texts[0]]


def test_an_edit_is_not_refused_for_what_it_replaces(tmp_path: Path) -> None:
    """Its id may be the original's, which was dropped: a text that is to come is not one that is not."""
    run = made.run(tmp_path, publish="after-review")
    text = run.texts[0]
    decide(run, (text, "drop"))
    publish(run)
    assert fill.dropped(str(run.pool)) == [text] and waiting(run) == []
    decide(run, (text, "edit", text.title()))
    publish(run)
    assert waiting(run) == [text.title()] and fill.dropped(str(run.pool)) == []


def test_a_run_whose_texts_were_all_set_apart_goes_on_once_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A language without lists, and a bot that publishes at once: pool.jsonl is empty, and is no reason to stop."""
    tiny_run.prepare(monkeypatch, tmp_path)
    bot = tiny_run.make(tmp_path)
    bot.write_text(bot.read_text().replace("[filter]", '[filter]\nlanguage = "xh"'))
    where = ["--bot", str(bot), "--run", str(tmp_path / "run"), "--pool", str(tmp_path / "pool")]
    again = ["run", *where, "--model", str(tmp_path / "base")]
    assert main(again) == 1 and "Every text of this run is to be read first" in capsys.readouterr().err
    assert main(again) == 0 and "They come into the pool when you have read them" in capsys.readouterr().out
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n" * 5 + "n\n" * 5))
    assert main(["review", *where, "--terminal"]) == 0 and "Added 5 texts" in capsys.readouterr().out
    assert main(again) == 1
    said = capsys.readouterr()
    assert "Every text of this run" in said.err and "Earlier texts of this run are in the pool" in said.out
    apart = [record["text"] for record in jsonl.records(tmp_path / "run" / "review.jsonl")]
    assert len(apart) == len({*apart}) > tiny_run.COUNT, "those of both rounds"
