"""The real parts, together: TensorFlow 1.15 fine-tunes nano on the real Proverbs, CTranslate2 samples,
the filters keep, the pool goes to moto's S3, tweepy posts to X on loopback. Nothing is faked but the wire's far end."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import ctranslate2
import numpy as np
import pytest
from post_tweet import app
from post_tweet.pool import Pool
from post_tweet.store import open_store

from data.proverbs import prepare
from tests import tiny
from tests.locked_moto import BUCKET, locked_moto
from tests.loopback_x import loopback_x
from tests.test_native import chi_square
from training import base_model, calibrate, cli, convert, run
from training.base_model import BaseModel
from training.calibrate import Plan
from training.config import Bot, FinetuneSettings, SampleSettings, load
from training.converted import Converted, vocabulary
from training.corpus import load_corpus, load_tokenizer
from training.engines import Drawn
from training.errors import WrongUse
from training.finetune import finetune, plan
from training.native.sampler import Model, Sampler
from training.tf1_process import run_program, tf1_python

ROOT = Path(__file__).resolve().parents[1]
QUIET: list[str] = []


@dataclass
class Line:
    """What the stages before a test have made."""

    bot: Bot
    folder: Path
    base: BaseModel


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Line:
    """nano in OpenAI's layout, and a bot with a quarter of the real Proverbs (230 verses)."""
    folder = tmp_path_factory.mktemp("line")
    prepare.main(folder)
    texts = load_corpus(folder / "corpus.txt")[::4]
    (folder / "corpus.txt").write_text("\n==========\n".join(texts) + "\n")
    shutil.copy(ROOT / "data" / "proverbs" / "bot.toml", folder)
    bot = load(folder / "bot.toml")
    base = base_model.locate("nano", tmp_path_factory.mktemp("models"))
    run.build_corpus(bot, [bot.corpus_file], folder / "run", base.folder, QUIET.append)
    return Line(bot, folder / "run", base)


@pytest.fixture(scope="module")
def tuned(line: Line) -> Path:
    """A checkpoint after one epoch on whole texts: 7 steps."""
    return finetune(line.folder, line.base, FinetuneSettings(epochs=1, batch_size=32), QUIET.append)


@pytest.fixture(scope="module")
def model(line: Line, tuned: Path) -> Path:
    return convert.convert(line.folder, tuned, QUIET.append)


def metrics(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(text) for text in (folder / "metrics.jsonl").read_text().splitlines()]


def test_fine_tuning_lowers_the_held_out_loss(line: Line, tuned: Path) -> None:
    before, after = metrics(line.folder)
    assert after["held_out"] < before["held_out"] - 0.1
    assert (before["epoch"], after["epoch"], after["step"]) == (0, 1, 7)
    said: list[str] = []
    finetune(line.folder, line.base, FinetuneSettings(epochs=1, batch_size=32), said.append)
    assert "already done" in said[0]


def test_the_tokens_are_gpt_2_simple_s_own(line: Line) -> None:
    code = (
        "import json, sys; from gpt_2_simple.src import encoder; e = encoder.get_encoder(sys.argv[1]); "
        "print(json.dumps([e.encode(t) for t in json.loads(sys.argv[2])]))"
    )
    texts = [*load_corpus(line.bot.corpus_file)[:40], "Größe, 12 o'clock!  two  spaces 🙂 ", " x\ty"]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    theirs = subprocess.run(
        [str(tf1_python()), "-W", "ignore", "-c", code, str(line.base.folder), json.dumps(texts)],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    ).stdout.splitlines()[-1]
    tokenizer = load_tokenizer(line.base.folder)
    assert [e.ids for e in tokenizer.encode_batch(texts)] == json.loads(theirs)


