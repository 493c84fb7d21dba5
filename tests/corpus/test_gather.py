"""What becomes of every text is told and adds up; nothing but the texts' fingerprints stays in memory."""

from __future__ import annotations

import io
import json
import os
import random
import shlex
import sys
import threading
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.corpus.inputs import SAYINGS, between, lines, numbered, table
from training.cli.main import main
from training.common.paths import ROOT
from training.corpus import build
from training.corpus.build import split
from training.corpus.duplicates import Seen
from training.corpus.gather import Gathered, Samples, gather
from training.corpus.read import load_built, load_corpus, open_beside
from training.corpus.tokenizer import load_tokenizer
from training.corpus.warn import PLACEHOLDERS
from training.settings import NOTHING_SAID, CorpusSettings

NANO = ROOT / "data" / "base" / "nano"


@given(st.lists(st.lists(st.integers(0, 60), max_size=30), max_size=20))
def test_seen_is_a_set(batches: list[list[int]]) -> None:
    seen, oracle = Seen(), set[int]()
    for batch in batches:
        expected = []
        for number in batch:
            expected.append(number not in oracle)
            oracle.add(number)
        assert seen.new([f"text {number}" for number in batch]) == expected
    sizes = [len(level) for level in seen.levels]
    assert sum(sizes) == len(oracle) and all(a >= 2 * b for a, b in pairwise(sizes))


