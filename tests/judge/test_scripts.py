"""The rules on scripts other than Latin, on emoji, and on texts of several lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import pytest

from tests.helpers import scripts
from training.common.errors import WrongUse
from training.judge.judge import Judge, Reference
from training.judge.own_texts import OwnTexts
from training.judge.rates import people
from training.judge.rules import PASSED, RULES, names_of
from training.sample.candidates import Candidate
from training.settings import FilterSettings

OPEN = FilterSettings(characters="", closed_vocabulary=False, common_words=0)


def verdicts(texts: Sequence[str], *rules: str, corpus: Sequence[str] = (), **settings: object) -> list[str]:
    """By these rules alone, or by all."""
    skip = tuple(set(names_of(OPEN)) - set(rules)) if rules else ()
    judge = Judge(replace(OPEN, skip=skip, **settings), Reference(corpus))  # type: ignore[arg-type]
    return [v.verdict for v in judge.verdicts([Candidate(text, 0, 0.0, True, 1.0) for text in texts])]


@pytest.mark.parametrize("half", [0, 1])
def test_sentences_pass_beside_others_of_their_kind(half: int) -> None:
    corpus, others = scripts.SENTENCES[half::2], scripts.SENTENCES[1 - half :: 2]
    assert verdicts(others, corpus=corpus) == [PASSED] * len(others)
    assert set(verdicts(corpus, corpus=corpus)) == {"copied-run"}


def test_no_rule_rejects_the_people_who_wrote_them() -> None:
    rates = people(Judge(OPEN, Reference(scripts.SENTENCES)), scripts.SENTENCES)
    assert rates.shares["all"] == 0


@pytest.mark.parametrize(
    "text", ["🩷 🫨 🫩 new ones", "👩‍💻 joined", "שלום\u200f ok", "می‌خواهم", "ന്‍", "हिन्दी", "a\u3042"]
)
def test_characters_that_belong(text: str) -> None:
    assert verdicts([text], "characters") == [PASSED]


@pytest.mark.parametrize(
    "text",
    [
        "half \ufffd", "a bell \x07", "zero\u200bwidth", "soft\u00adhyphen", "\u202eodd", "a mark\u200e", "no\xa0break",
        "end 👩\u200d", "❤️\u200d", "\u200dstart", "half \ud83d", "non\uffff", "a\tb", "a\rb",
    ],
)  # fmt: skip
def test_characters_that_do_not(text: str) -> None:
    assert verdicts([text], "characters") == ["characters"]


def test_lines_are_as_many_as_the_corpus_has() -> None:
    poem, card = "ein Berg\nein Tal\nein Haus", "Wald\n\nWiese"
    assert verdicts([poem, card, "Wald"], "lines", "characters", corpus=[poem] * 9) == [PASSED, "lines", "lines"]
    assert verdicts([poem, card, "Wald"], "lines", "characters", corpus=["Wald", card]) == ["lines", PASSED, PASSED]
    assert verdicts([poem, "Wald"], "lines", "characters", corpus=["Wald"] * 99) == ["lines", PASSED]
    assert verdicts([poem, "Wald"], "lines", "characters", corpus=[*["Wald"] * 199, poem]) == ["lines", PASSED]
    assert verdicts([poem, "Wald"], "lines", "characters", lines=(1, 3)) == [PASSED, PASSED]
    assert verdicts([poem, "Wald"], "lines", "characters", lines=(3,)) == [PASSED, "lines"]
    assert verdicts(["Wald\n"], "lines", corpus=["Wald"] * 9) == ["lines"]  # as an engine gives it up
    letters = "abcdefghijklmnopqrstuvwxyzBTHWE "
    assert verdicts([poem, "a\n9"], "characters", corpus=[poem], characters=letters) == [PASSED, "characters"]
    with pytest.raises(WrongUse, match="the fewest and the most lines"):
        verdicts([poem], lines=(3, 1))


def test_own_texts_are_asked_about_their_lines_as_the_settings_say() -> None:
    own = OwnTexts(["eins\nzwei", "drei\nvier", "fünf\nsechs"])
    lines = next(rule for rule in RULES if rule.name == "lines")
    assert own.share(OPEN, lines) == 0 and own.share(replace(OPEN, lines=(1, 1)), lines) == 1


def test_a_line_break_is_a_space_to_the_other_rules() -> None:
    assert verdicts(["one two three\nfour", "one\ntwo\nthree"], "too-short") == [PASSED, "too-short"]
    assert verdicts(["la li lu\n" * 4, "so says he,\n"], "repetition", "dangling") == ["repetition", "dangling"]
    corpus = ["a soft answer turneth away wrath and strife"]
    assert verdicts(["a soft answer\nturneth away\nwrath and strife"], "copied-run", corpus=corpus) == ["copied-run"]


@pytest.mark.parametrize("language", ["zh", "ja", "th", "my", "ko", "hi"])
def test_words_are_counted_and_repeats_found_in_every_script(language: str) -> None:
    sentences = scripts.of(language)
    assert verdicts(sentences, "too-short", "repetition") == [PASSED] * len(sentences)
    assert set(verdicts([text[:3] for text in sentences], "too-short")) == {"too-short"}
    assert set(verdicts([f"{text[:14]} " * 3 for text in sentences], "repetition")) == {"repetition"}


@pytest.mark.parametrize("language", ["zh", "ja", "th", "my"])
def test_copies_where_no_spaces_are_written(language: str) -> None:
    corpus = scripts.of(language)
    joined = [one[: len(one) * 5 // 6].rstrip() + other[-4:] for one, other in pairwise(corpus)]
    found = verdicts(joined, "copied-run", "copy", corpus=corpus)
    assert set(found) <= {"copied-run", "copy"} and PASSED not in found
    middles = [f"{a}{b[len(b) // 2 :][:3]}" for a, b in [(text[:4], text) for text in corpus]]
    assert set(verdicts(middles, "copied-run", corpus=corpus)) == {PASSED}


def test_a_closed_vocabulary_knows_characters_where_there_are_no_words() -> None:
    corpus = ["老猫睡在火炉旁边", "小船认得这条河"]
    judge = replace(OPEN, closed_vocabulary=True)
    assert judge.language == "en"
    assert verdicts(["小猫睡在河旁边"], "vocabulary", corpus=corpus, closed_vocabulary=True) == [PASSED]
    assert verdicts(["小狗睡在河旁边"], "vocabulary", corpus=corpus, closed_vocabulary=True) == ["vocabulary"]


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("वह घर पहुँचता है।", True), ("वह घर और", False), ("قال لي،", False), ("風が渡る、", False),
        ("「おかえり」", True), ("he said :)", True), ("not today :/", True), ("so he said:", False),
        ("oh well -_-", True), ("see (that):", False),
        ("我喜欢你的", False), ("我喜欢茶", True), ("one,\ntwo", True), ("one,\n", False),
    ],
)  # fmt: skip
def test_ends_in_mid_sentence(text: str, good: bool) -> None:
    assert verdicts([text], "dangling", dangling=("और", "的")) == [PASSED if good else "dangling"]


def test_brackets_and_quotation_marks_of_other_scripts() -> None:
    fine = ['הרמטכ"ל בא', "《老人与海》很好", "「おかえり」", "look (in a box) here", "so :)\nand so 8)"]
    assert verdicts(fine, "unbalanced") == [PASSED] * len(fine)
    assert verdicts(["《老人与海", "おかえり」", 'הוא אמר "שלום', "a box) here"], "unbalanced") == ["unbalanced"] * 4
