"""A corpus measured: what its texts are like, whatever they are. The settings that fit it are made of this
(training/runs/fit.py).

In:  texts as they are learnt.
Out: a Look. A corpus of any size is read once and as a stream: lengths and characters are of all texts, or nearly,
     what needs comparing is of a sample of them.
"""

from __future__ import annotations

import dataclasses
import random
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from post_tweet.xtext import LIMIT, find_link, find_mention, weighted_length

from training.common.text import count_words, id_of_normal, normal_form, opening_of, words_of
from training.corpus.language import Language, language_of, scripts_of

SAMPLE = 20_000
"""Texts that are kept for what needs comparing: a share of a per cent is then exact to a tenth of it."""
REMEMBERED = 2_000_000
"""Texts among which duplicates are found: 64 MB of their ids. Of later ones it is not known."""
MEASURED, EVERY = 100_000, 10
"""Texts whose lengths are all counted, and one in so many of the later ones; characters are of all."""
SMALL_SET = 64
"""A corpus with no more different characters than this has a set of its own: 26 letters, some marks."""
CLOSING = ".!?…。！？」』”\"'’)）]】»›:;~*♪"
"""Marks that end a text; so does an emoji."""
SHOWN = 40
"""Last words and names that are listed."""
OPENINGS = (1, 2, 3, 4, 5)
"""Words that are counted as an opening."""
_MAY_LINK = re.compile(r"\.\w|://")
_SENTENCE_END = re.compile(r"[.!?…:;\n\"“”«»„()\[\]–—-]\s*$")
_CALENDAR = {
    "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday", "january", "february", "march",
    "april", "may", "june", "july", "august", "september", "october", "november", "december", "christmas", "easter",
    "english",
}  # fmt: skip
"""Capitalised in English, and nobody's name."""

CountTokens = Callable[[Sequence[str]], Sequence[int]]


@dataclass(frozen=True)
class Lengths:
    """How long texts are, in one unit."""

    least: int
    low: int
    """Of a hundred texts one is shorter."""
    median: int
    high: int
    """Of a hundred texts one is longer."""
    most: int

    @classmethod
    def of(cls, counts: Counter[int]) -> Lengths:
        """`counts`: length → number of texts."""
        return cls(*(quantile(counts, q) for q in (0.0, 0.01, 0.5, 0.99, 1.0)))


def quantile(counts: Counter[int], q: float) -> int:
    """The least length that a share `q` of the texts do not exceed; 0 without texts."""
    wanted, seen = q * sum(counts.values()), 0
    for length in sorted(counts):
        seen += counts[length]
        if seen >= wanted:
            return length
    return 0


@dataclass(frozen=True)
class Look:
    """What a corpus is like. Shares are of its texts, from 0 to 1."""

    texts: int
    duplicates: int
    """Texts that say what an earlier one says, but for case and punctuation."""
    weights: Lengths
    """In X's weighted characters."""
    graphemes: Lengths
    """What a reader sees as one character."""
    words: Lengths
    """As rules count them."""
    tokens: Lengths | None
    """Of those that X takes. None: no tokenizer was given."""
    token_lengths: Counter[int] = field(repr=False)
    """Length in tokens → number of texts of the sample, of those that X takes."""
    lines: Lengths
    too_long: float
    """Share that X does not take."""
    holding: dict[str, float]
    """Share that holds: capitals, digits, hashtags, cashtags, mentions, links, emoji, quotes, brackets."""
    characters: str
    """All that occur, the most frequent first, if they are a small set; else empty."""
    different_characters: int
    scripts: dict[str, float]
    """Share of the letters."""
    language: Language
    openings: dict[int, tuple[float, str]]
    """Number of words → the greatest share of texts that begin with the same ones, and these."""
    unclosed: float
    """Share that ends without a closing mark."""
    last_words: tuple[tuple[str, float], ...]
    new_words: float
    """Share that holds a word of no other text: the chance that the next text brings one."""
    names: tuple[tuple[str, float], ...]
    """Words that are capitalised in mid-sentence and frequent, and the share of texts that hold each."""
    sample: tuple[str, ...] = field(repr=False)
    """Different texts in random order, at most SAMPLE."""

    def facts(self) -> dict[str, Any]:
        """As JSON has it, without the texts."""
        found = dataclasses.asdict(self)
        for name in ("sample", "token_lengths"):
            del found[name]
        return found


@dataclass
class _Counts:
    """What is counted of texts one by one; its size does not depend on the number of texts."""

    weights: Counter[int] = field(default_factory=Counter)
    graphemes: Counter[int] = field(default_factory=Counter)
    words: Counter[int] = field(default_factory=Counter)
    lines: Counter[int] = field(default_factory=Counter)
    characters: Counter[str] = field(default_factory=Counter)
    holding: Counter[str] = field(default_factory=Counter)
    unclosed: int = 0
    measured: int = 0

    def add(self, text: str, normal: str) -> None:
        self.measured += 1
        self.weights[weight_of(text)] += 1
        self.graphemes[count_graphemes(text)] += 1
        self.words[round(count_words(words_of(normal)))] += 1
        self.lines[text.count("\n") + 1] += 1
        self.holding.update(kinds_in(text))
        self.unclosed += not is_closed(text)


