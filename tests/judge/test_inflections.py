"""What a closed vocabulary knows beside the words of the corpus: their forms, and no gibberish."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import replace

from tests.helpers import labelled
from training import settings as config
from training.common.paths import DEFAULT_BOT
from training.common.text import normal_form
from training.judge.inflections import inflected
from training.judge.judge import Judge, Reference
from training.judge.rule import Context
from training.sample.candidates import Candidate

BOT = config.load(DEFAULT_BOT)
PROVERBS = [
    "a dog that barketh at the moon shall not guard the house.",
    "he that untieth another man's ox shall answer for it.",
    "envy burneth in the belly like a coal hid in straw.",
    "a boaster is as a bell without a clapper.",
    "the borrower hideth when the lender knocketh.",
    "a slothful man counteth the clouds and soweth nothing.",
    "she that mendeth the torn garment saveth the cost of the new.",
    "the whisperer planteth thorns in his neighbour's garden.",
    "he that polisheth the cup forgetteth the wine.",
    "a quiet tongue outliveth a loud trumpet.",
    "the miser counteth his coins, but the widow counteth her blessings.",
    "rust eateth the plough of him that sleepeth till noon.",
    "he that leaneth upon flattery shall find it a bruised reed.",
    "the unlearned man argueth, and the wise man listeneth.",
    "a gift withheld soureth like milk in the sun.",
    "the fool paddleth against the river and blameth the boat.",
    "kindness stitcheth what anger teareth.",
    "he that borroweth a crown walketh with a bent neck.",
    "the scorner's house is draughty, for he hath burned the doors.",
    "a patient hunter wearieth the swiftest hart.",
]
"""By a person, in the manner of King James; none is in the Bible."""


def closed() -> Context:
    return Context(BOT.filter, [normal_form(verse) for verse in labelled.bible()])


def test_proverbs_that_a_person_wrote_pass() -> None:
    """Without the forms 13 of the 20 fall for a word; with them 5, whose words are no forms of known ones."""
    context = closed()
    known, without = context.words.all, context.words.all - context.words.forms
    words = [normal_form(text).split() for text in PROVERBS]
    assert sum(not without.issuperset(some) for some in words) == 13
    unknown = [word for some in words for word in some if word not in known]
    assert unknown == ["outliveth", "miser", "soureth", "paddleth", "draughty"]


def test_forms_of_verbs_adjectives_and_nouns() -> None:
    known = {"bark", "barking", "tie", "tying", "untie", "clap", "clapped", "cry", "cried", "love", "loving",
             "travel", "travelled", "wise", "wisely", "happy", "happiness", "gentle", "gently", "ruby", "church",
             "zorobabel"}  # fmt: skip
    forms = inflected(known)
    assert forms >= {"barketh", "barker", "barks", "untieth", "tied", "clappeth", "clapper", "crieth", "criest",
                     "lovest", "lover", "traveler", "traveller", "wiser", "wisest", "unwise", "wiseness", "happier",
                     "happily", "unhappy", "gentler", "gentleness", "rubies", "churches", "zorobabels"}  # fmt: skip
    wrong = {"claped", "claper", "cryed", "loveeth", "tieing", "happyness", "rubys", "zorobabeleth", "zorobabelness",
             "barkness", "unruby", "rubieth", "churcheth"}  # fmt: skip
    assert not forms & wrong and not forms & known


def test_gibberish_stays_unknown() -> None:
    """Of words made of the letter threes of known words as good as none more is known."""
    context, rng = closed(), random.Random(1)
    known, forms = context.words.all, context.words.forms
    follow: dict[str, list[str]] = defaultdict(list)
    for word in sorted(known - forms):
        for start in range(len(padded := f"^^{word}$") - 2):
            follow[padded[start : start + 2]].append(padded[start + 2])
    made: list[str] = []
    while len(made) < 1000:
        word = "^^"
        while word[-1] != "$" and len(word) < 20:
            word += rng.choice(follow[word[-2:]])
        if 6 <= len(word.strip("^$")) <= 14:
            made.append(word.strip("^$"))
    assert sum(word in forms for word in made) <= 20
    ended = [word + rng.choice(["eth", "ed", "ing", "ness", "er", "s"]) for word in made]
    assert sum(word in forms for word in ended) <= 20


def test_a_blocked_form_is_rejected_and_other_languages_have_no_forms() -> None:
    judge = Judge(BOT.filter, Reference(labelled.proverbs()))
    [verdict] = judge.verdicts([Candidate("he that moronest among the wise shall fall.", 0, 0.0, True, 1.0)])
    assert verdict.verdict in ("vocabulary", "blocked")
    assert not Context(replace(BOT.filter, language="de"), ["der weise bellt", "bellen"]).words.forms
    assert not Context(replace(BOT.filter, closed_vocabulary=False), ["bark barking"]).words.forms
