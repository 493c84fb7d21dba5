"""The rules on texts whose right verdict is known, and on real verses."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

from tests.helpers import labelled
from tests.helpers.labelled import FORMS, PROVERBS, UNSEEN
from training import settings as config
from training.common.errors import WrongUse
from training.common.paths import DEFAULT_BOT
from training.common.text import normal_form
from training.judge import rules
from training.judge.band import Band, Spread
from training.judge.judge import Judge, Reference, Verdict
from training.judge.rates import Rates, machine, people, table
from training.judge.rules import CHOSEN, PASSED, glosses, names_of
from training.judge.words import LANGUAGES, blocked_words, spared_words
from training.sample.candidates import Candidate
from training.settings import FilterSettings

BOT = config.load(DEFAULT_BOT)
OPEN = replace(BOT.filter, characters="", closed_vocabulary=False, common_words=0)


def candidate(text: str, logprob: float = 0.0, finished: bool = True) -> Candidate:
    return Candidate(text, 0, logprob, finished, 1.0)


def verdicts_of(judge: Judge, texts: list[str]) -> list[Verdict]:
    return judge.verdicts([candidate(text) for text in texts])


@pytest.fixture(scope="module")
def closed() -> Judge:
    """The shipped bot's."""
    return Judge(BOT.filter, Reference(labelled.proverbs()))


@pytest.fixture(scope="module")
def wide() -> Judge:
    """An open one, for any writing."""
    return Judge(OPEN, Reference(labelled.proverbs()))


def only(
    *rules: str, settings: FilterSettings = OPEN, originals: Sequence[str] = (), history: Sequence[str] = ()
) -> Judge:
    """One that asks these rules and no others."""
    others = set(names_of(settings)) - set(rules)
    return Judge(replace(settings, skip=tuple(others)), Reference(originals, history=history))


@lru_cache(maxsize=10)
def on_the_bible(rule: str) -> Judge:
    return only(rule, settings=BOT.filter, originals=labelled.bible())


def recall_of(judge: Judge, texts: list[str]) -> float:
    return sum(verdict.verdict != PASSED for verdict in verdicts_of(judge, texts)) / len(texts)


def recall(judge: Judge, texts: list[str], *rules: str) -> float:
    """Share of the texts that are rejected, whatever they are called when no rule is named."""
    assert len(texts) >= 40
    verdicts = verdicts_of(judge, texts)
    hits = [verdict.verdict in rules if rules else verdict.verdict != PASSED for verdict in verdicts]
    for text, verdict, hit in zip(texts, verdicts, hits, strict=True):
        if not hit:
            print(f"missed: {verdict.verdict}: {text}")
    return sum(hits) / len(hits)


@pytest.mark.parametrize("words", [1, 2, 3])
def test_copies_with_some_words_changed(closed: Judge, wide: Judge, words: int) -> None:
    for judge in (closed, wide):
        assert recall(judge, labelled.copies(words, 400)) >= 0.99
    asked = only("copy", "copied-run", originals=labelled.proverbs())
    assert recall(asked, labelled.copies(words, 400)) >= 0.99


def test_pieces_of_verses() -> None:
    """Fewer words than a forbidden run, all of them copied."""
    asked = only("copy", "copied-run", originals=labelled.proverbs())
    assert recall(asked, labelled.pieces(200)) == 1
    assert verdicts_of(asked, ["a soft answer turneth wrath away"])[0].verdict == PASSED


def test_copied_half_verses() -> None:
    asked = only("copy", "copied-run", originals=labelled.proverbs())
    assert recall(asked, labelled.half_verses(200)) >= 0.99


def test_other_books_are_no_copies() -> None:
    """The human baseline: verses of Ecclesiastes are hardly ever taken for copies of Proverbs."""
    asked = only("copy", "copied-run", originals=labelled.proverbs())
    verdicts = verdicts_of(asked, list(labelled.book(UNSEEN[0])))
    assert len(verdicts) == 222 and sum(verdict.verdict != PASSED for verdict in verdicts) <= 0.01 * len(verdicts)


def test_what_was_posted_before() -> None:
    rng = random.Random(3)
    history = labelled.carriers(200, 3)
    judge = only("duplicate", "near-duplicate", history=history)
    assert recall(judge, [labelled.respelt(text, rng) for text in history], "duplicate") == 1
    others = sorted({word for verse in history for word in normal_form(verse).split()})
    texts = [labelled.changed(text, 1, rng, others) for text in history if len(text.split()) >= 10]
    assert recall(judge, texts, "duplicate", "near-duplicate") >= 0.99


