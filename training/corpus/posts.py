"""Posts → texts that a bot may learn: without reposts, replies, links and names, as `[corpus]` drop, links and mentions
say. What is taken out leaves no traces, and every text that loses something is counted.

Only what certainly is a link is one: with a scheme, with "www.", of a site that shortens links, or a domain with a
path. "3.5", "e.g." and "example.com" alone stay. An address of e-mail is private, so it goes with the names.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from dataclasses import replace
from functools import cache

from training.corpus.forms.form import Raw
from training.corpus.language import dangling
from training.corpus.ledger import Ledger
from training.settings import CorpusSettings

_CJK = r"\u3000-\u30ff\u3400-\u9fff\uac00-\ud7af\uff00-\uffef"
"""Written without spaces, so a link ends before them, as on X."""
_REST = rf"[^\s<>\"“”«»{_CJK}]"
_SITES = (
    r"(?:t\.co|bit\.ly|youtu\.be|goo\.gl|ow\.ly|buff\.ly|is\.gd|fb\.me|amzn\.to|instagr\.am|t\.me|wp\.me|lnkd\.in"
    r"|redd\.it)"
)
_DOMAINS = r"(?:com|org|net|edu|gov|info|io|app|dev|co|tv|gg|xyz|uk|de|fr|nl|jp|ru|br|ca|au|ch|pl|se|eu|social)"
_LINK = re.compile(
    rf"<?(?:https?|ftp)://{_REST}+>?"
    rf"|<?(?<![A-Za-z0-9_])www\.[\w-]+\.{_REST}+>?"
    rf"|(?<![A-Za-z0-9_@./-])(?:{_SITES}|(?:[A-Za-z0-9-]+\.)+{_DOMAINS})/{_REST}*"
    r"|https?:?/{0,2}(?=…)",
    re.IGNORECASE,
)
_MARKDOWN = re.compile(r"!?\[([^\]\n]*)\]\(\s*(?:https?://|www\.)[^\s()]*(?:\([^\s()]*\)[^\s()]*)*\s*\)", re.IGNORECASE)
_MAIL = re.compile(r"(?:mailto:)?(?<![\w.+%@＠-])[\w.+%-]+@[\w-]+(?:\.[\w-]+)*\.[A-Za-z]{2,}\b(?!@)")
_NAME = re.compile(
    r"(?<![A-Za-z0-9_@＠#$%&*/])[@＠](?=_*[A-Za-z0-9])[A-Za-z0-9_]+(?:\.[a-z0-9_]+)*"
    r"(?:@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+)?(?:['’]s\b)?(?![@＠])"
    r"|<[@#][!&]?\d+>"  # Discord's
)
_REPOST = re.compile(r"\s*RT @\w")
_GONE = "\0"
_CLOSING = ".,;:!?…)]}»”’、。！？"


def learnable(raw: Raw, settings: CorpusSettings, ledger: Ledger) -> Raw | None:
    """The post as it is learnt. None: it is left out, as the ledger tells."""
    if "reposts" in settings.drop and (raw.kind == "repost" or _REPOST.match(raw.text)):
        ledger.drop("reposts", raw.text, raw.line)
        return None
    if "replies" in settings.drop and raw.kind == "reply":
        ledger.drop("replies", raw.text, raw.line)
        return None
    if raw.kind == "deleted":
        ledger.drop("deleted", raw.text, raw.line)
        return None
    text = raw.text.replace("\0", "").replace("\1", "")
    mail = name = link = False
    if settings.mentions == "drop" and ("@" in text or "＠" in text):
        # Links are put aside, though they may stay: their paths hold @names, too.
        links = iter(_LINK.findall(text))
        text, mail = _without(_MAIL, _LINK.sub("\1", text))
        text, name = _without(_NAME, text)
        text = re.sub("\1", lambda found: next(links), text)
    if settings.links == "drop" and ("/" in text or "www." in text.lower() or "…" in text):
        text, marked = _MARKDOWN.subn(lambda found: found[1] or _GONE, text)
        text, link = _without(_LINK, text)
        link = link or bool(marked)
    if not (mail or name or link):
        return raw
    text, broken = _mended(text)
    if broken:
        ledger.drop("broken without their link or name", raw.text, raw.line)
        return None
    if not any(c.isalnum() or unicodedata.category(c)[0] in "SC" for c in text):
        what = "only a link" if not (name or mail) else "only links and names" if link else "only names"
        ledger.drop(what, raw.text, raw.line)
        return None
    for what, gone in (("links", link), ("names", name), ("e-mail addresses", mail)):
        if gone:
            ledger.alter(f"with {what} taken out", raw.text, raw.line)
    return replace(raw, text=text)


def _without(pattern: re.Pattern[str], text: str) -> tuple[str, bool]:
    def gone(found: re.Match[str]) -> str:
        """A gap; the marks that end a sentence and the bracket that was opened before stay."""
        rest = ""
        link = found[0]
        while pattern is _LINK and link and (link[-1] in ".,;:!?'’…" or (link[-1] in ")]}" and _unopened(link))):
            link, rest = link[:-1], link[-1] + rest
        return _GONE + rest.lstrip("…")

    text, count = pattern.subn(gone, text)
    return text, bool(count)


def _unopened(link: str) -> bool:
    opening = {")": "(", "]": "[", "}": "{"}[link[-1]]
    return link.count(link[-1]) > link.count(opening)


_SPACE = r"[^\S\n]*"
_VIA = r"(?:via|by|cc|h/t|ht|RT|source|link|read more)\b:?"
_MENDING = [
    # "(via @ann)", "“https://…”", "[]": what held nothing else
    (rf"[(\[{{<«“\"]{_SPACE}(?:{_VIA}{_SPACE})?{_GONE}(?:[\s,&+]*{_GONE})*{_SPACE}[)\]}}>»”\"]", _GONE),
    # "@ann, @bob and @cy"
    (rf"{_GONE}(?:(?:{_SPACE}(?:[,&+/]|and\b|und\b|et\b|y\b){_SPACE}|{_SPACE}){_GONE})+", _GONE),
    # "RT @ann: "
    (rf"^{_SPACE}RT {_GONE}:?", _GONE),
    # "… via @ann", "— https://…", "👉 https://…"
    (rf"(?:(?<!\S){_VIA}|(?<!\S)[-–—|•:→➡👉👇⬇🔗]\ufe0f?){_SPACE}{_GONE}(?=\s*[.!?…]?\s*$)", _GONE),
    # ".@ann said", "@ann: ", "@ann, ", "@ann - " at the beginning
    (rf"^{_SPACE}\.?{_GONE}{_SPACE}(?:[,:;](?=\s|$)|[-–—]\s)?{_SPACE}", ""),
    # "Read this: https://…"
    (rf"[:,;]{_SPACE}{_GONE}{_SPACE}(?=[.,;:!?]|$)", ""),
    # "see https://… ."
    (rf"{_SPACE}{_GONE}{_SPACE}(?=[{re.escape(_CLOSING)}]|$)", ""),
    (rf"(?<=[(\[«“]){_GONE}{_SPACE}", ""),
    (rf"[^\S\n]+{_GONE}{_SPACE}|{_GONE}[^\S\n]+", " "),
    (_GONE, ""),
]
_MENDED = [(re.compile(pattern, re.IGNORECASE), instead) for pattern, instead in _MENDING]
_BEFORE = re.compile(rf"(\w+)[^\S\n]+{_GONE}")


@cache
def _wanting() -> frozenset[str]:
    """Words that want what comes after them, of all languages: few texts are long enough to tell theirs."""
    return frozenset(itertools.chain(["about", "by", "in", "on"], *dangling().values()))


def _mended(text: str) -> tuple[str, bool]:
    """(The text around what was taken out: no double spaces, no "via" of nobody, no lines that held nothing else;
    whether it lost a part of a sentence: "Thanks to … for the picture", "All of them at …")."""
    lines = text.split("\n")
    held = [_GONE in line for line in lines]
    unbracketed = lines  # what stands in brackets is no part of the sentence
    for pattern, instead in _MENDED:
        lines = [pattern.sub(instead, line) if gap else line for line, gap in zip(lines, held, strict=True)]
    for pattern, instead in _MENDED[1:5]:
        unbracketed = [pattern.sub(instead, line) for line in unbracketed]
    broken = any(word.lower() in _wanting() for line in unbracketed for word in _BEFORE.findall(line))
    kept = [line for line, gap in zip(lines, held, strict=True) if not gap or line.strip(" \t.,;:!?…-–—|")]
    return re.sub(r"\n(?:[^\S\n]*\n){2,}", "\n\n", "\n".join(kept)).strip(), broken
