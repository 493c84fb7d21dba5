"""The trimmed vocabulary: what stays, what it costs, and when it is left alone."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import ctranslate2
import numpy as np
import pytest

from tests.helpers import nano, tiny
from training.common.errors import WrongUse
from training.common.text import END_OF_TEXT
from training.model import convert, trim
from training.model.converted import Converted, named
from training.settings import SampleSettings

SETTINGS = SampleSettings(max_tokens=24, temperatures=(0.9,), top_p=1.0)
SAYINGS = [
    f"the {a} {b} the {c}." for a in ("sun", "dog", "king") for b in ("eats", "sees") for c in ("house", "wise man")
]


@pytest.fixture
def padded(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """nano with 9,000 rows more, which the model never writes: like the 50,257 of GPT-2 to a bot."""
    with np.load(nano.NANO / "weights.npz") as weights:
        arrays = {name: weights[name].astype(np.float32) for name in weights.files}
    # logits = wte h: the outputs h, found backwards from logits, and a row whose logit is -15 for all of them.
    wte = arrays["model/wte"]
    backwards = np.linalg.pinv(wte)
    generator, h = ctranslate2.Generator(str(model), intra_threads=1), []
    with monkeypatch.context() as patch:
        patch.setattr(trim, "TEXTS", 100)
        texts = trim._sampled(generator, Converted(model), SETTINGS)
    for text in texts:
        logits = np.asarray(generator.forward_batch([[END_OF_TEXT, *text]]))[0]
        h.append((backwards @ logits.T).T)
    outputs = np.concatenate(h)
    low = np.linalg.lstsq(outputs, np.full(len(outputs), -15.0), rcond=None)[0]
    arrays["model/wte"] = np.concatenate([wte, np.tile(low, (9000, 1))]).astype(np.float32)
    source = tmp_path / "source"
    source.mkdir()
    for name in ("encoder.json", "vocab.bpe"):
        shutil.copy(nano.NANO / name, source)
    hparams = json.loads((nano.NANO / "hparams.json").read_text()) | {"n_vocab": len(wte) + 9000}
    (source / "hparams.json").write_text(json.dumps(hparams))
    convert.write_model(arrays, source, tmp_path / "model")
    return tmp_path / "model"


def rows_of(model: Path, texts: list[str] = SAYINGS) -> list[list[str]]:
    """Token names."""
    converted = Converted(model)
    return [encoding.tokens for encoding in converted.tokenizer.encode_batch(texts)]


@pytest.mark.slow
@pytest.mark.usefixtures("verbose")
def test_rows_that_the_model_does_not_write_are_left_out(padded: Path) -> None:
    said: list[str] = []
    found = trim.choose_rows(padded, SAYINGS, rows_of(padded), SETTINGS, said.append)
    assert found is not None, said
    converted = Converted(padded)
    assert found.of == len(converted.ids) and len(found.rows) % trim.ROUND == 0
    assert {t for text in SAYINGS for t in converted.tokenizer.encode(text).ids} | {converted.end} <= set(found.rows)
    assert max(found.cut_sampled, found.cut_held_out) <= trim.HARMLESS and found.saved >= trim.WORTH
    assert "the others hold" in said[0] and "of the arithmetic saved" in said[0]


def test_the_mass_that_is_cut_off_is_what_it_says(model: Path) -> None:
    """By another way: log-probabilities of a NumPy softmax, text by text."""
    converted = Converted(model)
    names, generator = converted.token_names(), ctranslate2.Generator(str(model), compute_type="int8")
    rows = rows_of(model)
    mean = trim._mean_probabilities(generator, rows, converted, 0.7)
    total, places = np.zeros(len(names)), 0
    for row in rows:
        logits = np.asarray(generator.forward_batch([[END_OF_TEXT, *row]]))[0].astype(np.float64) / 0.7
        total += np.exp(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)).sum(axis=0)
        places += len(logits)
    assert np.allclose(mean, total / places, atol=1e-5) and mean.sum() == pytest.approx(1, abs=1e-4)


@pytest.mark.usefixtures("verbose")
def test_a_vocabulary_that_is_needed_stays(model: Path) -> None:
    said: list[str] = []
    assert trim.choose_rows(model, SAYINGS, rows_of(model), SETTINGS, said.append) is None
    assert "all 4,096 tokens stay" in said[0]


def test_small_gains_are_not_worth_it(tmp_path: Path) -> None:
    model = tiny.model(tmp_path)
    said: list[str] = []
    every = [chr(c) for c in range(32, 127)] + ["".join(chr(c) for c in range(161, 500))]
    assert trim._saved(Converted(model), 250) < trim.WORTH
    assert trim.choose_rows(model, every, rows_of(model, every), SETTINGS, said.append) is None


def test_a_trimmed_model_decodes_encodes_and_refuses(tmp_path: Path) -> None:
    rows = sorted({*map(ord, "abcdefgh '"), tiny.END})
    converted = Converted(tiny.model(tmp_path, rows))
    assert converted.end == len(rows) - 1 and len(converted.token_names()) == len(rows)
    assert converted.texts([[2, 3, converted.end], [0], []]) == [chr(rows[2]) + chr(rows[3]), chr(rows[0]), ""]
    assert converted.prompt("bad") == [converted.end, *(converted.row[ord(c)] for c in "bad")]
    assert converted.token_bytes()[3] == bytes([rows[3]]) and converted.token_bytes()[converted.end] == b""
    with pytest.raises(WrongUse, match="'x' has tokens that were trimmed"):
        converted.prompt("x")


def test_the_bytes_of_tokens_are_what_the_tokenizer_says(model: Path) -> None:
    converted = Converted(model)
    for text in ("the wise man's house, so-called.", "naïve “quotes” – 日本", "a\tb\n"):
        ids = converted.tokenizer.encode(text).ids
        assert b"".join(converted.token_bytes()[i] for i in ids).decode() == text


def test_rows_without_a_token_have_a_name() -> None:
    assert named(["a", "b"], 4) == ["a", "b", "<unused-2>", "<unused-3>"]


def test_conversion_is_done_again_for_another_vocabulary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stage's key: what the trimming depends on, and nothing else."""
    keys: list[str] = []

    class Recorder:
        def __init__(self, *_: object) -> None: ...

        def done(self, stage: str, key: str, *_: Path) -> bool:
            keys.append(key)
            return True

    monkeypatch.setattr(convert, "Manifest", Recorder)
    source = tiny.source(tmp_path / "source")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.bin").touch()
    for settings in (
        None,
        replace(SETTINGS, vocabulary="full"),
        SETTINGS,
        replace(SETTINGS, seed=9, batch=3),
        replace(SETTINGS, temperatures=(1.5,)),
        replace(SETTINGS, prefixes=("x",)),
    ):
        convert.convert(tmp_path, source, lambda _: None, SAYINGS, settings)
    convert.convert(tmp_path, source, lambda _: None, SAYINGS[1:], SETTINGS)
    assert keys[0] == keys[1] and keys[2] == keys[3] and len(set(keys)) == 5
