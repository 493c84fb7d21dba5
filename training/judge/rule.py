"""What a rule is, and what it sees: a text, and the context in which it is judged.

A rule is one record in `RULES` (training/judge/rules.py). The judge, the early stops of engines, the table of rates and
the choice of the pool all read it there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, field
from functools import cached_property
from inspect import getdoc
from typing import Any, TypeVar

from training.common.errors import WrongUse
from training.common.text import id_of_normal, normal_form, units_of, words_of
from training.judge import inflections
from training.judge.band import Band
from training.judge.blocklist import Blocklist
from training.judge.inflections import inflected
from training.judge.names import Names
from training.judge.words import UNSPACED, blocked_words, common_words, compounds, listed, spared_words
from training.sample.stop_rules import StopRules
from training.settings import FilterSettings

T = TypeVar("T")


class Text:
    """One text, what was measured while sampling it, and the forms of it that several rules need."""

    def __init__(self, text: str, logprob: float = math.nan, finished: bool = True) -> None:
        self.text, self.logprob, self.finished = text, logprob, finished

    @cached_property
    def normal(self) -> str:
        return normal_form(self.text)

    @cached_property
    def words(self) -> list[str]:
        """Words of the normal form; graphemes where no spaces are written."""
        return words_of(self.normal)

    @cached_property
    def units(self) -> list[str]:
        """What runs of words are counted in."""
        return self.words if self.normal.isascii() else units_of(self.normal)

    @cached_property
    def spaced(self) -> list[str]:
        """What stands between spaces: in most scripts the words."""
        return self.words if self.normal.isascii() else self.normal.split()

    @cached_property
    def id(self) -> int:
        return id_of_normal(self.normal)


@dataclass(frozen=True)
class KnownWords:
    """Words in normal form."""

    all: frozenset[str]
    """Those of the originals, common ones, and their forms."""
    common: frozenset[str]
    forms: frozenset[str]
    """Inflections of the others."""
    blocklist: Blocklist | None


@dataclass(frozen=True)
class Context:
    """What a rule may know besides the text. Whatever derives from the settings and the originals is computed once,
    when first needed."""

    settings: FilterSettings
    originals: Sequence[str] = ()
    """The corpus and its references in normal form."""
    history: Sequence[str] = ()
    """Texts of the pool, posted or not, in normal form."""
    band: Band | None = None
    corpus_lines: tuple[int, int] = (1, 1)
    """Fewest and most lines of the corpus's texts."""
    edges: tuple[frozenset[str], frozenset[str]] = (frozenset(), frozenset())
    """The kinds of characters with which they begin and end; empty: any."""
    emoji: frozenset[str] | None = None
    """The emoji and other symbols that a text may hold; None: any."""
    _made: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)

    def once(self, make: Callable[[Context], T]) -> T:
        """`make(self)`, computed once: an index that a rule needs for every text."""
        if make not in self._made:
            self._made[make] = make(self)
        made: T = self._made[make]
        return made

    def enabled(self, name: str) -> bool:
        return name not in self.settings.skip

    @cached_property
    def characters(self) -> frozenset[str]:
        """The characters that a text may hold; empty: any printable one."""
        return frozenset(self.settings.characters if self.enabled("characters") else "")

    @cached_property
    def lines(self) -> tuple[int, int]:
        """Fewest and most lines of a text.

        Raises:
            WrongUse: the settings name more than two numbers, or the greater first.
        """
        given = self.settings.lines or self.corpus_lines
        if len(given) > 2 or given[0] > given[-1]:
            raise WrongUse(f"[filter] lines: name the fewest and the most lines, such as [1, 3], not {list(given)}.")
        return given[0], given[-1]

    @cached_property
    def words(self) -> KnownWords:
        """
        Raises:
            WrongUse: the settings need a word list of a language that has none.
        """
        settings = self.settings
        own = {word for normal in self.originals for word in words_of(normal)}
        try:
            common = common_words(settings.common_words, settings.language)
            if settings.language in UNSPACED:
                common = frozenset(piece for word in common for piece in words_of(word))
        except WrongUse:
            if settings.closed_vocabulary and self.enabled("vocabulary"):
                raise
            common = frozenset()
        blocklist = None
        if self.enabled("blocked"):
            mine = set(settings.block)
            blocked = blocked_words(settings.language) | mine
            allowed = {*settings.allow, *(spared_words(settings.language) - mine)}
            ordinary = (common | own) - {normal_form(word) for word in blocked}
            blocklist = Blocklist(blocked, allowed, ordinary, compounds())
            # A common word that is blocked is not known. One of the corpus is known; the rule `blocked` rejects it.
            common = frozenset(word for word in common if not blocklist.blocks(word))
        closed = settings.closed_vocabulary and self.enabled("vocabulary")
        forms = self.forms_of(common | own) if closed else frozenset()
        return KnownWords(common | own | forms, common, forms, blocklist)

    def forms_of(self, words: Set[str]) -> frozenset[str]:
        """The inflections that some known words bring with them, in the language of the common words."""
        return frozenset(inflected(words) if listed(self.settings.language) in inflections.LANGUAGES else ())

    @cached_property
    def dangling(self) -> frozenset[str]:
        return frozenset(map(normal_form, self.settings.dangling))

    @cached_property
    def names(self) -> Names:
        """The names that a person must see."""
        return Names(self.settings)


Question = Callable[[Text, Context], str | None]
Comparison = Callable[[Sequence[Text], Context], Sequence[str | None]]
LeaveOneOut = Callable[[Sequence[Text], Context], Sequence[bool]]
Narrow = Callable[[StopRules, Context], StopRules]


@dataclass(frozen=True)
class Rule:
    """A reason to reject a text. With neither question nor comparison it applies when the pool is chosen
    (training/curate/choose.py)."""

    name: str
    gloss: str = ""
    """What it says of a text that it rejects, in a few words for the writer. A bot's own rules are told by name."""
    question: Question | None = None
    """Why one text must go, judged by itself, or None."""
    comparison: Comparison | None = None
    """The same for hundreds of texts at a time, looked up in an index of the originals or the history."""
    leave_one_out: LeaveOneOut | None = None
    """How often the rule rejects people: which of the first originals would it reject if the originals held all but
    that one? None: a question is asked as of any text, a comparison not at all."""
    of_sampling: bool = False
    """It is about how the text was sampled; people's texts were not."""
    marks: str = ""
    """Characters that break it anywhere. Unless the settings list the allowed ones, an engine stops at these, with the
    status `characters`."""
    stop: Narrow | None = None
    """Narrows an engine's stop rules by what it can see in the bytes of an unfinished text and more words cannot
    mend."""
    rejects: bool = True
    """False: a text that passes all others is set apart until a person has read it. The question returns one of
    `Names.numbers`."""

    @property
    def reason(self) -> str:
        """Why there is such a rule: its function's docstring."""
        asked = self.question or self.comparison
        return (getdoc(asked) or "") if asked else ""
