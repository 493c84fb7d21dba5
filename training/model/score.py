"""Texts → their mean log-probability under a converted model.

In:  RUN/model/, RUN/base/ (the base model, converted with the same tokens), RUN/corpus.npz.
Out: nats a token, the end token included.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.common.machine import cores
from training.common.progress import bar
from training.model.converted import Converted, held_out
from training.model.generator import generator

Floats = NDArray[np.float64]
BATCH = 64
BLOCK = 2048
"""Texts that are handed over at a time."""


class Scorer:
    """Scores token rows with CTranslate2, on a GPU where it sees one."""

    def __init__(self, model: Path) -> None:
        import ctranslate2

        self.converted = Converted(model)
        self.names = self.converted.token_names()
        cuda = ctranslate2.get_cuda_device_count() > 0
        self.generator = generator(
            model,
            device="cuda" if cuda else "cpu",
            compute_type=self.converted.compute_type(cuda),
            inter_threads=1 if cuda else cores(),
            intra_threads=1,
        )

    def rows(self, rows: Sequence[list[str]], on_progress: Callable[[int], object] = lambda more: None) -> Floats:
        """Mean log-probability of each; the first token is given."""
        scores = np.empty(len(rows))
        # Asynchronous, so that what is done is seen, and Ctrl-C taken, while the rest is at work.
        for at, job in enumerate(self.generator.score_batch(list(rows), max_batch_size=BATCH, asynchronous=True)):
            scores[at] = np.mean(job.result().log_probs)
            on_progress(1)
        return scores

    def texts(self, texts: Sequence[str], on_progress: Callable[[int], object] = lambda more: None) -> Floats:
        """Mean log-probability of each; NaN where the model lacks one of its tokens. `on_progress` is called with how
        many more are done."""
        scores = np.full(len(texts), np.nan)
        end = self.names[self.converted.end]
        for at in range(0, len(texts), BLOCK):
            some = texts[at : at + BLOCK]
            rows, places = [], []
            for place, encoding in enumerate(self.converted.tokenizer.encode_batch(list(some)), at):
                found = [self.converted.row.get(token) for token in encoding.ids]
                if found and None not in found:
                    rows.append([end, *(self.names[row] for row in found if row is not None), end])
                    places.append(place)
            on_progress(len(some) - len(rows))
            if rows:
                scores[places] = self.rows(rows, on_progress)
        return scores


def of_held_out(model: Path, corpus: Path) -> Floats:
    """Scores of the held-out texts of a corpus.npz."""
    files = [path for path in (model / "model.bin", corpus) if path.exists()]  # what is missing is told below
    stamps = tuple((path.stat().st_mtime_ns, path.stat().st_size) for path in files)
    return _of_held_out(model, corpus, stamps)


@lru_cache(maxsize=4)
def _of_held_out(model: Path, corpus: Path, stamps: object) -> Floats:
    """Several rules ask. `stamps` tell files that have changed."""
    scorer = Scorer(model)
    scores = scorer.rows(held_out(scorer.converted, corpus))
    scores.flags.writeable = False
    return scores


def of_training(model: Path, corpus: Path, most: int) -> Floats:
    """Scores of up to `most` training texts of a corpus.npz, from its beginning to its end: books change on the way."""
    scorer = Scorer(model)
    rows = held_out(scorer.converted, corpus, "train")
    return scorer.rows([rows[n] for n in np.linspace(0, len(rows) - 1, min(most, len(rows))).round().astype(int)])


def text_scores(model: Path, texts: Sequence[str]) -> Floats:
    """Scores under a model, with a progress bar."""
    what = "compared with the model as it was" if model.name == "base" else "scored"
    with bar(len(texts), what, "text", delay=2, leave=False) as shown:
        return Scorer(model).texts(texts, shown.update)
