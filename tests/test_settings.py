"""Settings: the bot's file, the sentences for wrong ones, and that options, bot.toml and docs say the same of each."""

from __future__ import annotations

import dataclasses
import json
import re
import textwrap
import tomllib
from pathlib import Path

import pytest

from training.cli.main import main
from training.common.errors import WrongUse
from training.common.paths import DEFAULT_BOT, ROOT
from training.common.toml import rows, toml
from training.settings import SECTIONS, Bot, Setting, find, load, override, plain, settings_of

ALL = [about for section in ("", *SECTIONS) for about in settings_of(section).values()]
PLAIN = """
{"corpus": {"file": "corpus.txt", "prepare": "prepare.py", "reference": ["kjv.txt"], "form": "", "delimiter": "",
"field": "", "encoding": "", "author": "", "drop": ["reposts", "replies"], "links": "drop", "mentions": "drop",
"style": "keep", "hold_out": 0.1, "seed": 1}, "finetune": {"trainer": "auto", "recipe": "texts", "epochs": 0,
"batch_size": 0,
"learning_rate": 0.0, "layers": "auto", "memory_saving": "auto", "seed": 1}, "sample": {"budget": 0,
"temperatures": [0.8], "top_k": 0,
"top_p": 0.9, "prefixes": [""], "max_tokens": 96, "seed": 1, "engine": "auto", "device": "auto", "compute_type": "auto",
"workers": 0, "threads": 0, "batch": 0, "vocabulary": "auto", "early_stop": true}, "filter": {"skip": [], "own": [],
"characters": "abcdefghijklmnopqrstuvwxyz ,.'-", "max_length": 280, "min_words": 4, "lines": [],
"repetition": [0.36, 0.28, 0.22],
"dangling": ["a", "an", "and", "as", "at", "because", "but", "doth", "every", "for", "from", "hath", "if", "into",
"its", "lest", "my", "nor", "of", "or", "our", "shall", "than", "the", "their", "thy", "to", "unto", "upon", "when",
"which", "while", "who", "whom", "whose", "with", "your"], "closed_vocabulary": true, "common_words": 30000,
"language": "en", "unlisted": "review", "block": [],
"allow": ["ass", "bondage", "cock", "eunuch", "grope", "snatch", "suck"], "set_apart": [],
"copy_ratio": 75.0, "copy_run": 8, "band": 3.0, "aim": 0.99, "ratio": true, "choose_from": 2.0, "near_ratio": 75.0,
"opening_words": 2, "opening_share": 0.05}, "refill": {"days": 30, "count": 0}}
"""
"""What `plain` gives of the bot of proverbs: keys of manifests are made of it, so a change here makes finished runs
anew."""


def write(folder: Path, text: str) -> Path:
    (folder / "bot.toml").write_text(text)
    return folder / "bot.toml"


def named(about: Setting) -> str:
    return about.key


def test_manifests_keep_their_keys() -> None:
    bot = load(DEFAULT_BOT)
    now = json.dumps({section: plain(getattr(bot, section)) for section in SECTIONS})
    assert now == " ".join(PLAIN.split())
    assert (bot.name, bot.model, bot.count, bot.pool) == ("proverbs", "124M", 20_000, "pool")


def test_the_bot_of_proverbs_says_only_what_differs() -> None:
    raw = tomllib.loads(DEFAULT_BOT.read_text())
    assert raw.pop("name") == "proverbs"
    for section, table in raw.items():
        for name, value in table.items():
            assert (tuple(value) if isinstance(value, list) else value) != find(f"{section}.{name}").default


def test_an_empty_file_is_all_defaults(tmp_path: Path) -> None:
    assert load(write(tmp_path, "")) == Bot(name=tmp_path.name, folder=tmp_path)
    assert load(tmp_path) == load(tmp_path / "bot.toml"), "a folder stands for its bot.toml"


