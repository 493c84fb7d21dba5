"""The run's filter loop: early stops, budgets, what is told, and memory."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest

from data.proverbs.prepare import PROVERBS
from tests.helpers import labelled, sampling
from tests.helpers.peak import peak_kilobytes
from tests.helpers.sampling import NATIVE, SETTINGS, bot, some
from training.common.errors import DeepproverbsError, WrongUse
from training.judge.band import Band, Spread
from training.judge.judge import Judge, Judging, Reference
from training.judge.rules import PASSED
from training.runs import until_enough
from training.runs.filter_file import FilterOptions, filter_file
from training.runs.until_enough import sample_and_filter
from training.sample.stop_rules import StopRules
from training.settings import FilterSettings, SampleSettings


@pytest.fixture(scope="module")
def bible() -> list[str]:
    return [*labelled.proverbs(), *labelled.bible(without=PROVERBS)]


STRICT = replace(sampling.STRICT, max_length=120, copy_run=5)


@pytest.mark.parametrize(
    "kind", ["closed", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("open", "beyond ASCII"))]
)
def test_early_stops_lose_no_text_that_would_have_been_kept(model: Path, bible: list[str], kind: str) -> None:
    """With and without: text by text the same verdict, and the kept texts are the same ones."""
    settings = {
        "closed": STRICT,
        "open": replace(STRICT, characters="", closed_vocabulary=False),
        "beyond ASCII": replace(STRICT, characters=STRICT.characters + "éß"),
    }[kind]
    sampling, count = SampleSettings(max_tokens=60, temperatures=(1.0, 1.3)), 1500
    known = bible[::2]  # half of the Bible's words are unknown to this one
    whole = some(model, NATIVE, sampling, count)
    judge = Judge(settings, Reference(known))
    early = some(model, NATIVE, sampling, count, rules=judge.stop_rules())
    stopped: set[str] = set()
    verdicts = zip(judge.verdicts(whole), judge.verdicts(early), strict=True)
    for full, part, (verdict, other) in zip(whole, early, verdicts, strict=True):
        if part.stopped:
            assert verdict.verdict != PASSED, (full.text, part)
            assert full.text.startswith(part.text) and part.tokens <= full.tokens and not part.finished
            stopped.add(part.stopped)
        else:
            assert part == full
        assert (other.verdict == PASSED) == (verdict.verdict == PASSED)
    wanted = {"closed": {"vocabulary", "length", "copied-run"}, "open": {"copied-run"}, "beyond ASCII": {"copied-run"}}
    assert wanted[kind] <= stopped
    saved = 1 - sum(c.tokens for c in early) / sum(c.tokens for c in whole)
    assert saved > (0.1 if kind == "closed" else 0)


def test_a_forbidden_character_stops_a_text(small: Path) -> None:
    rules = StopRules(allowed=bytes(range(97, 123)), longest=5, vocabulary=False, run=0, originals=())
    found = some(small, NATIVE, SampleSettings(max_tokens=30), 500, rules=rules)
    whole = some(small, NATIVE, SampleSettings(max_tokens=30), 500)
    assert {c.stopped for c in found} >= {"characters"}
    for part, full in zip(found, whole, strict=True):
        if part.stopped == "characters":
            assert not all("a" <= c <= "z" for c in part.text) and full.text.startswith(part.text.rstrip("\ufffd"))


def test_texts_given_up_under_other_filters_do_not_count(model: Path, tmp_path: Path) -> None:
    """With too narrow filters all are given up; with wider ones, sampling goes on and finds texts."""
    wide = replace(bot(tmp_path), count=20)
    narrow = replace(wide, filter=replace(wide.filter, characters="xyz"), sample=replace(wide.sample, budget=300))
    said: list[str] = []
    with pytest.raises(DeepproverbsError, match=r"verdicts.jsonl for the reasons"):
        sample_and_filter(narrow, tmp_path, model, [], said.append)
    assert len((tmp_path / "verdicts.jsonl").read_text().splitlines()) == 300
    given_up = (tmp_path / "candidates.jsonl").read_text().count('"stopped"')
    assert given_up >= 300
    assert len(sample_and_filter(wide, tmp_path, model, [], said.append).read_text().splitlines()) == 20
    out = tmp_path / "out.jsonl"
    options = FilterOptions(tmp_path / "candidates.jsonl", out=out, verdicts=tmp_path / "v.jsonl")
    filtered = filter_file(options, Judging(wide, Reference(["a b c d e"])))
    assert filtered.left_out == given_up
    assert len(out.read_text().splitlines()) == filtered.kept == 20


def test_a_prefix_that_cannot_pass_is_told(model: Path, tmp_path: Path) -> None:
    wrong = replace(bot(tmp_path), filter=sampling.STRICT, sample=replace(SETTINGS, prefixes=("Thou",)))
    with pytest.raises(WrongUse, match=r"starts with 'Thou' can pass: it holds 'T'"):
        sample_and_filter(wrong, tmp_path, model, [])


def test_the_loop_stops_when_enough_is_kept_and_is_not_done_twice(model: Path, tmp_path: Path) -> None:
    said: list[str] = []
    pool = sample_and_filter(bot(tmp_path), tmp_path, model, [], said.append)
    first, candidates = pool.read_bytes(), (tmp_path / "candidates.jsonl").read_bytes()
    verdicts = [json.loads(v) for v in (tmp_path / "verdicts.jsonl").read_text().splitlines()]
    assert len(first.splitlines()) == 300
    assert len(candidates.splitlines()) - 500 < len(verdicts) <= len(candidates.splitlines())
    assert sum(v["verdict"] == "kept" for v in verdicts) == 300
    assert sum(v["verdict"] == "spare" for v in verdicts) > 50, "the pool is chosen from more than it takes"
    sample_and_filter(bot(tmp_path), tmp_path, model, [], said.append)
    assert "already done" in said[-1] and pool.read_bytes() == first
    more = replace(bot(tmp_path), count=450)
    sample_and_filter(more, tmp_path, model, [], said.append)
    assert (tmp_path / "candidates.jsonl").read_bytes().startswith(candidates), "old samples are used again"


def test_in_a_language_without_lists_enough_are_those_to_be_read(model: Path, tmp_path: Path) -> None:
    """It does not sample to the end of the budget because none may be published unread."""
    few = bot(tmp_path)
    few = replace(
        few, count=30, filter=replace(few.filter, language="la", skip=("band", "opening", "dangling", "edges"))
    )
    said: list[str] = []
    with pytest.raises(DeepproverbsError, match="to be read first: those that you approve go into the pool"):
        sample_and_filter(few, tmp_path, model, [], said.append)
    assert len((tmp_path / "review.jsonl").read_text().splitlines()) == 30
    assert len((tmp_path / "candidates.jsonl").read_text().splitlines()) < 2000 < few.budget
    assert not any("budget" in line for line in said)


def test_the_budget_ends_the_loop(model: Path, tmp_path: Path) -> None:
    few = bot(tmp_path)
    few = replace(few, sample=replace(few.sample, budget=256), count=10_000)
    said: list[str] = []
    sample_and_filter(few, tmp_path, model, [], said.append)
    assert any("budget of 256 candidates is spent" in s for s in said)
    assert len((tmp_path / "verdicts.jsonl").read_text().splitlines()) == 256


def test_a_run_that_goes_on_judges_the_same_candidates(model: Path, tmp_path: Path) -> None:
    """Those that were there and those that come: the same verdicts, the same pool, the same end of the budget."""
    few = bot(tmp_path)
    few = replace(few, count=10_000, sample=replace(few.sample, budget=777))
    sample_and_filter(few, tmp_path, model, [], lambda _: None)
    names = ("pool.jsonl", "review.jsonl")
    first = [(tmp_path / name).read_bytes() for name in names]
    verdicts = sorted((tmp_path / "verdicts.jsonl").read_text().splitlines())
    assert len(verdicts) == 777
    (tmp_path / "manifest.json").unlink()
    sample_and_filter(few, tmp_path, model, [], lambda _: None)
    assert [(tmp_path / name).read_bytes() for name in names] == first
    assert sorted((tmp_path / "verdicts.jsonl").read_text().splitlines()) == verdicts


def test_texts_without_a_score_are_scored(model: Path, tmp_path: Path) -> None:
    texts = ["and the king said unto the people, go in peace.", "zq xv kj qz wp fk"]
    (tmp_path / "t.txt").write_text("\n".join(texts) + "\n")
    band = Band(Spread(-3.0, 1.0), -3.0, 3.0)
    plain_bot = replace(bot(tmp_path), filter=FilterSettings(skip=("repetition", "edges")))
    options = FilterOptions(tmp_path / "t.txt", out=tmp_path / "pool.jsonl")
    judging = Judging(plain_bot, Reference(["a wise son"]), band, model)
    filtered = filter_file(options, judging)
    assert (filtered.kept, filtered.counts["band"]) == (1, 1) and texts[0] in options.pool_file.read_text()
    filtered = filter_file(options, replace(judging, model=None))
    assert (filtered.kept, filtered.counts["band"]) == (2, 0), "without a model, nobody knows"


def test_a_model_that_has_not_learnt_its_corpus_is_told(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    band = Band(Spread(-50.0, 1.0), -50.0, 3.0)
    monkeypatch.setattr(until_enough, "measure", lambda *_: band)
    few = bot(tmp_path)
    few = replace(
        few, filter=replace(few.filter, skip=("edges",)), sample=replace(few.sample, budget=300, max_tokens=60)
    )
    said: list[str] = []
    with pytest.raises(DeepproverbsError, match="No text passed"):
        sample_and_filter(few, tmp_path, model, [], said.append)
    (advice,) = [text for text in said if text.startswith("Beside your own texts")]
    assert re.match(r"Beside your own texts 2\d\d are too probable and 0 too improbable \(the rule .band.\)\. ", advice)


MEMORY = """
import sys
from pathlib import Path
from training.runs import stages
from training.settings import Bot, SampleSettings
folder, model, count = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
settings = SampleSettings(max_tokens=12, workers=2, batch=24)
stages.sample_only(Bot("t", folder, sample=settings), folder, model, count)
"""


@pytest.mark.slow
def test_memory_stays_flat(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Peak kilobytes for 5,000 candidates and for 30 times as many. The shared beginnings, for which a worker has
    64 MB, may take 64 kB here: nothing else grows."""
    monkeypatch.setenv("CC", f"{os.environ.get('CC', 'cc')} -DREMEMBERED=65536")
    peaks: list[int] = []
    for count in (5_000, 150_000):
        folder = tmp_path / str(count)
        folder.mkdir()
        peaks.append(peak_kilobytes(MEMORY, str(folder), str(small), str(count)))
    assert peaks[1] - peaks[0] < 10_000, peaks