def test_an_exact_copy_in_other_spelling(wide: Judge) -> None:
    rng = random.Random(4)
    texts = [labelled.respelt(verse, rng) for verse in rng.sample(labelled.proverbs(4), 200)]
    assert recall(wide, texts) == 1


@pytest.mark.parametrize(
    ("pieces", "rules"),
    [
        (labelled.LINKS, ("link", "mention")),
        (labelled.MENTIONS, ("mention",)),
        (labelled.tagged("#", "＃"), ("hashtag",)),
        (labelled.tagged("$", "＄"), ("cashtag",)),
        (labelled.NUMBERS, ("digits",)),
    ],
)
def test_links_mentions_tags_and_digits(closed: Judge, pieces: list[str], rules: tuple[str, ...]) -> None:
    texts = list(labelled.into(pieces, 5))
    assert recall(only(*rules), texts) == 1
    assert recall(closed, texts) == 1


def test_over_length(wide: Judge, closed: Judge) -> None:
    rng = random.Random(6)
    pad = "wisdom understanding knowledge prudence discretion counsel instruction righteousness judgment equity "
    texts = [(verse + " " + pad * 4)[: rng.randint(281, 320)].rstrip() + "x" for verse in labelled.carriers(60, 6)]
    texts += ["智慧" * 71 + "。" for _ in range(5)] + ["🙂" * 141 for _ in range(5)]
    assert recall(only("length"), texts) == 1
    assert recall(closed, texts) == 1


@pytest.mark.parametrize("form", list(FORMS))
def test_blocked_words_in_any_form(wide: Judge, closed: Judge, form: str) -> None:
    texts = labelled.blocked(FORMS[form], 120, 7, BOT.filter.allow)
    # Two halves that are words themselves ("knob bing") may stand side by side: one in seven is missed.
    enough = 0.8 if form == "torn in two" else 0.99
    assert recall(on_the_bible("blocked"), texts) >= enough
    assert recall(closed, texts) >= enough
    assert recall(wide, texts) >= enough


def ended(ends: list[str]) -> list[str]:
    return [f"{verse.rstrip('.')} {end}" for verse in labelled.carriers(8, 9) for end in ends]


def framed(frames: list[tuple[str, str]]) -> list[str]:
    return [f"{a} {verse} {b}".strip() for verse in labelled.carriers(8, 10) for a, b in frames]


BROKEN = {
    "too-short": [" ".join(verse.split()[:n]) for n in (1, 2, 3) for verse in labelled.carriers(15, 8)],
    "dangling": ended(["and", "of", "the,", "to", "who", "lo,", "a -"]),
    "unbalanced": framed([("(", ""), ("", ")"), ("“", ""), ('"', ""), ("[", ")"), ("", "»")]),
    "repetition": [" ".join(verse.split()[:n] * 3) for n in (2, 3, 4, 5) for verse in labelled.carriers(12, 11)],
    "vocabulary": list(
        labelled.into([f"{w}ness{x}" for w in ("lorr", "answersom", "zq") for x in "abcdefghijklmn"], 12)
    ),
}


@pytest.mark.parametrize(("rule", "texts"), BROKEN.items())
def test_broken_texts(rule: str, texts: list[str]) -> None:
    assert recall(on_the_bible(rule), texts) >= 0.99


def test_peoples_and_religions_are_set_apart() -> None:
    names = [
        "jews", "a jew", "muslims", "the hindu", "israel", "israelites", "the egyptians", "a samaritan", "christians",
        "the gentiles", "gypsies", "mexicans", "the irish", "a black man", "white people", "immigrants", "the poles",
        "the turk's", "philistines", "pharisees", "the pope", "atheists", "an arab", "chinese", "africans", "germans",
        "the french", "the heathen", "buddhists", "sikhs", "mormons", "catholics", "protestants", "refugees", "hebrews",
        "the greeks", "romans", "the syrian", "ethiopians", "chaldeans", "gays", "lesbians",
    ]  # fmt: skip
    judge = Judge(replace(OPEN, set_apart=("Zophar",)))
    texts = list(labelled.into(names, 13))
    verdicts = verdicts_of(judge, texts)
    assert all(verdict.verdict == PASSED and verdict.detail for verdict in verdicts), verdicts
    assert verdicts_of(judge, ["then answered zophar's friends in great wrath"])[0].detail == "zophar's"
    assert not verdicts_of(judge, ["wisdom hath built an house upon the rock"])[0].detail
    assert not verdicts_of(Judge(replace(OPEN, skip=("set-apart",))), ["the jews and the greeks came"])[0].detail


