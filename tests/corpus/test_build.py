"""Any text file becomes a corpus; what cannot is refused in one sentence."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.common.errors import DeepproverbsError
from training.common.paths import ROOT
from training.common.text import DELIMITER, normal_form, text_id
from training.corpus import build as corpus
from training.corpus.build import build
from training.corpus.clean import Style, restyle
from training.corpus.read import load_corpus, read_texts
from training.corpus.tokenizer import load_tokenizer
from training.settings import CorpusSettings

NANO = ROOT / "data" / "base" / "nano"
NUMBERS = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
SAYINGS = [
    f"a wise man number {tens}{word} holdeth his peace, and the fool speaketh."
    for tens in ("", "twenty ")
    for word in NUMBERS.split()
][:25]
SHAPES = {
    "delimited.txt": DELIMITER.join(SAYINGS) + "\n",
    "long-delimiters.txt": "\n====================\n".join(SAYINGS),
    "lines.txt": "\n".join(SAYINGS),
    "windows.txt": "\r\n".join(SAYINGS) + "\r\n",
    "old-mac.txt": "\r".join(SAYINGS),
    "one.csv": "\n".join(f'"{s}"' for s in SAYINGS),
    "table.csv": "id,text\r\n" + "\r\n".join(f'{n},"{s}"' for n, s in enumerate(SAYINGS)),
    "objects.jsonl": "\n".join(json.dumps({"id": 1, "text": s}) for s in SAYINGS) + "\n\n",
    "strings.jsonl": "\n".join(json.dumps(s) for s in SAYINGS),
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("name", SHAPES)
def test_every_shape_gives_the_same_texts(tmp_path: Path, name: str, encoding: str) -> None:
    (tmp_path / name).write_bytes(SHAPES[name].encode(encoding))
    assert load_corpus(tmp_path / name) == SAYINGS


def test_a_text_of_several_lines_keeps_them(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a soft\r\n answer\n\n\n\nturneth \n==========\naway  from\twrath\n")
    assert load_corpus(tmp_path / "a.txt") == ["a soft\nanswer\n\nturneth", "away from wrath"]


def test_the_field_can_be_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,saying\n1,hello there\n")
    assert list(read_texts(tmp_path / "a.csv", CorpusSettings(field="saying"))) == ["hello there"]
    with pytest.raises(DeepproverbsError, match=r"no column 'tweet' but 'id', 'saying'; .* --field"):
        list(read_texts(tmp_path / "a.csv", CorpusSettings(field="tweet")))


WRONG = {
    "empty.txt": (b"", "is empty"),
    "blank.txt": (b" \n\n ", "is empty"),
    "binary.bin": (b"\x7fELF\0\0\0" * 100, "is a program, not text"),
    "latin.txt": ("grün\n".encode("latin-1") * 30, "does not say how it is encoded: (?s:.*)--encoding cp1252 reads"),
    "table.csv": (b"id,words\n1,x y\n", "Only 1 different text .* was read as a table"),
    "a.jsonl": (b'{"words": "x"}\n', "Only 1 different text "),
    "b.jsonl": (b'{"text": "x"}\n{"text"\n', "line 2: not JSON"),
    "c.jsonl": (b'{"text": 5}\n', "without a text: only numbers"),
    "one.txt": (b"a single text\n", "Only 1 different text "),
    "same.txt": (b"the same text\n" * 100, "Only 1 different text "),
}


@pytest.mark.parametrize("name", [*WRONG, "missing.txt"])
def test_what_is_no_corpus_is_refused_and_leaves_nothing(tmp_path: Path, name: str) -> None:
    content, sentence = WRONG.get(name, (None, "Cannot read"))
    out = tmp_path / "out"
    out.mkdir()
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DeepproverbsError, match=sentence):
        build([tmp_path / name], out, CorpusSettings(), load_tokenizer(NANO))
    assert list(out.iterdir()) == []


def test_the_arrays_hold_the_texts_and_real_end_tokens(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("\n".join([*SAYINGS, SAYINGS[0]]))
    tokenizer = load_tokenizer(NANO)
    counts = build([tmp_path / "a.txt"], tmp_path, CorpusSettings(hold_out=0.2), tokenizer)
    arrays = np.load(tmp_path / "corpus.npz")
    parts = {}
    for part in ("train", "held_out"):
        tokens, offsets = arrays[part], arrays[f"{part}_offsets"]
        rows = [tokens[a:b] for a, b in pairwise(offsets)]
        assert all(row[-1] == arrays["end"] and arrays["end"] not in row[:-1] for row in rows)
        parts[part] = [tokenizer.decode(row[:-1]) for row in rows]
    assert sorted(parts["train"] + parts["held_out"]) == sorted(SAYINGS)
    assert len(parts["held_out"]) == 5 == counts.held_out_texts
    assert counts.duplicates == 1 and counts.texts == 25
    assert (
        counts.tokens
        == counts.training_tokens + counts.held_out_tokens
        == len(arrays["train"]) + len(arrays["held_out"])
    )
    assert corpus.split(SAYINGS, 0.2, 1) == (parts["train"], parts["held_out"])
    assert corpus.split(SAYINGS, 0.2, 2) != (parts["train"], parts["held_out"])


def test_plain_style_is_the_original_bot_s(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("\n".join(f"The [{s}]: Lord’s “way”—{n};" for n, s in enumerate(SAYINGS)))
    build([tmp_path / "a.txt"], tmp_path, replace(CorpusSettings(), style="plain"), load_tokenizer(NANO))
    assert load_corpus(tmp_path / "corpus.txt")[3] == f"the {SAYINGS[3]} lord's way-3."


@given(st.text())
def test_style_and_normal_form_are_idempotent(text: str) -> None:
    once = restyle(text, Style())
    assert restyle(once, Style()) == once and once == once.strip() and "\n" not in once
    assert normal_form(normal_form(text)) == normal_form(text)


def test_one_id_for_every_spelling_of_a_text() -> None:
    assert text_id("A soft answer, turneth away wrath.") == text_id("a soft  answer turneth AWAY wrath")
    assert text_id("a soft answer") != text_id("a soft answers")
