"""`run` again adds as many texts again; ended at any moment, the same command adds them once."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from post_tweet.pool import Appended, Pool
from post_tweet.store import open_store

from tests.helpers.fakes import Crash
from tests.helpers.sampling import bot
from training.common import jsonl
from training.common.manifest import Manifest
from training.curate import fill
from training.curate.decisions import open_decisions
from training.runs import rounds, until_enough
from training.runs.until_enough import sample_and_filter
from training.sample.candidates import Candidates
from training.settings import Bot

COUNT = 20


@pytest.fixture
def quick(tmp_path: Path) -> Bot:
    few = bot(tmp_path)
    return replace(few, count=COUNT, filter=replace(few.filter, skip=("band", "opening", "dangling", "edges")))


def add(quick: Bot, run: Path, model: Path, more: bool = True, said: list[str] | None = None) -> Appended:
    """What `run` does once there is a model."""
    pool = str(run / "pool")
    texts = sample_and_filter(quick, run, model, fill.history(pool), (said or []).append, more=more)
    return rounds.fill_round(run, texts, pool, "t")


def texts_of(run: Path) -> list[str]:
    return [record["text"] for record in Pool(open_store(str(run / "pool"))).records()]


@pytest.fixture
def run(tmp_path: Path) -> Callable[[str], Path]:
    bot(tmp_path)

    def make(name: str) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "corpus.txt").write_bytes((tmp_path / "corpus.txt").read_bytes())
        return folder

    return make


def entry(run: Path) -> dict[str, Any]:
    return Manifest(run).stages["filter"]


def test_each_run_adds_count_texts_from_candidates_of_its_own(
    quick: Bot, run: Callable[[str], Path], model: Path
) -> None:
    folder, said = run("run"), [""]
    assert add(quick, folder, model).added == COUNT
    first, chosen = (folder / "candidates.jsonl").read_bytes(), texts_of(folder)
    used = entry(folder)["used"]
    lines = [json.loads(line)["text"].strip() for line in first.splitlines()]
    assert lines[used - 1] in {v["text"].strip() for v in jsonl.records(folder / "verdicts.jsonl")}
    assert set(chosen) <= set(lines[:used]), "what was chosen lies before `used`"
    assert add(quick, folder, model, said=said).added == COUNT
    assert f"{COUNT} more, from candidate {used} on" in said[1]
    assert (folder / "candidates.jsonl").read_bytes().startswith(first), "the same file goes on"
    later = [json.loads(line)["text"].strip() for line in (folder / "candidates.jsonl").read_bytes().splitlines()]
    assert set(texts_of(folder)[COUNT:]) <= set(later[used:])
    assert len(set(texts_of(folder))) == 2 * COUNT and (entry(folder)["round"], entry(folder)["first"]) == (2, used)
    # Another count and the same verdicts: on from there, too.
    used = entry(folder)["used"]
    assert add(replace(quick, count=5), folder, model).added == 5 and entry(folder)["first"] == used
    # Other rules: the old candidates are asked anew, and none comes twice.
    other = replace(quick, filter=replace(quick.filter, min_words=2))
    assert add(other, folder, model).added == COUNT and entry(folder)["first"] == 0
    assert len(set(texts_of(folder))) == 3 * COUNT + 5
    assert Pool(open_store(str(folder / "pool"))).verify() == []


def test_without_more_what_is_done_stays(quick: Bot, run: Callable[[str], Path], model: Path) -> None:
    folder = run("run")
    add(quick, folder, model, more=False)
    assert add(quick, folder, model, more=False).added == 0 and len(texts_of(folder)) == COUNT


def test_a_run_that_found_too_few_goes_on_with_a_budget_of_its_own(
    quick: Bot, run: Callable[[str], Path], model: Path
) -> None:
    folder, few = run("run"), replace(quick, sample=replace(quick.sample, budget=60))
    first = add(few, folder, model).added
    assert 0 < first < COUNT and entry(folder)["used"] == 60
    assert add(few, folder, model).added > 0 and entry(folder)["used"] == 120


def test_a_run_of_before_there_were_rounds_goes_on(quick: Bot, run: Callable[[str], Path], model: Path) -> None:
    folder = run("run")
    add(quick, folder, model)
    manifest = Manifest(folder)
    for name in ("judged", "round", "first", "used", "filled"):
        del manifest.stages["filter"][name]
    manifest._write()
    assert add(quick, folder, model).added == 0, "whether they were filled in it did not say: now it does"
    assert add(quick, folder, model).added == COUNT and len(set(texts_of(folder))) == 2 * COUNT


def test_candidates_that_somebody_deleted_are_drawn_again(quick: Bot, run: Callable[[str], Path], model: Path) -> None:
    folder = run("run")
    add(quick, folder, model)
    (folder / "candidates.jsonl").unlink()
    assert add(quick, folder, model).added == COUNT and len(set(texts_of(folder))) == 2 * COUNT


def test_texts_set_apart_wait_however_many_rounds_follow(quick: Bot, run: Callable[[str], Path], model: Path) -> None:
    folder = run("run")
    named = named_bot(folder.parent)
    found: list[list[str]] = []
    for number in (1, 2, 3):
        add(named, folder, model)
        found.append([record["id"] for record in jsonl.records(folder / "review.jsonl")])
        rounds_of = [record.get("round", 1) for record in jsonl.records(folder / "review.jsonl")]
        assert rounds_of == sorted(rounds_of) and rounds_of[-1] == number
    assert found[0] and found[1][: len(found[0])] == found[0] and found[2][: len(found[1])] == found[1]
    assert len(set(found[2])) == len(found[2])


def test_what_a_person_dropped_or_edited_does_not_come_back(
    quick: Bot, run: Callable[[str], Path], model: Path
) -> None:
    """The second of two runs is told before its second round what the first one's chose there: none of it is chosen."""
    folder, other = run("run"), run("other")
    for _ in (1, 2):
        add(quick, folder, model)
    add(quick, other, model)
    later = texts_of(folder)[COUNT:]
    with open_decisions(other, "anna") as log:
        for text in later[:4]:
            log.decide(text, "drop")
        log.decide(later[4], "edit", "the moon keeps no ledger of what it lent.")
        log.decide(later[5], "keep")
    add(quick, other, model)
    assert texts_of(other)[:COUNT] == texts_of(folder)[:COUNT]
    assert not {*later[:5]} & {*texts_of(other)} and later[5] in texts_of(other)


