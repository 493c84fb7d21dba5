"""A pool that is refilled without a hand: ten years of daily posts, and no text twice."""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from post_tweet import app, runtime
from post_tweet import store as stores
from post_tweet.pool import Pool
from post_tweet.store import open_store

from tests.helpers.fakes import MemoryStore, MemoryX
from tests.helpers.sampling import bot
from training.cli.main import main
from training.common.text import text_id
from training.runs import stages

COUNT = 400
POOL = "shelf://bot"
YEARS = 10


@pytest.fixture
def daily(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bot whose run has a model, a pool in memory, and a first filling."""
    shelves: dict[str, MemoryStore] = defaultdict(MemoryStore)
    monkeypatch.setitem(stores.STORES, "shelf", shelves.__getitem__)
    made = bot(tmp_path)
    (tmp_path / "bot.toml").write_text(
        f'name = "t"\ncount = {COUNT}\npool = "{POOL}"\n'
        f"[sample]\nmax_tokens = {made.sample.max_tokens}\nworkers = 2\nbatch = 24\n"
        '[filter]\nskip = ["band", "opening", "set-apart", "dangling", "edges"]\nmin_words = 1\nnear_ratio = 101\n'
        "choose_from = 1.2\n"
    )
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "runs" / "t"
    run.mkdir(parents=True)
    (run / "corpus.txt").write_bytes((tmp_path / "corpus.txt").read_bytes())
    (run / "model").symlink_to(model)
    # The training is another test's: here the run has its model.
    monkeypatch.setattr(stages, "train", lambda *_: (run / "model", None))
    assert main(["run", "--bot", "bot.toml"]) == 0
    return tmp_path


def held() -> int:
    """Texts of the pool, posted or not. The tiny model does not always find all that it is asked for."""
    return int(Pool(open_store(POOL)).status()["texts"])


def refill(*words: str) -> int:
    return main(["refill", "--bot", "bot.toml", *words])


@pytest.mark.slow
def test_ten_years(daily: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    now = datetime(2026, 1, 1, 9, tzinfo=UTC)
    monkeypatch.setattr(runtime, "clock", lambda: now)
    pool, x, fillings, least = Pool(open_store(POOL)), MemoryX(), 0, COUNT
    for day in range(365 * YEARS):
        now += timedelta(days=1)
        assert app.run({"slot": f"daily {now:%Y-%m-%dT%H:%M:%SZ}"}, POOL, x).outcome == "posted"
        if day % 14 == 0:
            before = pool.status()
            assert refill() == 0
            after = pool.status()
            fillings += after["texts"] > before["texts"]
            least = min(least, after["remaining"])
            assert (after["texts"] > before["texts"]) == (before["days_left"] < 30)
    capsys.readouterr()
    assert len(x.published) == 365 * YEARS == len({text_id(text) for text in x.published})
    assert fillings == pool.status()["batches"] - 1 >= 365 * YEARS // COUNT - 1 and least >= 15
    assert pool.verify() == []


def test_a_pool_that_is_full_is_left_alone(daily: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    first = held()
    assert refill() == 0
    assert (
        f"{first} texts are left, for {first} days at the present pace; "
        "a refill adds more once they last for fewer than 30 days" in capsys.readouterr().out
    )
    assert refill("--json") == 0
    assert json.loads(capsys.readouterr().out)["added"] == 0
    assert refill("--days", "500", "--count", "50") == 0
    assert first < held() <= first + 50


def test_the_bot_says_when_and_how_many(daily: Path) -> None:
    first = held()
    with (daily / "bot.toml").open("a") as file:
        file.write("[refill]\ndays = 401\ncount = 30\n")
    assert refill() == 0 and first < held() <= first + 30


def test_a_person_reads_them_first_if_the_bot_says_so(daily: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = held()
    text = (daily / "bot.toml").read_text()
    (daily / "bot.toml").write_text('publish = "after-review"\n' + text)
    for _ in range(3):  # every day the same, until somebody has read them
        assert refill("--days", "500", "--count", "40") == 0
        assert "when you have read them" in capsys.readouterr().out and held() == first
    waiting = len((daily / "runs" / "t" / "pool.jsonl").read_text().splitlines())
    assert main(["review", "--bot", "bot.toml", "--publish", "--unread"]) == 0
    assert held() == first + waiting


def test_what_cannot_be_refilled(daily: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refill("--run", "runs/none", "--days", "500") == 2
    assert "There is no model in runs/none" in capsys.readouterr().err
    assert refill("--pool", "shelf://empty") == 2
    assert "There is no pool at shelf://empty" in capsys.readouterr().err
