"""A place is added in one file: it posts for a slot, beside X, and its lost answers are settled by its own promise."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from post_tweet import app, runtime
from post_tweet.errors import Abandoned, BadInput, Busy, PostError, Undecided
from post_tweet.lost_answer import proven, settlement
from post_tweet.place import CannotTell, Found, NotFound, Posted, Promise, Refused, Secret, Unknown
from post_tweet.pool import Pool
from post_tweet.store import open_store
from post_tweet.x import X

from tests.helpers.fakes import MemoryX, records

FIRST, SECOND = (record["text"] for record in records(2))
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


class Toy:
    """A board that takes short texts, and every one of them again."""

    name = "Toy"
    promise = Promise(repeats_refused_for=None, shown_within=timedelta(seconds=10))

    def __init__(self, secret: Callable[[], Secret]) -> None:
        self.secret, self.board = secret, list[str]()
        self.readable = True
        self.answers: list[tuple[bool, Unknown | Refused]] = []
        """(whether the next text is put on the board, what is answered)"""

    def problems(self, text: str, allow: Collection[str] = ()) -> str | None:
        return f"has {self.length(text)} characters" if self.length(text) > 26 else None

    def length(self, text: str) -> int:
        return len(text)

    def connect(self) -> str | None:
        if self.secret().text != "open sesame":
            raise BadInput(f"{self.secret().where} holds no magic word.")
        return None

    def post(self, text: str) -> Posted | Refused | Unknown:
        written, answer = self.answers.pop(0) if self.answers else (True, None)
        self.board += [text] * written
        return answer or Posted(str(len(self.board)))

    def did_post(self, text: str, since: datetime | None = None) -> Found | NotFound | CannotTell:
        if not self.readable:
            return CannotTell("the board is covered")
        return Found(str(self.board.index(text) + 1)) if text in self.board else NotFound()


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Toy:
    """The place that the function opens, and an X that has not been called, both with a pool of three texts."""
    (tmp_path / "word").write_text("open sesame")
    for name, value in {"PLACE": "toy", "TOY_CREDENTIALS_FILE": tmp_path / "word", "POOL_URL": tmp_path}.items():
        monkeypatch.setenv(name, str(value))
    place = Toy(lambda: app.credentials("TOY"))
    monkeypatch.setitem(app.PLACES, "toy", lambda secret: place)
    for name in ("X", "Toy"):
        Pool(open_store(str(tmp_path)), name).append(records(3), "test")
    return place


def minutes_pass(monkeypatch: pytest.MonkeyPatch, minutes: float) -> None:
    later = datetime.now(UTC) + timedelta(minutes=minutes)
    monkeypatch.setattr(runtime, "clock", lambda: later)


def test_a_place_has_its_own_rules_keys_state_and_records_and_shares_the_batches(toy: Toy, tmp_path: Path) -> None:
    Pool(open_store(str(tmp_path)), "Toy").append([{**records(9)[8], "text": "a text too long for this place"}], "test")
    for slot in "abc":
        assert app.handler({"slot": slot}, None)["outcome"] == "posted"
    assert app.handler({"slot": "a"}, None)["outcome"] == "already-settled"
    assert toy.board == [record["text"] for record in records(3)]
    with pytest.raises(PostError, match="no unused text"):
        app.handler({"slot": "d"}, None)
    states = {place: Pool(open_store(str(tmp_path)), place).load()[0] for place in ("X", "Toy")}
    assert (states["X"].next, states["Toy"].next, states["Toy"].recent[-1].reason) == (0, 4, "has 30 characters")
    assert app.run({"slot": "a"}, str(tmp_path), MemoryX()).index == 0, "X posts the same text, for the same slot"
    assert sorted(path.name for path in tmp_path.iterdir() if not path.name.startswith(".")) == [
        *("batches", "posts", "posts-toy", "state-toy.json", "state.json", "word")
    ]
    assert len(list((tmp_path / "batches").iterdir())) == 2
    assert json.loads(next((tmp_path / "posts-toy").rglob("2.json")).read_text())["slot"] == "c"


def test_keys_that_a_place_cannot_use_stop_before_a_claim(toy: Toy, tmp_path: Path) -> None:
    (tmp_path / "word").write_text("sesame")
    with pytest.raises(BadInput, match="word holds no magic word"):
        app.handler({"slot": "a"}, None)
    assert Pool(open_store(str(tmp_path)), "Toy").load()[0].claim is None and toy.board == []


@pytest.mark.parametrize("written", [True, False])
@pytest.mark.parametrize("readable", [True, False])
def test_a_lost_answer_of_a_place_that_refuses_no_repeat(
    toy: Toy, monkeypatch: pytest.MonkeyPatch, written: bool, readable: bool
) -> None:
    """It is posted again only if the place has shown that it is not there."""
    toy.answers, toy.readable = [(written, Unknown("time-out"))], readable
    with pytest.raises(Undecided, match="Toy's answer"):
        app.handler({"slot": "a"}, None)
    with pytest.raises(Busy):
        app.handler({"slot": "a"}, None)
    minutes_pass(monkeypatch, 1.1)
    if readable:
        assert app.handler({"slot": "a"}, None)["index"] == 0 and toy.board == [FIRST]
    else:
        for _ in range(2):
            with pytest.raises(Abandoned, match="Toy did not say whether"):
                app.handler({"slot": "a"}, None)
        assert toy.board == [FIRST] * written
    assert app.handler({"slot": "b"}, None)["index"] == 1 and toy.board[-1] == SECOND


@pytest.mark.parametrize(
    ("promise", "answer", "age", "quiet", "expected"),
    [
        (Promise(None, HOUR), NotFound(), HOUR, HOUR, "again"),
        (Promise(None, HOUR), NotFound(), HOUR, HOUR / 2, "later"),
        (Promise(DAY, HOUR), NotFound(), HOUR, HOUR / 2, "again"),
        *((Promise(None, HOUR), CannotTell("403"), age, HOUR, "abandoned") for age in (-HOUR / 20, 0 * HOUR, HOUR)),
        (Promise(None, HOUR), CannotTell("503", "later"), 0 * HOUR, HOUR, "later"),
        (Promise(timedelta.max, HOUR), CannotTell("403"), 900 * DAY, HOUR, "again"),
        (Promise(DAY, HOUR), CannotTell("403"), 2 * DAY, HOUR, "abandoned"),
    ],
)
def test_a_lost_answer_is_settled_by_the_promise(
    promise: Promise, answer: NotFound | CannotTell, age: timedelta, quiet: timedelta, expected: str
) -> None:
    assert settlement(proven(answer, promise, quiet), promise, age, withdrawn=False) == expected


def test_a_place_that_nobody_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    assert {name: app.open_place().name.lower() for name in app.PLACES} == {"x": "x"}
    assert isinstance(app.open_place(), X)
    monkeypatch.setenv("PLACE", "gazette")
    with pytest.raises(BadInput, match="PLACE is 'gazette'; make it one of: x"):
        app.open_place()
