"""Sentences in sixteen languages and thirteen scripts, ten each, our own: tests/corpora/scripts.jsonl."""

from __future__ import annotations

import json

from training.common.paths import ROOT

FILE = ROOT / "tests" / "corpora" / "scripts.jsonl"
ROWS = [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]
SENTENCES: list[str] = [row["text"] for row in ROWS]


def of(language: str) -> list[str]:
    """Those of a language, by its code."""
    return [row["text"] for row in ROWS if row["language"] == language]
