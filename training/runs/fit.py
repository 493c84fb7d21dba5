"""A measured corpus → the settings of a bot that suit it: only what differs from the defaults, each with its reason.

No rule ends up stricter than the corpus: each was asked of the owner's own texts (training/judge/own_texts.py).
"""

from __future__ import annotations

import math
import string
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from training import settings as config
from training.common.errors import WrongUse
from training.common.paths import NANO
from training.common.text import normal_form, words_of
from training.corpus.language import NAMES, dangling
from training.corpus.look import Look, quantile
from training.judge import rules
from training.judge.own_texts import TOLERATED, OwnTexts
from training.judge.rule import Rule
from training.judge.words import LANGUAGES, UNSPACED, common_words
from training.runs.nano import LEAST, characters_a_token
from training.settings import Bot, FilterSettings

MODEL = "smollm2-135m"
HUB = {
    "ar": "aubmindlab/aragpt2-base", "cs": "lchaloupsky/czech-gpt2-oscar", "da": "KennethTM/gpt2-small-danish",
    "de": "dbmdz/german-gpt2", "es": "DeepESP/gpt2-spanish", "fi": "Finnish-NLP/gpt2-finnish",
    "fr": "asi/gpt-fr-cased-small", "it": "GroNLP/gpt2-small-italian", "nl": "GroNLP/gpt2-small-dutch",
    "pl": "sdadas/polish-gpt2-small", "pt": "pierreguillou/gpt2-small-portuguese",
    "ru": "ai-forever/rugpt3small_based_on_gpt2", "tr": "redrussianarmy/gpt2-turkish-cased",
}  # fmt: skip
"""Language → a GPT-2 of the hub that has read it: suggestions, none of which was tried."""
COUNT, SMALL, OF_SMALL = 1000, 200, 300
"""Texts wanted; fewer texts than SMALL have OF_SMALL in them."""
FEW = 100
"""Texts of which a tenth is too few to measure by."""
ENDED = 0.995
"""Share of the own texts that end within the tokens allowed."""
CLOSED, CLOSED_FROM = 0.01, 300
"""A vocabulary is closed if at most this share of so many texts brings a new word."""
KNOWN = (30_000, 100_000, 300_000)
"""Common words that are tried for a language which the base has not read. SmolLM2 made words up in a third of its
German sayings; 3 % of the real ones hold a word that is not among the 300,000 most common, 11 % of the 100,000."""
NAMED = 0.15
"""Share of the texts with a name up to which all of these are set apart."""
EVERYDAY = 60
"""A language's most frequent words: hardly any of them is a noun or a full verb."""
MOST_ALIKE = 90.0
"""Of two texts of a pool: readers would see it, however alike the corpus is."""
MOST = 0.05
"""Share of the own texts that all rules together may reject."""


@dataclass(frozen=True)
class Fit:
    """A setting that differs from its default."""

    key: str
    """filter.min_words, or count."""
    value: Any
    reason: str
    """One sentence for people, without its full stop."""
    suggested: bool = False
    """Only a suggestion, for the owner to take."""


def fit(look: Look, model: str = "") -> list[Fit]:
    """The settings for a corpus, in the order of the file. `model`: the base that was chosen by hand."""
    fits = [_model(look, model), _count(look), *_hold_out(look), *_max_tokens(look)]
    own, made = OwnTexts(look.sample), apply(Bot(), fits)
    return in_order([*fits, *_filter(look, own, made.filter, foreign=made.model == MODEL)])


def in_order(fits: Iterable[Fit]) -> list[Fit]:
    """As a bot.toml has them."""
    order = [setting.key for section in ("", *config.SECTIONS) for setting in config.settings_of(section).values()]
    return sorted(fits, key=lambda fit: order.index(fit.key))


def apply(bot: Bot, fits: list[Fit]) -> Bot:
    """The bot with these settings, suggestions left out."""
    for fit in fits:
        if not fit.suggested:
            section, _, name = fit.key.rpartition(".")
            bot = config.override(bot, section, **{name: fit.value})
    return bot


def _model(look: Look, chosen: str) -> Fit:
    if chosen:
        return Fit("model", chosen, "as you said")
    small = look.holding["capitals"] == 0 and look.holding["digits"] == 0
    if look.language.code == "en" and small and characters_a_token(list(look.sample), NANO) >= LEAST:
        return Fit(
            "model", "nano", "4 million parameters, which have read the King James Bible in lower case, as yours is"
        )
    if look.language.code in ("en", ""):
        return Fit("model", MODEL, "135 million parameters, which have read English; it needs no GPU")
    of = HUB.get(look.language.code)
    better = f", such as hf:{of} (not tried)" if of else ", hf:NAME from Hugging Face's hub"
    return Fit(
        "model",
        MODEL,
        f"It has read English, and learns the look of {look.language.name} more than its grammar: a base that has read "
        f"{NAMES.get(look.language.code, 'it')} writes better{better}",
    )


