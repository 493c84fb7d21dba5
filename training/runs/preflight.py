"""Before a run trains: every rule is tried on the owner's own texts, and the pool's arithmetic is done.

A rule that rejects more than MOST of what the owner wrote is named, with the line for bot.toml that cures it. A run
that cannot give half of what is wanted does not start. A wrong `skip`, `language` or own rule is told here, not after
hours.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from post_tweet.xtext import LIMIT, weighted_length

from training.common.errors import WrongUse
from training.common.progress import Say
from training.common.text import opening_of
from training.common.toml import toml
from training.corpus.look import CountTokens
from training.curate.choose import NearDuplicates
from training.judge.judge import Judge, Reference
from training.judge.own_texts import OwnTexts
from training.judge.rule import Rule
from training.runs.fit import what
from training.settings import Bot

MOST, MOST_NEW = 0.05, 0.1
"""Share of the own texts that a rule may reject without a word; and the rule `vocabulary`, since new texts bring new
words: 7 % of the Proverbs have one that the rest of the Bible lacks."""
LEAST = 0.5
"""Share of the wanted texts that must be possible."""
ORIGINALS = 20_000
"""Texts of the corpus that the asked ones are compared with."""
SHOWN = 100
"""Characters of an example."""


@dataclass(frozen=True)
class Objection:
    """A rule that rejects too many of the owner's own texts."""

    rule: str
    share: float
    example: str
    what: str
    """What these texts do."""
    cure: str
    """A sentence."""

    def __str__(self) -> str:
        return (
            f"{self.share:.0%} of your own texts {self.what}, and the rule {self.rule!r} rejects what is like them: "
            f"{self.example!r}. {self.cure}"
        )


@dataclass(frozen=True)
class Preflight:
    """What the rules say of the corpus."""

    objections: list[Objection]
    passing: float
    """Share of the own texts that pass every rule."""
    possible: int
    """How many of the wanted texts there can be, at best."""
    hindrance: str
    """What keeps it below LEAST, with the cure."""


def check_settings(bot: Bot) -> Judge:
    """What can be told without a corpus.

    Raises:
        WrongUse: `skip` names no rule, an own rule does not load, or the closed vocabulary's language has no words.
    """
    return Judge(bot.filter, Reference(), bot.folder)


def check(
    bot: Bot, corpus: Sequence[str], references: Sequence[str] = (), count_tokens: CountTokens | None = None
) -> Preflight:
    """Ask every rule of the corpus.

    Raises:
        WrongUse: as `check_settings`, or an own rule fails on one of the texts.
    """
    rules = check_settings(bot).rules
    order = random.Random(1).sample(range(len(corpus)), min(len(corpus), ORIGINALS))
    own = OwnTexts([corpus[at] for at in order], references)
    hits = own.by_rule(bot.filter, rules)
    if count_tokens:
        hits["unfinished"] = _unfinished(bot, own, count_tokens)
    objections = [
        _objection(bot, rule, hits[rule.name], own)
        for rule in rules
        if rule.name in hits
        and hits[rule.name].size
        and hits[rule.name].mean() > (MOST_NEW if rule.name == "vocabulary" else MOST)
    ]
    rejected = np.logical_or.reduce([*hits.values(), np.zeros(len(own.texts), bool)])
    passed = [text.normal for text, no in zip(own.texts, rejected.tolist(), strict=True) if not no]
    share = len(passed) / max(1, len(own.texts))
    limits = {"": bot.count, _worst(objections): int(share * bot.budget)}
    limits |= _by_openings(bot, passed, share * bot.budget) | _by_likeness(bot, passed, share * bot.budget)
    hindrance = min(limits, key=lambda name: limits[name])
    return Preflight(objections, share, limits[hindrance], hindrance)


def tell(found: Preflight, bot: Bot, say: Say, force: bool) -> None:
    """Say what was found.

    Raises:
        WrongUse: fewer than half of the wanted texts are possible, and nobody said `force`.
    """
    for objection in found.objections:
        say(str(objection))
    if found.possible < LEAST * bot.count:
        text = f"At most {found.possible:,} of the {bot.count:,} wanted texts can come of this: {found.hindrance}"
        if not force:
            raise WrongUse(f"{text} To start anyway: --force.")
        say(text)


