"""Sampling with CTranslate2 and nano: seeds, repair, interruption; and the run's filter loop."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from training import run as line
from training.config import Bot, CorpusSettings, FilterSettings, SampleSettings
from training.convert import OpenAIConverter, vocabulary
from training.errors import DeepproverbsError
from training.sample import CHUNK, Candidates, sample

ROOT = Path(__file__).resolve().parents[1]
NANO = ROOT / "data" / "base" / "nano"
SETTINGS = SampleSettings(max_tokens=16)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """nano itself, converted straight from its stored weights."""
    folder = tmp_path_factory.mktemp("nano") / "model"
    with np.load(NANO / "weights.npz") as weights:
        arrays = {name: weights[name].astype(np.float32) for name in weights.files}
    hparams = json.loads((NANO / "hparams.json").read_text())
    OpenAIConverter(arrays, hparams, vocabulary(NANO)).convert(str(folder))
    for name in ("encoder.json", "vocab.bpe"):
        shutil.copy(NANO / name, folder)
    return folder


def drawn(model: Path, settings: SampleSettings, chunks: int, first: int = 0) -> list[str]:
    source = sample(model, settings, first)
    try:
        return [c.text for chunk in islice(source, chunks) for c in chunk]
    finally:
        source.close()


def test_a_seed_repeats_a_run_and_another_does_not(model: Path) -> None:
    one = drawn(model, SETTINGS, 4)
    assert one == drawn(model, SETTINGS, 4)
    assert one != drawn(model, replace(SETTINGS, seed=2), 4)
    assert one[:CHUNK] != one[CHUNK : 2 * CHUNK], "two workers must not share a random stream"
    assert drawn(model, SETTINGS, 2, first=2) != one[2 * CHUNK :], "a resumed run draws anew"


def test_temperatures_and_prefixes_take_turns(model: Path) -> None:
    source = sample(model, replace(SETTINGS, temperatures=(0.5, 1.0), prefixes=("thou shall not",)), 0)
    chunks = list(islice(source, 2))
    source.close()
    assert [{c.temperature for c in chunk} for chunk in chunks] == [{0.5}, {1.0}]
    assert all(c.text.startswith("thou shall not") for chunk in chunks for c in chunk)


def test_finished_means_that_the_end_token_came(model: Path) -> None:
    source = sample(model, SETTINGS, 0)
    candidates = next(source)
    source.close()
    assert {c.finished for c in candidates} == {True, False}
    assert all(c.tokens == SETTINGS.max_tokens for c in candidates if not c.finished)
    assert all("<|endoftext|>" not in c.text and c.tokens <= SETTINGS.max_tokens for c in candidates)


def test_a_file_cut_at_any_byte_is_repaired(model: Path, tmp_path: Path) -> None:
    store = Candidates(tmp_path, model, SETTINGS)
    source = sample(model, SETTINGS, 0)
    for chunk in islice(source, 3):
        store.append(chunk)
    source.close()
    whole = store.path.read_bytes()
    chunk_ends = [0]
    for n, text in enumerate(whole.splitlines(keepends=True), 1):
        if n % CHUNK == 0:
            chunk_ends.append(sum(map(len, whole.splitlines(keepends=True)[:n])))
        del text
    rng = random.Random(1)
    for cut in [0, 1, *chunk_ends[1:], *(rng.randrange(len(whole)) for _ in range(40))]:
        store.path.write_bytes(whole[:cut])
        again = Candidates(tmp_path, model, SETTINGS)
        read = list(again.read())
        kept = max(end for end in chunk_ends if end <= cut)
        assert store.path.read_bytes() == whole[:kept]
        assert again.next_chunk == chunk_ends.index(kept) and len(read) == CHUNK * again.next_chunk


def test_other_settings_start_a_new_file(model: Path, tmp_path: Path) -> None:
    store = Candidates(tmp_path, model, SETTINGS)
    source = sample(model, SETTINGS, 0)
    store.append(next(source))
    source.close()
    assert len(list(Candidates(tmp_path, model, replace(SETTINGS, budget=99)).read())) == CHUNK
    assert list(Candidates(tmp_path, model, replace(SETTINGS, top_k=5)).read()) == []


def test_a_full_disk_leaves_whole_chunks(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Candidates(tmp_path, model, SETTINGS)
    source = sample(model, SETTINGS, 0)
    store.append(next(source))
    before = store.path.read_bytes()
    chunk = next(source)
    source.close()
    real = Path.open

    def full(self: Path, *args: object, **kwargs: object) -> object:
        file = real(self, *args, **kwargs)  # type: ignore[call-overload]
        if self == store.path:

            class Full:
                def __enter__(self) -> Full:
                    return self

                def __exit__(self, *_: object) -> None:
                    file.close()

                def write(self, data: bytes) -> int:
                    return int(file.write(data[:100]))

            return Full()
        return file

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(DeepproverbsError, match="No space left"):
        store.append(chunk)
    monkeypatch.undo()
    assert store.path.read_bytes() == before


def bot(tmp_path: Path, **settings: object) -> Bot:
    (tmp_path / "corpus.txt").write_text("\n".join(f"the saying {n} of the wise" for n in range(30)))
    return Bot(
        "t",
        tmp_path,
        corpus=CorpusSettings(),
        sample=SETTINGS,
        count=300,
        filter=FilterSettings(characters="", closed_vocabulary=False, min_words=1, near_ratio=101),
        **settings,
    )


def test_the_loop_stops_when_enough_is_kept_and_is_not_done_twice(model: Path, tmp_path: Path) -> None:
    said: list[str] = []
    pool = line.sample_and_filter(bot(tmp_path), tmp_path, model, [], said.append)
    first, candidates = pool.read_bytes(), (tmp_path / "candidates.jsonl").read_bytes()
    verdicts = [json.loads(v) for v in (tmp_path / "verdicts.jsonl").read_text().splitlines()]
    assert len(first.splitlines()) >= 300
    assert len(verdicts) == len(candidates.splitlines()) and len(verdicts) % CHUNK == 0
    assert sum(v["verdict"] == "kept" for v in verdicts) == len(first.splitlines())
    line.sample_and_filter(bot(tmp_path), tmp_path, model, [], said.append)
    assert "already done" in said[-1] and pool.read_bytes() == first
    more = replace(bot(tmp_path), count=len(first.splitlines()) + 1)
    line.sample_and_filter(more, tmp_path, model, [], said.append)
    assert (tmp_path / "candidates.jsonl").read_bytes().startswith(candidates), "old samples are used again"


def test_the_budget_ends_the_loop(model: Path, tmp_path: Path) -> None:
    small = replace(bot(tmp_path), sample=replace(SETTINGS, budget=256), count=10_000)
    said: list[str] = []
    line.sample_and_filter(small, tmp_path, model, [], said.append)
    assert any("budget of 256 candidates is spent" in s for s in said)


def test_kill_9_while_sampling_loses_no_chunk_and_repeats_none(model: Path, tmp_path: Path) -> None:
    """Real processes, killed at random moments; the file is whole after each, and grows."""
    code = (
        f"from pathlib import Path; from training import run; from training.config import *; import sys\n"
        f"b = Bot('t', Path(sys.argv[1]), sample=SampleSettings(max_tokens=16), count=10**7)\n"
        f"run.sample_only(b, Path(sys.argv[1]), Path({str(model)!r}), 10**7)\n"
    )
    sizes, rng = [0], random.Random(5)
    for _ in range(4):
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)],
            cwd=ROOT,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'functions'}"},
        )
        file, deadline = tmp_path / "candidates.jsonl", time.monotonic() + 60
        while (not file.exists() or file.stat().st_size <= sizes[-1]) and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(rng.random() / 3)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        before = file.read_bytes()
        store = Candidates(tmp_path, model, SampleSettings(max_tokens=16))
        numbers = [c.chunk for c in store.read()]
        assert numbers == [n for n in range(store.next_chunk) for _ in range(CHUNK)] and store.next_chunk > 0
        assert before.startswith(file.read_bytes()) and file.stat().st_size > sizes[-1]
        sizes.append(file.stat().st_size)
    lines = file.read_bytes().splitlines()
    chunks = {tuple(json.loads(line)["text"] for line in lines[i : i + CHUNK]) for i in range(0, len(lines), CHUNK)}
    assert len(chunks) == len(lines) // CHUNK, "no chunk was drawn twice"
