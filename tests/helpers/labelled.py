"""Texts of which the right verdict is known: for each rule some dozens that it must reject, and real verses.

Everything is made from the Bible and from the word lists by edits with a fixed seed.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import lru_cache

import pythonbible

from data.proverbs.prepare import PROVERBS, verses
from training.common.text import normal_form
from training.judge.words import blocked_words

Book = pythonbible.Book
BOOKS = [book for book in Book if book.value <= 66]
UNSEEN = (Book.ECCLESIASTES, Book.JOB, Book.PSALMS)


@lru_cache(maxsize=80)
def book(which: Book) -> tuple[str, ...]:
    return tuple(verses(which))


def bible(without: Book | None = None) -> list[str]:
    return [verse for which in BOOKS if which != without for verse in book(which)]


def proverbs(fewest_words: int = 1) -> list[str]:
    return [verse for verse in dict.fromkeys(book(PROVERBS)) if len(verse.split()) >= fewest_words]


def carriers(count: int, seed: int) -> list[str]:
    """Some verses of other books, none of them long."""
    some = [v for which in UNSEEN for v in book(which) if 40 < len(v) < 140]
    return random.Random(seed).sample(some, count)


def changed(verse: str, words: int, rng: random.Random, others: list[str]) -> str:
    """The verse with some of its words replaced."""
    text = normal_form(verse).split()
    for place in rng.sample(range(len(text)), words):
        text[place] = rng.choice([other for other in rng.sample(others, 3) if other != text[place]])
    return " ".join(text) + "."


def copies(words: int, count: int) -> list[str]:
    rng = random.Random(words)
    others = sorted({word for verse in book(Book.JOB) for word in normal_form(verse).split()})
    return [changed(verse, words, rng, others) for verse in rng.sample(proverbs(12), count)]


def pieces(count: int) -> list[str]:
    """Four to seven words in a row from a proverb, and nothing else."""
    rng = random.Random(9)
    made = []
    for verse in rng.sample(proverbs(10), count):
        words, length = normal_form(verse).split(), rng.randint(4, 7)
        start = rng.randrange(len(words) - length + 1)
        made.append(" ".join(words[start : start + length]) + ".")
    return made


def half_verses(count: int) -> list[str]:
    """Eight to eleven words in a row from a proverb, and the half of another book's verse."""
    rng = random.Random(8)
    made = []
    for verse, other in zip(rng.sample(proverbs(14), count), carriers(count, 8), strict=True):
        words, rest = normal_form(verse).split(), normal_form(other).split()
        length = rng.randint(8, 11)
        start = rng.randrange(len(words) - length + 1)
        half = words[start : start + length]
        made.append(" ".join([*half, *rest[:9]] if rng.random() < 0.5 else [*rest[:9], *half]) + ".")
    return made


def respelt(verse: str, rng: random.Random) -> str:
    """The same words with other capitals and marks."""
    words = [
        rng.choice([str.upper, str.title, str])(word.strip(".,")) + rng.choice(["", ",", " -", "!"])
        for word in verse.split()
    ]
    return " ".join(words)


LINKS = [
    "http://t.co/abc", "https://t.co/Ab1", "HTTP://EXAMPLE.COM", "https://example.com/a?b=c#d", "www.example.com",
    "example.com", "example.co.uk", "king.To", "him.in", "sub.domain.example.org", "a.io", "x.com", "twitter.com/king",
    "bit.ly/3x", "münchen.de", "пример.рф", "例え.jp", "xn--fsq.com", "read.me", "notes.md", "bible.church",
    "go.to/him", "t.me/king", "youtu.be/x", "king.solomon.name", "wise.guru", "the.wisdom.wiki", "lord.faith",
    "example.com.", "(a.com)", "“b.org”", "c.net,", "d.dev!", "e.ai", "f.gg", "g.xyz", "h.info/path/", "i.museum",
    "user@mail.example.com",
    "//example.com", "ftp.example.org", "example.com:8080", "1a.com", "a-b.com",
]  # fmt: skip
MENTIONS = [
    "@king", "@King_1", "＠king", ".@king", "(@king)", "@a", "@king's", "a@king", "“@king”", "@@king", "@king,",
    "@KING!",     "@_", "@1", "@king/list", "RT @king:", "-@king", "@king-", "@kíng", "@king\u2026",
] * 2  # fmt: skip
NUMBERS = [
    "1", "12", "3.5", "1,000", "2nd", "½ 2", "٣", "४", "v2", "10:3", "1990s", "٢٣", "１", "0", "00", "7th", "x9", "9x",
    "5%", "6-7",
] * 2  # fmt: skip


def tagged(mark: str, wide: str) -> list[str]:
    forms = ["{}wisdom", "{}Wisdom1", "({}wisdom)", "{}w", "wisdom{}", "{} wisdom", "{}1", "x{}y", "{}ab,", "“{}ab”"]
    return [form.format(m) for m in (mark, wide) for form in forms for _ in range(2)]


def into(pieces: list[str], seed: int) -> Iterator[str]:
    """Each piece at a random place between the words of a verse."""
    rng = random.Random(seed)
    for piece, verse in zip(pieces, carriers(len(pieces), seed), strict=True):
        words = verse.split()
        place = rng.randrange(len(words))
        yield " ".join([*words[:place], piece, *words[place:]])


def blocked(form: Callable[[str], str], count: int, seed: int, allowed: tuple[str, ...] = ()) -> list[str]:
    """Blocked words of four letters and more, written in some form, in a verse."""
    words = sorted(w for w in blocked_words("en") if w.isascii() and w.isalpha() and len(w) > 3 and w not in allowed)
    return list(into([form(word) for word in random.Random(seed).sample(words, count)], seed))


def plural(word: str) -> str:
    if word.endswith(("s", "x", "z", "ch", "sh")):
        return word + "es"
    return word[:-1] + "ies" if word.endswith("y") and word[-2] not in "aeiou" else word + "s"


LEET = str.maketrans("aeiost", "431057")
CYRILLIC = str.maketrans("aeocpxy", "аеосрху")
FORMS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "capitals": str.upper,
    "plural": plural,
    "leetspeak": lambda word: word.translate(LEET),
    "leetspeak in the plural": lambda word: plural(word).translate(LEET),
    "one digit": lambda word: next((word.replace(a, b, 1) for a, b in ("o0", "i1", "e3", "a@") if a in word), word),
    "letters apart": " ".join,
    "dots between": ".".join,
    "hyphens between": "-".join,
    "a star": lambda word: word[0] + "*" + word[2:],
    "drawn out": lambda word: word[:2] + word[1] * 3 + word[2:],
    "Cyrillic letters": lambda word: word.translate(CYRILLIC),
    "torn in two": lambda word: word[: (len(word) + 1) // 2] + " " + word[(len(word) + 1) // 2 :],
    "torn in three": lambda word: f"{word[:1]} {word[1:-2]} {word[-2:]}",
    "one hyphen": lambda word: word[:2] + "-" + word[2:],
    "one apostrophe": lambda word: word[:2] + "'" + word[2:],
    "one letter twice": lambda word: word[:2] + word[1] + word[2:],
    "small capitals": lambda word: word.translate(str.maketrans("aceiknotu", "ᴀᴄᴇɪᴋɴᴏᴛᴜ")),
    "accents": lambda word: word.replace("a", "á").replace("o", "ö").replace("e", "ê"),
}  # fmt: skip
