"""`new`: corpora of every kind become bots whose rules suit them, with nothing edited by hand."""

from __future__ import annotations

import io
import json
import os
import random
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers.corpora import KINDS, texts
from training import settings
from training.cli.main import main
from training.common.paths import NANO, ROOT
from training.common.text import DELIMITER, normal_form
from training.corpus.clean import clean
from training.corpus.look import look
from training.corpus.read import load_corpus
from training.judge import rates
from training.judge.judge import Judge, Reference
from training.judge.rules import PASSED
from training.runs.fit import NEVER, apply, fit
from training.runs.new_bot import name_of
from training.sample.candidates import Candidate
from training.settings import Bot, FilterSettings, find

COUNTS = {"few": 40}


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("training.cli.new.MODELS", tmp_path / "models")  # nobody's downloads


def corpus(kind: str) -> list[str]:
    return texts(kind, COUNTS.get(kind, 300))


def write(kind: str) -> Path:
    path = Path(f"{kind}.txt")
    path.write_text(DELIMITER.join(corpus(kind)) + "\n", encoding="utf-8")
    return path


def new(name: str, *words: str) -> Bot:
    assert main(["new", name, *words, "--yes", "-q"]) == 0
    return settings.fitted(settings.load(Path("data") / name))


@pytest.mark.parametrize("kind", KINDS)
def test_no_rule_is_stricter_than_the_corpus_and_what_is_like_it_passes(kind: str) -> None:
    bot = new(kind, str(write(kind)))
    own = load_corpus(bot.corpus_file, bot.corpus)
    assert own == corpus(kind), "nothing is lost or altered"
    own = [*{normal_form(text): text for text in own}.values()]  # a text and itself are copies, whatever the rule
    judge = Judge(bot.filter, Reference(own), bot.folder)
    found = rates.people(judge, own).shares
    assert found["all"] <= 0.1, found
    assert all(share <= 0.05 for name, share in found.items() if name not in ("copy", "all", "set-apart")), found
    known = set(map(normal_form, own))
    others = [text for text in texts(kind, len(own), 7) if normal_form(text) not in known]
    verdicts = judge.verdicts([Candidate(text, 9, -1.0, True, 1.0) for text in others])
    assert sum(verdict.verdict == PASSED for verdict in verdicts) > 0.7 * len(others)


def test_its_file_says_only_what_differs_and_why() -> None:
    bot = new("mine", str(write("prices")))
    text = (bot.folder / "bot.toml").read_text(encoding="utf-8")
    raw = tomllib.loads(text)
    for section, table in [("", raw), *((name, table) for name, table in raw.items() if isinstance(table, dict))]:
        for name, value in table.items():
            if not isinstance(value, dict):
                key = f"{section}.{name}" if section else name
                assert (tuple(value) if isinstance(value, list) else value) != find(key).default, key
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if " = " in line and not line.startswith(("#", " ")):
            assert lines[number - 1].startswith("# ") and lines[number - 1].endswith("."), line
    # The command that made it holds the path of the file.
    assert max(len(line) for line in lines if "deepproverbs new" not in line) <= 120 and len(lines) < 60
    assert (bot.name, bot.pool, bot.model) == ("mine", "pools/mine", "smollm2-135m")
    assert "--form delimited" in lines[1] and str(Path("prices.txt").resolve()) in lines[1]


def test_a_bot_is_known_by_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    new("mine", str(write("few")))
    assert main(["settings", "--bot", "mine"]) == 0
    assert 'name = "mine"' in capsys.readouterr().out
    assert main(["settings", "--bot", "yours"]) == 2
    assert "Cannot read the bot's settings yours" in capsys.readouterr().err


def test_git_does_not_see_it() -> None:
    new("mine", str(write("few")))
    subprocess.run(["git", "init", "-q", "."], check=True)
    told = subprocess.run(["git", "status", "--short", "--", "data"], check=True, capture_output=True, text=True).stdout
    assert told == ""