def rates_on_real_verses() -> dict[str, Rates]:
    """Each rule on verses that the judge's originals do not hold."""
    rates: dict[str, Rates] = {}
    for which in UNSEEN:
        judge = Judge(BOT.filter, Reference(labelled.bible(without=which)))
        rates[which.name] = machine(judge, map(candidate, labelled.book(which)))
    everything = [*labelled.book(PROVERBS), *labelled.bible(without=PROVERBS)]
    judge = Judge(BOT.filter, Reference(everything))
    rates["PROVERBS"] = people(judge, labelled.book(PROVERBS))
    return rates


@pytest.mark.slow
def test_real_verses_pass() -> None:
    """The Bible repeats itself, and every book has words of its own; no other rule rejects more than 0.5 % of it."""
    rates = rates_on_real_verses()
    print(table(rates, Judge(BOT.filter)))
    texts = sum(rate.texts for rate in rates.values())
    together: Counter[str] = Counter()
    for rate in rates.values():
        together.update({name: share * rate.texts / texts for name, share in rate.shares.items()})
    for name, share in together.items():
        if name not in ("vocabulary", "copied-run", "copy", "set-apart", "all"):
            assert share <= 0.005, name
    assert together["all"] <= 0.15
    assert 0.03 <= together["copied-run"] <= 0.08, "the rule is asked, and the Bible repeats itself"


