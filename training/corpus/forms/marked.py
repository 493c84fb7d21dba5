"""Files that tell what they are by marks that nothing else has: mtgencode's cards, subtitles, books of Project
Gutenberg, lyrics of Genius."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain

from training.corpus.forms.choice import ask, excerpt, first_lines
from training.corpus.forms.form import Form, Found, Raw, Source
from training.corpus.forms.shape import ARROW, GUTENBERG, SECTION, blocks_of, joined
from training.corpus.ledger import Ledger

TAG = re.compile(r"</?[a-zA-Z][^>]{0,60}>|\{\\[^}]*\}")
GUTENBERG_END = re.compile(r"\*\*\* ?END OF (?:THE|THIS) PROJECT GUTENBERG|^End of (?:the )?Project Gutenberg", re.I)
PRODUCED = re.compile(r"(?:e-text )?(?:produced|prepared) by ", re.I)
VERSE_END = re.compile(r"\d*Embed$")
LYRICS_HEAD = re.compile(r"\d+ Contributors?.*Lyrics")


def recognise_cards(source: Source) -> Found | None:
    """A card begins and ends with |, in blocks between blank lines."""
    shape = source.shape
    total = sum(shape.blocks.values())
    if total < 3 or shape.cards < 1.6 * total:
        return None
    first = next(blocks_of(source.lines()))[1][0]
    if not re.match(r"\|\d?[^|]*\|", first) or " | " in first[:40]:
        return None  # a table in Markdown
    return Found(f"{total:,} blocks begin and end with |, as mtgencode writes them")


def said_cards(source: Source) -> Found | None:
    if not source.shape.cards:
        return None
    return Found(f"{sum(source.shape.blocks.values()):,} blocks, as said")


def read_cards(source: Source, found: Found, ledger: Ledger) -> Iterator[Raw]:
    for start, lines in blocks_of(source.lines()):
        yield Raw("\n".join(line.strip() for line in lines), start)


def recognise_subtitles(source: Source) -> Found | None:
    shape = source.shape
    if shape.arrows < 2 or shape.arrows * 8 < shape.filled:
        return None
    return said_subtitles(source)


def said_subtitles(source: Source) -> Found | None:
    if not source.shape.arrows:
        return None
    return Found(f"{source.shape.arrows:,} lines with times; a cue is a text, though often half a sentence")


def read_subtitles(source: Source, found: Found, ledger: Ledger) -> Iterator[Raw]:
    for start, lines in blocks_of(source.lines()):
        at = next((i for i, line in enumerate(lines[:3]) if ARROW.search(line)), -1)
        if at < 0:
            ledger.drop("blocks without times", excerpt("\n".join(lines)), start)
            continue
        text = "\n".join(line.strip() for line in lines[at + 1 :])
        plain = TAG.sub("", text).strip()
        if plain != text:
            ledger.alter("with tags taken out", excerpt(text), start)
        if plain:
            yield Raw(plain, start + at + 1)
        else:
            ledger.drop("empty texts", excerpt(lines[at]), start)


def recognise_gutenberg(source: Source) -> Found | None:
    if not source.shape.gutenberg:
        return None
    return Found(
        f"line {source.shape.gutenberg} says where a book of Project Gutenberg starts; its paragraphs are the texts"
    )


def read_gutenberg(source: Source, found: Found, ledger: Ledger) -> Iterator[Raw]:
    """Paragraphs between the START and END lines, joined where they were wrapped: verse and what is indented stays as
    it is."""
    width = source.shape.width
    inside = not source.shape.gutenberg
    for start, lines in blocks_of(source.lines()):
        text = "\n".join(lines)
        if not inside:
            ledger.drop("blocks outside the book", excerpt(text), start)
            inside = bool(GUTENBERG.search(text)) or inside
        elif GUTENBERG_END.search(text):
            inside = False
            ledger.drop("blocks outside the book", excerpt(text), start)
        elif PRODUCED.match(text.strip()):
            ledger.drop("blocks outside the book", excerpt(text), start)
        elif not any(map(str.isalpha, text)):
            ledger.drop("lines of marks alone", excerpt(text), start)
        else:
            whole = joined(lines, width)
            if whole.count("\n") < len(lines) - 1:
                ledger.alter("whose wrapped lines were joined", excerpt(whole), start)
            yield Raw(whole, start)


def recognise_lyrics(source: Source) -> Found | None:
    """Sections are named, but whether a line or a verse is a text nobody can see."""
    shape = source.shape
    if shape.sections < 3 or shape.sections * 40 < shape.filled:
        return None
    verses = sum(1 for _ in read_verses(source, Found(""), Ledger()))
    lines = sum(1 for _ in read_lyric_lines(source, Found(""), Ledger()))
    example = next(iter(read_verses(source, Found(""), Ledger()))).text
    raise ask(
        source,
        ("verses", f"{verses:,} verses of lyrics, a text each", example),
        ("lyric-lines", f"{lines:,} lines of lyrics, a text each", example.split("\n")[0]),
        ("blocks", "as they are, with their [Chorus] lines", first_lines(source, "")),
    )


def said_lyrics(source: Source) -> Found | None:
    if not source.shape.sections:
        return None
    return Found(f"{source.shape.sections:,} lines such as [Chorus], as said")


def read_verses(source: Source, found: Found, ledger: Ledger) -> Iterator[Raw]:
    verse: list[Raw] = []
    for number, line in chain(source.lines(), [(0, "")]):
        kept = _sung(line, number, ledger)
        if kept:
            verse.append(Raw(kept, number))
        elif verse and (not line.strip() or SECTION.match(line.strip())):
            yield Raw("\n".join(each.text for each in verse), verse[0].line)
            verse = []


def read_lyric_lines(source: Source, found: Found, ledger: Ledger) -> Iterator[Raw]:
    for number, line in source.lines():
        if kept := _sung(line, number, ledger):
            yield Raw(kept, number)


def _sung(line: str, number: int, ledger: Ledger) -> str:
    """The line without what Genius puts around it, or ""."""
    text = line.strip()
    plain = VERSE_END.sub("", text.replace("You might also like", " ")).strip()
    if not text:
        return ""
    if SECTION.match(text) or LYRICS_HEAD.match(text) or not plain or re.match(r"See .+ Live.*tickets", text):
        ledger.drop("lines of the page around lyrics", text, number)
        return ""
    if plain != text:
        ledger.alter("with words of the page taken out", text, number)
    return plain


NONE: frozenset[str] = frozenset()
CARDS = Form("cards", "cards as mtgencode writes them", recognise_cards, read_cards, said_cards, takes=NONE)
SUBTITLES = Form("subtitles", "subtitles", recognise_subtitles, read_subtitles, said_subtitles, takes=NONE)
GUTENBERG_BOOK = Form("gutenberg", "a book", recognise_gutenberg, read_gutenberg, takes=NONE)
VERSES = Form("verses", "lyrics, a verse a text", recognise_lyrics, read_verses, said_lyrics, takes=NONE)
LYRIC_LINES = Form("lyric-lines", "lyrics, a line a text", lambda _: None, read_lyric_lines, said_lyrics, takes=NONE)
