"""Kept texts → pool.jsonl: scored, with the nearest original beside each, shuffled.

Out: {"id", "text", "score" (mean log-probability, nats a token), "nearest" (the most similar text
of the corpus), "nearest_ratio" (rapidfuzz, 0 to 100)}.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rapidfuzz import fuzz, process

from training.manifest import write_whole
from training.text import normal_form, text_id


def curate(kept: list[tuple[str, float]], corpus: list[str], seed: int) -> Iterator[dict[str, Any]]:
    """Yield pool records of `kept` (text, score), in an order that says nothing about how they came."""
    normals = [normal_form(text) for text in corpus]
    order = list(kept)
    random.Random(seed).shuffle(order)
    for text, score in order:
        # The whole corpus is some hundred texts: brute force finds the true nearest, whatever its ratio.
        found = process.extractOne(normal_form(text), normals, scorer=fuzz.ratio, processor=None)
        nearest, ratio = (corpus[found[2]], round(found[1], 1)) if found else ("", 0.0)
        yield {"id": text_id(text), "text": text, "score": score, "nearest": nearest, "nearest_ratio": ratio}


def write_pool(path: Path, records: list[dict[str, Any]]) -> None:
    write_whole(path, "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records))
