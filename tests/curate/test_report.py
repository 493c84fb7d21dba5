"""The numbers of the report: against sacrebleu, by hand, and on a run."""

from __future__ import annotations

import gzip
import json
import math
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sacrebleu.metrics import BLEU

from tests.helpers import labelled
from training.common.errors import WrongUse
from training.common.text import DELIMITER, normal_form
from training.curate import report
from training.settings import Bot

WORDS = st.lists(st.sampled_from(["a", "b", "c", "d", "e"]), max_size=9)


def by_sacrebleu(texts: list[list[str]]) -> float:
    bleu = BLEU(tokenize="none", effective_order=True)
    lines = [" ".join(words) for words in texts]
    scores = [bleu.sentence_score(line, lines[:i] + lines[i + 1 :]).score for i, line in enumerate(lines)]
    return sum(scores) / len(scores)


@settings(max_examples=100, deadline=None)
@given(st.lists(WORDS, min_size=2, max_size=6))
def test_self_bleu_is_sacrebleus(texts: list[list[str]]) -> None:
    texts = [words for words in texts if words]
    if len(texts) > 1:
        assert math.isclose(report.self_bleu(texts), by_sacrebleu(texts), abs_tol=1e-6)


def test_self_bleu_of_verses() -> None:
    texts = [normal_form(verse).split() for verse in labelled.proverbs()[:60]]
    assert math.isclose(report.self_bleu(texts), by_sacrebleu(texts), abs_tol=1e-6)
    assert report.self_bleu([["a"]]) == 0


def test_novelty_distinct_and_compression() -> None:
    training = [["a", "b", "c"], ["c", "d"]]
    assert report.novelty([["a", "b", "d"], ["c", "d"]], training, 2) == 1 / 3
    assert report.novelty([["a"]], training, 2) == 0
    assert report.distinct([["a", "b", "a", "b"], ["a", "b"]], 2) == 2 / 4
    assert report.cut([["a", "b"], ["c", "d"], ["e"]], 3) == [["a", "b"], ["c"]]
    texts = [["wisdom"] * 9] * 20
    data = "\n".join(["wisdom " * 8 + "wisdom"] * 20).encode()
    assert math.isclose(report.compression(texts), len(data) / len(gzip.compress(data, 9, mtime=0)))


def test_the_human_baseline_is_the_one_that_is_known() -> None:
    """Share of runs of 2 to 6 words of a verse of Proverbs that no other verse of the book holds."""
    texts = [normal_form(verse).split() for verse in labelled.proverbs()]
    rng = random.Random(1)
    for n, expected in zip(report.NOVELTY, (0.41, 0.74, 0.88, 0.94, 0.96), strict=True):
        new = []
        for _ in range(10):
            held = set(rng.sample(range(len(texts)), len(texts) // 10))
            part = [texts[i] for i in held], [words for i, words in enumerate(texts) if i not in held]
            new.append(report.novelty(*part, n))
        assert abs(sum(new) / len(new) - expected) < 0.04, n


def test_nearest_leaves_the_text_itself_out() -> None:
    texts = ["a wise son", "a wise sun", "the king"]
    assert report.nearest(texts, texts) == [100, 100, 100]
    assert report.nearest(texts, texts, same=True)[:2] == [90, 90]


def test_a_report_of_a_run(tmp_path: Path) -> None:
    texts = labelled.proverbs()[:200]
    (tmp_path / "corpus.txt").write_text(DELIMITER.join(texts))
    bot = Bot("t", tmp_path)
    with pytest.raises(WrongUse, match=r"There are no texts in .* yet; `deepproverbs run` writes some"):
        report.report(bot, tmp_path)
    pool = [*labelled.carriers(50, 1), texts[0]]
    (tmp_path / "pool.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in pool))
    (tmp_path / "metrics.jsonl").write_text('{"held_out": 4.0}\n{"held_out": 3.0}\n{"held_out": 3.5}\n{"x": 1}\n')
    result = report.report(bot, tmp_path)
    assert result == json.loads((tmp_path / "quality.json").read_text())
    assert set(result["sets"]) == {"pool", "held-out texts"} and result["training_texts"] == 180
    assert result["held_out_loss"] == {"before": 4.0, "best": 3.0}
