"""Files as people have them, self-written: 30 sayings in every form. Each builder gives a file's bytes."""

from __future__ import annotations

import csv
import io
import textwrap
import zipfile
from collections.abc import Iterable, Sequence

SAYINGS = [
    f"A patient {thing} {ending}"
    for thing in ("kettle", "ladder", "bridge", "lantern", "pocket", "orchard", "window", "basket", "anchor", "button")
    for ending in ("keeps its own time.", "is late, but it does come.", "never asks for a name.")
]
"""A third of them hold a comma."""
BARE = [saying.replace(",", "") for saying in SAYINGS]
BROKEN = [saying.replace(" ", "\n", 1) for saying in SAYINGS]
"""Texts of two lines."""
VERSES = [f"a {saying.split()[2]} in the rain\nit counts the drops one by one\n{saying[-9:]}" for saying in SAYINGS]


def table(rows: Iterable[Sequence[object]], heading: Sequence[str] = (), **dialect: object) -> bytes:
    file = io.StringIO()
    writer = csv.writer(file, **dialect)  # type: ignore[arg-type]
    writer.writerows([heading] if heading else [])
    writer.writerows(rows)
    return file.getvalue().encode()


def numbered(texts: Sequence[str] = SAYINGS) -> list[tuple[int, str]]:
    return list(enumerate(texts))


def lines(texts: Iterable[str], end: str = "\n") -> bytes:
    return "".join(text + end for text in texts).encode()


def between(line: str, texts: Sequence[str] = SAYINGS) -> bytes:
    return f"\n{line}\n".join(texts).encode()


def word_document(paragraphs: Sequence[str]) -> bytes:
    """A .docx, its paragraphs in two runs each."""
    body = "".join(
        "<w:p><w:pPr><w:tabs><w:tab/></w:tabs></w:pPr>"
        + "".join(f"<w:r><w:t>{part}</w:t></w:r>" for part in (text[:9], text[9:].replace("\n", "</w:t><w:br/><w:t>")))
        + "</w:p>"
        for text in paragraphs
    )
    name = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("word/document.xml", f'<w:document xmlns:w="{name}"><w:body>{body}</w:body></w:document>')
    return file.getvalue()


def book(paragraphs: Sequence[str], width: int = 66) -> bytes:
    wrapped = [textwrap.fill(text, width) for text in paragraphs]
    return "\n\n".join(
        [
            "The Project Gutenberg EBook of Nothing",
            "*** START OF THIS PROJECT GUTENBERG EBOOK NOTHING ***",
            "Produced by Nobody",
            *wrapped,
            "   Roses are red\n   and so on",
            "*** END OF THIS PROJECT GUTENBERG EBOOK NOTHING ***",
            "and a license",
        ]
    ).encode()


PARAGRAPHS = [" ".join(SAYINGS[n : n + 5]) for n in range(25)]
