"""A pool at a glance: what was posted, what comes, what is wrong."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from post_tweet.pool import Pool
from post_tweet.state import Claim, Settled, State, stamp
from post_tweet.store import open_store

from tests.helpers.fakes import records
from training.cli import glance
from training.cli.main import main

NOW = datetime(2026, 3, 12, 20, tzinfo=UTC)
"""A Thursday."""


def posts(count: int, every: timedelta = timedelta(days=1), last: datetime = NOW) -> tuple[Settled, ...]:
    times = [last - every * n for n in reversed(range(count))]
    return tuple(Settled(f"slot {n}", n, "posted", str(500 + n), stamp(time)) for n, time in enumerate(times))


@pytest.fixture
def pool(tmp_path: Path) -> Pool:
    found = Pool(open_store(str(tmp_path / "pool")))
    found.append(records(60), "test")
    return found


def put(pool: Pool, **values: object) -> State:
    state, etag = pool.load()
    new = replace(state, **values)  # type: ignore[arg-type]
    assert pool.save(new, etag)
    return new


def test_what_was_posted_and_what_comes(pool: Pool) -> None:
    put(pool, recent=posts(9), next=9)
    pool.withdraw([10])
    found = glance.look(pool, NOW, "bot", Path("bot.toml"))
    assert [each["index"] for each in found["posted"]] == [8, 7, 6, 5, 4]
    assert (
        found["posted"][0]["link"] == "https://x.com/i/status/508"
        and found["posted"][0]["text"] == records(60)[8]["text"]
    )
    assert [each["index"] for each in found["coming"]] == [9, 11, 12]
    assert found["days"]["2026-03-12"] == 1 and len(found["days"]) == 9 and found["alarms"] == []
    text = glance.text(found, NOW.date())
    assert "2026-03-12 20:00" in text and "https://x.com/i/status/508" in text and "to look after" not in text


def test_the_calendar_is_that_of_the_days() -> None:
    days = {"2026-03-03": 1, "2026-03-04": 12, "2026-03-12": 2}
    assert glance.calendar(days, date(2026, 3, 12)).splitlines() == [
        " posts a day  Mo  Tu  We  Th  Fr  Sa  Su",
        "  2026-03-02       1  12   ·   ·   ·   ·",
        "  2026-03-09   ·   ·   ·   2",
    ]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"recent": posts(9, last=NOW - timedelta(days=4))}, "Nothing was posted for 4 days, where 1 day is usual."),
        ({"recent": posts(9, last=NOW - timedelta(days=2))}, None),
        ({"recent": posts(9, timedelta(minutes=5), NOW - timedelta(minutes=50))}, None),
        ({"recent": posts(2, last=NOW - timedelta(days=40))}, None),
        ({"recent": posts(9, last=NOW - timedelta(days=9)), "paused": stamp(NOW)}, None),
        ({"claim": Claim("a", "b", 9, "t", stamp(NOW - timedelta(hours=2)), stamp(NOW))}, "Text 9 is claimed since"),
        ({"claim": Claim("a", "b", 9, "t", stamp(NOW), stamp(NOW))}, None),
        (
            {"recent": (*posts(9), Settled("s", 9, "abandoned", None, stamp(NOW), "forbidden"))},
            "Text 9 may have been posted and was given up on 2026-03-12 (forbidden).",
        ),
        (
            {"recent": (*posts(8), *(Settled("s", n, "refused", None, stamp(NOW), "too-long") for n in (8, 9)))},
            "Text 9 was refused on 2026-03-12 (too-long), and 1 before it.",
        ),
        ({"recent": (*posts(9), Settled("s", 9, "refused", None, stamp(NOW), "withdrawn"))}, None),
    ],
)
def test_what_a_person_should_look_after(pool: Pool, values: dict[str, object], said: str | None) -> None:
    put(pool, next=9, **values)
    found = glance.look(pool, NOW, "bot", Path("bot.toml"))["alarms"]
    assert [said in alarm for alarm in found] == [True] if said else found == []


def test_watching_shows_it_until_ctrl_c(pool: Pool, capsys: pytest.CaptureFixture[str]) -> None:
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        glance.watch(lambda: print("shown"), 7, sleep)
    said = capsys.readouterr()
    assert said.out.count("shown") == 3 and waits == [7, 7, 7] and "\x1b" not in said.out


def test_the_command(pool: Pool, capsys: pytest.CaptureFixture[str]) -> None:
    put(pool, recent=posts(3, last=datetime.now(UTC)), next=3)
    assert main(["pool", "status", "--pool", pool.store.url]) == 0
    out = capsys.readouterr().out
    assert "57 of 60 texts left" in out and "next:" in out and records(60)[3]["text"] in out and "posts a day" in out
    assert main(["pool", "status", "--pool", pool.store.url, "--json"]) == 0
    assert {"remaining", "posted", "coming", "days", "alarms"} <= json.loads(capsys.readouterr().out).keys()
