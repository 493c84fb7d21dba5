"""Compounds of blocked words, and the ordinary words that look like them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from wordfreq import top_n_list

from tests.helpers import labelled
from training import settings as config
from training.common.paths import DEFAULT_BOT
from training.common.text import normal_form
from training.judge.blocklist import Blocklist
from training.judge.judge import Judge, Reference
from training.judge.rule import Context
from training.judge.words import Compounds
from training.sample.candidates import Candidate
from training.settings import FilterSettings

BOT = config.load(DEFAULT_BOT)
OPEN = replace(BOT.filter, characters="", closed_vocabulary=False, allow=(), skip=("set-apart", "digits"))
COMPOUNDS = [
    "dickhead", "Dickheads", "assface", "shit-face", "cockface", "dumbass", "fatasses", "pisshead", "asswit", "fuckbag",
    "shitstick", "cuntface", "twatwaffle", "arsewipe", "titface", "dickweasel", "buttface", "wankstain", "cockgoblin",
    "shitbird", "d1ckhead", "sh1tfaced", "dìckhead", "turd-burger", "knobheads", "prickface", "thunderprick", "asswad",
]  # fmt: skip
ORDINARY = [
    "Scunthorpe", "assassin", "cocktail", "peacock", "therapist", "Essex", "shiitake", "Dickens", "cockpit", "button",
    "buttonhole", "titmouse", "shittim", "sexton", "buttercup", "hancock", "cockroach", "classic", "passion", "grape",
    "assess", "title", "wristwatch", "swanky", "snigger", "physiotherapist", "meltwater", "cockcrow", "shuttlecock",
]  # fmt: skip
OTHERS = {
    "de": (["Scheißkerl", "Arschgeige", "Volksfotze", "Arschkriecherei", "Fickfehler", "dickhead"],
           ["dick", "dicker", "Abo", "Butter", "Barsch", "Marsch", "Nudel", "schwanken"]),
    "nl": (["kankerlijer", "rotklootzak", "kuthoeren"], ["hoe", "hoes", "nicht", "gat", "kanker"]),
    "sv": (["jävlarna", "skitfitta", "svartskalle"], ["slut", "beslut", "avslutningsvis", "hård", "utesluten"]),
    "da": (["kussefisse", "rigmandsluder"], ["slut", "fag", "beslutning", "afslutningsvis", "tit"]),
    "fr": (["connardise", "enculeur", "putainerie"], ["retard", "retardataire", "veuve", "salopette"]),
    "es": (["gilipollez", "comemierdas"], ["negro", "disputa", "concha", "sexo"]),
    "ru": (["охуенный", "заебали", "пиздец"], ["колебаться", "страхует", "Эстебан", "чуркин"]),
}  # fmt: skip
"""Compounds and derivations that are blocked, and words that only look like one or like an English one."""


def judge(settings: FilterSettings) -> Judge:
    return Judge(settings, Reference(["wisdom is better than rubies"]))


def blocks(judge: Judge, word: str) -> bool:
    [verdict] = judge.verdicts([Candidate(f"la {word} oh die", 0, 0.0, True, 1.0)])
    return verdict.verdict == "blocked"


def test_compounds_are_blocked_and_ordinary_words_are_not() -> None:
    english = judge(OPEN)
    assert [word for word in COMPOUNDS if not blocks(english, word)] == []
    assert [word for word in ORDINARY if blocks(english, word)] == []


@pytest.mark.parametrize("language", OTHERS)
def test_compounds_in_other_languages(language: str) -> None:
    compounds, ordinary = OTHERS[language]
    asked = judge(replace(OPEN, language=language))
    assert [word for word in compounds if not blocks(asked, word)] == []
    assert [word for word in ordinary if blocks(asked, word)] == []


def test_of_100_000_common_words_only_real_compounds_are_caught() -> None:
    words = {normal_form(word) for word in top_n_list("en", 100_000)}
    with_them = Context(OPEN).words.blocklist
    assert with_them
    found = sorted(word for word in words if " " not in word and with_them.compounds.holds(word))
    own = {"badass", "batshit", "bigass", "bullshit", "kickass", "smartass", "fatass", "jackass", "dumbass"}
    mild = [word for word in found if not any(part in word for part in ("shit", "fuck", "dick", "cock", "hole", "ass"))]
    assert own <= {*found} and len(found) <= 60
    assert mild == ["bullcrap", "butthead"], "each new one is to be judged by eye"


def test_what_is_allowed_is_not_allowed_in_compounds() -> None:
    bible = Judge(BOT.filter, Reference(labelled.proverbs()))
    texts = {"he that rideth upon an ass findeth rest": False, "he that is an ass-head findeth rest": True,
             "the cock crew at the dawn of wisdom": False, "the cockface crew at the dawn of wisdom": True}  # fmt: skip
    found = {text: bool(bible.context.words.blocklist and bible.context.words.blocklist.find(text, text.split()))
             for text in texts}  # fmt: skip
    assert found == texts


def test_a_beginning_condemns_common_words_too_and_spares_what_is_allowed() -> None:
    blocklist = Blocklist(["moon*"], ["moonlight"], frozenset({"moonshine", "moonlight"}), Compounds())
    assert [word for word in ("moon", "moonshine", "moons", "moonlight", "honeymoon") if blocklist.blocks(word)] == [
        "moon", "moonshine", "moons",
    ]  # fmt: skip