def _count(look: Look) -> Fit:
    if look.texts - look.duplicates < SMALL:
        return Fit(
            "count", OF_SMALL, f"{look.texts - look.duplicates} texts teach a model few ways to say something new"
        )
    return Fit("count", COUNT, "Enough for a first look, and for years of a post a day; every further run adds as many")


def _hold_out(look: Look) -> Iterator[Fit]:
    different = look.texts - look.duplicates
    if different < FEW:
        share = 0.25 if different < FEW // 2 else 0.2
        yield Fit("corpus.hold_out", share, f"A tenth of {different} texts is too few to try the model on")


def _max_tokens(look: Look) -> Iterator[Fit]:
    if not look.token_lengths:
        return
    ended, default = quantile(look.token_lengths, ENDED), config.find("sample.max_tokens").default
    # A fifth more, and the end itself, for what is a little longer than any of these.
    most = min(1023, math.ceil((1.2 * ended + 1) / 8) * 8)
    if most > default:
        yield Fit(
            "sample.max_tokens",
            most,
            f"{ENDED:.1%} of your texts have up to {ended} tokens; one that has not ended by then is cut off and lost",
        )


def _filter(look: Look, own: OwnTexts, settings: FilterSettings, foreign: bool) -> list[Fit]:
    fits: dict[str, Fit] = {}

    def add(name: str, value: Any, reason: str, suggested: bool = False) -> None:
        nonlocal settings
        known = fits.get(name)
        fits[name] = Fit(f"filter.{name}", value, f"{known.reason}; {reason}" if known else reason, suggested)
        if not suggested:
            settings = replace(settings, **{name: value})

    for name, value, reason in _language(look):
        add(name, value, reason)
    _tighten(look, own, settings, add, foreign)
    _openings(look, settings, add)
    _names(look, add)
    tolerated, last = TOLERATED, {*NEVER, *(["vocabulary"] if foreign and settings.closed_vocabulary else [])}
    for again in range(4):
        for rule in rules.RULES:
            if not rule.rejects or rule.name in settings.skip or rule.name in last:
                continue
            if (share := own.share(settings, rule)) > tolerated:
                changes = own.looser(settings, rule, tolerated)
                for name, value in changes.items():
                    add(name, value, f"{_percent(share)} of your texts {what(rule.name, settings)}")
                if not changes:
                    last.add(rule.name)
        # What copies must not be loosened further for the sake of others.
        last |= {"copy", "copied-run"}
        ours = [hits for name, hits in own.by_rule(settings).items() if name not in last]
        if np.logical_or.reduce(ours).mean() <= MOST or again == 3:
            break
        tolerated /= 2  # few by each, but too many by all
    if settings.copy_ratio > settings.near_ratio:
        add("near_ratio", min(settings.copy_ratio, MOST_ALIKE), "Your own texts are as alike as that")
    return list(fits.values())


NEVER = ("blocked", "mention", "link", "length")
"""Rules that no corpus loosens."""


def what(rule: str, settings: FilterSettings) -> str:
    """What texts do that a rule rejects: "hold digits"."""
    return {
        "characters": "hold other characters",
        "digits": "hold digits",
        "mention": "hold an @name",
        "hashtag": "hold a hashtag",
        "cashtag": "hold $",
        "link": "hold a link",
        "length": f"are longer than {settings.max_length} characters, as X counts",
        "too-short": f"have fewer than {settings.min_words} words",
        "unbalanced": "leave a bracket or quotation mark open",
        "dangling": "end on a comma, a dash or a word that needs another",
        "repetition": "repeat their own words",
        "vocabulary": "hold a word that is in no other text nor common",
        "blocked": "hold a word of the blocklist",
        "copied-run": f"share {settings.copy_run} words in a row with another text",
        "copy": "are hardly different from another text",
    }.get(rule, f"break the rule {rule}")


def _percent(share: float) -> str:
    return "None" if not share else f"{share:.0%}" if share >= 0.1 else f"{share:.1%}"


def _language(look: Look) -> Iterator[tuple[str, Any, str]]:
    found = look.language
    # Where it is one of two, the one that has lists protects better.
    code = next((code for code in (found.code, *found.others) if code in LANGUAGES), found.code)
    if code in ("en", ""):
        return
    has = (
        "its blocklist, names of peoples and common words"
        if code in LANGUAGES
        else ("there is no blocklist of it here, so a person reads each text first ([filter] unlisted)")
    )
    yield "language", code, f"Your texts are {found.name}: {has}"