@pytest.mark.parametrize("name", ["../x", "my bot", "x/y", "", ".", "-x", "a" * 41, "bot\n", "ünï", "1st"])
def test_a_bad_name_is_refused(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = write("few")
    assert main(["new", "--yes", "--", name, str(path)]) == 2
    assert "letters, digits and -" in capsys.readouterr().err
    assert not Path("data").exists() or not any(Path("data").iterdir())


def test_a_handful_of_texts_is_no_bot(capsys: pytest.CaptureFixture[str]) -> None:
    Path("two.txt").write_text("one saying\nanother one\n")
    assert main(["new", "mine", "two.txt", "--yes"]) == 1
    assert "2 different texts are too few: at least 20" in capsys.readouterr().err
    assert not any(Path("data").iterdir()), "nothing is left lying about"


def test_a_bot_that_is_there_stays(capsys: pytest.CaptureFixture[str]) -> None:
    bot = new("mine", str(write("few")))
    before = (bot.folder / "bot.toml").read_bytes()
    assert main(["new", "mine", "few.txt", "--yes"]) == 2
    assert "is there already" in capsys.readouterr().err and (bot.folder / "bot.toml").read_bytes() == before


def test_what_is_said_by_hand_goes_before_what_was_measured() -> None:
    Path("q.csv").write_text("who,quote\n" + "".join(f'me,"{text}"\n' for text in corpus("few")), encoding="utf-8")
    bot = new("mine", "q.csv", "--field", "quote", "--model", "nano", "--count", "50", "--pool", "elsewhere")
    assert (bot.model, bot.count, bot.pool) == ("nano", 50, "elsewhere")
    assert load_corpus(bot.corpus_file, bot.corpus) == corpus("few")
    assert "--field quote" in (bot.folder / "bot.toml").read_text()


def test_several_files_are_one_corpus() -> None:
    first, second = write("few"), write("alike")
    bot = new("both", str(first), str(second))
    assert load_corpus(bot.corpus_file, bot.corpus) == [*corpus("few"), *corpus("alike")]


@pytest.mark.parametrize("answer", ["n\n", "y\n"])
def test_on_a_terminal_it_asks_once(
    answer: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    path = write("few")
    monkeypatch.setattr("sys.stdin", Terminal(answer))
    assert main(["new", "mine", str(path)]) == (answer == "n\n")
    told = capsys.readouterr()
    assert told.out.count("Write data/mine?") == 1
    assert Path("data/mine").exists() == (answer == "y\n")


def test_the_result_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new", "mine", str(write("few")), "--yes", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["bot"] == "data/mine" and found["look"]["texts"] == 40 and found["settings"]["count"] == 300


def test_the_screen_ends_with_the_next_two_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new", "mine", str(write("alike"))]) == 0, "no terminal, no question"
    out = capsys.readouterr().out
    assert 'begin with "breaking news"' in out and "300 texts" in out
    assert "deepproverbs run --bot data/mine" in out and "deepproverbs post --pool pools/mine --dry-run" in out


def test_texts_that_write_of_entities_come_back() -> None:
    own = [*corpus("few"), "He wrote &amp; and meant it.", "AT&T sells &lt;b&gt; by the yard."]
    Path("own.json").write_text(json.dumps([text.replace("&", "&amp;") for text in own]))
    bot = new("mine", "own.json")
    learnt = load_corpus(bot.corpus_file, bot.corpus)
    assert learnt == [clean(text.replace("&", "&amp;")) for text in own]


# What fits, by kinds of change


def changed(change: str, own: list[str], chance: random.Random) -> list[str]:
    """The corpus with something that a rule minds, in a part of its texts."""
    how: dict[str, Callable[[str], str]] = {
        "digits": lambda text: f"{text} {chance.randrange(99)} times.",
        "hashtags": lambda text: f"{text} #{chance.choice(['so', 'it', 'goes'])}",
        "commas": lambda text: text.rstrip(".!") + ",",
        "brackets": lambda text: f"{text} (and so",
        "and": lambda text: text.rstrip(".!") + " and",
        "short": lambda text: " ".join(text.split()[:2]),
        "loops": lambda text: f"{text} {text} {text}",
        "capitals": str.upper,
    }
    share = chance.choice([0.1, 0.3, 1.0])
    return [how[change](text) if chance.random() < share else text for text in own]


CHANGES = ("digits", "hashtags", "commas", "brackets", "and", "short", "loops", "capitals")


@pytest.mark.parametrize("seed", range(12))
def test_never_stricter_than_the_corpus(seed: int) -> None:
    chance = random.Random(seed)
    own = texts(chance.choice(["few", "tweets", "german", "digits"]), chance.choice([40, 250]), seed)
    for change in chance.sample(CHANGES, 2):
        own = changed(change, own, chance)
    found = look(own)
    bot = apply(Bot(), fit(found))
    shares = rates.people(Judge(bot.filter, Reference(found.sample)), found.sample).shares
    copies = ("copy", "copied-run")  # of texts cut to two words there are few different ones
    assert all(share <= 0.05 for name, share in shares.items() if name not in (*NEVER, *copies, "all", "set-apart")), (
        shares
    )
    counts: dict[str, int] = {}
    for text in found.sample:
        opening = " ".join(normal_form(text).split()[: bot.filter.opening_words])
        counts[opening] = counts.get(opening, 0) + 1
    assert max(counts.values()) / len(found.sample) <= bot.filter.opening_share


def test_what_no_corpus_loosens() -> None:
    own = [f"{text} see https://example.com/{n} @ann" for n, text in enumerate(corpus("few"))]
    skipped = apply(Bot(), fit(look(own))).filter.skip
    assert not {"mention", "link", "blocked", "length"} & set(skipped)


def test_long_texts_get_the_tokens_they_need() -> None:
    own = [" ".join(corpus("few")[n : n + 5]) for n in range(35)] + ["x " * 900]
    bot = apply(Bot(), fit(look(own, lambda some: [len(text.split()) * 5 for text in some])))
    longest = max(len(text.split()) for text in own[:-1]) * 5
    assert longest < bot.sample.max_tokens < 1.5 * longest, "what X does not take needs none"


@pytest.mark.parametrize(
    ("own", "model"),
    [
        (lambda: corpus("few"), "smollm2-135m"),
        (lambda: corpus("german"), "smollm2-135m"),
        (lambda: [f"the wise man saith unto his {n}, behold" for n in ("son", "king", "servant")], "nano"),
        (lambda: ["Thou shalt not count to 7", "Behold, the 3 kings", "He saith unto them: 8"], "smollm2-135m"),
    ],
)
def test_the_base(own: Callable[[], list[str]], model: str) -> None:
    (found,) = [each for each in fit(look(own())) if each.key == "model"]
    assert found.value == model


def test_another_language_is_told_of_a_base_that_has_read_it() -> None:
    fits = {each.key: each for each in fit(look(corpus("german")))}
    assert "hf:dbmdz/german-gpt2" in fits["model"].reason and fits["filter.language"].value == "de"
    dangling = fits["filter.dangling"].value
    assert {"der", "und", "wenn"} & set(dangling) and not {"unto", "the"} & set(dangling)


def test_few_characters_and_a_closed_vocabulary() -> None:
    own = [text.lower().replace("'", "") for text in texts("alike", 400)]
    kept = apply(Bot(), fit(look(own))).filter
    assert (
        set(kept.characters) >= set("".join(own)) and set("qxz") <= set(kept.characters) and "!" not in kept.characters
    )
    assert kept.closed_vocabulary
    assert apply(Bot(), fit(look(corpus("tweets")))).filter.characters == FilterSettings().characters == ""


def test_from_a_pipe(tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "functions"), *sys.path])}
    line = [sys.executable, "-m", "training.cli.main", "new", "mine", "-", "--form", "lines"]
    piped = "\n".join(corpus("few")) + "\n"
    done = subprocess.run(line, input=piped, env=env, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    bot = settings.load(Path("data/mine"))
    assert load_corpus(bot.corpus_file, bot.corpus) == corpus("few")
    assert (bot.folder / "original-1.txt").read_text(encoding="utf-8") == piped
    assert NANO.exists()


# The name, placeholders, Ctrl-C


class Answers(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_without_a_name_it_is_called_as_its_file(capsys: pytest.CaptureFixture[str]) -> None:
    write("few").rename("my 2 posts.txt")
    assert main(["new", "my 2 posts.txt", "--yes"]) == 0
    assert (
        "called my-2-posts, after my 2 posts.txt; `deepproverbs new NAME 'my 2 posts.txt'`" in capsys.readouterr().out
    )
    assert "deepproverbs new my-2-posts '/" in (Path("data") / "my-2-posts" / "bot.toml").read_text()
    write("alike")
    assert main(["new", "my 2 posts.txt", "alike.txt", "--yes"]) == 2 and "is there already" in capsys.readouterr().err
    Path("2024.txt").write_text(Path("alike.txt").read_text(encoding="utf-8"), encoding="utf-8")
    assert main(["new", "2024.txt", "--yes"]) == 2 and "`deepproverbs new NAME 2024.txt`" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("file", "name"),
    [("Städte.txt", "Stadte"), ("naïve café.txt", "naive-cafe"), ("posts.tar.gz", "posts"), ("my.own.csv", "my-own")],
)
def test_the_name_nearest_to_a_file_s(file: str, name: str) -> None:
    assert name_of(Path(file)) == name


def test_of_a_folder_that_is_here(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path("archive").resolve()
    folder.mkdir()
    monkeypatch.chdir(folder)
    assert name_of(Path(".")) == "archive"


@pytest.mark.parametrize("more", [[], ["few.txt"]])
def test_a_file_that_is_not_there_is_no_name(more: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    write("few")
    assert main(["new", "my-post.txt", *more, "--yes"]) == 2
    assert capsys.readouterr().err.startswith("deepproverbs: There is no file my-post.txt; correct it, or")


@pytest.mark.parametrize(("answer", "name"), [("\n", "few"), ("other\n", "other")])
def test_on_a_terminal_it_asks_for_the_name(answer: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write("few")
    monkeypatch.setattr("sys.stdin", Answers(answer + "y\n"))
    assert main(["new", str(path)]) == 0
    assert [found.name for found in Path("data").iterdir()] == [name]


@pytest.mark.parametrize("words", [["mybot"], ["-"]])
def test_a_name_without_texts(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new", *words, "--yes"]) == 2
    assert "Name the bot and the files that hold your texts" in capsys.readouterr().err


@pytest.mark.parametrize("answer", ["\n", "y\n"])
def test_placeholders_are_told_and_asked_about(
    answer: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    own = [*corpus("few"), "Good morning, {name}, and thank you for waiting."]
    Path("own.txt").write_text(DELIMITER.join(own) + "\n", encoding="utf-8")
    monkeypatch.setattr("sys.stdin", Answers(answer))
    assert main(["new", "mine", "own.txt"]) == (answer == "\n"), "Enter is no"
    out = capsys.readouterr().out
    assert "1 of 41 texts (2%) hold a placeholder" in out and "{name}" in out
    assert "Write data/mine, placeholders and all? [y/N]" in out


def test_ctrl_c_says_that_nothing_was_written(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    path = write("few")
    monkeypatch.setattr("training.runs.preflight.check", interrupted)
    assert main(["new", "mine", str(path), "--yes"]) == 130
    assert capsys.readouterr().err == "Stopped; nothing was written.\n"
    assert not any(Path("data").iterdir())
