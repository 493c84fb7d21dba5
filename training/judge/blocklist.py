"""Finding blocked words however they are written: plurals and other endings, leetspeak, look-alike letters, drawn-out
letters, letters spaced apart, one word split in two.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Set

from training.common.text import normal_form
from training.judge.words import Compounds

_LOOKALIKES = str.maketrans(
    "асеорхуікмтнвԁգьѕјոαβεικνορτυχ0134578@$!|+€£¢¥ƒꜰᴀʙᴄᴅᴇɢʜɪᴊᴋʟᴍɴᴏᴘʀꜱᴛᴜᴠᴡʏᴢɡıø",
    "aceopxyikmthbdgbsjnabeiknoptuxoieastbasiitelcyffabcdeghijklmnoprstuvwyzgio",
)
"""Cyrillic and Greek letters, digits and signs → the Latin letters that they look like."""
_SECOND = str.maketrans("19", "lg")
"""Digits that look like a second letter, too."""
_NUMBER = re.compile(r"[^\w\s]*\d{1,4}(?:[^\w\s]+\d{1,3})*[^\w\s]*|\d{1,3}")
"""85, 4:45, 4.85%, 1,000: numbers, though each may be read as letters. 80085 is none."""
_REPEATED = re.compile(r"(.)\1+")
_PLAIN = re.compile(r"[A-Za-z\s,.'-]*")
"""A text of these characters alone disguises no word."""
_PUNCTUATION = ".,;:?\"'()[]{}<>-_~^&#%/\\=`"
NO_COMPOUNDS = Compounds()
PIECES = 4
"""How many neighbouring words may be pieces of one."""
PLURALS = ("s", "es", "ies", "ed", "ing", "ings", "ers")
"""With one of these even an ordinary word is a form of a blocked one: cocks, but not cocker."""
ENDINGS = (*PLURALS, "z", "d", "er", "in", "y", "est", "eth", "ish", "ty")
"""With one of these an unknown word is a form of a blocked one."""


def fold(word: str) -> str:
    """Lower case, no accents, Latin letters for their look-alikes."""
    if word.isascii() and word.isalpha():
        return word.lower()
    plain = unicodedata.normalize("NFKD", word.casefold())
    return "".join(c for c in plain if not unicodedata.combining(c) and c.isprintable()).translate(_LOOKALIKES)


class Blocklist:
    """Words and phrases that a text must not hold.

    Args:
        words: words and phrases in any spelling; "*word*" for all words that hold it, "word*" for all that begin so.
        allowed: blocked words that may be said; not so their compounds.
        ordinary: words known to be harmless: neither "*word*" nor two of them side by side condemn them.
        compounds: what makes compounds of blocked words.
    """

    def __init__(
        self,
        words: Iterable[str],
        allowed: Iterable[str] = (),
        ordinary: Set[str] = frozenset(),
        compounds: Compounds = NO_COMPOUNDS,
    ) -> None:
        words = list(words)
        self.compounds = compounds
        self.beginnings = tuple({fold(word[:-1]) for word in words if word.endswith("*") and word[0] != "*"} - {""})
        forms = {normal_form(word if _PLAIN.fullmatch(word) else fold(word)) for word in words}
        self.roots = tuple(sorted({fold(word.strip("*")) for word in words if word.startswith("*")} - {""}))
        self.allowed = frozenset(form for word in allowed for form in (normal_form(word), normal_form(fold(word))))
        forms = {form for form in forms - self.allowed if len(form) > 1 and not form.isdigit()}
        self.words = frozenset(form for form in forms if " " not in form)
        self.collapsed = frozenset(_REPEATED.sub(r"\1", form) for form in self.words)
        self.phrases = frozenset(form for form in forms if " " in form)
        self.starts = frozenset(form.split()[0] for form in self.phrases)
        self.longest = max((len(form.split()) for form in self.phrases), default=0)
        self.ordinary = frozenset(
            word for word in ordinary - self.words if not self._plural(word) and not self._made_of(fold(word))
        )
        self._known: dict[str, bool] = {}
        self._clean: set[str] = set()

    def find(self, text: str, words: list[str]) -> str:
        """The blocked word that `text` holds, or nothing. `words`: those of its normal form."""
        plain = _PLAIN.fullmatch(text) is not None
        unsure = [word for word in words if word not in self._clean]
        if plain and len(unsure) < 2 and all(len(word) == 1 for word in unsure):
            return ""
        for word in words:
            if self.blocks(word):
                return word
            if len(word) > 1 and word in self.ordinary and word not in self.starts:
                self._clean.add(word)
        if not text.isascii():
            words, whole = [fold(word) for word in words], fold(text)
            for root in self.roots:
                if not root.isascii() and root in whole:
                    return root  # a script without spaces, or whose vowels the normal form drops
        if found := self._phrase(words) or self._split(words) or self._spaced(words) or self._hyphened(text):
            return found
        return "" if plain else self._hidden(text)

    def blocks(self, word: str) -> bool:
        """True for a word of the list in any of its forms."""
        known = self._known.get(word)
        if known is None:
            if len(self._known) > 200_000:
                self._known.clear()
            known = self._known[word] = self._judge(word)
        return known

    def _judge(self, word: str) -> bool:
        word = word.strip("'").removesuffix("'s")
        if word in self.allowed or _NUMBER.fullmatch(word):
            return False
        if word in self.words:
            return True
        if word in self.ordinary:
            return False
        folded = fold(word)
        if self._made_of(folded):
            return True
        if self._form(folded) or ("'" in folded and self._form(folded.replace("'", ""))):
            return True
        return bool(_REPEATED.search(folded)) and _REPEATED.sub(r"\1", folded) in self.collapsed

    def _form(self, word: str) -> bool:
        if word in self.words:
            return True
        if any(root in word for root in self.roots):
            return True
        return self._inflected(word)

    def _made_of(self, word: str) -> bool:
        """True for a compound: arschkriecher, shithouse, dickheads."""
        if word in self.allowed:
            return False
        return word.startswith(self.beginnings) or self.compounds.holds(word)

    def _plural(self, word: str) -> bool:
        """True for a form of a word of the list that is spelt by the rule: bastards, pansies, raping."""
        for ending in PLURALS:
            stem = word[: -len(ending)]
            if word.endswith(ending) and len(stem) >= 3:
                stem = stem + "y" if ending == "ies" else stem
                stems = {stem} if ending[0] in "si" and ending[:2] != "in" else {stem, stem + "e"}
                if ending == "es" and not stem.endswith(("s", "x", "z", "ch", "sh", "o")):
                    continue
                if stems & self.words:
                    return True
        return False

    def _inflected(self, word: str) -> bool:
        """True for anything that looks like a form of a word of the list: asses, groped, bitchy."""
        for ending in ENDINGS:
            if word.endswith(ending) and len(word) - len(ending) >= 3:
                stem = word[: -len(ending)]
                stems = {stem, stem + "e", stem + "y", stem[:-1] if stem[-1] == stem[-2] else stem}
                if stems & self.allowed:
                    return False
                if stems & self.words:
                    return True
        return False

    def _phrase(self, words: list[str]) -> str:
        for i, word in enumerate(words):
            if word in self.starts:
                for n in range(2, min(self.longest, len(words) - i) + 1):
                    phrase = " ".join(words[i : i + n])
                    singular = phrase.removesuffix("s"), phrase.removesuffix("ies") + "y", phrase.removesuffix("es")
                    if phrase in self.phrases or not self.phrases.isdisjoint(singular):
                        return phrase
        return ""

    def _split(self, words: list[str]) -> str:
        """Pieces side by side that make one word, unless each is a word itself ("an us")."""
        odd = [not (word in self.ordinary or word in ("a", "i", "o")) for word in words]
        if True not in odd:
            return ""
        for start in range(len(words)):
            for end in range(start + 2, min(start + PIECES, len(words)) + 1):
                if any(odd[start:end]):
                    both = "".join(words[start:end])
                    if len(both) > 3 and both not in self.ordinary and self._whole(both, words[start:end]):
                        return " ".join(words[start:end])
        return ""

    def _whole(self, word: str, pieces: list[str]) -> bool:
        if word in self.allowed:
            return False
        if word in self.words or word.removesuffix("s") in self.words:
            return True
        # A root that one piece holds was pardoned there: Scunthorpe.
        return any(root in word and not any(root in piece for piece in pieces) for root in self.roots)

    def _hyphened(self, text: str) -> str:
        """A compound whose parts may be said: ass-head."""
        if "-" not in text:
            return ""
        joined = {token: normal_form(token).replace(" ", "") for token in text.split() if "-" in token}
        return next((token for token, word in joined.items() if self._made_of(fold(word))), "")

    def _hidden(self, text: str) -> str:
        """Words that are written with other signs than letters."""
        for token in text.casefold().split():
            bare = token.strip(_PUNCTUATION)
            pieces = {bare, bare.strip("!*+|"), *re.split(r"[-_./,:;]", bare)}
            for piece in pieces:
                if (piece.isalpha() and piece.isascii()) or _NUMBER.fullmatch(piece):
                    continue
                if any(self._masked(form) for form in (fold(piece), fold(piece.translate(_SECOND)))):
                    return token
            joined = re.sub(r"[\W_]", "", bare)
            if joined != bare and joined.isalpha() and "'" not in bare and self.blocks(joined):
                return token
        return ""

    def _spaced(self, words: list[str]) -> str:
        """A word that is written with its letters apart."""
        run = ""
        for word in [*words, "  "]:
            if len(word) == 1:
                run += fold(word)
                continue
            for start in range(len(run) - 2):
                for end in range(start + 3, len(run) + 1):
                    if run[start:end] in self.words:
                        return " ".join(run)
            run = ""
        return ""

    def _masked(self, form: str) -> bool:
        """A folded word, in which * stands for any letter."""
        form = re.sub(r"[^\w*]", "", form)
        if "*" not in form:
            return len(form) > 1 and form not in self.allowed and form not in self.ordinary and self.blocks(form)
        if not form.strip("*") or len(form) < 4:
            return False
        pattern = re.compile(form.replace("*", "."))
        return any(pattern.fullmatch(word) for word in self.words if len(word) == len(form))