def _objection(bot: Bot, rule: Rule, hits: NDArray[np.bool_], own: OwnTexts) -> Objection:
    text = own.texts[int(np.argmax(hits))].text
    example = text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
    does = "are cut off before their end" if rule.name == "unfinished" else what(rule.name, bot.filter)
    return Objection(rule.name, float(hits.mean()), example, does, _cure(bot, rule, hits, own))


def _cure(bot: Bot, rule: Rule, hits: NDArray[np.bool_], own: OwnTexts) -> str:
    if rule.name == "length":
        return f"X takes no more than {LIMIT}; shorten or split them in {bot.corpus_file}."
    if rule.name == "unfinished":
        return _put(bot, "sample", max_tokens=min(1023, 2 * bot.sample.max_tokens))
    if rule.name == "link" and bot.corpus.links == "keep":
        return _put(bot, "corpus", links="drop")
    if rule.name == "mention" and bot.corpus.mentions == "keep":
        return _put(bot, "corpus", mentions="drop")
    if rule.name == "blocked":
        blocked = own.words_blocked(bot.filter, np.flatnonzero(hits).tolist())
        return "If the bot may say it: " + _put(bot, "filter", allow=(*bot.filter.allow, *blocked))
    changes = own.looser(bot.filter, rule)
    if not changes and rule.name in ("copy", "copied-run"):
        return f"Leave one of each such pair in {bot.corpus_file}."
    changes = changes or {"skip": (*bot.filter.skip, rule.name)}
    return _put(bot, "filter", **changes)


def _put(bot: Bot, section: str, **values: Any) -> str:
    lines = ", ".join(f"{name} = {toml(value)}" for name, value in values.items())
    return f"Put {lines} under [{section}] in {bot.folder / 'bot.toml'}."


def _worst(objections: Sequence[Objection]) -> str:
    return str(max(objections, key=lambda objection: objection.share)) if objections else "raise [sample] budget."


def _unfinished(bot: Bot, own: OwnTexts, count_tokens: CountTokens) -> NDArray[np.bool_]:
    """Which texts, of those that X takes, do not end within the tokens allowed."""
    texts = [text.text for text in own.texts]
    fits = np.array([weighted_length(text) <= LIMIT for text in texts], bool)
    # The end is a token, too.
    return fits & (np.array(count_tokens(texts), int) + 1 > bot.sample.max_tokens) if texts else fits


def _by_openings(bot: Bot, normals: Sequence[str], passing: float) -> dict[str, int]:
    """Why, and how many texts the rule `opening` lets through of so many that pass, if they begin as these do."""
    settings = bot.filter
    if "opening" in settings.skip or any(bot.sample.prefixes) or not normals:
        return {}
    most = max(1, round(settings.opening_share * bot.count))
    counts = Counter(opening_of(normal, settings.opening_words) for normal in normals)
    # An opening that was seen once stands for others that were not seen.
    possible = sum(
        passing * count / len(normals) if count == 1 else min(most, passing * count / len(normals))
        for count in counts.values()
    )
    opening, count = counts.most_common(1)[0]
    share = count / len(normals)
    cure = _put(bot, "filter", opening_share=min(1.0, round(1.5 * share + 0.005, 2)))
    return {
        f'{share:.0%} of your texts begin with "{opening}", and only {settings.opening_share:.0%} of the pool\'s may '
        f"begin alike. {cure}": int(possible)
    }


def _by_likeness(bot: Bot, normals: Sequence[str], passing: float) -> dict[str, int]:
    """The same for the rule `near-duplicate`: if one own text in ten is unlike the others, so is one of the pool's."""
    settings = bot.filter
    if "near-duplicate" in settings.skip or not normals:
        return {}
    keeper = NearDuplicates(settings.near_ratio)
    kept = 0
    for normal, relative in zip(normals, keeper.offer(normals), strict=True):
        if not relative:
            keeper.keep(normal)
            kept += 1
    cure = _put(bot, "filter", near_ratio=min(101.0, settings.near_ratio + 10))
    return {
        f"only {kept / len(normals):.0%} of your texts are different enough from one another. {cure}": int(
            passing * kept / len(normals)
        )
    }
