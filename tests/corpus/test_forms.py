"""A form of corpus file is one `Form` in one place: a toy is added here and read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from training.corpus import forms
from training.corpus.forms.form import Form, Source
from training.corpus.read import read_texts


def recognise(source: Source) -> bool:
    with source.open() as lines:
        return lines.readline().strip() == "#!sayings"


def read(source: Source) -> Iterator[str]:
    with source.open() as lines:
        next(lines)
        yield from (text for line in lines for text in line.rstrip("\n").split(" / "))


def test_a_new_form_is_recognised_and_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "sayings.txt"
    path.write_text("#!sayings\na / b\nc\n")
    assert list(read_texts(path)) == ["#!sayings\n", "a / b\n", "c\n"]
    monkeypatch.setattr(forms, "FORMS", [Form("sayings", recognise, read), *forms.FORMS])
    assert list(read_texts(path)) == ["a", "b", "c"]


def test_the_last_form_takes_any_text(tmp_path: Path) -> None:
    path = tmp_path / "any"
    path.write_text("anything")
    assert forms.FORMS[-1].recognise(Source(path, "utf-8", "text"))
    assert len({form.name for form in forms.FORMS}) == len(forms.FORMS)
