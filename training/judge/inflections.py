"""The English forms of known words: a bot that knows "bark" and "barking" knows "barketh" and "barker", too.

A word brings the forms of a verb when one of them is known beside it, and those of an adjective likewise: so a name or
a piece of a word, of which the lists of common words hold many, brings none but its plural and its possessive. Other
languages have no rules here; their common words are all that is known beside the corpus.
"""

from __future__ import annotations

from collections.abc import Iterator, Set

LANGUAGES = ("en",)
"""Languages with rules."""
LEAST = 3
"""Letters of a word that brings forms. Common words have four and more, so shorter ones stand in the corpus."""
_VOWELS = frozenset("aeiou")
_DOUBLING = frozenset("bdfgklmnprtvz")
"""A single one of these after a single vowel is written twice before an ending."""
_HISSING = ("s", "x", "z", "ch", "sh")
_KEEPING = ("ee", "oe", "ye")
"""These keep their e before -ing."""
_NO_NOUN = ("s", "ly", "eth", "ed", "edst", "est")


def inflected(known: Set[str]) -> set[str]:
    """Forms of the known words that are not known themselves.

    Args:
        known: words in normal form.
    """
    found: set[str] = set()
    for word in known:
        if len(word) >= LEAST and word.isascii() and word.isalpha():
            found.update(_forms(word, known))
    return found - known


def _forms(word: str, known: Set[str]) -> Iterator[str]:
    with_y = word[-1] == "y" and word[-2] not in _VOWELS
    plural = f"{word[:-1]}ies" if with_y else f"{word}es" if word.endswith(_HISSING) else f"{word}s"
    if len(word) > LEAST and not word.endswith(_NO_NOUN):
        yield plural
        if plural in known:
            yield f"{word}'s"
            yield f"{plural}'"
    stems = _stems(word, with_y)
    before_ing = (f"{word[:-2]}y",) if word.endswith("ie") else (word,) if with_y or word.endswith(_KEEPING) else stems
    first = (*(f"{stem}ed" for stem in stems), *(f"{stem}ing" for stem in before_ing), *(f"{s}eth" for s in stems))
    verb = not known.isdisjoint(first)
    if verb:
        yield from (plural, f"un{word}", f"un{plural}", *first)
        yield from (f"un{form}" for form in first)
        yield from (stem + ending for stem in stems for ending in ("est", "er", "ers"))
    adverb = f"{word[:-1]}y" if word.endswith("le") else f"{word[:-1]}ily" if with_y else f"{word}ly"
    quality = f"{word[:-1]}iness" if with_y else f"{word}ness"
    degree = [f"{stem}est" for stem in stems]
    # Of a verb it may be a form of the Bible's: thou trustest.
    if adverb in known or quality in known or not (verb or known.isdisjoint(degree)):
        yield from (adverb, quality, f"un{word}", f"un{adverb}", f"un{quality}", *degree)
        yield from (f"{stem}er" for stem in stems)


def _stems(word: str, with_y: bool) -> tuple[str, ...]:
    """What stands before -ed, -eth, -est and -er: lov, cri, clapp, boast, travel or travell."""
    if word[-1] == "e":
        return (word[:-1],)
    if with_y:
        return (f"{word[:-1]}i",)
    if word[-1] not in _DOUBLING or word[-2] not in _VOWELS or word[-3] in _VOWELS:
        return (word,)
    once = sum(letter in _VOWELS for letter in word) == 1
    return (word + word[-1],) if once else (word, word + word[-1])
