"""Every rule asked of the corpus before it is trained, and the pool's arithmetic."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.helpers.corpora import texts
from training.common.errors import WrongUse
from training.common.paths import NANO
from training.runs import preflight, stages
from training.settings import Bot, FilterSettings, SampleSettings, load

OPEN = FilterSettings(copy_ratio=101.0, copy_run=1000, near_ratio=101.0, opening_share=1.0, common_words=0)


def bot(**settings: object) -> Bot:
    return Bot("t", Path("data/t"), count=100, filter=replace(OPEN, **settings))  # type: ignore[arg-type]


def test_a_corpus_that_suits_its_rules_is_no_news() -> None:
    found = preflight.check(bot(), texts("few", 200))
    assert (found.objections, found.passing, found.possible) == ([], 1.0, 100)
    said: list[str] = []
    preflight.tell(found, bot(), said.append, force=False)
    assert said == []


def test_a_rule_that_rejects_the_owner_s_own_texts_is_named_with_its_cure() -> None:
    found = preflight.check(bot(skip=("band",)), texts("prices", 200))
    told = {objection.rule: str(objection) for objection in found.objections}
    assert set(told) == {"digits", "cashtag"} and found.passing == 0 and found.possible == 0
    assert (
        'skip = ["band", "digits"]' in told["digits"] and "data/t/bot.toml" in told["digits"] and "$" in told["cashtag"]
    )
    cured = replace(bot(), filter=replace(OPEN, skip=("band", "digits", "cashtag")))
    assert preflight.check(cured, texts("prices", 200)).objections == []


@pytest.mark.parametrize(
    ("settings", "rule", "cure"),
    [
        ({"characters": "abcdefghijklmnopqrstuvwxyz ,."}, "characters", 'characters = ""'),
        ({"min_words": 9}, "too-short", "min_words = 5"),
        ({"repetition": (0.01,)}, "repetition", ""),
        ({"dangling": ("winter", "storm", "shadow", "guest")}, "dangling", 'skip = ["dangling"]'),
        ({"copy_run": 3}, "copied-run", "copy_run = "),
        ({"copy_ratio": 75.0}, "copy", "copy_ratio = "),
        ({"max_length": 20}, "length", "shorten"),
        ({"block": ("winter", "guest", "shadow")}, "blocked", "allow = ["),
    ],
)
def test_each_rule_and_its_cure(settings: dict[str, object], rule: str, cure: str) -> None:
    corpus = texts("few", 150)
    if rule == "repetition":
        corpus = [f"{text[:-1]} and {text[:-1]} again {number}th" for number, text in enumerate(corpus)]
    found = preflight.check(bot(skip=("digits",) if rule == "repetition" else (), **settings), corpus)
    assert [objection.rule for objection in found.objections] == [rule]
    assert cure in found.objections[0].cure and found.objections[0].example in corpus


def test_texts_that_do_not_end_in_time_are_told() -> None:
    slow = replace(bot(), sample=SampleSettings(max_tokens=20))
    found = preflight.check(slow, texts("few", 150), (), lambda some: [len(text) for text in some])
    (objection,) = found.objections
    assert objection.rule == "unfinished" and "max_tokens = 40" in objection.cure and found.passing < 0.5


@pytest.mark.parametrize("force", [False, True])
def test_where_all_begin_alike_the_pool_cannot_be_filled(force: bool) -> None:
    alike, said = texts("alike", 300), list[str]()
    strict = bot(opening_share=0.05)
    found = preflight.check(strict, alike)
    assert found.possible == 5 and found.passing == 1
    if force:
        preflight.tell(found, strict, said.append, force)
        assert "At most 5 of the 100" in said[0] and "opening_share = 1.0" in said[0]
    else:
        with pytest.raises(WrongUse, match=r"At most 5 of the 100 .*begin with \"breaking news\".*--force"):
            preflight.tell(found, strict, said.append, force)
    assert preflight.check(bot(opening_share=1.0), alike).possible == 100


def test_texts_that_are_all_alike_leave_little() -> None:
    alike = [f"the same old saying of the wise, number {n}" for n in range(200)]
    some = bot(skip=("digits",), near_ratio=75.0)
    found = preflight.check(replace(some, sample=SampleSettings(budget=100)), alike)
    assert found.possible < 50 and "near_ratio" in found.hindrance


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"skip": ("hashtags",)}, "skip: 'hashtags' is not a rule"),
        ({"own": ("rules.py:nothing",)}, "no such file"),
        ({"closed_vocabulary": True, "language": "eo", "common_words": 100}, "no common words for the language 'eo'"),
    ],
)
def test_what_is_wrong_with_the_settings_is_told_now(settings: dict[str, object], sentence: str) -> None:
    with pytest.raises(WrongUse, match=sentence):
        preflight.check(bot(**settings), texts("few", 50))


def test_an_own_rule_is_asked_too(tmp_path: Path) -> None:
    (tmp_path / "rules.py").write_text(
        "def no_winter(text):\n    return 'cold' if 'winter' in text else None\n\ndef fails(text):\n    return 1 / 0\n"
    )
    corpus = texts("few", 150)
    own = replace(bot(own=("rules.py:no_winter",)), folder=tmp_path)
    (objection,) = preflight.check(own, corpus).objections
    assert (objection.rule, round(objection.share, 3)) == (
        "no-winter",
        round(sum("winter" in t for t in corpus) / 150, 3),
    )
    with pytest.raises(WrongUse, match=r"rules\.py:fails failed on"):
        preflight.check(replace(own, filter=replace(own.filter, own=("rules.py:fails",))), corpus)


@pytest.mark.parametrize("force", [False, True])
def test_a_run_does_not_start_in_vain(force: bool, tmp_path: Path) -> None:
    """From the bot's files, with the tokens of its base."""
    (tmp_path / "corpus.txt").write_text("\n".join(texts("prices", 100)) + "\n")
    (tmp_path / "bot.toml").write_text('[corpus]\nform = "lines"\n')
    own, run, said = load(tmp_path), tmp_path / "run", list[str]()
    run.mkdir()
    stages.build_corpus(own, [own.corpus_file], run, NANO, said.append)
    if force:
        stages.check_corpus(own, run, NANO, said.append, force)
        assert any('skip = ["digits"]' in line for line in said) and "At most 0 of the 20,000" in said[-1]
    else:
        with pytest.raises(WrongUse, match="At most 0 of the 20,000 wanted texts"):
            stages.check_corpus(own, run, NANO, said.append, force)


def test_a_wrong_setting_is_told_before_a_base_is_fetched(tmp_path: Path) -> None:
    wrong = replace(bot(skip=("hashtags",)), folder=tmp_path, model="hf:nobody/nothing")
    with pytest.raises(WrongUse, match="'hashtags' is not a rule"):
        stages.finetune_model(wrong, tmp_path / "run")