POINTS: dict[str, tuple[Any, str]] = {
    "sampling": (Candidates, "append"),
    "choosing": (until_enough, "until_enough"),
    "writing": (until_enough, "write"),
    "noting": (Manifest, "record"),
    "filling": (fill, "fill"),
    "noting the fill": (Manifest, "note"),
}
"""What a run does one after the other."""


@pytest.fixture(scope="module")
def whole(model: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, bytes]]:
    """What two rounds make that nothing ends: the files after each, and the pool."""
    at = tmp_path_factory.mktemp("whole")
    quick, folder, found = named_bot(at), at / "run", []
    folder.mkdir()
    (folder / "corpus.txt").write_bytes((at / "corpus.txt").read_bytes())
    for _ in (1, 2):
        add(quick, folder, model)
        found.append({made: (folder / made).read_bytes() for made in MADE} | {"": "\n".join(texts_of(folder)).encode()})
    return found


MADE = ("review.jsonl", "pool.jsonl")


def named_bot(folder: Path) -> Bot:
    """One that sets some texts apart."""
    few = bot(folder)
    return replace(
        few,
        count=COUNT,
        filter=replace(few.filter, skip=("band", "opening", "dangling", "edges"), set_apart=("lord", "king", "man")),
    )


@pytest.mark.parametrize(
    ("point", "after"),
    [(p, after) for p in POINTS for after in (False, True)][:-1],  # after the last one it is over
)
def test_ended_at_any_moment_the_same_command_adds_them_once(
    point: str,
    after: bool,
    whole: list[dict[str, bytes]],
    run: Callable[[str], Path],
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    named, folder = named_bot(tmp_path), run("killed")
    for number, unended in enumerate(whole, 1):
        owner, name = POINTS[point]
        work = getattr(owner, name)

        def ended(*args: Any, **kwargs: Any) -> Any:
            if after:
                work(*args, **kwargs)  # noqa: B023  called before the next turn
            raise Crash

        with monkeypatch.context() as patch:
            patch.setattr(owner, name, ended)
            with pytest.raises(Crash):
                add(named, folder, model)
        add(named, folder, model)
        assert "\n".join(texts_of(folder)).encode() == unended[""], "the texts are those of a run that nothing ended"
        assert len(texts_of(folder)) == number * COUNT and entry(folder)["round"] == number
        for made in MADE:
            assert (folder / made).read_bytes() == unended[made]
    assert Pool(open_store(str(folder / "pool"))).verify() == []
