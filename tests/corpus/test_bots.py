"""The bots that ship beside the Proverbs (tests/judge/test_rules.py has those): their rules take their own texts."""

from __future__ import annotations

import re

import pytest
from post_tweet.xtext import weighted_length

from training.common.paths import ROOT
from training.common.text import normal_form
from training.corpus.read import load_corpus, read_texts
from training.judge.judge import Judge, Reference
from training.judge.rates import people
from training.settings import Bot, load

TEXTS = {"haiku": 462, "lost-property": 450}
EMOJI = re.compile("[\u2190-\u2bff\U0001f000-\U0001fbff]")


@pytest.fixture(scope="module", params=TEXTS)
def bot(request: pytest.FixtureRequest) -> Bot:
    return load(ROOT / "data" / request.param / "bot.toml")


def texts_of(bot: Bot) -> list[str]:
    return load_corpus(bot.folder / bot.corpus.file, bot.corpus)


def test_no_two_bots_share_a_name_or_a_pool() -> None:
    bots = [load(ROOT / "data" / name / "bot.toml") for name in (*TEXTS, "proverbs")]
    assert [bot.name for bot in bots] == [*TEXTS, "proverbs"], "a run's folder and the stack bear it"
    assert len({bot.pool for bot in bots}) == len(bots)


def test_its_texts_are_all_different_and_fit_a_post(bot: Bot) -> None:
    texts = texts_of(bot)
    assert len({normal_form(text) for text in texts}) == len(texts) == TEXTS[bot.name]
    assert max(map(weighted_length, texts)) <= bot.filter.max_length


def test_its_rules_take_its_own_texts(bot: Bot) -> None:
    texts = texts_of(bot)
    rates = people(Judge(bot.filter, Reference(texts), bot.folder), texts)
    assert rates.shares["all"] <= 0.05, rates.shares


def test_its_readme_states_its_texts_and_words(bot: Bot) -> None:
    words = sum(any(map(str.isalnum, word)) for text in texts_of(bot) for word in text.split())
    assert f"| {TEXTS[bot.name]} | {words:,} |" in (bot.folder / "README.md").read_text(encoding="utf-8")


def test_they_are_of_other_kinds_than_proverbs() -> None:
    notes = list(read_texts(ROOT / "data/lost-property/corpus.txt"))
    assert sum(bool(EMOJI.search(note)) for note in notes) > 0.95 * len(notes)
    assert sum(any(map(str.isdigit, note)) for note in notes) > 0.4 * len(notes)
    assert all(note[0].isupper() or note[0].isdigit() for note in notes)
    assert {len(poem.splitlines()) for poem in read_texts(ROOT / "data/haiku/corpus.txt")} == {3}
