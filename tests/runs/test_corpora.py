"""Other writing than the Bible: tweets, one-line sayings, notes without delimiters (tests/corpora, our own)."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from post_tweet.xtext import problems, weighted_length

from training.cli import main as cli
from training.common.paths import ROOT
from training.common.text import normal_form
from training.corpus.read import load_corpus
from training.runs import stages

CORPORA = ROOT / "tests" / "corpora"

OPEN = """
model = "nano"
[corpus]
file = "{file}"
hold_out = 0.2
[finetune]
epochs = 12
[filter]
characters = ""
closed_vocabulary = false
"""


def bot(folder: Path, file: str, more: str = "") -> str:
    (folder / file).write_bytes((CORPORA / file).read_bytes())
    (folder / "bot.toml").write_text(OPEN.format(file=file) + more)
    return str(folder / "bot.toml")


def texts_in(path: Path) -> list[str]:
    return [json.loads(line)["text"] for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


def test_tweets_from_the_corpus_to_the_pool(
    tf1: Path, tmp_path: Path, models: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """nano, fine-tuned on tweets with emoji, links, names and hashtags: what it learnt of those stays out. Most of what
    passes is its Bible still, which a rule of its own would stop."""
    monkeypatch.setattr(stages, "MODELS", models)
    settings = bot(tmp_path, "tweets.jsonl", 'choose_from = 1.2\nskip = ["set-apart", "band", "base-like"]\n')
    line = ["run", "--force", "--bot", settings, "--count", "40"]
    line += ["--run", str(tmp_path / "run"), "--pool", str(tmp_path / "pool")]
    assert cli.main(line) == 0
    out = capsys.readouterr().out
    assert "Added 40 texts" in out and "  kept                    40" in out
    assert "7 of the 40 new texts:\n  " in out and "%  chosen\n" in out
    tweets = load_corpus(tmp_path / "run" / "corpus.txt")
    pool = texts_in(tmp_path / "run" / "pool.jsonl")
    assert len(set(map(normal_form, pool))) == 40 and not set(map(normal_form, pool)) & set(map(normal_form, tweets))
    for text in pool:
        assert not problems(text) and not any(c.isdigit() for c in text) and weighted_length(text) <= 280
    assert cli.main(["20" if word == "40" else word for word in line]) == 0
    out = capsys.readouterr().out
    assert "Added 20 texts" in out and "the pool now holds 60, 60 unused" in out, "each run adds as many as it says"
    added = texts_in(tmp_path / "run" / "pool.jsonl")
    assert not set(map(normal_form, added)) & set(map(normal_form, [*pool, *tweets]))
    sampled = "".join(texts_in(tmp_path / "run" / "candidates.jsonl"))
    assert any(ord(c) > 0x2000 for c in sampled), "it has learnt to write emoji"
    assert cli.main(["report", "--bot", settings, "--run", str(tmp_path / "run")]) == 0
    assert "Learnt?  Yes: texts of the corpus that it" in capsys.readouterr().out


def edited(texts: list[str], seed: int) -> list[str]:
    """Each text with a word changed, and as many made of halves."""
    rng = random.Random(seed)
    words = [text.split() for text in texts]
    made = []
    for text in words:
        other = rng.choice(words)
        made.append(" ".join([*text[:-1], "elephants."]))
        made.append(" ".join([*text[: len(text) // 2], *other[len(other) // 2 :]]))
    return made


@pytest.mark.parametrize(("file", "count"), [("sayings.txt", 41), ("notes.txt", 25), ("tweets.jsonl", 43)])
def test_text_alone_without_any_model(
    tmp_path: Path, file: str, count: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """`corpus`, `filter --calibrate`, `filter`, `fill` and `pool list` on files that this project never saw."""
    settings = bot(tmp_path, file)
    out = tmp_path / "out"
    assert cli.main(["corpus", str(tmp_path / file), "--out", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["texts"] == count
    texts = load_corpus(out / "corpus.txt")
    candidates = edited(texts, 1)
    (tmp_path / "new.txt").write_text("\n".join([*candidates, *texts]) + "\n")
    line = ["filter", str(tmp_path / "new.txt"), "--bot", settings, "--corpus", str(out / "corpus.txt")]
    assert cli.main([*line, "--calibrate"]) == 0
    table = capsys.readouterr().out
    assert f"| rule | real texts ({count}) | candidates ({3 * count}) |" in table and "| copy |" in table
    assert cli.main([*line, "--out", str(tmp_path / "pool.jsonl")]) == 0
    kept = texts_in(tmp_path / "pool.jsonl")
    verdicts = {
        v["text"]: v["verdict"] for v in map(json.loads, (tmp_path / "verdicts.jsonl").read_text().splitlines())
    }
    assert kept and not set(kept) & set(texts)
    assert all(verdicts[text] not in ("kept", "spare", "set-apart") for text in texts)
    long = [text for text in candidates if text.endswith("elephants.") and len(text.split()) > 8]
    assert long and all(verdicts[text] != "kept" for text in long), "a copy with its last word changed"
    assert cli.main(["fill", str(tmp_path / "pool.jsonl"), "--pool", str(tmp_path / "pool")]) == 0
    capsys.readouterr()
    # What is in the pool is history now.
    again = ["--history", str(tmp_path / "pool"), "--out", str(tmp_path / "again.jsonl")]
    assert cli.main([*line, *again]) == 0
    assert not set(texts_in(tmp_path / "again.jsonl")) & set(kept)


def test_hashtags_where_the_owner_wants_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = bot(tmp_path, "tweets.jsonl", 'skip = ["hashtag"]\n')
    (tmp_path / "new.txt").write_text(
        "The kettle and the cat are friends now #tea\nThe bread is friends with @anna now\n"
    )
    line = ["filter", str(tmp_path / "new.txt"), "--bot", settings, "--corpus", str(tmp_path / "tweets.jsonl")]
    assert cli.main([*line, "--out", str(tmp_path / "pool.jsonl")]) == 0
    assert texts_in(tmp_path / "pool.jsonl") == ["The kettle and the cat are friends now #tea"]
    # The function asks again before it posts, and is told by the record.
    pool = ["--pool", str(tmp_path / "pool")]
    assert cli.main(["fill", str(tmp_path / "pool.jsonl"), *pool]) == 0
    capsys.readouterr()
    assert cli.main(["post", *pool, "--dry-run"]) == 0
    assert json.loads(capsys.readouterr().out)["text"].endswith("#tea")