def test_the_converted_model_s_logits_are_tensorflow_s(line: Line, tuned: Path, model: Path) -> None:
    """In float32 to 1e-4 on real verses (3e-6 is what is seen); int8's distance is reported, and small."""
    tokenizer = load_tokenizer(tuned)
    rows = [[4095, *tokenizer.encode(t).ids][:12] for t in load_corpus(line.bot.corpus_file) if len(t) > 100][:8]
    out = line.folder / "logits.npy"
    list(run_program("logits", {"folder": tuned, "rows": rows, "out": out}, line.folder / "tf1.log"))
    theirs = np.load(out)
    generator = ctranslate2.Generator(str(model), compute_type="float32")
    tokens = vocabulary(model)
    ours = np.array(generator.forward_batch([[tokens[t] for t in row] for row in rows]))
    assert theirs.shape == ours.shape == (8, 12, 4096)
    assert np.abs(ours - theirs).max() < 1e-4
    report = convert.precision(model, line.folder / "corpus.npz")
    assert abs(report.loss_float32 - metrics(line.folder)[-1]["held_out"]) < 0.01
    assert 0 < report.mean_difference < 0.1 and abs(report.loss - report.loss_float32) < 0.05


def test_the_native_engine_s_logits_are_tensorflow_s(line: Line, tuned: Path, model: Path) -> None:
    """As far as int8 goes: no further off than CTranslate2's int8."""
    converted = Converted(model)
    row = [converted.end, *converted.tokenizer.encode(load_corpus(line.bot.corpus_file)[0]).ids]
    out = line.folder / "logits.npy"
    list(run_program("logits", {"folder": tuned, "rows": [row], "out": out}, line.folder / "tf1.log"))
    native = Model(model, converted.hparams["n_head"], converted.end)
    ours = Sampler(native, seats=1, most=64, prefixes=[[converted.end]], temperatures=[1.0]).logits(row)
    names = converted.token_names()
    generator = ctranslate2.Generator(str(model), compute_type="int8")
    theirs = np.array(generator.forward_batch([[names[t] for t in row]]))[0]

    def off(logits: np.ndarray) -> float:
        """Mean difference of log-probabilities."""
        one, other = (x - np.logaddexp.reduce(x, axis=1, keepdims=True) for x in (logits, np.load(out)[0]))
        return float(np.abs(one - other).mean())

    assert off(ours) < max(1.3 * off(theirs), 0.05)


