"""What the decoder gives up while it is written, the judge would reject, in any script and on any number of lines."""

from __future__ import annotations

import ctypes
import os
import shlex
import subprocess
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.scripts import SENTENCES
from training.judge.judge import Judge, Reference
from training.judge.rules import PASSED
from training.sample.candidates import Candidate
from training.sample.native import sampler
from training.sample.native.build import SOURCES
from training.sample.stop_rules import StopRules
from training.settings import FilterSettings

PROGRAM = """
#include "watch.h"
int told(Watch *watch, const char *bytes, int size) {
  int32_t offsets[2] = {0, size};
  Reader reader = {0};
  watch->bytes = bytes, watch->offsets = offsets;
  return follow(watch, &reader, 0);
}
"""
SETTINGS = FilterSettings(characters="", closed_vocabulary=False, common_words=0, copy_run=4)
Told = Callable[[StopRules, Sequence[str]], list[str]]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """For each text the rule for which watch.h gives it up, or "finished"."""
    folder = tmp_path_factory.mktemp("watch")
    (folder / "told.c").write_text(PROGRAM)
    compiler = shlex.split(os.environ.get("CC", "cc"))
    made = folder / "told.so"
    flags = ["-std=gnu11", "-shared", "-fPIC", f"-I{SOURCES}", "-o", str(made)]
    subprocess.run([*compiler, *flags, str(folder / "told.c")], check=True)
    lib = ctypes.CDLL(str(made))
    lib.watch_new.restype = ctypes.c_void_p

    def ask(rules: StopRules, texts: Sequence[str]) -> list[str]:
        allowed = bytes(b in rules.allowed for b in range(256))
        what = rules.longest, int(rules.vocabulary), rules.run
        watch = ctypes.c_void_p(lib.watch_new(b"", ctypes.c_int64(0), NO_TOKENS, 0, allowed, *what))
        originals = ("\n".join(rules.originals) + "\n").encode()
        assert lib.watch_learn(watch, originals, ctypes.c_int64(len(originals)))
        found = [sampler.STATUSES[lib.told(watch, data := text.encode(), len(data))] for text in texts]
        lib.watch_free(watch)
        return found

    return ask


def judged(judge: Judge, texts: Sequence[str]) -> list[str]:
    return [v.verdict for v in judge.verdicts([Candidate(text, 0, 0.0, True, 1.0) for text in texts])]


NO_TOKENS = (ctypes.c_int32 * 1)(0)
"""Offsets of none: texts are told byte by byte."""
PIECES = sorted({word for text in SENTENCES for word in text.split()} | set(SENTENCES))
TEXTS = st.lists(st.tuples(st.sampled_from(PIECES), st.sampled_from([" ", "\n", ", ", "。", "\u200d", "!", "\t", "7"])))


@given(TEXTS, st.sampled_from([0, 1]))
def test_nothing_is_given_up_that_the_judge_would_take(told: Told, pieces: list[tuple[str, str]], half: int) -> None:
    judge = Judge(SETTINGS, Reference(SENTENCES[half::2]))
    texts = ["".join(piece + joint for piece, joint in pieces), *SENTENCES]
    for text, status, verdict in zip(texts, told(judge.stop_rules(), texts), judged(judge, texts), strict=True):
        assert status == "finished" or verdict != PASSED, text


def test_copied_runs_are_seen_in_scripts_with_spaces(told: Told) -> None:
    judge = Judge(SETTINGS, Reference(SENTENCES))
    found = Counter(told(judge.stop_rules(), [f"{text} ." for text in SENTENCES]))
    assert found["copied-run"] > 60 and set(found) == {"copied-run", "finished"}


def test_a_line_break_stops_a_text_only_where_the_corpus_has_none(told: Told) -> None:
    texts = ["风吹过\n稻穗", "wind\nrain", "a\x07b", "a\tb"]
    several = Judge(SETTINGS, Reference(["one\ntwo"])).stop_rules()
    assert told(several, texts) == ["finished", "finished", "characters", "characters"]
    assert told(Judge(SETTINGS, Reference(["one two"])).stop_rules(), texts) == ["characters"] * 4
    listed = replace(SETTINGS, characters="abcdefghijklmnopqrstuvwxyz ", closed_vocabulary=True)
    known = Judge(listed, Reference(["wind\nrain", "a b"])).stop_rules()
    assert told(known, ["wind\nrain ", "wind\nsnow\n", "wind, rain"]) == ["finished", "vocabulary", "characters"]


def test_the_header_is_the_one_that_is_compiled() -> None:
    assert '#include "watch.h"' in "".join(path.read_text() for path in Path(SOURCES).glob("*.[ch]"))
