"""A form of corpus file is one `Form` in one place: a toy is added here and read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from training.corpus import forms
from training.corpus.forms.form import Form, Found, Raw, Source
from training.corpus.ledger import Ledger
from training.corpus.read import open_corpus, read_texts


def recognise(source: Source) -> Found | None:
    with source.open() as lines:
        return Found("its first line says so") if lines.readline().strip() == "#!sayings" else None


def read(source: Source, found: Found, ledger: Ledger) -> Iterator[Raw]:
    for number, line in list(source.lines())[1:]:
        for text in line.split(" / "):
            if text == "-":
                ledger.drop("dashes", text, number)
            else:
                yield Raw(text, number)


def test_a_new_form_is_recognised_and_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "sayings.txt"
    path.write_text("#!sayings\na / b / -\nc\n")
    assert list(read_texts(path)) == ["#!sayings", "a / b / -", "c"]
    monkeypatch.setattr(forms, "FORMS", [Form("sayings", "sayings", recognise, read), *forms.FORMS])
    reading = open_corpus(path)
    assert list(reading.texts()) == [Raw("a", 2), Raw("b", 2), Raw("c", 3)]
    assert (reading.ledger.read, reading.ledger.kept, reading.ledger.dropped["dashes"].line) == (4, 3, 2)


def test_the_last_form_takes_any_text(tmp_path: Path) -> None:
    path = tmp_path / "any"
    path.write_text("anything")
    assert forms.FORMS[-1].recognise(Source(path, "utf-8"))
    assert len({form.name for form in forms.FORMS}) == len(forms.FORMS)
