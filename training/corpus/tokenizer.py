"""A base model's tokenizer: GPT-2's own two files, or Hugging Face's one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from training.common.errors import DeepproverbsError, brief
from training.common.text import END_OF_TEXT

if TYPE_CHECKING:
    from tokenizers import Tokenizer

FILES = (("encoder.json", "vocab.bpe"), ("tokenizer.json", "tokenizer_config.json"))
"""What a tokenizer is read from: the names that OpenAI gave them, or Hugging Face's (the second of which may be
missing)."""
SPECIAL = 64
"""Tokens of encoder.json that no merge makes, at most: GPT-2 has one, <|endoftext|>."""
AGAIN = "delete the folder and start again, or copy these files again"


def tokenizer_files(folder: Path) -> list[Path]:
    """The files of the tokenizer in a model's folder."""
    first, second = FILES
    names = second if (folder / second[0]).is_file() else first
    return [folder / name for name in names if (folder / name).is_file()] or [folder / first[0]]


def load_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer of a model's folder. Text is only ever text to it: what looks like a special token is spelt out,
    and nothing is put before or after it.

    Raises:
        DeepproverbsError: its files are missing or damaged.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

    path = folder / "tokenizer.json"
    if path.is_file():
        try:
            tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # tokenizers raises plain Exceptions
            raise DeepproverbsError(f"{path} is not a tokenizer ({brief(error)}); copy it again.") from error
        tokenizer.no_padding()
        tokenizer.no_truncation()
        tokenizer.post_processor = processors.TemplateProcessing(single="$A", pair="$A $B", special_tokens=[])
        tokenizer.encode_special_tokens = True
        return tokenizer
    try:
        vocab = read_vocabulary(folder)
        lines = (folder / "vocab.bpe").read_text(encoding="utf-8").split("\n")[1:]
        merges = [(pair[0], pair[1]) for line in lines if len(pair := line.split()) == 2]
        made = {"".join(pair) for pair in merges}
        unmade = sum(len(token) > 1 and token not in made for token in vocab)
        if unmade > SPECIAL:
            raise ValueError(f"vocab.bpe makes {unmade:,} of the tokens from nothing: it is cut short")
        tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    except Exception as error:  # tokenizers' own, too
        raise DeepproverbsError(
            f"encoder.json and vocab.bpe in {folder} are missing or damaged ({brief(error)}); {AGAIN}."
        ) from error
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def read_vocabulary(folder: Path) -> dict[str, int]:
    """What encoder.json says: token → id. Raises OSError and ValueError: it is missing or damaged."""
    vocab = json.loads((folder / "encoder.json").read_text(encoding="utf-8"))
    numbers = vocab.values() if isinstance(vocab, dict) else ()
    if not numbers or not all(type(number) is int and number >= 0 for number in numbers):
        raise ValueError("encoder.json does not give each token a number")
    if len(set(numbers)) < len(numbers) or max(numbers) > 2 * len(numbers) + SPECIAL:
        raise ValueError("encoder.json gives two tokens one number, or leaves most numbers out")
    return dict(vocab)


def end_of_text(folder: Path) -> str:
    """The token before and after every text: GPT-2's, which most byte-level vocabularies have, else the one that
    ends a text of this model.

    Raises:
        DeepproverbsError: the model names none.
    """
    tokenizer = load_tokenizer(folder)
    if tokenizer.token_to_id(END_OF_TEXT) is not None:
        return END_OF_TEXT
    path = folder / "tokenizer_config.json"
    try:
        end = json.loads(path.read_text(encoding="utf-8")).get("eos_token")
        end = end["content"] if isinstance(end, dict) else end
    except (OSError, ValueError, KeyError, AttributeError):
        end = None
    if not isinstance(end, str) or tokenizer.token_to_id(end) is None:
        raise DeepproverbsError(
            f"The vocabulary in {folder} has no {END_OF_TEXT} and tokenizer_config.json names no eos_token: "
            "nothing would end a text. Choose another --model."
        )
    return end


def is_byte_level(tokenizer: Tokenizer) -> bool:
    """Whether the names of its tokens spell bytes, as GPT-2's do."""
    return type(tokenizer.decoder).__name__ == "ByteLevel"