def _tighten(look: Look, own: OwnTexts, settings: FilterSettings, add: Any, foreign: bool) -> None:
    """What is stricter than the defaults because the corpus is. foreign: the base has read English alone."""
    different = look.texts - look.duplicates
    if look.characters and not look.holding["capitals"] and different >= CLOSED_FROM and look.lines.most == 1:
        characters = whole(look.characters)
        add("characters", characters, f"Your texts use these {len(characters)} characters alone")
    spaced = settings.language not in UNSPACED
    foreign = foreign and settings.language != "en"
    if spaced and (foreign or different >= CLOSED_FROM):
        _close(own, settings, add, foreign)
    if words := dangling_words(look, settings.language):
        add("dangling", words, "Words that none of your texts ends on, because another must follow")


def _close(own: OwnTexts, settings: FilterSettings, add: Any, foreign: bool) -> None:
    """Close the vocabulary where hardly a text would fall for it, or where the base makes words up."""
    for count in KNOWN if foreign else (settings.common_words,):
        closed = replace(settings, closed_vocabulary=True, common_words=count)
        try:
            common_words(count, closed.language)
        except WrongUse:
            return
        share = own.share(closed, _rule("vocabulary"))
        if share <= (MOST if foreign else CLOSED):
            why = "An English base makes up words of other languages; " * foreign
            add(
                "closed_vocabulary",
                True,
                f"{why}{_percent(share)} of your texts hold a word that is neither in another one nor among the "
                f"{count:,} most common of the language",
            )
            if count != settings.common_words:
                add("common_words", count, "Fewer would reject more than 5% of your texts")
            return


def whole(characters: str) -> str:
    """With the rest of the alphabet, and all digits if there are some; letters first, then digits, then marks."""
    found = set(characters)
    for alphabet, least in ((string.ascii_lowercase, 15), (string.digits, 1)):
        if len(found.intersection(alphabet)) >= least:
            found |= set(alphabet)
    return "".join(sorted(found, key=lambda c: (not c.isalpha(), not c.isdigit(), c)))


def dangling_words(look: Look, language: str) -> tuple[str, ...]:
    """Words that no text should end on: those of the language's list (training/corpus/dangling.txt) that end hardly any
    of these, and everyday words that are in so many of these that some would end on them if any could."""
    texts = [words_of(normal_form(text)) for text in look.sample]
    ends = Counter(words[-1] for words in texts if words)
    rare = len(texts) / 500
    found = {word for word in dangling().get(language, ()) if ends[word] <= rare}
    occurs = Counter(word for words in texts for word in words)
    length = sum(occurs.values()) / max(1, len(texts))
    everyday = common_words(EVERYDAY, language) if language not in UNSPACED and _has_words(language) else frozenset()
    # With the chance 1 / length at each place, e^-7 = 0.1 % would never stand last.
    found |= {word for word in everyday if occurs[word] >= 7 * length and not ends[word] and word.isalpha()}
    return tuple(sorted(word for word in found if occurs[word]))


def _has_words(language: str) -> bool:
    try:
        return bool(common_words(EVERYDAY, language))
    except WrongUse:
        return False


def _openings(look: Look, settings: FilterSettings, add: Any) -> None:
    """An opening of so many words that no own one is more frequent than allowed, or as much as they are."""
    share, opening = look.openings[settings.opening_words]
    if share <= settings.opening_share:
        return
    said = f'{share:.0%} of your texts begin with "{opening}"'
    longer = [n for n in look.openings if n > settings.opening_words]
    words = next((n for n in longer if look.openings[n][0] <= settings.opening_share), 0)
    if words:
        add("opening_words", words, said)
        return
    if share > 0.2:  # then a longer one says more
        words = min(longer, key=lambda n: look.openings[n][0])
        add("opening_words", words, said)
        share, opening = look.openings[words]
    # Half as much again: a small corpus shows the shares of a large pool roughly.
    value = min(1.0, math.ceil(150 * share) / 100)
    add("opening_share", value, f'{share:.0%} of your texts begin with "{opening}"')


def _names(look: Look, add: Any) -> None:
    if not look.names:
        return
    names = tuple(name for name, _ in look.names)
    together = sum(share for _, share in look.names)
    reason = f"Names, it seems: texts that hold one wait until you have read them; {together:.0%} of yours do"
    add("set_apart", names, reason, suggested=together > NAMED)


def _rule(name: str) -> Rule:
    return next(rule for rule in rules.RULES if rule.name == name)