def test_each_rule_can_be_skipped_and_own_ones_asked(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def no_wine(text):\n    return 'names wine' if 'wine' in text else None\n")
    text = "wine is a mocker @king said 12 times and of"
    settings = replace(OPEN, own=("mine.py:no_wine",))
    asked = ["mention", "digits", "dangling", "no-wine"]
    found = []
    for _ in range(4):
        judge = Judge(replace(settings, skip=tuple(found)), folder=tmp_path)
        found.append(verdicts_of(judge, [text])[0].verdict)
    assert sorted(found) == sorted(asked)
    assert verdicts_of(Judge(replace(settings, skip=tuple(found)), folder=tmp_path), [text])[0].verdict == PASSED
    with pytest.raises(WrongUse, match=r"skip: 'hashtags' is not a rule; the rules are unfinished, characters"):
        Judge(replace(OPEN, skip=("hashtags",)))


@pytest.mark.parametrize(
    ("code", "name", "sentence"),
    [
        ("", "mine.py", "must be FILE.py:FUNCTION"),
        ("", "yours.py:f", "no such file there"),
        ("x = 1", "mine.py:f", "has no function 'f'"),
        ("1/0", "mine.py:f", "does not load: ZeroDivisionError"),
        ("def kept(text):\n    return None", "mine.py:kept", "has the name of an existing rule or verdict"),
        ("def copied_run(text):\n    return None", "mine.py:copied_run", "has the name of an existing rule"),
        ("def f(text):\n    return text[100]", "mine.py:f", r"failed on 'a wise son': IndexError"),
    ],
)
def test_wrong_own_rules_are_told(tmp_path: Path, code: str, name: str, sentence: str) -> None:
    (tmp_path / "mine.py").write_text(code)
    with pytest.raises(WrongUse, match=sentence):
        verdicts_of(Judge(replace(OPEN, own=(name,), skip=("too-short",)), folder=tmp_path), ["a wise son"])


def test_unfinished_texts_and_the_band() -> None:
    band = Band(Spread(-3.0, 0.5), -2.0, 3.0)
    judge = Judge(OPEN, band=band)
    text = "the house of the diligent standeth upon a rock of counsel."
    some = [candidate(text, value) for value in (-4.6, -4.4, -1.6, -1.4)] + [candidate(text, -3.0, finished=False)]
    assert [v.verdict for v in judge.verdicts(some)] == ["band", PASSED, PASSED, "band", "unfinished"]
    assert judge.verdicts(some)[0].detail == "too improbable: -4.60 nats a token, real texts reach down to -4.50"
    assert judge.verdicts(some)[3].detail == "too probable: -1.40 nats a token, real texts reach up to -1.50"
    best = band.distance(np.array([-2.0, -2.5, -1.5, -1.0]))
    assert best.argmin() == 0 and best[1] == best[2] < best[3]


def test_every_language_has_its_list_and_others_the_english_one() -> None:
    for code in LANGUAGES:
        judge = only("blocked", settings=replace(OPEN, language=code, common_words=1000))
        own = sorted((blocked_words(code) - blocked_words("en") or blocked_words(code)) - spared_words(code))
        texts = [f"{word.strip('*')} la la" for word in own if len(word.strip("*")) > 2]
        assert len(texts) > 10 and recall_of(judge, texts) >= 0.97, code
        assert verdicts_of(judge, ["la la wankers la"])[0].verdict == "blocked", "English ones are in every list"
    chinese = only("blocked", settings=replace(OPEN, language="zh"))
    hidden = [f"你好{word.strip('*')}吗" for word in blocked_words("zh") - blocked_words("en")]
    assert recall_of(chinese, hidden) >= 0.99
    unlisted = Judge(replace(OPEN, language="xx", block=("hurensohn",)))
    texts = ["la la hurensohn la", "la la wankers la", "sapiens uno minor est"]
    assert [v.verdict for v in verdicts_of(unlisted, texts)] == ["blocked", "blocked", PASSED]
    with pytest.raises(WrongUse, match="no common words for the language 'eo'"):
        Judge(replace(BOT.filter, language="eo"))
    german = Judge(
        replace(OPEN, language="de", common_words=1000, closed_vocabulary=True), Reference(["der Weise sieht weit."])
    )
    assert verdicts_of(german, ["und der Weise ist nicht da."])[0].verdict == PASSED
    assert verdicts_of(german, ["der Weise ist ein Hurensohn."])[0].verdict != PASSED


def test_open_mode_lets_other_writing_through() -> None:
    judge = Judge(replace(OPEN, min_words=3))
    texts = ["Größe ist nicht alles — oder? 🙂", "a rocket 👩\u200d🚀 for you ❤️", "half of an emoji \ufffd is none",
             "a bell\x07 rings for you", "an odd\ufeff mark is here", "智慧 是 好 的"]  # fmt: skip
    verdicts = [verdict.verdict for verdict in verdicts_of(judge, texts)]
    assert verdicts == [PASSED, PASSED, "characters", "characters", "characters", PASSED]


def test_words_of_ones_own_are_blocked_and_allowed() -> None:
    mine = ("Belial", "*mammon*", "strong drink", "Ménage à trois", "*")
    judge = Judge(replace(OPEN, block=mine, allow=("cock",)))
    texts = [
        "the sons of belial came in",
        "the mammonites came in again",
        "give strong drinks unto them",
        "the cock crew at dawn",
        "a ménage à trois in the house",
        "an ass spake unto the man",
    ]
    assert [verdict.verdict for verdict in verdicts_of(judge, texts)] == ["blocked"] * 3 + [PASSED] + ["blocked"] * 2


def test_a_skipped_rule_leaves_the_others_alone() -> None:
    judge = Judge(replace(BOT.filter, skip=("characters", "vocabulary")))
    verdicts = [
        v.verdict
        for v in verdicts_of(judge, ["he paid 300 talents of gold", "he paid unto @king his gold", "He Paid!"])
    ]
    assert verdicts == ["digits", "mention", "too-short"]


def test_smileys_and_quotation_marks_of_other_languages() -> None:
    judge = only("unbalanced")
    fine = ["so it is :) and so it was ;-)", "»ja«, sprach er", "«oui», dit-il", "„ja“, sprach er", "((a) b)"]
    wrong = ["so it is) and", "»ja, sprach er", "ja“, sprach er", "(a]"]
    assert [v.verdict for v in verdicts_of(judge, fine)] == [PASSED] * 5
    assert [v.verdict for v in verdicts_of(judge, wrong)] == ["unbalanced"] * 4


def test_what_was_given_up_for_its_characters_is_called_by_its_rule() -> None:
    judge = Judge(OPEN)
    given_up = [
        Candidate(text, 3, -1.0, False, 1.0, "characters") for text in ("see @", "see #", "see 7", "see \x07", "s")
    ]
    verdicts = [verdict.verdict for verdict in judge.verdicts(given_up)]
    assert verdicts == ["mention", "hashtag", "digits", "characters", "characters"]


def test_nothing_is_missing_where_a_score_is() -> None:
    judge = Judge(OPEN, band=Band(Spread(-3.0, 0.5), -2.0, 3.0))
    assert judge.verdicts([candidate("a wise son hearkeneth well", float("nan"))])[0].verdict == PASSED


@pytest.mark.parametrize(
    "text", ["88 keys, 85 of them working", "480 feet", "4.85% brown", "8:55 to 4:45", "1,000,455"]
)
def test_a_number_is_no_disguise(text: str) -> None:
    numbers = Judge(replace(FilterSettings(), skip=("digits", "too-short")))
    found = numbers.verdicts([candidate(text), candidate(f"{text} and 80085"), candidate(f"{text} and a55")])
    assert [verdict.verdict for verdict in found] == [PASSED, "blocked", "blocked"]


def test_every_verdict_is_told_in_a_few_words() -> None:
    assert set(glosses()) == {rule.name for rule in rules.RULES} | set(CHOSEN)
    assert all(0 < len(gloss) <= 60 for gloss in glosses().values())
