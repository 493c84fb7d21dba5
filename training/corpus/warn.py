"""What a person should know of a corpus before anything learns from it: a number, an example and the cure each."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass

from post_tweet.xtext import weighted_length

from training.corpus.ledger import Count

LOOKED_AT, EVERY = 20_000, 101
"""Texts that are all looked at, and one in so many of the others."""
_MARKUP = re.compile(r"</?[a-zA-Z][^>]{0,40}>|\*\*|\]\(|\\n|&(?:#\d+|#x[0-9a-fA-F]+|[A-Za-z]{2,8});")
_PLACEHOLDER = re.compile(
    r"\{\s*(?:\w[\w .:-]{0,30})?\s*\}|(?<![\w%])%(?:\(\w+\)|\d\$)?[sd]\b|\[[A-Z][A-Z0-9_ -]{1,30}\]"
    r"|<[A-Z][A-Z0-9_ -]*>|(?<!\w)#[a-z][A-Za-z0-9_.]*#(?!\w)|__[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*__|(?<![\w^>;=~-])_{3,}"
)
"""{L}, {name}, {{name}}, ${name}, %s, %(name)s, [NAME], <NAME>, #animal#, __NAME__, and a blank: ____. Not -___-, nor
#one#two and Weibo's #...#, which are hashtags."""
_LINK = re.compile(r"https?://|\bt\.co/|\bwww\.")
_OPENINGS = 50_000

PLACEHOLDERS = "hold a placeholder"
LIMITS: dict[str, tuple[float, str, str]] = {
    "long": (0.5, "are longer than the 280 characters of a post", "cut or leave out the long ones, or [filter] has "
             "nothing to keep"),
    "script": (0.05, "are in another script than the rest", "take them out if the bot should speak one language"),
    "markup": (0.01, "hold markup (<tag>, **, ](, \\n, &amp;)", "take it out, or the bot learns to write it"),
    "placeholders": (0.0, PLACEHOLDERS, "the bot would write it as it is: put in what belongs there, or take "
                     "these texts out"),
    "links": (0.2, "begin with an @name or hold a link", "[corpus] links and mentions say whether these stay"),
    "wrapped": (0.3, "end in the middle of a sentence that the next goes on with",
                "lines were wrapped: put blank lines between the texts, or say --form paragraphs"),
    "words": (0.5, "have fewer than 4 words", "[filter] min_words rejects such texts; set it lower"),
}  # fmt: skip
"""What is counted → the share from which it is reported, what it is, and what to do."""


@dataclass(frozen=True)
class Warning:
    """One thing to know."""

    what: str
    """"412 of 800 texts (52 %) are longer than …"."""
    example: str
    cure: str

    @property
    def text(self) -> str:
        return f"{self.what}{': ' * bool(self.example)}{self.example}. {self.cure[:1].upper()}{self.cure[1:]}."


class Watch:
    """Looks at the texts as they go by."""

    def __init__(self) -> None:
        self.texts = self.looked = 0
        self.counts = {name: Count() for name in LIMITS}
        self.openings: Counter[str] = Counter()
        self.scripts: dict[str, Count] = {}
        self.open_end = ""

    def add(self, text: str) -> None:
        self.texts += 1
        if self.texts > LOOKED_AT and self.texts % EVERY:
            self.open_end = ""
            return
        self.looked += 1
        words = text.split(None, 4)
        if len(text) > 280 or (len(text) > 140 and not text.isascii() and weighted_length(text) > 280):
            self.counts["long"].add(text)
        if _MARKUP.search(text):
            self.counts["markup"].add(text)
        if _PLACEHOLDER.search(text):
            self.counts["placeholders"].add(text)
        if text[:1] == "@" or _LINK.search(text):
            self.counts["links"].add(text)
        if len(words) < 4 and (script := _script(text)) not in ("cjk", "kana", "thai", "lao", "khmer", "myanmar"):
            self.counts["words"].add(text)
        elif len(words) >= 4:
            script = _script(text)
        self.scripts.setdefault(script, Count()).add(text)
        if self.open_end and text[:1].islower():
            self.counts["wrapped"].add(self.open_end)
        going_on = text[-1:].isalnum() or text[-1:] == ","
        self.open_end = text if going_on and "\n" not in text else ""  # verse ends without a mark
        opening = " ".join(words[:2]).casefold()
        if len(words) > 2 and (opening in self.openings or len(self.openings) < _OPENINGS):
            self.openings[opening] += 1

    def warnings(self, duplicates: int, read: int) -> list[Warning]:
        """Of `read` texts so many were duplicates."""
        found = []
        if duplicates > 0.1 * max(1, read):
            share = f"{duplicates:,} of {read:,} texts ({duplicates / read:.0%}) repeat an earlier one"
            found.append(Warning(share, "", "the file may hold another one twice; duplicates are left out anyway"))
        main = max(self.scripts.values(), key=lambda each: each.count, default=Count())
        others = [each for name, each in self.scripts.items() if each is not main and name]
        self.counts["script"] = Count(sum(e.count for e in others), others[0].example if others else "")
        for name, (limit, what, cure) in LIMITS.items():
            count = self.counts[name]
            if count.count > limit * max(1, self.looked):
                found.append(Warning(f"{self._share(count.count)} {what}", _short(count.example), cure))
        for opening, times in self.openings.most_common(1):
            if times > 0.3 * self.looked and times > 5:
                what = f"{self._share(times)} begin alike"
                found.append(Warning(what, f"{opening!r}", "raise [filter] opening_share, or most are thrown out"))
        return found

    def _share(self, count: int) -> str:
        looked = " that were looked at" * (self.looked < self.texts)
        share = count / max(1, self.looked)
        return f"{count:,} of {self.looked:,} text{'s' * (self.looked != 1)}{looked} ({share:.0%})"


def _short(text: str) -> str:
    text = " ⏎ ".join(text.split("\n"))
    return repr(text if len(text) <= 80 else text[:79] + "…")


def _script(text: str) -> str:
    """The script of the first letter, by the beginning of its name in Unicode; "" without one."""
    for character in text[:60]:
        if character.isascii():
            if character.isalpha():
                return "latin"
        elif character.isalpha():
            name = unicodedata.name(character, "").split(" ")[0].lower()
            return {"hiragana": "cjk", "katakana": "cjk", "halfwidth": "cjk", "fullwidth": "latin"}.get(name, name)
    return ""