def look(texts: Iterable[str], count_tokens: CountTokens | None = None, seed: int = 1) -> Look:
    """Measure a corpus.

    Args:
        texts: as they are learnt; empty ones are left out.
        count_tokens: the number of tokens of each of some texts.
        seed: chooses the sample.
    """
    counts, chance = _Counts(), random.Random(seed)
    seen: set[int] = set()
    sample: list[str] = []
    number = different = duplicates = 0
    for text in texts:
        if not text:
            continue
        number += 1
        normal = normal_form(text)
        counts.characters.update(text)
        if number <= MEASURED or number % EVERY == 0:
            counts.add(text, normal)
        if (id := id_of_normal(normal)) in seen:
            duplicates += 1
            continue
        if len(seen) < REMEMBERED:
            seen.add(id)
        different += 1
        if len(sample) < SAMPLE:  # a reservoir: every text has the same chance to stay
            sample.append(text)
        elif (place := chance.randrange(different)) < SAMPLE:
            sample[place] = text
    chance.shuffle(sample)
    return _look(counts, number, duplicates, sample, count_tokens)


def _look(counts: _Counts, number: int, duplicates: int, sample: list[str], count_tokens: CountTokens | None) -> Look:
    forms = list(map(normal_form, sample))
    normals = list(map(words_of, forms))
    scripts = scripts_of(counts.characters)
    language = language_of(sample, scripts)
    postable = [text for text in sample if weight_of(text) <= LIMIT]
    tokens = Counter(count_tokens(postable)) if count_tokens else Counter[int]()
    of_all, of_sample = 1 / max(1, counts.measured), 1 / max(1, len(sample))
    few = len(counts.characters) <= SMALL_SET
    last = Counter(words[-1] for words in normals if words)
    return Look(
        texts=number,
        duplicates=duplicates,
        weights=Lengths.of(counts.weights),
        graphemes=Lengths.of(counts.graphemes),
        words=Lengths.of(counts.words),
        tokens=Lengths.of(tokens) if count_tokens else None,
        token_lengths=tokens,
        lines=Lengths.of(counts.lines),
        too_long=sum(count for weight, count in counts.weights.items() if weight > LIMIT) * of_all,
        holding={kind: counts.holding[kind] * of_all for kind in KINDS},
        characters="".join(c for c, _ in counts.characters.most_common()) if few else "",
        different_characters=len(counts.characters),
        scripts=scripts,
        language=language,
        openings={n: _opening(forms, n) for n in OPENINGS},
        unclosed=counts.unclosed * of_all,
        last_words=tuple((word, count * of_sample) for word, count in last.most_common(SHOWN)),
        new_words=_new_words(normals) * of_sample,
        names=_names(sample, language.code),
        sample=tuple(sample),
    )


KINDS = ("capitals", "digits", "hashtags", "cashtags", "mentions", "links", "emoji", "quotes", "brackets")


def kinds_in(text: str) -> list[str]:
    """Which of KINDS a text holds."""
    found = []
    if text.lower() != text:
        found.append("capitals")
    if any(map(str.isdigit, text)):
        found.append("digits")
    if "#" in text or "＃" in text:
        found.append("hashtags")
    if "$" in text or "＄" in text:
        found.append("cashtags")
    if ("@" in text or "＠" in text) and find_mention(text):
        found.append("mentions")
    if _MAY_LINK.search(text) and find_link(text):
        found.append("links")
    if not text.isascii() and any(map(is_emoji, text)):
        found.append("emoji")
    if not _QUOTES.isdisjoint(text):
        found.append("quotes")
    if not _BRACKETS.isdisjoint(text):
        found.append("brackets")
    return found


_QUOTES, _BRACKETS = frozenset('"“”„«»‹›「」『』'), frozenset("()[]{}（）【】")


@cache
def is_emoji(character: str) -> bool:
    """A picture, also one that this Python's tables do not know yet."""
    return character >= "\u2190" and (
        unicodedata.category(character) == "So" or "\U0001f000" <= character <= "\U0001fbff"
    )


def is_closed(text: str) -> bool:
    """Whether a text ends like one that has been ended."""
    end = text.rstrip("\ufe0f\u200d ")[-1:]
    return bool(end) and (end in CLOSING or is_emoji(end))


def weight_of(text: str) -> int:
    """X's weighted length; ten times as fast for what is ASCII and may hold no link."""
    return len(text) if text.isascii() and not _MAY_LINK.search(text) else weighted_length(text)


def count_graphemes(text: str) -> int:
    if text.isascii():
        return len(text)
    import regex

    return len(regex.findall(r"\X", text))


def _opening(normals: Sequence[str], words: int) -> tuple[float, str]:
    counts = Counter(opening_of(normal, words) for normal in normals)
    if not counts:
        return 0.0, ""
    opening, count = counts.most_common(1)[0]
    return count / len(normals), opening


def _new_words(normals: Sequence[Sequence[str]]) -> int:
    texts_with = Counter(word for words in normals for word in set(words))
    return sum(any(texts_with[word] < 2 for word in words) for words in normals)


def _names(texts: Sequence[str], language: str) -> tuple[tuple[str, float], ...]:
    """Nothing where common words are capitalised, too: in German, in headlines."""
    texts_with, small, inside, capital = Counter[str](), Counter[str](), 0, 0
    for text in texts:
        here = set()
        for match in re.finditer(r"[^\W\d_]+(?:['’][^\W\d_]+)?", text):
            word, before = match[0], text[max(0, match.start() - 3) : match.start()]
            if not before.strip() or _SENTENCE_END.search(before):
                continue
            inside += 1
            if word[0].isupper():
                capital += 1
                bare = re.split("['’]", word)[0]
                if len(bare) > 2 and not bare.isupper():
                    here.add(bare)
            else:
                small[word] += 1
        texts_with.update(here)
    if capital > 0.2 * inside:
        return ()
    least = max(3, len(texts) // 1000)
    return tuple(
        (name, count / len(texts))
        for name, count in texts_with.most_common()
        if count >= least
        and small[name.lower()] <= count / 5
        and not (language == "en" and name.lower().removesuffix("s") in _CALENDAR)
    )[:SHOWN]
