"""Settings: the bot's file, and the sentences for wrong ones."""

from __future__ import annotations

import dataclasses
import tomllib
from pathlib import Path

import pytest

from training import settings
from training.common.errors import WrongUse
from training.common.paths import DEFAULT_BOT
from training.settings import SECTIONS, Bot, load, override

BOT = DEFAULT_BOT


def write(folder: Path, text: str) -> Path:
    (folder / "bot.toml").write_text(text)
    return folder / "bot.toml"


def test_the_shipped_file_names_every_setting_and_shows_the_defaults() -> None:
    raw = tomllib.loads(BOT.read_text())
    for section, cls in SECTIONS.items():
        assert set(raw[section]) == {f.name for f in dataclasses.fields(cls)}
    bot = load(BOT)
    assert bot.finetune == settings.FinetuneSettings() and bot.sample == settings.SampleSettings()
    assert "ass" in bot.filter.allow
    assert dataclasses.replace(bot.filter, allow=()) == settings.FilterSettings()
    assert bot.corpus == dataclasses.replace(settings.CorpusSettings(), prepare="prepare.py", reference=("kjv.txt",))


def test_an_empty_file_is_all_defaults(tmp_path: Path) -> None:
    assert load(write(tmp_path, "")) == Bot(name=tmp_path.name, folder=tmp_path)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("nmae = 'x'", "unknown setting 'nmae'; did you mean 'name'"),
        ("[corpus]\nfiel = 'x'", "unknown setting 'fiel' in .corpus.; did you mean 'fi"),
        ("count = 'many'", "count must be a int, not 'many'"),
        ("count = true", "count must be a int"),
        ("count = 0", "count must lie between 1 and"),
        ("[corpus]\nhold_out = 0.9", "between 0.01 and 0.5"),
        ("[finetune]\nrecipe = 'magic'", "must be one of texts, windows"),
        ("corpus = 5", "must be a table"),
        ("[sample]\ntemperatures = [0.0]", "sample.temperatures must lie between"),
        ("[sample]\ntemperatures = []", "must not be empty"),
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
    bot = override(load(BOT), "finetune", epochs=2, recipe=None)
    assert (bot.finetune.epochs, bot.finetune.recipe) == (2, "texts")
    assert override(bot, "sample", temperatures=[0.7, 1]).sample.temperatures == (0.7, 1.0)
    with pytest.raises(WrongUse, match=r"command line: finetune\.epochs"):
        override(bot, "finetune", epochs=0)
