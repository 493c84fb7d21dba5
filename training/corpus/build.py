"""Raw texts in, a corpus out: clean, drop duplicates, split, count, encode.

In:  text files of any form that training/corpus/forms knows.
Out: DIR/corpus.txt  the texts between `\\n==========\\n` delimiters;
     DIR/corpus.npz  int32 arrays `train`, `held_out` (tokens, every text ended by the end token),
                     `train_offsets`, `held_out_offsets` (where each text starts, and the total), `end`;
     DIR/corpus.json how each file was read, and what became of its texts.

`deepproverbs corpus FILE… --out DIR`
"""

from __future__ import annotations

import json
import random
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from training.common.errors import DeepproverbsError
from training.common.files import part_file, sync, write_whole
from training.common.text import DELIMITER, END_OF_TEXT
from training.corpus.gather import Gathered, gather
from training.settings import CorpusSettings

if TYPE_CHECKING:
    from tokenizers import Tokenizer

MADE = ("corpus.txt", "corpus.npz", "corpus.json")
FEWEST_TEXTS = 20
"""Below this there is nothing to learn from, and less than one text in ten to measure the loss on."""
STEP = 65_536
"""Texts whose tokens are in memory at a time."""


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


def held_out(texts: int, share: float, seed: int) -> list[int]:
    """The numbers of the texts that are held out, chosen by the seed."""
    return random.Random(seed).sample(range(texts), max(2, round(texts * share)))


def split(texts: list[str], hold_out: float, seed: int) -> tuple[list[str], list[str]]:
    """(training, held out): whole texts, chosen by the seed, each part in its old order."""
    held = set(held_out(len(texts), hold_out, seed))
    return [t for i, t in enumerate(texts) if i not in held], [t for i, t in enumerate(texts) if i in held]


def build(
    files: list[Path],
    out: Path,
    settings: CorpusSettings,
    tokenizer: Tokenizer,
    end_token: str = END_OF_TEXT,
    tell: Callable[[Gathered], object] = lambda _: None,
) -> Counts:
    """Write corpus.txt, corpus.npz and corpus.json into `out`. `end_token` ends every text. `tell` is called when all
    is read.

    Raises:
        DeepproverbsError: a file cannot be read, or fewer than 20 texts are left.
    """
    end = tokenizer.token_to_id(end_token)
    with part_file(out / "corpus.txt") as file, tempfile.TemporaryFile(dir=out) as tokens:
        written = _Written(file, tokens, tokenizer, end or 0)
        gathered = gather(files, settings, written.take)
        tell(gathered)
        if written.texts < FEWEST_TEXTS:
            raise DeepproverbsError(_too_few(written.texts, gathered))
        if end is None:
            raise DeepproverbsError(f"The base model's vocabulary lacks {end_token}; choose another base.")
        file.write("\n")
        lengths = np.concatenate(written.lengths)
        held = np.zeros(written.texts, bool)
        held[held_out(written.texts, settings.hold_out, settings.seed)] = True
        part = out / ".corpus.npz.part"
        try:
            _write_arrays(part, tokens, lengths, held, end)
            sync(part)
            part.replace(out / "corpus.npz")
            sync(out / "corpus.npz")
        finally:
            part.unlink(missing_ok=True)
    ledger = gathered.ledger
    in_order = np.sort(lengths) - 1
    counts = Counts(
        read=ledger.read,
        texts=written.texts,
        duplicates=ledger.duplicates,
        words=written.words,
        tokens=int(lengths.sum()),
        training_texts=int((~held).sum()),
        training_tokens=int(lengths[~held].sum()),
        held_out_texts=int(held.sum()),
        held_out_tokens=int(lengths[held].sum()),
        length_median=int(in_order[len(in_order) // 2]),
        length_p90=int(in_order[int(len(in_order) * 0.9)]),
        longest=int(in_order[-1]),
        longest_text=written.longest,
    )
    facts = {"files": [told.facts() for told in gathered.told], "counts": asdict(counts)}
    write_whole(out / "corpus.json", json.dumps(facts, ensure_ascii=False, indent=1) + "\n")
    return counts


def _too_few(texts: int, gathered: Gathered) -> str:
    names = ", ".join(told.name for told in gathered.told)
    read = "; ".join(f"{told.name} was read as {told.reading.form.title}" for told in gathered.told)
    ledger = gathered.ledger
    gone = ", ".join([f"{count.count:,} {why}" for why, count in ledger.dropped.items()])
    gone += f"{', ' * bool(gone)}{ledger.duplicates:,} duplicates" * bool(ledger.duplicates)
    return (
        f"Only {texts} different text{'s' * (texts != 1)} in {names}; at least "
        f"{FEWEST_TEXTS} are needed and some hundreds make a bot: add texts. ({read}; left out: {gone or 'nothing'}. "
        "If that is not what it is, name its form with --form.)"
    )


class _Written:
    """Takes batches of texts: writes them and their tokens, and counts."""

    def __init__(self, file: IO[str], tokens: IO[bytes], tokenizer: Tokenizer, end: int) -> None:
        self.file, self.tokens, self.tokenizer, self.end = file, tokens, tokenizer, end
        self.texts = self.words = self.most = 0
        self.lengths: list[np.ndarray] = []
        """Tokens of each text with its end token."""
        self.longest = ""

    def take(self, texts: list[str]) -> None:
        if not texts:
            return
        self.file.write(DELIMITER * bool(self.texts) + DELIMITER.join(texts))
        rows = [encoding.ids for encoding in self.tokenizer.encode_batch(texts)]
        lengths = np.array([len(row) + 1 for row in rows], np.int32)
        if int(lengths.max()) > self.most:
            self.most, self.longest = int(lengths.max()), texts[int(lengths.argmax())]
        self.tokens.write(np.array([token for row in rows for token in (*row, self.end)], np.int32).tobytes())
        self.lengths.append(lengths)
        self.texts += len(texts)
        self.words += sum(len(text.split()) for text in texts)


def _write_arrays(path: Path, tokens: IO[bytes], lengths: np.ndarray, held: np.ndarray, end: int) -> None:
    """The bytes that np.savez would write, without the arrays in memory."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for name, chosen in (("train", ~held), ("held_out", held)):
            mine = lengths[chosen].astype(np.int64)
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                _header(file, np.dtype(np.int32), (int(mine.sum()),))
                tokens.seek(0)
                for at in range(0, len(lengths), STEP):
                    here = lengths[at : at + STEP]
                    row = np.frombuffer(tokens.read(4 * int(here.sum())), np.int32)
                    file.write(row[np.repeat(chosen[at : at + STEP], here)].tobytes())
            with archive.open(f"{name}_offsets.npy", "w", force_zip64=True) as file:
                offsets = np.concatenate([[0], np.cumsum(mine)]).astype(np.int64)
                _header(file, offsets.dtype, offsets.shape)
                for at in range(0, len(offsets), STEP):
                    file.write(offsets[at : at + STEP].tobytes())
        with archive.open("end.npy", "w", force_zip64=True) as file:
            np.lib.format.write_array(file, np.asanyarray(np.int32(end)), allow_pickle=False)


def _header(file: Any, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    about = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, about)
