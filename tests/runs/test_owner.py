"""A run's folder knows its bot and its pool; another bot is refused, and hints name what is not the default."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from post_tweet.pool import Pool
from post_tweet.store import open_store

from tests.helpers.fakes import records
from training.common.errors import DeepproverbsError, WrongUse
from training.runs import owner
from training.settings import Bot, load


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def made(name: str, text: str = "") -> tuple[Bot, Path]:
    """A bot in data/NAME."""
    file = Path("data") / name / "bot.toml"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    return load(file), file


def used(bot: Bot, file: Path, run: str = "", pool: str | None = None) -> tuple[Bot, list[str], list[str]]:
    """What the commands do with the folder of a run. Returns the bot with its pool, the history, and what was said."""
    folder, said = Path(run or f"runs/{bot.name}"), list[str]()
    owner.check(folder, bot, file)
    folder.mkdir(parents=True, exist_ok=True)
    owner.claim(folder, bot, file, said.append)
    found, texts = owner.claim_pool(folder, bot, file, pool, said.append)
    (folder / "manifest.json").write_text("{}")  # the first stage has ended
    return found, texts, said


def fill(url: str, count: int, start: int = 0) -> list[str]:
    Pool(open_store(url)).append(records(count, start), "test")
    return [record["text"] for record in records(count, start)]


def test_another_bot_is_refused_and_told_what_to_do() -> None:
    mine = made("mine")
    used(*mine)
    before = Path("runs/mine/run.json").read_bytes()
    copy = made("copy", 'name = "mine"\n')
    with pytest.raises(WrongUse) as refused:
        used(*copy)
    assert str(refused.value) == (
        "runs/mine belongs to the bot data/mine, and data/copy is another of the same name, mine: give it a name of "
        "its own, name = … in data/copy/bot.toml, or another folder with --run."
    )
    with pytest.raises(
        WrongUse, match=r"data/other is another: name the first one, --bot data/mine, or another folder"
    ):
        used(*made("other"), run="runs/mine")
    assert Path("runs/mine/run.json").read_bytes() == before
    used(*mine)
    used(*copy, run="runs/copy", pool="elsewhere")


def test_a_folder_in_which_nothing_was_made_is_nobody_s() -> None:
    used(*made("mine"), run="runs/x")
    Path("runs/x/manifest.json").unlink()
    used(*made("other"), run="runs/x")


def test_a_folder_of_before_there_was_a_run_json_is_taken() -> None:
    Path("runs/mine").mkdir(parents=True)
    Path("runs/mine/manifest.json").write_text("{}")
    used(*made("mine"))
    with pytest.raises(WrongUse):
        used(*made("other"), run="runs/mine")


def test_a_moved_checkout_goes_on(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "old").mkdir()
    monkeypatch.chdir(here / "old")
    used(*made("mine"), pool="pool-of-mine")
    (here / "old").rename(here / "new")
    monkeypatch.chdir(here / "new")
    file = Path("data/mine/bot.toml")
    bot, _, said = used(load(file), file)
    assert said[0] == f"The bot of runs/mine was {here}/old/data/mine and is data/mine now; the run goes on."
    assert bot.pool == "pool-of-mine" and "as before" in said[1]
    assert used(load(file), file)[2] == said[1:], "it is said once"


def test_a_bot_s_folder_that_was_moved_goes_on_and_a_copy_does_not() -> None:
    mine, file = made("mine", 'name = "wise"\n')
    used(mine, file)
    shutil.copytree("data/mine", "data/new")
    moved = Path("data/new/bot.toml")
    with pytest.raises(WrongUse, match="another of the same name, wise"):
        used(load(moved), moved)
    shutil.rmtree("data/mine")
    moved.write_text('name = "wise"\ncount = 5\n')  # moved, then edited
    assert "the run goes on" in used(load(moved), moved)[2][0]


def test_a_run_keeps_to_its_pool_until_another_is_named() -> None:
    bot, file = made("mine")
    assert (used(bot, file)[0].pool, used(bot, file, pool="one")[0].pool) == ("pool", "one")
    again, _, said = used(bot, file)
    assert again.pool == "one" and said == ["Pool: one, as before; --pool names another."]
    assert owner.pool_of(Path("runs/mine"), bot, file, None) == "one"
    assert owner.pool_of(Path("runs/mine"), bot, file, "two") == "two"
    file.write_text('pool = "three"\n')  # the owner has changed his mind
    third, _, said = used(load(file), file)
    assert third.pool == "three" and "was for the pool one, and is for three from here on" in said[0]


def test_no_text_of_an_earlier_pool_comes_again() -> None:
    bot, file = made("mine")
    assert used(bot, file, pool="one")[1] == []
    first = fill("one", 3)
    assert used(bot, file, pool="one")[1] == first
    assert used(bot, file, pool="two")[1] == first
    second = fill("two", 2, 50)
    assert used(bot, file, pool="three")[1] == [*first, *second]
    assert used(bot, file, pool="one/")[1] == [*first, *second], "and back"
    Path("two/state.json").write_text("{")
    texts, said = used(bot, file, pool="one")[1:]
    assert texts == first and "two may come again, for it cannot be read" in said[0]


def test_a_pool_that_cannot_be_is_not_written_down() -> None:
    bot, file = made("mine")
    used(bot, file, pool="one")
    with pytest.raises(Exception, match="is not a pool"):
        used(bot, file, pool="http://x")
    assert used(bot, file)[0].pool == "one"


def test_the_pool_of_another_bot_s_run_is_refused() -> None:
    used(*made("mine"))
    with pytest.raises(WrongUse, match=r"The pool pool is that of the bot data/mine.*give other its own with --pool"):
        used(*made("other"))
    mine, file = load(Path("data/mine/bot.toml")), Path("data/mine/bot.toml")
    used(mine, file, run="runs/bigger")  # two runs of one bot may fill one pool


def test_a_broken_run_json_is_named() -> None:
    mine = made("mine")
    used(*mine)
    Path("runs/mine/run.json").write_text('{"bot": 3}')
    shutil.rmtree("runs/mine/.copies")
    with pytest.raises(DeepproverbsError, match=r"runs/mine/run\.json cannot be read .*delete both"):
        used(*mine)


def test_a_damaged_run_json_is_taken_from_its_copy(capsys: pytest.CaptureFixture[str]) -> None:
    mine = made("mine")
    used(*mine, pool="one")
    path = Path("runs/mine/run.json")
    whole = path.read_bytes()
    for damaged in (b"", b"{}", whole[:-20], whole.replace(b"/one", b"/two")):
        path.write_bytes(damaged)
        assert used(*mine)[0].pool == "one" and path.read_bytes() == whole
        assert "run.json was damaged" in capsys.readouterr().out
    path.unlink()
    assert used(*mine)[0].pool == "one" and "run.json was missing: taken from its copy" in capsys.readouterr().out


def test_a_hint_names_what_is_not_the_default() -> None:
    mine = made("mine")
    used(*mine)
    assert owner.command("review", Path("runs/mine")) == "deepproverbs review --bot data/mine"
    used(*mine, run="runs/big one", pool="one")
    words = "deepproverbs review --bot data/mine --run 'runs/big one' --pool one"
    assert owner.command("review", Path("runs/big one")) == words
    assert owner.command("review", Path("runs/none")) == "deepproverbs review --run runs/none"
    assert json.loads(Path("runs/big one/run.json").read_text())["pool"] == "../../one", "from the run's folder"