@pytest.mark.parametrize("about", ALL, ids=named)
def test_every_setting_is_described(about: Setting, tmp_path: Path) -> None:
    """Its default is allowed, its bounds hold, and the help is a sentence."""
    assert about.help.endswith((".", '.")', "%")) and "  " not in about.help
    assert about.many or about.item in (int, float, str, bool) or about.choices
    section = f"[{about.section}]\n" if about.section else ""
    file = write(tmp_path, f"{section}{about.name} = {toml(about.default)}\n")
    assert dataclasses.replace(load(file), name="") == Bot(folder=tmp_path)
    for bound in about.between if about.bounds else ():
        for value, fits in ((bound, True), (bound + (1 if bound == about.between[1] else -1), False)):
            value = about.item(value)
            if about.many:
                value = [value]
            line = f"{section}{about.name} = {toml(tuple(value) if about.many else value)}\n"
            if fits:
                load(write(tmp_path, line))
            else:
                with pytest.raises(WrongUse, match=rf"{re.escape(about.key)} must lie between"):
                    load(write(tmp_path, line))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("nmae = 'x'", "unknown setting 'nmae'; did you mean 'name'?"),
        ("[corpsu]\nfile = 'x'", "unknown setting 'corpsu'; did you mean 'corpus'?"),
        ("folder = 'x'", "unknown setting 'folder'"),
        ("[corpus]\nfiel = 'x'", r"unknown setting 'fiel' in \[corpus\]; did you mean 'fi"),
        ("[corpus]\nxyzzy = 'x'", r"unknown setting 'xyzzy' in \[corpus\]; known are file, prepare, reference, "),
        ("count = 'many'", "count must be a whole number, not 'many'"),
        ("count = 1.5", "count must be a whole number, not 1.5"),
        ("count = true", "count must be a whole number"),
        ("model = 124", "model must be a text in quotes, not 124"),
        ("[filter]\nratio = 1", "filter.ratio must be true or false, not 1"),
        ("[filter]\nskip = [1]", "filter.skip must be a text in quotes, not 1"),
        ("count = 0", "count must lie between 1 and"),
        ("[corpus]\nhold_out = 0.9", "between 0.01 and 0.5"),
        ("[corpus]\nhold_out = nan", "between 0.01 and 0.5"),
        ("[finetune]\nrecipe = 'magic'", "must be one of texts, windows"),
        ("corpus = 5", "must be a table"),
        ("[sample]\ntemperatures = [0.0]", "sample.temperatures must lie between"),
        ("[sample]\ntemperatures = []", "must not be empty"),
        ("[sample]\nprefixes = []", "must not be empty"),
        ("name = ", "is not a TOML file"),
        ("[filter]\nrepetition = [1.5]", "filter.repetition must lie between 0 and 1"),
        ("[filter]\nopening_share = 0", "filter.opening_share must lie between"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(WrongUse, match=sentence):
        load(write(tmp_path, text))


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(WrongUse, match="--bot"):
        load(tmp_path / "none.toml")


def test_options_override_and_are_checked() -> None:
    bot = override(load(DEFAULT_BOT), "finetune", epochs=2, recipe=None)
    assert (bot.finetune.epochs, bot.finetune.recipe) == (2, "texts")
    assert override(bot, "sample", temperatures=[0.7, 1]).sample.temperatures == (0.7, 1.0)
    with pytest.raises(WrongUse, match=r"command line: finetune\.epochs"):
        override(bot, "finetune", epochs=-1)


@pytest.mark.parametrize("words", [[], ["--bot", "data/proverbs"]], ids=["defaults", "proverbs"])
def test_the_printed_bot_toml_is_that_bot(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    assert main(["settings", *words]) == 0
    text = capsys.readouterr().out
    wanted = load(ROOT / words[1]) if words else Bot(name=tmp_path.name)
    assert load(write(tmp_path, text)) == dataclasses.replace(wanted, folder=tmp_path)
    prose = " ".join(line.removeprefix("# ") for line in text.splitlines() if line.startswith("# "))
    for about in ALL:
        assert about.help in prose and about.bounds in prose, about.key
        assert re.search(rf"^(# )?{about.name} = ", text, re.MULTILINE), about.key
    assert main(["settings", *words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["filter"] == json.loads(json.dumps(plain(wanted.filter)))


def test_texts_survive_as_toml() -> None:
    for text in ("", 'a "b"', "back\\slash", "tab\tnew\nline", "ünï — 😀", "\x7f\x01", "'"):
        assert tomllib.loads(f"x = {toml(text)}") == {"x": text}
        assert tomllib.loads(f"x = {toml((text, text))}") == {"x": [text, text]}


def test_a_long_list_is_broken_between_its_texts() -> None:
    """As textwrap does where no text has a space; and never in one, which TOML could not read."""
    words = tuple(f"{'x' * (n * 7 % 13)}-{n}" for n in range(60))
    wrapped = textwrap.wrap(", ".join(map(toml, words)), 40, break_long_words=False, break_on_hyphens=False)
    assert rows(words, 40) == wrapped
    names = tuple(f"a name of some words {n}" for n in range(30))
    assert tomllib.loads("x = [\n" + "\n".join(rows(names, 60)) + "\n]") == {"x": list(names)}


def test_the_page_of_settings_is_what_the_program_says(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["settings", "--table"]) == 0
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    shown = page.partition("<!-- settings -->\n\n")[2].partition("\n<!-- end of settings -->")[0]
    assert shown == capsys.readouterr().out, "deepproverbs settings --table prints what belongs there"
    for about in ALL:
        assert f"\n| `{about.name}` | " in shown
