"""nano is told to be what it is: a model of King James English in lower case, for other corpora no base.

In:  RUN/corpus.txt, nano's tokenizer.
Out: nothing, or an error that says what to take instead and how long that takes here.
"""

from __future__ import annotations

import math
import time
from pathlib import Path

import numpy as np

from training.common.errors import WrongUse
from training.common.progress import Say
from training.corpus.read import load_built
from training.corpus.tokenizer import load_tokenizer
from training.model.base import NANO
from training.settings import Bot

LEAST = 3.7
"""Characters that nano's tokens hold in the mean in texts that it can learn: 4.1 to 4.3 in each tenth of the King James
Bible, 4.1 in the Proverbs, also printed with capitals. In modern English, lower-cased and without its marks, they hold
2.7 to 3.2, as it is written 1.7 to 2.6, in German 1.7."""
SOME = 2000
"""Texts that are looked at."""
INSTEAD = {"smollm2-135m": (111e6, 2), "124M": (91e6, 4)}
"""Base → the weights that a token of the training steps passes, and the epochs."""
SHARE = 0.55
"""Of the rate of matrix products, what fine-tuning comes to: 0.5 to 0.8 on three machines."""
CHARACTERS = 3.5
"""In a token of theirs: 4 in English, fewer in other languages."""


def check(bot: Bot, run: Path, tokenizer_folder: Path, say: Say, force: bool) -> None:
    """Stop where the base is nano and the corpus is none for it. `force`: only tell.

    Raises:
        WrongUse: it is none, and nobody said `force`.
    """
    if bot.model != NANO:
        return
    texts = load_built(run / "corpus.txt")
    held = characters_a_token(texts, tokenizer_folder)
    if held >= LEAST:
        return
    if force:
        say(f"nano knows King James English alone, at 4.2 characters a token; here it is {held:.1f}: expect gibberish.")
        return
    size = sum(map(len, texts))
    instead = [f"{name} (about {minutes(name, size)} to fine-tune here)" for name in INSTEAD]
    raise WrongUse(
        "nano has read nothing but the King James Bible in lower case, and these texts are something else (its tokens "
        f"hold {held:.1f} characters of them, 4.2 of the Bible): take --model {' or '.join(instead)}, for a "
        "language other than English a base that has read it (hf:NAME); or give --force, and expect gibberish."
    )


def characters_a_token(texts: list[str], tokenizer_folder: Path) -> float:
    some = texts[:: math.ceil(len(texts) / SOME)]
    tokens = sum(len(encoded.ids) for encoded in load_tokenizer(tokenizer_folder).encode_batch(some))
    return sum(map(len, some)) / max(1, tokens)


def minutes(model: str, characters: float) -> str:
    """An estimate of how long fine-tuning one of INSTEAD takes, by how fast this machine multiplies matrices at this
    moment; 6 operations a weight and token."""
    weights, epochs = INSTEAD[model]
    operations = 6 * weights * epochs * characters / CHARACTERS
    count = max(1, round(operations / (SHARE * _products()) / 60))
    return "a minute" if count == 1 else f"{count:,} minutes"


def _products() -> float:
    """Operations a second of NumPy's products of float32, the best of some."""
    size = 1024
    one = np.ones((size, size), np.float32)
    best = math.inf
    for _ in range(4):
        started = time.perf_counter()
        one @ one
        best = min(best, time.perf_counter() - started)
    return 2 * size**3 / best
