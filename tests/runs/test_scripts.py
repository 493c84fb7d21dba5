"""Sixteen languages from the corpus to the place where they are posted: no byte is altered on the way, and pools that
were filled before marks counted as letters go on."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from post_tweet.pool import Pool
from post_tweet.store import open_store
from post_tweet.xtext import problems

from tests.common.test_text import as_before
from tests.helpers.scripts import ROWS, SENTENCES, of
from training.cli import main as cli
from training.common import jsonl
from training.corpus.read import load_built
from training.judge.judge import Judge, Reference
from training.sample.candidates import Candidate
from training.settings import FilterSettings

OPEN = """
count = 1000
[filter]
characters = ""
closed_vocabulary = false
common_words = 0
"""


def written(path: Path) -> list[str]:
    return [record["text"] for record in jsonl.records(path)]


@pytest.mark.parametrize("half", [0, 1])
def test_from_the_corpus_to_the_pool(tmp_path: Path, half: int, capsys: pytest.CaptureFixture[str]) -> None:
    corpus, others = SENTENCES[half::2], SENTENCES[1 - half :: 2]
    jsonl.write(tmp_path / "corpus.jsonl", ROWS[half::2])
    jsonl.write(tmp_path / "candidates.jsonl", ({"text": text} for text in others))
    (tmp_path / "bot.toml").write_text(OPEN)
    run = tmp_path / "run"
    assert cli.main(["corpus", str(tmp_path / "corpus.jsonl"), "--out", str(run)]) == 0
    assert (run / "corpus.txt").read_bytes() == ("\n==========\n".join(corpus) + "\n").encode()
    assert load_built(run / "corpus.txt") == corpus
    line = ["filter", str(tmp_path / "candidates.jsonl"), "--corpus", str(run / "corpus.txt"), "--bot", str(tmp_path)]
    assert cli.main([*line, "--out", str(tmp_path / "pool.jsonl")]) == 0
    assert sorted(written(tmp_path / "pool.jsonl")) == sorted(others)
    pool = ["--pool", str(tmp_path / "pool")]
    assert cli.main(["fill", str(tmp_path / "pool.jsonl"), *pool]) == 0
    assert cli.main(["fill", str(tmp_path / "pool.jsonl"), *pool]) == 0
    assert "Nothing added" in capsys.readouterr().out
    stored = [record["text"] for record in Pool(open_store(str(tmp_path / "pool"))).records()]
    assert stored == written(tmp_path / "pool.jsonl")
    assert [text for text in stored if problems(text)] == []
    assert cli.main(["pool", "list", "0", *pool]) == 0
    shown = capsys.readouterr().out
    for number, text in enumerate(stored[:20]):
        first, *rest = text.splitlines()
        assert f"{number:>8}{'':13}{first}\n" in shown and all(f"\n{'':21}{line}\n" in shown for line in rest)
    again = [*line, "--history", str(tmp_path / "pool"), "--out", str(tmp_path / "again.jsonl")]
    assert cli.main(again) == 0
    assert written(tmp_path / "again.jsonl") == []


def before(text: str) -> dict[str, Any]:
    """A record as it was made before marks counted as letters."""
    id = hashlib.blake2b(as_before(text).encode(), digest_size=8).hexdigest()
    return {"id": id, "text": text, "score": -1.0, "nearest": "", "nearest_ratio": 0.0}


HINDI = ["कि पानी दिन राज", "का पाना दान राजा", "की पीना दीन राजी", "कु पुना दुन राजु"]


def test_an_old_pool_neither_refuses_nor_repeats(tmp_path: Path) -> None:
    """Of the four Hindi texts, which had one id together, one is in it; all others of their kind may come."""
    old = [HINDI[0], *of("hi"), *of("th"), *of("de"), *of("ja")]
    assert len({before(text)["id"] for text in HINDI}) == 1
    url = str(tmp_path / "pool")
    pool = Pool(open_store(url))
    assert pool.append([before(text) for text in old], "old").added == len(old)
    assert pool.verify() == []
    for path in ("old.jsonl", "new.jsonl"):
        jsonl.write(tmp_path / path, [before(text) for text in [*old, *HINDI]])
        assert cli.main(["fill", str(tmp_path / path), "--pool", url]) == 0
        assert [record["text"] for record in pool.records()] == [*old, *HINDI[1:]]
    assert pool.verify() == []
    judge = Judge(FilterSettings(characters="", closed_vocabulary=False, lines=(1, 3)), Reference(history=old))
    found = judge.verdicts([Candidate(text, 0, 0.0, True, 1.0) for text in [*old, *of("ta")]])
    assert [v.verdict for v in found if v.text in old] == ["duplicate"] * len(old)
    assert "duplicate" not in [v.verdict for v in found if v.text not in old]


def test_ids_of_what_is_written_without_marks_are_the_old_ones(tmp_path: Path) -> None:
    jsonl.write(tmp_path / "pool.jsonl", map(before, of("de")))
    assert cli.main(["fill", str(tmp_path / "pool.jsonl"), "--pool", str(tmp_path / "pool")]) == 0
    assert [json.dumps(record) for record in Pool(open_store(str(tmp_path / "pool"))).records()] == [
        json.dumps(before(text)) for text in of("de")
    ]
