"""The rules that compare: is the text a copy of an original, or was it in the pool before?

Each looks a batch of texts up in an index that is built once (training/judge/likeness.py). Those that compare with the
originals can also judge the originals, leaving one out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from training.common.text import id_of_normal
from training.judge.likeness import LikenessIndex, WordRunIndex, word_runs
from training.judge.rule import Context, Text

BATCH = 2048
"""Originals that are compared with the others at a time."""


def duplicate(texts: Sequence[Text], context: Context) -> Sequence[str | None]:
    """Nothing is posted twice in the bot's life."""
    posted = context.once(_ids_of_history)
    if not len(posted):
        return [None] * len(texts)
    ids = np.fromiter((text.id for text in texts), np.uint64, len(texts))
    return ["posted before, or in the pool" if hit else None for hit in np.isin(ids, posted).tolist()]


def _ids_of_history(context: Context) -> NDArray[np.uint64]:
    return np.unique(np.fromiter(map(id_of_normal, context.history), np.uint64, len(context.history)))


def near_history(texts: Sequence[Text], context: Context) -> Sequence[str | None]:
    """Readers would take it for a text posted before, or in the pool."""
    return _nearest(texts, context.once(_history), context.settings.near_ratio)


def _history(context: Context) -> LikenessIndex:
    return LikenessIndex.of(context.history)


def _nearest(texts: Sequence[Text], index: LikenessIndex, ratio: float) -> list[str | None]:
    found = index.nearest([text.normal for text in texts], ratio)
    return [f"{relative.ratio:.1f} {relative.text}" if relative else None for relative in found]


class WordRuns:
    """The runs of words of the originals, by length."""

    def __init__(self, context: Context) -> None:
        self.originals, self.longest = context.originals, context.settings.copy_run
        self.indexes: dict[int, WordRunIndex] = {}

    def _of(self, length: int) -> WordRunIndex:
        if length not in self.indexes:
            self.indexes[length] = WordRunIndex(self.originals, length)
        return self.indexes[length]

    def shared(self, texts: Sequence[Text]) -> list[str]:
        """The run of `copy_run` words that each text shares with an original, or the whole of a shorter text; "" if
        none."""
        found = self._of(self.longest).shared([text.normal for text in texts])
        for place, text in enumerate(texts):
            length = len(text.units)
            if length < self.longest and not found[place]:
                found[place] = self._of(length).shared([text.normal])[0]
        return found


def copied_run(texts: Sequence[Text], context: Context) -> Sequence[str | None]:
    """It copies half a verse word for word."""
    return context.once(WordRuns).shared(texts)


def copied_run_of_others(texts: Sequence[Text], context: Context) -> Sequence[bool]:
    """Which of the first originals share such a run with another original."""
    normals, length = context.originals, context.settings.copy_run
    hashes, owners = word_runs(normals, length)
    pairs = np.unique(np.stack([hashes.view(np.int64), owners]), axis=1)
    _, where, holders = np.unique(pairs[0], return_inverse=True, return_counts=True)
    copied = np.zeros(len(normals), bool)
    copied[pairs[1][holders[where] > 1]] = True
    for place, text in enumerate(texts):
        if len(text.units) < length:
            inside = f" {text.normal} "
            copied[place] = any(inside in f" {other} " for at, other in enumerate(normals) if at != place)
    found: list[bool] = copied[: len(texts)].tolist()
    return found


def copy(texts: Sequence[Text], context: Context) -> Sequence[str | None]:
    """A verse with a word or two changed."""
    known = context.once(_known)
    # The index misses a copy in which every run of three words is common ("and the lord said").
    return [
        reason or (f"100.0 {text.normal}" if text.normal in known else None)
        for text, reason in zip(
            texts, _nearest(texts, context.once(_originals), context.settings.copy_ratio), strict=True
        )
    ]


def _originals(context: Context) -> LikenessIndex:
    return LikenessIndex.of(context.originals)


def _known(context: Context) -> frozenset[str]:
    return frozenset(context.originals)


def copy_of_others(texts: Sequence[Text], context: Context) -> Sequence[bool]:
    """Which of the first originals are like another original."""
    times, ratio = Counter(context.originals), context.settings.copy_ratio
    copies = [times[text.normal] > 1 for text in texts]
    for at in range(0, len(texts) if ratio <= 100 else 0, BATCH):
        some = [text.normal for text in texts[at : at + BATCH]]
        places, numbers, _ = context.once(_originals).likenesses(some, ratio)
        for place in (places + at)[numbers != places + at].tolist():
            copies[place] = True
    return copies