@given(st.integers(0, 1000))
def test_the_middle_is_in_the_middle(count: int) -> None:
    from training.corpus.forms.form import Raw

    samples = Samples()
    for n in range(count):
        samples.add(Raw(str(n), n))
    shown = [int(raw.text) for raw in samples.shown()]
    if count <= 5:
        assert shown == list(range(count))
    else:
        assert shown[:3] == [0, 1, 2] and shown[4] == count - 1 and abs(shown[3] - count // 2) <= max(1, count / 30)


def looked(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, object]:
    assert main(["corpus", *words, "--json"]) == 0
    files: list[dict[str, object]] = json.loads(capsys.readouterr().out)["files"]
    return files[0]


def test_the_ledger_of_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [*numbered(), (30, ""), (31, "\u200b"), (32, SAYINGS[3]), (33, SAYINGS[4]), ("id", "text")]
    path = tmp_path / "a.csv"
    path.write_bytes(table(rows, ["id", "text"]))
    told = looked(capsys, str(path))
    ledger = told["ledger"]
    assert isinstance(ledger, dict)
    assert (ledger["read"], ledger["duplicates"], ledger["kept"]) == (35, 2, 30)
    counts = {why: (each["count"], each["line"]) for why, each in ledger["dropped"].items()}
    assert counts == {"empty texts": (1, 32), "repeated headings": (1, 36), "without anything to learn": (1, 33)}
    assert told["settings"] == {"form": "table", "delimiter": ",", "field": "text"}
    samples = told["samples"]
    assert isinstance(samples, list)
    assert [each["text"] for each in samples] == [*SAYINGS[:3], SAYINGS[15], SAYINGS[29]]
    assert [each["line"] for each in samples] == [2, 3, 4, 17, 31]


def test_a_screen_tells_what_was_read_and_how_to_repeat_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "my tweets.csv"
    path.write_bytes(table([*numbered(), *numbered()], ["id", "text"], delimiter=";"))
    assert main(["corpus", str(path)]) == 0
    out = capsys.readouterr().out
    assert "a table; semicolons: all 60 rows have 2 cells; the heading names 'text' (beside id)" in out
    for line in ("   60 texts read", "  -30 duplicates", "   30 kept", "! 30 of 60 texts (50%) repeat an earlier one"):
        assert line in out
    command = out.partition("The same without guessing: deepproverbs ")[2].strip()
    assert command == f"corpus '{path}' --form table --delimiter ';' --field text"
    assert main(shlex.split(command)) == 0 and "30 kept" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == [path], "looking writes nothing"


def test_the_folder_keeps_what_was_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a").write_bytes(lines(SAYINGS))
    (tmp_path / "b").write_bytes(between("-----", [*SAYINGS[:6], "one more\nin two lines"]))
    assert main(["corpus", str(tmp_path / "a"), str(tmp_path / "b"), "--out", str(tmp_path / "out"), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    kept = json.loads((tmp_path / "out" / "corpus.json").read_text())
    assert shown["files"] == kept["files"] and [file["ledger"]["kept"] for file in kept["files"]] == [30, 1]
    assert shown["texts"] == kept["counts"]["texts"] == 31 and shown["duplicates"] == 6
    assert load_built(tmp_path / "out" / "corpus.txt") == [*SAYINGS, "one more\nin two lines"]


def test_a_line_of_equals_signs_in_a_text_does_not_part_it(tmp_path: Path) -> None:
    rows = [(n, f"{text}\n============\nand more") for n, text in numbered()] + [(30, "==========")]
    (tmp_path / "a.csv").write_bytes(table(rows, ["id", "text"]))
    told: list[Gathered] = []
    build.build([tmp_path / "a.csv"], tmp_path, CorpusSettings(), load_tokenizer(NANO), tell=told.append)
    texts = load_built(tmp_path / "corpus.txt")
    assert len(texts) == 31 and texts[30] == "=========" and texts[0] == f"{SAYINGS[0]}\n=========\nand more"
    assert told[0].ledger.altered["with a line of equals signs made shorter"].count == 31


@pytest.mark.parametrize("step", [7, 65_536])
def test_the_arrays_are_numpy_s_own_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    monkeypatch.setattr(build, "STEP", step)
    monkeypatch.setattr("training.corpus.gather.BATCH", 11)
    (tmp_path / "a").write_bytes(lines([*SAYINGS, *SAYINGS, "a text of its own"]))
    tokenizer = load_tokenizer(NANO)
    build.build([tmp_path / "a"], tmp_path, CorpusSettings(hold_out=0.3), tokenizer)
    end = tokenizer.token_to_id("<|endoftext|>")
    arrays: dict[str, np.ndarray] = {}
    for name, part in zip(("train", "held_out"), split([*SAYINGS, "a text of its own"], 0.3, 1), strict=True):
        rows = [[*tokenizer.encode(text).ids, end] for text in part]
        arrays[name] = np.array([token for row in rows for token in row], np.int32)
        arrays[f"{name}_offsets"] = np.cumsum([0, *map(len, rows)]).astype(np.int64)
    np.savez(tmp_path / "numpy.npz", **arrays, end=np.int32(end))  # type: ignore[arg-type]
    assert (tmp_path / "corpus.npz").read_bytes() == (tmp_path / "numpy.npz").read_bytes()


class Stdin(io.StringIO):
    buffer = io.BytesIO(table(numbered(), ["id", "text"]))


def test_standard_input_and_pipes_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", Stdin())
    told = looked(capsys, "-")
    assert told["command"] == "deepproverbs corpus - --form table --delimiter , --field text"
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(table(numbered(), ["id", "text"]),))
    writer.start()
    piped = looked(capsys, str(tmp_path / "pipe"))
    writer.join()
    assert piped["ledger"] == told["ledger"] and piped["form"] == "table" and piped["file"] == str(tmp_path / "pipe")


def test_what_the_corpus_says_holds_for_what_lies_beside_it(tmp_path: Path) -> None:
    """A field names the column of a reference, too; a form does not, where the file proves another."""
    (tmp_path / "a.csv").write_bytes(table([(t, "x " + t) for t in SAYINGS], ["text", "tweet"]))
    (tmp_path / "b.txt").write_bytes(between("=========="))
    (tmp_path / "c.txt").write_bytes(lines(SAYINGS, "\n\n"))
    said = CorpusSettings(field="tweet", form="table")
    assert load_corpus(tmp_path / "a.csv", said) == ["x " + t for t in SAYINGS]
    assert load_corpus(tmp_path / "b.txt", said) == load_corpus(tmp_path / "c.txt", said) == SAYINGS
    assert open_beside(tmp_path / "b.txt", CorpusSettings(form="lines")).form.name == "delimited"
    assert open_beside(tmp_path / "c.txt", CorpusSettings(form="blocks")).form.name == "blocks"


def many(texts: list[str], count: int = 400) -> list[str]:
    return [f"{texts[n % len(texts)]} {n}." for n in range(count)]


WORDS = ["river", "stone", "lamp", "bread", "winter", "garden", "letter", "mountain", "shadow", "engine"]
RANDOM = random.Random(1)
PLAIN = [" ".join(RANDOM.choices(WORDS, k=8)).capitalize() for _ in range(400)]
WARNED = {
    "long": ([f"{text} {'on and on ' * 30}" for text in PLAIN], "are longer than the 280 characters of a post"),
    "alike": (many(["Captain Tide sails"]), "begin alike: 'captain tide'"),
    "script": ([*PLAIN[:350], *many(["старый чайник"], 50)], "50 of 400 texts (12%) are in another script"),
    "markup": (
        [f"{text} **so**" if n % 4 else text for n, text in enumerate(PLAIN)],
        "300 of 400 texts (75%) hold markup",
    ),
    "wrapped": ([f"{text} and" if n % 2 else f"{text.lower()}." for n, text in enumerate(PLAIN)], "in the middle of a"),
    "few": (PLAIN[:50], "Only 50 texts"),
    "short": (many(["so"]), "have fewer than 4 words"),
    "repeated": ([*PLAIN, *PLAIN[:100]], "of 500 texts"),
}


@pytest.mark.parametrize("name", WARNED)
def test_warnings_have_a_number_an_example_and_a_cure(tmp_path: Path, name: str) -> None:
    texts, sentence = WARNED[name]
    (tmp_path / "a").write_bytes(lines(texts))
    warnings = gather([tmp_path / "a"], CorpusSettings(form="lines"), lambda _: None).told[0].warnings
    assert [warning.text for warning in warnings if sentence in warning.text], [w.text for w in warnings]
    assert all(any(c.isdigit() for c in warning.what) and warning.cure for warning in warnings)


def test_a_good_corpus_is_not_warned_of(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(lines(f"{text}." for text in PLAIN))
    assert gather([tmp_path / "a"], NOTHING_SAID, lambda _: None).told[0].warnings == []


@pytest.mark.parametrize(
    "text",
    ["Hello {L}!", "Dear {first name}, hello", "Hi {{user}}", "Hi ${user}", "Hello %s", "%(name)s is here", "%1$s won",
     "Hello [NAME]", "Call [PHONE NUMBER] now", "Hello <NAME>", "the #animal# of the day", "see __TITLE__",
     "I like ____.", "two ____s", "{}, you", "Dear #first_name#,"],
)  # fmt: skip
def test_placeholders_are_told(tmp_path: Path, text: str) -> None:
    own = [f"This is the text number {word}." for word in ("one", "two", "three", "four", "five", "six")]
    (tmp_path / "a").write_text("\n".join([*own, text]))
    warnings = gather([tmp_path / "a"], CorpusSettings(form="lines"), lambda _: None).told[0].warnings
    (found,) = [warning.text for warning in warnings if PLACEHOLDERS in warning.text]
    assert found.startswith("1 of 7 texts (14%) hold a placeholder") and text in found


@pytest.mark.parametrize(
    "text",
    ["100%so", "50%d or more", "a 5 % discount", "he [laughs] at it", "[…] and so on", "set {1, 2; 3}", "#one #two",
     "a_b_c", "C# and F# are languages", "I <3 U", "Hm... [1]", "a lone {", "so tired -___-", "yay ^___^ o____o T___T",
     "#love#peace", "#周末愉快# 出去玩", "__really__ good"],
)  # fmt: skip
def test_what_is_no_placeholder(tmp_path: Path, text: str) -> None:
    own = [f"This is the text number {word}." for word in ("one", "two", "three", "four", "five", "six")]
    (tmp_path / "a").write_text("\n".join([*own, text]))
    warnings = gather([tmp_path / "a"], CorpusSettings(form="lines"), lambda _: None).told[0].warnings
    assert not [warning.text for warning in warnings if PLACEHOLDERS in warning.text]
