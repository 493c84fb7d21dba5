"""A converted model's folder, as the engines use it.

model/: model.bin, vocabulary.json, config.json (CTranslate2's), the checkpoint's tokenizer and hparams.json and, if
the vocabulary was trimmed, kept.json: the checkpoint's ids of the rows that are
left, in order, and the highest temperature for which they were chosen. A *row* is a token's index in the
converted model, an *id* its index in the checkpoint.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from training.common.errors import DeepproverbsError, WrongUse, brief
from training.common.manifest import Manifest
from training.corpus.read import load_arrays
from training.corpus.tokenizer import AGAIN, end_of_text, is_byte_level, load_tokenizer, read_vocabulary
from training.model.layout import read_hparams


def model_of(run: Path) -> Path:
    """The run's converted model.

    Raises:
        WrongUse: there is none yet.
        DeepproverbsError: it is not what was converted.
    """
    if not (run / "model" / "model.bin").exists():
        raise WrongUse(f"No model in {run}; run `deepproverbs finetune` and `deepproverbs convert` first.")
    Manifest(run).rely(run / "model", cure="`deepproverbs convert` makes it again")
    return run / "model"


def vocabulary(folder: Path) -> list[str]:
    """The names of a model's tokens in the order of their ids."""
    try:
        encoder = read_vocabulary(folder)
    except FileNotFoundError:
        encoder = load_tokenizer(folder).get_vocab()
    except (OSError, ValueError, RecursionError) as error:
        raise DeepproverbsError(f"{folder / 'encoder.json'} is damaged ({brief(error)}); {AGAIN}.") from error
    names = named([], max(encoder.values()) + 1)
    for name, token in encoder.items():
        names[token] = name
    return names


def named(tokens: list[str], rows: int) -> list[str]:
    """A name for each of `rows` embeddings: those that pad the table to a round number have no token."""
    return tokens + [f"<unused-{i}>" for i in range(len(tokens), rows)]


class Converted:
    """Everything about a converted model but its weights."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.hparams = folder, read_hparams(folder)
        self.tokenizer = load_tokenizer(folder)
        self.names = named(vocabulary(folder), self.hparams.n_vocab)
        self.byte_level = is_byte_level(self.tokenizer)
        """Whether a token stands for the bytes that its name spells, so that a text's bytes can be watched."""
        kept = folder / "kept.json"
        try:
            trimmed = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
            self.ids = np.array(trimmed.get("rows", range(len(self.names))), dtype=np.int64)
            self.hottest = float(trimmed.get("hottest", "inf"))
            """The highest temperature for which the rows suffice."""
            self.row = {int(token): row for row, token in enumerate(self.ids)}
            if len(self.row) < len(self.ids) or not 0 <= min(self.row) <= max(self.row) < len(self.names):
                raise ValueError("it names rows twice, or some that the model does not have")
            self.end_name = end_of_text(folder)
            """The token before and after every text."""
            self.end = self.row[self.names.index(self.end_name)]
        except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            what = f"{kept} is" if kept.exists() else f"The vocabulary in {folder} is"
            raise DeepproverbsError(f"{what} damaged ({brief(error)}); {AGAIN}.") from error

    def compute_type(self, cuda: bool = False) -> str:
        """The fastest number type in which CTranslate2's probabilities are still those of float32. Rounding activations
        to bytes breaks what is not GPT-2: Llama-like models put so large a value on their first token that the others
        vanish beside it (7 nats off)."""
        import ctranslate2

        if self.hparams.architecture == "gpt2":
            return "float16" if cuda else "int8"
        fine = ctranslate2.get_supported_compute_types("cuda" if cuda else "cpu")
        return "bfloat16" if cuda and "bfloat16" in fine else "float32"

    def prompt(self, prefix: str) -> list[int]:
        """Rows of the end token, which starts every text, and of `prefix`.

        Raises:
            WrongUse: a token of the prefix was trimmed off.
        """
        rows = [self.row.get(token) for token in self.tokenizer.encode(prefix).ids]
        if None in rows:
            raise WrongUse(
                f"The prefix {prefix!r} has tokens that were trimmed from this model; put it into [sample] prefixes "
                "and run `deepproverbs convert` again."
            )
        return [self.end, *(row for row in rows if row is not None)]

    def texts(self, rows: Iterable[Sequence[int]]) -> list[str]:
        """The texts of rows, without the end token at their end."""
        cut = (list(row[:-1]) if len(row) and row[-1] == self.end else list(row) for row in rows)
        ids = [self.ids[row].tolist() if row else [] for row in cut]
        # A special token that was drawn is shown, for the filters to reject.
        return [str(text) for text in self.tokenizer.decode_batch(ids, skip_special_tokens=False)]

    def token_names(self) -> list[str]:
        """Names of the rows, as CTranslate2 knows them."""
        return [self.names[i] for i in self.ids]

    def token_bytes(self) -> list[bytes]:
        """The bytes that each row stands for; none for the end token and those without a token."""
        byte_of = byte_of_character()
        added = {token.content for token in self.tokenizer.get_added_tokens_decoder().values()}

        def spelt(name: str) -> bytes:
            return name.encode() if name in added else bytes(map(byte_of.__getitem__, name))

        return [
            spelt(name) if row != self.end and not name.startswith("<unused-") else b""
            for row, name in enumerate(self.token_names())
        ]


def held_out(converted: Converted, corpus: Path, part: str = "held_out") -> list[list[str]]:
    """The held-out texts of a corpus.npz, or those of its part `train`, as token names, the end token before and after
    each."""
    names = {int(i): name for i, name in zip(converted.ids, converted.token_names(), strict=True)}
    arrays = load_arrays(corpus, part, f"{part}_offsets", "end")
    tokens, offsets, end = arrays[part], arrays[f"{part}_offsets"], int(arrays["end"])
    try:
        return [[names[end], *(names[int(t)] for t in tokens[a:b])] for a, b in pairwise(offsets)]
    except KeyError as error:
        raise DeepproverbsError(
            f"{corpus} has the token {error}, which the model in {converted.folder} lacks: they are from different "
            "runs; make both again with `deepproverbs run`."
        ) from error


def byte_of_character() -> dict[str, int]:
    """GPT-2's names of tokens have a printable character for each byte: itself where it is printable in Latin-1; the
    other bytes, in order, are the characters from 256 on."""
    plain = [b for b in range(256) if 33 <= b <= 126 or 161 <= b <= 172 or 174 <= b <= 255]
    others = [b for b in range(256) if b not in plain]
    return {chr(b): b for b in plain} | {chr(256 + i): b for i, b in enumerate(others)}
