"""Which rows of the vocabulary a bot needs.

GPT-2 has 50,257 tokens; the output layer over them is 31 % of the arithmetic of 124M, and a bot of proverbs
never writes most of them. What stays: the tokens of the corpus, of its references and of the prefixes, and the most
probable others under the fine-tuned model, until the rest holds at most TARGET of the probability on texts that the
model writes. The loss is then measured on texts not used for the choice. Tokens that stay keep their logits, so their
probabilities relative to one another do not change.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from training.common.progress import Say, details
from training.model.converted import Converted
from training.model.generator import generator
from training.settings import SampleSettings

HARMLESS = 2e-3
"""Mean probability, at each token, of all the tokens cut off together, on texts not used for the choice. With 20 tokens
a text, one text in 25 would have had another token somewhere. Above this, nothing is trimmed."""
TARGET = HARMLESS / 10
"""The same on the texts of the choice: other texts have other rare words, and more of them."""
WORTH = 0.05
"""Nothing is trimmed to save less than this share of the arithmetic."""
TEXTS = 512
"""Texts sampled from the model, half of them for the choice and half for the check."""
LONGEST = 64
"""Tokens of a text that are used."""
ROUND = 32
"""The number of rows is a multiple of this: the width of a tile of the matrix product."""


@dataclass(frozen=True)
class Trimmed:
    """The rows that stay, and the mean probability, at each token, of those that do not."""

    rows: list[int]
    of: int
    cut_sampled: float
    """On texts sampled from the model and not used for the choice."""
    cut_held_out: float
    """On held-out texts of the corpus."""
    saved: float
    """Share of the arithmetic of a token."""


def choose_rows(
    model: Path, originals: Sequence[str], held_out: list[list[str]], settings: SampleSettings, say: Say = print
) -> Trimmed | None:
    """The rows that stay of the untrimmed `model`; None where trimming would save too little or do harm.

    originals: texts whose tokens stay. held_out: token names of the held-out texts, each without the end token.
    """
    converted = Converted(model)
    total, required = len(converted.ids), _tokens_of(converted, [*originals, *settings.prefixes])
    required.add(converted.end)
    if _saved(converted, len(required)) < WORTH:
        return None
    loaded = generator(model, compute_type=converted.compute_type(), inter_threads=1)
    hottest = max(settings.temperatures)
    texts = _sampled(loaded, converted, settings)
    mean = _mean_probabilities(loaded, texts[::2], converted, hottest)
    rows = _with_most_probable(mean, required)
    saved = _saved(converted, len(rows))
    gone = np.ones(total, dtype=bool)
    gone[rows] = False
    longest = min(LONGEST, converted.hparams.n_ctx - 1)
    own = [row[:longest] for row in held_out if row]
    sampled, written = (_mean_probabilities(loaded, some, converted, hottest) for some in (texts[1::2], own))
    cut = Trimmed(rows, total, float(sampled[gone].sum()), float(written[gone].sum()), saved)
    result = (
        f"{len(rows):,} of {total:,} tokens; the others hold {cut.cut_sampled:.1e} of the probability a token on new "
        f"texts, {cut.cut_held_out:.1e} on held-out ones"
    )
    if saved < WORTH or max(cut.cut_sampled, cut.cut_held_out) > HARMLESS:
        details(say)(f"Vocabulary: all {total:,} tokens stay; it would take {result}.")
        return None
    details(say)(f"Vocabulary: {result}; {saved:.0%} of the arithmetic saved.")
    return cut


def _tokens_of(converted: Converted, texts: Sequence[str]) -> set[int]:
    return {token for encoding in converted.tokenizer.encode_batch(list(texts)) for token in encoding.ids}


def _saved(converted: Converted, rows: int) -> float:
    """Share of a token's multiplications that `rows` rows save."""
    width, layers, total = converted.hparams.n_embd, converted.hparams.n_layer, len(converted.ids)
    return width * max(0, total - rows) / (12 * layers * width**2 + width * total)


def _with_most_probable(mean: np.ndarray, required: set[int]) -> list[int]:
    """`required` and the most probable others, until at most TARGET is left; a multiple of ROUND."""
    order = [int(row) for row in np.argsort(-mean, kind="stable") if int(row) not in required]
    left = 1.0 - float(mean[sorted(required)].sum())
    count = 0
    while count < len(order) and (left > TARGET or (len(required) + count) % ROUND):
        left -= float(mean[order[count]])
        count += 1
    return sorted(required | set(order[:count]))


def _sampled(generator: Any, converted: Converted, settings: SampleSettings) -> list[list[str]]:
    """Token names of texts that the model writes, at each temperature in turn; cut off at LONGEST tokens."""
    import ctranslate2

    ctranslate2.set_random_seed(settings.seed % 2**31)
    texts: list[list[str]] = []
    for temperature in settings.temperatures:
        results = generator.generate_batch(
            [[converted.end_name]] * (TEXTS // len(settings.temperatures)),
            max_batch_size=64,
            max_length=min(LONGEST, settings.max_tokens),
            sampling_topk=0,
            sampling_temperature=temperature,
            end_token=converted.end_name,
            include_prompt_in_result=False,
        )
        texts += [result.sequences[0] for result in results if result.sequences[0]]
    return texts


def _mean_probabilities(generator: Any, texts: list[list[str]], converted: Converted, temperature: float) -> np.ndarray:
    """Mean probability of every row over all positions of the texts, float64 [rows]."""
    total, positions = np.zeros(len(converted.ids)), 0
    for batch in _batches(texts):
        logits = np.asarray(generator.forward_batch([[converted.end_name, *text] for text in batch]))
        for row, text in zip(logits, batch, strict=True):
            seen = row[: len(text) + 1] / temperature
            weights = np.exp(seen - seen.max(axis=1, keepdims=True))
            total += (weights / weights.sum(axis=1, keepdims=True)).sum(axis=0)
            positions += len(seen)
    return total / max(1, positions)


def _batches(texts: list[list[str]], size: int = 8) -> Iterator[list[list[str]]]:
    """Texts of similar length together: their logits, [8, length, 50257] floats, are 40 MB."""
    order = sorted(texts, key=len)
    for start in range(0, len(order), size):
        yield order[start : start + size]
