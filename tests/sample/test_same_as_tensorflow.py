"""Tokens, logits and samples of a fine-tuned nano beside those of TensorFlow 1.15 and gpt-2-simple themselves."""

from __future__ import annotations

import json
import os
import subprocess
from collections import Counter
from contextlib import closing
from pathlib import Path

import ctranslate2
import numpy as np
import pytest

from tests.helpers import tiny
from tests.helpers.fine_tuned import Line
from tests.sample.test_native import CHANCE, chi_square
from training.common.errors import WrongUse
from training.corpus.read import load_corpus
from training.corpus.tokenizer import load_tokenizer
from training.model.converted import Converted, vocabulary
from training.model.trainers import TENSORFLOW
from training.sample.engine import Drawn, Plan
from training.sample.native.sampler import Model, Sampler
from training.sample.plan import make_engine
from training.sample.precision import measure
from training.settings import SampleSettings


def test_the_tokens_are_gpt_2_simple_s_own(line: Line) -> None:
    code = (
        "import json, sys; from gpt_2_simple.src import encoder; e = encoder.get_encoder(sys.argv[1]); "
        "print(json.dumps([e.encode(t) for t in json.loads(sys.argv[2])]))"
    )
    texts = [*load_corpus(line.bot.corpus_file)[:40], "Größe, 12 o'clock!  two  spaces 🙂 ", " x\ty"]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    theirs = subprocess.run(
        [str(TENSORFLOW.interpreter()), "-W", "ignore", "-c", code, str(line.base.folder), json.dumps(texts)],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    ).stdout.splitlines()[-1]
    tokenizer = load_tokenizer(line.base.folder)
    assert [e.ids for e in tokenizer.encode_batch(texts)] == json.loads(theirs)


def test_the_converted_model_s_logits_are_tensorflow_s(line: Line, tuned: Path, tuned_model: Path) -> None:
    """In float32 to 1e-4 on real verses (3e-6 is what is seen); int8's distance is small."""
    tokenizer = load_tokenizer(tuned)
    rows = [[4095, *tokenizer.encode(t).ids][:12] for t in load_corpus(line.bot.corpus_file) if len(t) > 100][:8]
    out = line.folder / "logits.npy"
    list(TENSORFLOW.events("logits", {"folder": tuned, "rows": rows, "out": out}, line.folder / "tf1.log"))
    theirs = np.load(out)
    generator = ctranslate2.Generator(str(tuned_model), compute_type="float32")
    tokens = vocabulary(tuned_model)
    ours = np.array(generator.forward_batch([[tokens[t] for t in row] for row in rows]))
    assert theirs.shape == ours.shape == (8, 12, 4096)
    assert np.abs(ours - theirs).max() < 1e-4
    found = measure(Plan("ctranslate2"), Converted(tuned_model), line.folder / "corpus.npz", line.folder)
    assert found.fine and found.mean > 0


def test_the_native_engine_s_logits_are_tensorflow_s(line: Line, tuned: Path, tuned_model: Path) -> None:
    """As far as int8 goes: no further off than CTranslate2's int8."""
    converted = Converted(tuned_model)
    row = [converted.end, *converted.tokenizer.encode(load_corpus(line.bot.corpus_file)[0]).ids]
    out = line.folder / "logits.npy"
    list(TENSORFLOW.events("logits", {"folder": tuned, "rows": [row], "out": out}, line.folder / "tf1.log"))
    native = Model(tuned_model, converted.end)
    ours = Sampler(native, seats=1, most=64, prefixes=[[converted.end]], temperatures=[1.0]).logits(row)
    names = converted.token_names()
    generator = ctranslate2.Generator(str(tuned_model), compute_type="int8")
    theirs = np.array(generator.forward_batch([[names[t] for t in row]]))[0]

    def off(logits: np.ndarray) -> float:
        """Mean difference of log-probabilities."""
        one, other = (x - np.logaddexp.reduce(x, axis=1, keepdims=True) for x in (logits, np.load(out)[0]))
        return float(np.abs(one - other).mean())

    assert off(ours) < max(1.3 * off(theirs), 0.05)


def test_gpt_2_simple_s_engine_draws_from_the_same_distribution(line: Line, tuned: Path, tuned_model: Path) -> None:
    """First tokens of 3,000 texts after two prefixes at two temperatures, against the exact probabilities of
    TensorFlow's logits, all four pairs apart; and the log-probabilities against CTranslate2's."""
    settings = SampleSettings(max_tokens=6, temperatures=(0.7, 1.3), prefixes=("", "he that"), top_k=30, top_p=1.0)
    converted = Converted(tuned_model)
    engine = make_engine(Plan("gpt-2-simple", batch=250), converted, settings, None, line.folder)
    drawn: list[Drawn] = []
    with closing(engine.draw(0)) as batches:
        while len(drawn) < 6000:
            drawn += next(batches)
    assert sorted(d.number for d in drawn) == list(range(6000)), "every number once"
    native = Sampler(
        Model(tuned_model, converted.end),
        seats=1,
        most=16,
        prefixes=[[converted.end]],
        temperatures=[1.0],
    )
    rows = [converted.prompt(prefix) for prefix in settings.prefixes]
    out, theirs = line.folder / "logits.npy", []
    for row in rows:
        list(TENSORFLOW.events("logits", {"folder": tuned, "rows": [row], "out": out}, line.folder / "tf1.log"))
        theirs.append(np.load(out)[0, -1].astype(np.float64))
    for pair in range(4):
        exact = tiny.distribution(theirs[pair % 2], settings.temperatures[pair // 2], top_k=30)
        counts = Counter((d.rows[0],) for d in drawn if d.number % 4 == pair)
        expected = {(t,): exact[t] for t in np.flatnonzero(exact).tolist()}
        assert chi_square(counts, expected, counts.total()) > CHANCE
    assert {d.status for d in drawn} == {"finished", "unfinished"}
    for d in drawn[:20]:
        assert (d.rows[-1] == converted.end) == (d.status == "finished") and len(d.rows) <= 6
        after = native.logits([*rows[d.number % 2], *d.rows[:-1]])[len(rows[d.number % 2]) - 1 :].astype(np.float64)
        logs = [float(x[t] - np.logaddexp.reduce(x)) for x, t in zip(after, d.rows, strict=True)]
        assert d.logprob == pytest.approx(np.mean(logs), abs=0.1)


def test_a_trimmed_model_is_not_for_gpt_2_simple(tmp_path: Path) -> None:
    converted = Converted(tiny.model(tmp_path, [*range(100), tiny.END]))
    with pytest.raises(WrongUse, match="convert --vocabulary full"):
        make_engine(Plan("gpt-2-simple"), converted, SampleSettings(max_tokens=8), None, tmp_path)
