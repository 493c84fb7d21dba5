"""The candidate file: cut at any byte, on a full disk, under other settings, and killed fifty times."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.common.errors import DeepproverbsError
from training.common.paths import ROOT
from training.sample.candidates import Candidate, Candidates
from training.settings import SampleSettings

SETTINGS = SampleSettings(max_tokens=16)
SOME = [
    Candidate(f"text {n} “é” \t{'x' * (n % 7)}", n, -1.5, n % 3 > 0, 0.9, "" if n % 5 else "length") for n in range(60)
]


@pytest.mark.parametrize(
    ("value", "text"),
    [("a text", "a text"), ({"text": "a", "score": -2, "more": []}, "a"), ("half \ud83d", "half \ufffd")],
)
def test_lines_of_other_programs_are_read(value: object, text: str) -> None:
    assert Candidate.of(value).text == text and Candidate.of(value).finished


@pytest.mark.parametrize("value", [[], 7, {"txt": "a"}, {"text": 1}, {"text": "a", "tokens": "many"}])
def test_what_is_no_candidate_is_refused(value: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        Candidate.of(value)


@given(
    st.builds(
        Candidate,
        text=st.text(),
        tokens=st.integers(0, 1023),
        logprob=st.floats(-50, 0).map(lambda x: round(x, 4)),
        finished=st.booleans(),
        temperature=st.sampled_from([0.9, 1.0, 0.35]),
        stopped=st.sampled_from(["", "vocabulary", "copied-run"]),
        rules=st.sampled_from(["", "0123abcd"]),
    )
)
def test_a_line_is_json_and_comes_back(candidate: Candidate) -> None:
    candidate = replace(candidate, rules=candidate.rules if candidate.stopped else "")
    assert candidate.line().count("\n") == 1 and candidate.line().endswith("\n")
    assert Candidate.of(json.loads(candidate.line())) == candidate


def test_a_file_cut_at_any_byte_is_repaired(small: Path, tmp_path: Path) -> None:
    store = Candidates(tmp_path, small, SETTINGS)
    some = SOME[:24]
    store.append(some[:10])
    store.append(some[10:])
    whole, sums = store.path.read_bytes(), store.sums.read_bytes()
    ends = [0]
    for line in whole.splitlines(keepends=True):
        ends.append(ends[-1] + len(line))
    for cut in range(len(whole) + 1):
        store.path.write_bytes(whole[:cut])
        store.sums.write_bytes(sums)
        # Whole parts stay: of the one that was cut nobody knows what it was.
        again, kept = Candidates(tmp_path, small, SETTINGS), max(ends[n] for n in (0, 10, 24) if ends[n] <= cut)
        assert again.recover() == store.path.stat().st_size == kept
        assert again.count == ends.index(kept)
        assert [Candidate.of(json.loads(line)) for line in store.path.read_bytes().splitlines()] == SOME[: again.count]
        assert again.recover(12) == min(kept, ends[12])


def test_a_file_without_sums_keeps_its_whole_lines(small: Path, tmp_path: Path) -> None:
    """Of a version that wrote none: from now on they are there."""
    store = Candidates(tmp_path, small, SETTINGS)
    store.append(SOME[:24])
    whole = store.path.read_bytes()
    for cut in range(len(whole) + 1):
        store.path.write_bytes(whole[:cut])
        store.sums.unlink(missing_ok=True)
        kept = whole[:cut].rfind(b"\n") + 1
        assert Candidates(tmp_path, small, SETTINGS).recover() == store.path.stat().st_size == kept
        assert store.sums.exists() == bool(kept)


def test_every_flipped_bit_is_noticed(small: Path, tmp_path: Path) -> None:
    """Of the candidates and of their sums: what is left was sampled, and what was before the damage is."""
    said: list[str] = []
    store = Candidates(tmp_path, small, SETTINGS)
    for at in range(0, 24, 6):
        store.append(SOME[at : at + 6])
    files = {path: path.read_bytes() for path in (store.path, store.sums)}
    for path, data in files.items():
        for at in range(0, 8 * len(data), 13):
            for other, whole in files.items():
                other.write_bytes(whole)
            flipped = bytearray(data)
            flipped[at // 8] ^= 1 << at % 8
            path.write_bytes(flipped)
            said.clear()
            again = Candidates(tmp_path, small, SETTINGS, said.append)
            left = again.recover()
            assert files[store.path].startswith(store.path.read_bytes()) and left < len(files[store.path])
            assert said and again.count % 6 == 0
            if path == store.path:
                assert left >= files[path].rfind(b"\n", 0, at // 8 + 1) - max(map(len, data.split(b"\n"))) * 6
            assert Candidates(tmp_path, small, SETTINGS, said.append).recover() == left and len(said) == 1


def test_other_samples_start_a_new_file_and_another_way_of_sampling_does_not(small: Path, tmp_path: Path) -> None:
    Candidates(tmp_path, small, SETTINGS).append(SOME)
    same = replace(SETTINGS, budget=99, workers=3, batch=7, engine="ctranslate2", early_stop=False)
    whole = (tmp_path / "candidates.jsonl").read_bytes()
    assert Candidates(tmp_path, small, same).recover() == len(whole)
    assert Candidates(tmp_path, small, replace(SETTINGS, top_k=5)).recover() == 0
    assert (tmp_path / "candidates-before.jsonl").read_bytes() == whole, "hours of sampling are not deleted"


def test_a_full_disk_leaves_whole_lines(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Candidates(tmp_path, small, SETTINGS)
    store.append(SOME)
    before, real = store.path.read_bytes(), Path.open

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
        store.append(SOME)
    monkeypatch.undo()
    assert store.path.read_bytes() == before


RUN = """
import sys
from pathlib import Path
from training.runs import stages
from training.settings import Bot, SampleSettings
folder, count = Path(sys.argv[1]), int(sys.argv[3])
settings = SampleSettings(max_tokens=16, workers=2, batch=int(sys.argv[4]), temperatures=(0.8, 1.1), prefixes=("a", ""))
stages.sample_only(Bot("t", folder, sample=settings), folder, Path(sys.argv[2]), count)
"""


def start(folder: Path, model: Path, count: int, batch: int = 24) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", RUN, str(folder), str(model), str(count), str(batch)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'functions'}"},
    )


@pytest.mark.slow
def test_fifty_kills_leave_the_file_of_an_undisturbed_run(small: Path, tmp_path: Path) -> None:
    """Killed at random moments, from the start of the process to the middle of a write; each time the file is
    whole lines and a part of one, and in the end every byte is as if nothing had happened: no sample is lost,
    none is there twice. The undisturbed run decodes other numbers of texts side by side."""
    interrupted, calm = tmp_path / "interrupted", tmp_path / "calm"
    interrupted.mkdir()
    calm.mkdir()
    file, rng, grown, last = interrupted / "candidates.jsonl", random.Random(5), 0, 0
    for kill in range(50):
        process = start(interrupted, small, 10**8, batch=rng.choice([3, 24, 60]))
        deadline = time.monotonic() + 60
        # Every fifth kill comes at any moment of the start, the others once new samples have been written.
        while kill % 5 and (not file.exists() or file.stat().st_size <= last) and time.monotonic() < deadline:
            time.sleep(0.002)
        time.sleep(rng.random() * (0.05 if kill % 5 else 0.5))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        data = file.read_bytes() if file.exists() else b""
        for line in data.splitlines(keepends=True)[:-1][-50:]:
            value = json.loads(line)
            assert set(value) == {"text", "tokens", "logprob", "finished", "temperature", "hardest"} and Candidate.of(
                value
            )
        grown += len(data) > last
        last = len(data)
    assert grown >= 40
    count = file.read_bytes().count(b"\n") + 1000
    for folder in (interrupted, calm):
        assert start(folder, small, count).wait() == 0
    one, other = file.read_bytes(), (calm / "candidates.jsonl").read_bytes()
    shorter = min(one.count(b"\n"), other.count(b"\n"))
    assert shorter >= count
    assert one.splitlines()[:shorter] == other.splitlines()[:shorter]
