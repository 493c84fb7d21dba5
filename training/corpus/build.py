"""Raw texts in, a corpus out: clean, drop duplicates, split, count, encode.

In:  text files of any form that training/corpus/forms knows.
Out: DIR/corpus.txt  the texts between `\\n==========\\n` delimiters;
     DIR/corpus.npz  int32 arrays `train`, `held_out` (tokens, every text ended by the end token),
                     `train_offsets`, `held_out_offsets` (where each text starts, and the total), `end`.

`deepproverbs corpus FILE… --out DIR`
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from training.common.errors import DeepproverbsError
from training.common.files import write_whole
from training.common.text import DELIMITER, END_OF_TEXT
from training.corpus.clean import Style, cleaned, restyle
from training.corpus.read import open_corpus
from training.settings import CorpusSettings

if TYPE_CHECKING:
    from tokenizers import Tokenizer

FEWEST_TEXTS = 20
"""Below this there is nothing to learn from, and less than one text in ten to measure the loss on."""


@dataclass(frozen=True)
class Counts:
    """What came out of a corpus; lengths are in tokens without the end token."""

    read: int
    texts: int
    duplicates: int
    words: int
    tokens: int
    training_texts: int
    training_tokens: int
    held_out_texts: int
    held_out_tokens: int
    length_median: int
    length_p90: int
    longest: int
    longest_text: str


def split(texts: list[str], hold_out: float, seed: int) -> tuple[list[str], list[str]]:
    """(training, held out): whole texts, chosen by the seed, each part in its old order."""
    held = set(random.Random(seed).sample(range(len(texts)), max(2, round(len(texts) * hold_out))))
    return [t for i, t in enumerate(texts) if i not in held], [t for i, t in enumerate(texts) if i in held]


def build(
    files: list[Path], out: Path, settings: CorpusSettings, tokenizer: Tokenizer, end_token: str = END_OF_TEXT
) -> Counts:
    """Write corpus.txt and corpus.npz into `out`. `end_token` ends every text.

    Raises:
        DeepproverbsError: a file cannot be read, or fewer than 20 texts are left.
    """
    style = Style() if settings.style == "plain" else None
    read, texts = 0, dict[str, None]()
    for path in files:
        reading = open_corpus(path, settings)
        for raw in reading.texts():
            text, done = cleaned(raw.text)
            for what in done:
                reading.ledger.alter(what, raw.text, raw.line)
            text = restyle(raw.text, style) if style else text
            if text:
                read += 1
                texts[text] = None
    unique = list(texts)
    if len(unique) < FEWEST_TEXTS:
        raise DeepproverbsError(
            f"Only {len(unique)} different text{'s' * (len(unique) != 1)} in {', '.join(map(str, files))}; at least "
            f"{FEWEST_TEXTS} are needed and some hundreds make a bot: add texts, or put each on a line of its own."
        )
    training, held_out = split(unique, settings.hold_out, settings.seed)
    end = tokenizer.token_to_id(end_token)
    if end is None:
        raise DeepproverbsError(f"The base model's vocabulary lacks {end_token}; choose another base.")
    train, train_offsets = _encoded(training, tokenizer, end)
    held, held_offsets = _encoded(held_out, tokenizer, end)
    lengths = np.sort(np.concatenate([np.diff(train_offsets), np.diff(held_offsets)]) - 1)
    longest = max(unique, key=lambda t: len(tokenizer.encode(t).ids))
    write_whole(out / "corpus.txt", DELIMITER.join(unique) + "\n")
    part = out / ".corpus.npz.part"
    with part.open("wb") as file:
        np.savez(
            file,
            train=train,
            train_offsets=train_offsets,
            held_out=held,
            held_out_offsets=held_offsets,
            end=np.int32(end),
        )
    part.replace(out / "corpus.npz")
    return Counts(
        read=read,
        texts=len(unique),
        duplicates=read - len(unique),
        words=sum(len(t.split()) for t in unique),
        tokens=int(lengths.sum()) + len(unique),
        training_texts=len(training),
        training_tokens=len(train),
        held_out_texts=len(held_out),
        held_out_tokens=len(held),
        length_median=int(lengths[len(lengths) // 2]),
        length_p90=int(lengths[int(len(lengths) * 0.9)]),
        longest=int(lengths[-1]),
        longest_text=longest,
    )


def built_texts(path: Path) -> list[str]:
    """The texts of a corpus.txt that `build` wrote, to the letter."""
    return path.read_text(encoding="utf-8").removesuffix("\n").split(DELIMITER)


def _encoded(texts: list[str], tokenizer: Tokenizer, end: int) -> tuple[np.ndarray, np.ndarray]:
    """(tokens, offsets) of the texts, each ended by `end`; offsets has one entry more than texts."""
    rows = [[*encoding.ids, end] for encoding in tokenizer.encode_batch(texts)]
    offsets = np.cumsum([0, *map(len, rows)])
    return np.array([token for row in rows for token in row], dtype=np.int32), offsets.astype(np.int64)
