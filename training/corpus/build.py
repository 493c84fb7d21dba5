"""Any text file in, a corpus out: read, clean, drop duplicates, split, count, encode.

In:  delimited text, one text a line, CSV or JSONL; UTF-8 (or UTF-16 with its mark), any line ends.
Out: DIR/corpus.txt  the texts between `\\n==========\\n` delimiters;
     DIR/corpus.npz  int32 arrays `train`, `held_out` (tokens, every text ended by the end token),
                     `train_offsets`, `held_out_offsets` (where each text starts, and the total), `end`.

`deepproverbs corpus FILE… --out DIR`
"""

from __future__ import annotations

import codecs
import csv
import json
import random
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from training.common.errors import DeepproverbsError
from training.common.manifest import write_whole
from training.common.text import DELIMITER, END_OF_TEXT, Style, clean, restyle
from training.settings import CorpusSettings

if TYPE_CHECKING:
    from tokenizers import Tokenizer

FEWEST_TEXTS = 20
"""Below this there is nothing to learn from, and less than one text in ten to measure the loss on."""
_DELIMITER_LINE = re.compile(r"={10,}")


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


def read_texts(path: Path, field: str = "text") -> Iterator[str]:
    """Yield the raw texts of one file, in whichever of the four forms it has.

    Raises:
        DeepproverbsError: the file is missing, empty, binary, wrongly encoded or lacks the field.
    """
    try:
        with path.open("rb") as file:
            head = file.read(65536)
    except OSError as error:
        raise DeepproverbsError(f"Cannot read {path}: {error.strerror}; check the name.") from error
    if not head.strip():
        raise DeepproverbsError(
            f"{path} is empty; give a file with one text a line, or with ========== lines between texts."
        )
    utf16 = head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    if b"\0" in head and not utf16:
        raise DeepproverbsError(f"{path} is a binary file, not text; export it as text, CSV or JSONL first.")
    encoding, kind = "utf-16" if utf16 else "utf-8-sig", path.suffix.lower()
    try:
        # Line by line: a file of gigabytes costs no more memory than its different texts.
        with path.open(encoding=encoding, newline="" if kind == ".csv" else None) as file:
            if kind == ".csv":
                yield from _csv_texts(path, file, field)
            elif kind in (".jsonl", ".ndjson", ".json"):
                yield from _json_texts(path, file, field)
            elif any(_DELIMITER_LINE.fullmatch(line.strip()) for line in file):
                file.seek(0)
                yield from _delimited_texts(file)
            else:
                file.seek(0)
                yield from file
    except UnicodeDecodeError as error:
        raise DeepproverbsError(
            f"{path} is not UTF-8 (byte {error.object[error.start]:#04x} at {error.start}); "
            f"convert it first, for example: iconv -f WINDOWS-1252 -t UTF-8 {path}"
        ) from error


def _delimited_texts(lines: Iterable[str]) -> Iterator[str]:
    text: list[str] = []
    for line in lines:
        if _DELIMITER_LINE.fullmatch(line.strip()):
            yield " ".join(text)
            text = []
        else:
            text.append(line)
    yield " ".join(text)


def _csv_texts(path: Path, file: Iterable[str], field: str) -> Iterator[str]:
    """The column `field`. A single column without that heading is all texts, its first row too
    (gpt-2-simple's own loader drops it)."""
    rows = csv.reader(file)
    try:
        first = next(rows, [])
        if field in first:
            column = first.index(field)
        elif len(first) == 1:
            column = 0
            yield first[0]
        else:
            raise DeepproverbsError(
                f"{path} has no column {field!r} but {', '.join(map(repr, first))}; "
                "name the one with the texts with --field."
            )
        for row in rows:
            if len(row) > column:
                yield row[column]
    except csv.Error as error:
        raise DeepproverbsError(f"{path}, line {rows.line_num}: not CSV: {error}.") from error


def _json_texts(path: Path, lines: Iterable[str], field: str) -> Iterator[str]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            value: Any = json.loads(line)
        except ValueError as error:
            raise DeepproverbsError(
                f"{path}, line {number}: not JSON ({error}); JSONL holds one object a line."
            ) from error
        if isinstance(value, dict):
            if field not in value:
                raise DeepproverbsError(
                    f"{path}, line {number}: no field {field!r} but "
                    f"{', '.join(map(repr, value))}; name the one with the texts with --field."
                )
            value = value[field]
        if not isinstance(value, str):
            raise DeepproverbsError(f"{path}, line {number}: {field!r} is {type(value).__name__}, not a text.")
        yield value


def load_corpus(path: Path) -> list[str]:
    """The texts of a file that needs no cleaning: a corpus.txt or a reference."""
    return [text for raw in read_texts(path) if (text := clean(raw))]


def split(texts: list[str], hold_out: float, seed: int) -> tuple[list[str], list[str]]:
    """(training, held out): whole texts, chosen by the seed, each part in its old order."""
    held = set(random.Random(seed).sample(range(len(texts)), max(2, round(len(texts) * hold_out))))
    return [t for i, t in enumerate(texts) if i not in held], [t for i, t in enumerate(texts) if i in held]


def build(files: list[Path], out: Path, settings: CorpusSettings, tokenizer: Tokenizer) -> Counts:
    """Write corpus.txt and corpus.npz into `out`.

    Raises:
        DeepproverbsError: a file cannot be read, or fewer than 20 texts are left.
    """
    style = Style() if settings.style == "plain" else None
    read, texts = 0, dict[str, None]()
    for path in files:
        for raw in read_texts(path, settings.field):
            text = restyle(raw, style) if style else clean(raw)
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
    end = tokenizer.token_to_id(END_OF_TEXT)
    if end is None:
        raise DeepproverbsError(f"The base model's encoder.json lacks {END_OF_TEXT}; it is no GPT-2 vocabulary.")
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


def _encoded(texts: list[str], tokenizer: Tokenizer, end: int) -> tuple[np.ndarray, np.ndarray]:
    """(tokens, offsets) of the texts, each ended by `end`; offsets has one entry more than texts."""
    rows = [[*encoding.ids, end] for encoding in tokenizer.encode_batch(texts)]
    offsets = np.cumsum([0, *map(len, rows)])
    return np.array([token for row in rows for token in row], dtype=np.int32), offsets.astype(np.int64)


def load_tokenizer(folder: Path) -> Tokenizer:
    """GPT-2's byte-level BPE from `encoder.json` and `vocab.bpe`, the names that OpenAI gave them."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    vocab = json.loads((folder / "encoder.json").read_text(encoding="utf-8"))
    lines = (folder / "vocab.bpe").read_text(encoding="utf-8").split("\n")[1:]
    merges = [(pair[0], pair[1]) for line in lines if len(pair := line.split()) == 2]
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer
