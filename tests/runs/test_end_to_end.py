"""The real parts, together: TensorFlow 1.15 fine-tunes nano on the real Proverbs, CTranslate2 samples,
the filters keep, the pool goes to moto's S3, tweepy posts to X on loopback. Nothing is faked but the wire's far end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import boto3
import pytest
from post_tweet import app
from post_tweet.pool import Pool
from post_tweet.store import open_store

from tests.helpers.fine_tuned import QUIET, Line
from tests.helpers.locked_moto import BUCKET, locked_moto
from tests.helpers.loopback_x import loopback_x
from tests.helpers.sampling import quick_bot
from training.cli import main as cli
from training.corpus.read import load_corpus
from training.curate import fill
from training.runs.until_enough import sample_and_filter


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with locked_moto():
        for name, value in {"POOL_URL": f"s3://{BUCKET}/bot", "X_CREDENTIALS_PARAMETER": "/bot/x"}.items():
            monkeypatch.setenv(name, value)
        app.secret.cache_clear()
        yield


def test_from_the_corpus_to_a_post_once(
    line: Line, tuned_model: Path, aws: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool_file = sample_and_filter(replace(line.bot, count=50), line.folder, tuned_model, [], QUIET.append)
    assert fill.fill(pool_file, f"s3://{BUCKET}/bot", "test").added >= 50
    texts = {json.loads(text)["text"] for text in pool_file.read_text().splitlines()}
    originals = set(load_corpus(line.bot.corpus_file)) | set(load_corpus(line.bot.reference_files[0]))
    assert len(texts) >= 50 and not texts & originals
    with loopback_x() as x:
        boto3.client("ssm").put_parameter(Name="/bot/x", Type="SecureString", Value=x.twitter_json)
        monkeypatch.setenv("X_API_URL", x.url)
        event = {"schedule_arn": "arn:aws:scheduler:::schedule/s", "scheduled_time": "2026-01-01T09:00:00Z"}
        assert app.handler(event, None)["outcome"] == "posted"
        assert app.handler(event, None)["outcome"] == "already-settled"
        assert len(x.published) == 1 and x.published[0] in texts
    assert Pool(open_store(f"s3://{BUCKET}/bot")).load()[0].next == 1


def test_the_original_s_own_command_tweets_from_a_checkpoint(
    line: Line, tuned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`make tweet CHECKPOINT_DIR=… TWITTER_CREDS=…` is this command."""
    with loopback_x() as x:
        (tmp_path / "twitter.json").write_text(x.twitter_json)
        monkeypatch.setenv("X_API_URL", x.url)
        command = ["post", "--bot", str(line.bot.folder / "bot.toml"), "--checkpoint", str(tuned.parent)]
        command += ["--creds", str(tmp_path / "twitter.json"), "--run", str(tmp_path / "run"), "--slot"]
        assert [cli.main([*command, slot]) for slot in ("one", "two", "two")] == [0, 0, 0]
        outcomes = [json.loads(text)["outcome"] for text in capsys.readouterr().out.splitlines() if text[0] == "{"]
        assert outcomes == ["posted", "posted", "already-settled"] and len(set(x.published)) == 2


def test_a_checkpoint_s_texts_are_its_own(
    line: Line, tuned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """After texts of one checkpoint, another in the same folder posts none of those that wait; a slot posts once."""
    (tmp_path / "bot").mkdir()
    settings, other = quick_bot(tmp_path / "bot"), line.base.folder
    pool = Pool(open_store(str(tmp_path / "run" / "pool")))
    with loopback_x() as x:
        (tmp_path / "twitter.json").write_text(x.twitter_json)
        monkeypatch.setenv("X_API_URL", x.url)
        command = ["post", "--bot", str(settings), "--creds", str(tmp_path / "twitter.json")]
        command += ["--run", str(tmp_path / "run"), "--checkpoint"]
        assert cli.main([*command, str(tuned.parent), "--slot", "one"]) == 0
        first = pool.load()[0]
        assert cli.main([*command, str(other), "--slot", "two"]) == 0
        said = capsys.readouterr().out
        assert f"{first.remaining} texts of another checkpoint are withdrawn" in said
        later = pool.load()[0]
        assert later.next == first.total + 1 and x.published[1] == pool.record(later, first.total)["text"]
        assert cli.main([*command, str(other), "--slot", "one"]) == 0
        assert cli.main([*command, str(other), "--slot", "three"]) == 0
        assert len(x.published) == 3 and pool.load()[0].total == later.total
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "bot.toml").write_bytes(settings.read_bytes())
    command[command.index(str(settings))] = str(tmp_path / "copy" / "bot.toml")
    assert cli.main([*command, str(other), "--dry-run"]) == 2
    assert "of the same name" in capsys.readouterr().err