def test_gpt_2_simple_s_engine_draws_from_the_same_distribution(line: Line, tuned: Path, model: Path) -> None:
    """First tokens of 3,000 texts after two prefixes at two temperatures, against the exact probabilities of
    TensorFlow's logits, all four pairs apart; and the log-probabilities against CTranslate2's."""
    settings = SampleSettings(max_tokens=6, temperatures=(0.7, 1.3), prefixes=("", "he that"), top_k=30)
    converted = Converted(model)
    engine = calibrate.make(Plan("gpt-2-simple", batch=250), converted, settings, None, line.folder)
    drawn: list[Drawn] = []
    with closing(engine.draw(0)) as batches:
        while len(drawn) < 6000:
            drawn += next(batches)
    assert sorted(d.number for d in drawn) == list(range(6000)), "every number once"
    native = Sampler(
        Model(model, converted.hparams["n_head"], converted.end),
        seats=1,
        most=16,
        prefixes=[[converted.end]],
        temperatures=[1.0],
    )
    rows = [converted.prompt(prefix) for prefix in settings.prefixes]
    out = line.folder / "logits.npy"
    for pair in range(4):
        list(run_program("logits", {"folder": tuned, "rows": [rows[pair % 2]], "out": out}, line.folder / "tf1.log"))
        exact = tiny.distribution(np.load(out)[0, -1].astype(np.float64), settings.temperatures[pair // 2], top_k=30)
        counts: dict[tuple[int, ...], int] = {}
        mine = [d for d in drawn if d.number % 4 == pair]
        for d in mine:
            counts[(d.rows[0],)] = counts.get((d.rows[0],), 0) + 1
        assert chi_square(counts, {(t,): exact[t] for t in np.flatnonzero(exact).tolist()}, len(mine)) > 1e-4
    assert {d.status for d in drawn} == {"finished", "unfinished"}
    for d in drawn[:20]:
        assert (d.rows[-1] == converted.end) == (d.status == "finished") and len(d.rows) <= 6
        after = native.logits([*rows[d.number % 2], *d.rows[:-1]])[len(rows[d.number % 2]) - 1 :].astype(np.float64)
        logs = [float(x[t] - np.logaddexp.reduce(x)) for x, t in zip(after, d.rows, strict=True)]
        assert d.logprob == pytest.approx(np.mean(logs), abs=0.1)


def test_a_trimmed_model_is_not_for_gpt_2_simple(tmp_path: Path) -> None:
    converted = Converted(tiny.model(tmp_path, [*range(100), tiny.END]))
    with pytest.raises(WrongUse, match="convert --vocabulary full"):
        calibrate.make(Plan("gpt-2-simple"), converted, SampleSettings(max_tokens=8), None, tmp_path)


def test_gpt_2_simple_itself_loads_and_samples_the_checkpoint(tuned: Path) -> None:
    code = (
        "import sys, gpt_2_simple as g; s = g.start_tf_sess(); g.load_gpt2(s, checkpoint_dir=sys.argv[1]); "
        "print('TEXT', len(g.generate(s, checkpoint_dir=sys.argv[1], length=8, return_as_list=True)[0]))"
    )
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    result = subprocess.run(
        [str(tf1_python()), "-W", "ignore", "-c", code, str(tuned.parent)],
        capture_output=True,
        text=True,
        env=environment,
        cwd=tuned.parent,
    )
    assert "TEXT" in result.stdout, result.stderr[-800:]


def test_windows_is_gpt_2_simple_s_finetune(line: Line) -> None:
    folder = line.folder.parent / "windows"
    folder.mkdir()
    shutil.copy(line.folder / "corpus.npz", folder)
    settings = FinetuneSettings(recipe="windows", epochs=1)
    assert plan(settings, line.base, folder / "corpus.npz").steps_per_epoch in (4, 5)
    checkpoint = finetune(folder, line.base, settings, QUIET.append)
    before, after = metrics(folder)
    assert after["held_out"] < before["held_out"]
    assert (checkpoint / "counter").read_text().strip() == str(after["step"])


def test_kill_9_during_fine_tuning_goes_on_where_it_was(line: Line) -> None:
    """Killed after a save, resumed: the steps before the save are not run again, and the end is that of
    an uninterrupted run."""
    arguments = {
        "base": line.base.folder,
        "corpus": line.folder / "corpus.npz",
        "epochs": 2,
        "batch_size": 32,
        "learning_rate": 3e-4,
        "layers": "all",
        "memory_saving": False,
        "seed": 1,
        "save_seconds": 0,
    }

    def folders(name: str) -> dict[str, Any]:
        at = line.folder.parent / name
        at.mkdir()
        return {**arguments, "checkpoint": at / "checkpoint", "resume": at / "resume", "metrics": at / "metrics.jsonl"}

    whole, killed = folders("whole"), folders("killed")
    list(run_program("finetune_texts", whole, line.folder / "tf1.log"))
    program = [str(tf1_python()), str(ROOT / "training" / "tf1" / "finetune_texts.py"), json.dumps(killed, default=str)]
    process = subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    for text in process.stdout:
        if json.loads(text).get("step") == 5 and json.loads(text)["event"] == "step":
            break
    time.sleep(0.3)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    events = list(run_program("finetune_texts", killed, line.folder / "tf1.log"))
    resumed = events[0]
    assert resumed["event"] == "resumed" and resumed["batch"] >= 4
    first = next(e["step"] for e in events if e["event"] == "step")
    assert first == 7 * (resumed["epoch"] - 1) + resumed["batch"] + 1
    ours, theirs = ([json.loads(text) for text in Path(f["metrics"]).read_text().splitlines()] for f in (killed, whole))
    assert [x["held_out"] for x in ours] == pytest.approx([x["held_out"] for x in theirs], abs=2e-3)


def test_memory_saving_and_fixed_embeddings_train_too(line: Line) -> None:
    at = line.folder.parent / "saving"
    at.mkdir()
    settings = FinetuneSettings(epochs=1, memory_saving="on", layers="transformer", batch_size=64)
    shutil.copy(line.folder / "corpus.npz", at)
    checkpoint = finetune(at, line.base, settings, QUIET.append)
    before, after = metrics(at)
    assert after["held_out"] < before["held_out"]
    arrays = []
    for folder in (line.base.folder, checkpoint):
        list(run_program("export", {"folder": folder, "out": at / "weights.npz"}, at / "tf1.log"))
        arrays.append(dict(np.load(at / "weights.npz")))
    same = {name for name in arrays[0] if np.array_equal(arrays[0][name], arrays[1][name])}
    assert same == {"model/wte", "model/wpe", "model/ln_f/g", "model/ln_f/b"}


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with locked_moto():
        for name, value in {"POOL_URL": f"s3://{BUCKET}/bot", "X_CREDENTIALS_PARAMETER": "/bot/x"}.items():
            monkeypatch.setenv(name, value)
        app.secret.cache_clear()
        yield


def test_from_the_corpus_to_a_post_once(line: Line, model: Path, aws: None, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    pool_file = run.sample_and_filter(replace(line.bot, count=50), line.folder, model, [], QUIET.append)
    assert "Added" in cli.filled(pool_file, f"s3://{BUCKET}/bot", "test")
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
        command = [
            "post",
            "--bot",
            str(line.bot.folder / "bot.toml"),
            "--checkpoint",
            str(tuned.parent),
            "--creds",
            str(tmp_path / "twitter.json"),
            "--run",
            str(tmp_path / "run"),
            "--slot",
        ]
        assert [cli.main([*command, slot]) for slot in ("one", "two", "two")] == [0, 0, 0]
        outcomes = [json.loads(text)["outcome"] for text in capsys.readouterr().out.splitlines() if text[0] == "{"]
        assert outcomes == ["posted", "posted", "already-settled"] and len(set(x.published)) == 2


def test_the_tensorflow_programs_are_python_3_7() -> None:
    """mypy no longer knows that Python; that Python itself does."""
    files = [str(path) for path in (ROOT / "training" / "tf1").glob("*.py")]
    assert len(files) >= 6 and sys.version_info >= (3, 11)
    code = "import sys, ast; [ast.parse(open(f, encoding='utf-8').read(), f) for f in sys.argv[1:]]"
    subprocess.run([str(tf1_python()), "-c", code, *files], check=True)


def test_ctrl_c_during_fine_tuning_keeps_what_was_done(line: Line, tmp_path: Path) -> None:
    """The terminal sends SIGINT to the program and to TensorFlow's; the second start goes on from there."""
    shutil.copytree(line.bot.folder, tmp_path / "bot", ignore=shutil.ignore_patterns("run", "windows", "saving"))
    code = "import sys; from training import cli, run; from pathlib import Path; run.MODELS = Path(sys.argv.pop(1)); "
    command = [sys.executable, "-c", f"{code}sys.exit(cli.main())", str(line.base.folder.parent), "finetune"]
    command += ["--bot", str(tmp_path / "bot" / "bot.toml"), "--model", "nano", "--run", str(tmp_path / "run")]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'functions'}"}
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
        # A shell's background jobs ignore SIGINT and hand that down; a terminal's do not.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stdout is not None
    for text in process.stdout:
        if text.startswith("  epoch 1"):
            break
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "saved; the same command goes on" in out, err[-500:]
    assert err.splitlines()[-1].startswith("Stopped;") and "Traceback" not in err
    again = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert again.returncode == 0 and "going on in epoch 2" in again.stdout and "  epoch 1" not in again.stdout
