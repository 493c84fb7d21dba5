"""What is written: the nearest original of each text, its record, and an order that says nothing."""

from __future__ import annotations

import random

import pytest
from rapidfuzz import fuzz

from tests.helpers import labelled
from training.common.text import id_of_normal, normal_form
from training.curate import write

WORDS = ["wisdom", "folly", "king", "fool"]


@pytest.mark.parametrize("exact", [True, False])
def test_the_nearest_original_of_each(exact: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = labelled.proverbs()
    rng = random.Random(5)
    texts = [labelled.changed(verse, 2, rng, WORDS) for verse in rng.sample(labelled.proverbs(10), 50)]
    if not exact:
        monkeypatch.setattr(write, "EXACT", 0)
    for text, (nearest, ratio) in zip(texts, write.nearest_originals(texts, corpus), strict=True):
        assert nearest in corpus
        assert abs(ratio - fuzz.ratio(normal_form(text), normal_form(nearest))) < 0.06
        assert abs(ratio - max(fuzz.ratio(normal_form(text), normal_form(verse)) for verse in corpus)) < 0.06


def test_records_and_their_order() -> None:
    record = next(write.records(["Wisdom is gold."], [-2.00004], ["wisdom is silver"]))
    assert record == {
        "id": f"{id_of_normal('wisdom is gold'):016x}",
        "text": "Wisdom is gold.",
        "score": -2.0,
        "nearest": "wisdom is silver",
        "nearest_ratio": record["nearest_ratio"],
    }
    order = write.shuffled(range(100), 7)
    assert sorted(order) == list(range(100)) != order == write.shuffled(range(100), 7) != write.shuffled(range(100), 8)
