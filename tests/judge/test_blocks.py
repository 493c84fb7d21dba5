"""Candidate files before the judge: processes, blocks, order, memory, and files that are wrong."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.helpers import labelled
from tests.helpers.peak import peak_kilobytes
from training import settings as config
from training.common.errors import DeepproverbsError
from training.common.paths import ROOT
from training.judge import blocks
from training.judge.blocks import Passed, Tally, judge_file, read_candidate
from training.judge.judge import Judging, Reference
from training.runs.filter_file import FilterOptions, filter_file
from training.sample.candidates import Candidate

BOT = config.load(ROOT / "data" / "proverbs" / "bot.toml")
SETTINGS = replace(BOT.filter, closed_vocabulary=False, skip=("dangling", "edges"))


def some(count: int, seed: int = 1) -> list[Candidate]:
    """Verses, edited and not, with scores; some given up or unfinished, some twice."""
    rng = random.Random(seed)
    verses = labelled.bible()[:4000]
    words = sorted({word for verse in verses[:500] for word in verse.split()})
    made = []
    for number in range(count):
        verse = labelled.changed(rng.choice(verses), 1, rng, words)
        if rng.random() < 0.7:
            verse = " ".join(rng.sample(verse.split(), len(verse.split())))
        stopped = rng.random() < 0.05
        made.append(
            Candidate(verse, 20, -rng.random() * 5, rng.random() < 0.95 and not stopped, 0.9)
            if not stopped
            else Candidate(verse[:20], 5, -1.0, False, 0.9, "vocabulary", rng.choice(["mine", "other"]))
        )
        if number % 11 == 0:
            made[-1] = made[rng.randrange(len(made))]
    return made


def write(path: Path, candidates: list[Candidate]) -> Path:
    path.write_text("".join(candidate.line() for candidate in candidates), encoding="utf-8")
    return path


def judging() -> Judging:
    reference = Reference(labelled.proverbs(), history=labelled.carriers(50, 1))
    return Judging(replace(BOT, filter=SETTINGS), reference, stop_id="mine")


def all_of(path: Path, workers: int = 1) -> tuple[Tally, str]:
    tally, found = Tally(), list(judge_file(path, judging(), path.stat().st_size, workers))
    for judged in found:
        tally.add(judged)
    assert sum(judged.size for judged in found) == path.stat().st_size
    return tally, "".join(judged.verdicts for judged in found)


def test_one_process_or_three_and_any_block_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "c.jsonl", some(3000))
    alone, lines = all_of(path)
    monkeypatch.setattr(blocks, "BLOCK", 10_000)  # the parent cuts the file
    for workers in (1, 3):
        together, other = all_of(path, workers)
        assert other == lines
        assert together.counts == alone.counts and together.tokens == alone.tokens
        assert (together.candidates, together.left_out) == (alone.candidates, alone.left_out)
        one, two = alone.passed(), together.passed()
        for name in Passed.__dataclass_fields__:
            np.testing.assert_array_equal(getattr(one, name), getattr(two, name))  # NaN is NaN
    assert alone.candidates + alone.left_out == 3000 and alone.left_out > 30
    assert len(set(alone.counts)) >= 4 and 100 < len(one) < 2900


def test_unrelated_texts_change_nothing(tmp_path: Path) -> None:
    """The verdict on each text is the same alone, among others, and in another order."""
    texts = some(600)
    verdicts = {
        line["text"]: line["verdict"] for line in map(json.loads, all_of(write(tmp_path / "a", texts))[1].splitlines())
    }
    more = [*some(500, 2), *texts]
    random.Random(3).shuffle(more)
    others = {
        line["text"]: line["verdict"] for line in map(json.loads, all_of(write(tmp_path / "b", more))[1].splitlines())
    }
    assert len(verdicts) > 30 and verdicts.items() <= others.items()
    few = texts[:40]
    alone = {c.text: bool(all_of(write(tmp_path / "c", [c]))[0].count_passed) for c in few if not c.stopped}
    assert all(passed == (text not in verdicts) for text, passed in alone.items())


def test_what_passed_is_found_again(tmp_path: Path) -> None:
    path = write(tmp_path / "c.jsonl", texts := some(500))
    passed = all_of(path)[0].passed()
    with path.open("rb") as file:
        found = [read_candidate(file, int(offset)) for offset in passed.offsets]
    where = {candidate.text: number for number, candidate in enumerate(texts)}
    assert len(found) > 30 and {candidate.text for candidate in found} <= set(where)
    assert np.allclose(passed.logprobs, [c.logprob for c in found], atol=1e-4)
    assert len(passed.first(7)) == 7 and len(Passed.joined([])) == 0


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ('{"text": "a wise son"}\n{"text": 5}\n', r"c.jsonl, line 2: no candidate \(neither a string nor an object"),
        ('{"text": "a wise son"}\n\n{"txt": "x"}\n', "line 3: no candidate"),
        ("a wise son\n", r"line 1: no candidate \(Expecting value"),
        ('"a wise son"\n{"text": "b"', "line 2: no candidate"),
        ('{"text": "a", "tokens": "many"}\n', "line 1: no candidate"),
        ('{"text": "a", "tokens": 1e999}\n', "line 1: no candidate"),
        ("\xff\xfe\xff", "line 1: no candidate"),
    ],
)
def test_a_line_that_is_no_candidate_is_named(tmp_path: Path, content: str, sentence: str) -> None:
    (tmp_path / "c.jsonl").write_bytes(content.encode("latin-1"))
    for workers in (1, 2) if "many" in content else (1,):
        with pytest.raises(DeepproverbsError, match=sentence):
            list(judge_file(tmp_path / "c.jsonl", judging(), len(content), workers))


def test_half_characters_become_the_sign_for_them(tmp_path: Path) -> None:
    (tmp_path / "c.jsonl").write_text(
        '{"text": "a wise man and \\ud835 his rock"}\n{"text": "a wise \\ud835\\udc00 man has gone"}\n'
    )
    filter_file(files(tmp_path, tmp_path / "c.jsonl"), by(5, characters=""))
    assert texts_in(tmp_path / "pool.jsonl") == ["a wise 𝐀 man has gone"]
    assert '"characters"' in (tmp_path / "verdicts.jsonl").read_text()


def test_nothing_is_left_behind_by_a_run_that_fails(tmp_path: Path) -> None:
    (tmp_path / "c.jsonl").write_text('{"text": "a wise man standeth upon a rock"}\nno\n')
    with pytest.raises(DeepproverbsError, match="line 2: no candidate"):
        filter_file(files(tmp_path, tmp_path / "c.jsonl"), by(5))
    assert [path.name for path in tmp_path.iterdir()] == ["c.jsonl"]


def by(count: int, history: Sequence[str] = (), **settings: object) -> Judging:
    """What so many texts are chosen by."""
    bot = replace(BOT, count=count, filter=replace(SETTINGS, **settings))  # type: ignore[arg-type]
    return Judging(bot, Reference(labelled.proverbs(), history=history))


def files(tmp_path: Path, candidates: Path, workers: int = 0) -> FilterOptions:
    return FilterOptions(candidates, out=tmp_path / "pool.jsonl", workers=workers)


def texts_in(path: Path) -> list[str]:
    return [json.loads(line)["text"] for line in path.read_text(encoding="utf-8").splitlines()]


def test_filtering_what_was_kept_keeps_all_of_it(tmp_path: Path) -> None:
    """And neither processes nor order matter, pool, review and verdicts being the same."""
    texts = [c for c in some(4000) if not c.stopped]
    filtered = filter_file(files(tmp_path, write(tmp_path / "c.jsonl", texts)), by(600))
    pool = texts_in(tmp_path / "pool.jsonl")
    assert filtered.kept == 600 == len(pool)
    assert filtered.counts["near-duplicate"] + filtered.counts["duplicate"] > 20
    assert sum(filtered.counts.values()) == len(texts) == len(texts_in(tmp_path / "verdicts.jsonl"))
    review = texts_in(tmp_path / "review.jsonl")
    assert review and not set(review) & set(pool)
    mixed = random.Random(5).sample(texts, len(texts))
    (other := tmp_path / "other").mkdir()
    filter_file(files(other, write(tmp_path / "m.jsonl", mixed), workers=2), by(600))
    assert set(texts_in(other / "pool.jsonl")) == set(pool) and set(texts_in(other / "review.jsonl")) == set(review)
    (again := tmp_path / "again").mkdir()
    filter_file(files(again, tmp_path / "pool.jsonl"), by(600))
    assert set(texts_in(again / "pool.jsonl")) == set(pool)
    # And once they are history, none of them passes again.
    filter_file(files(again, tmp_path / "pool.jsonl"), by(600, pool))
    assert not texts_in(again / "pool.jsonl")


@pytest.mark.parametrize("name", ["c.txt", "c.csv"])
def test_any_file_of_texts_will_do(tmp_path: Path, name: str) -> None:
    rows = ["a wise man standeth upon a rock of counsel", "go unto the city.in the evening", "a wise 7 son"]
    (tmp_path / name).write_text("\n".join(rows) + "\n")
    filtered = filter_file(files(tmp_path, tmp_path / name), by(10))
    assert (filtered.kept, filtered.set_apart) == (1, 0) and dict(filtered.counts) == {
        "link": 1,
        "characters": 1,
        "kept": 1,
    }
    assert not list(tmp_path.glob(".*")), "nothing is left behind"


MEMORY = """
import sys
from pathlib import Path
from dataclasses import replace
from tests.judge.test_blocks import by, files
from training.judge.judge import Reference
from training.runs.filter_file import filter_file
folder = Path(sys.argv[1])
reference = Reference(["a wise son maketh a glad father"])
filter_file(files(folder, folder / "c.jsonl"), replace(by(500), reference=reference))
"""


@pytest.mark.slow
def test_memory_follows_the_pool_and_not_the_candidates(tmp_path: Path) -> None:
    """Peak kilobytes for 5,000 candidates and for 12 times as many, nearly all rejected or spare."""
    peaks = []
    lines = [candidate.line() for candidate in some(5000)]
    for times in (1, 12):
        with (tmp_path / "c.jsonl").open("w") as file:
            for _ in range(times):
                file.writelines(lines)
        peaks.append(peak_kilobytes(MEMORY, str(tmp_path)))
    assert peaks[1] - peaks[0] < 20_000, peaks
