"""Tables that csv.writer writes in any dialect are read back as they were, or refused: never silently otherwise."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.corpus.inputs import SAYINGS, table
from training.common.errors import DeepproverbsError
from training.corpus.read import open_corpus

WORDS = st.text(st.sampled_from("abcdefg hij\"',;|\t\n\\é世#-%"), min_size=1, max_size=40)
TEXTS = st.lists(WORDS.filter(str.strip), min_size=4, max_size=30)
PLAIN = st.lists(st.text(st.sampled_from("abcdefg hij\"',;|.?"), min_size=8, max_size=40).filter(str.strip), min_size=4)


def written_back(path: Path) -> list[str] | None:
    """The texts of a file, or None if it is refused."""
    try:
        reading = open_corpus(path)
        texts = [raw.text for raw in reading.texts()]
    except DeepproverbsError:
        return None
    assert reading.ledger.read == len(texts) + sum(each.count for each in reading.ledger.dropped.values())
    return texts if reading.form.name == "table" else ["not a table", reading.form.name]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TEXTS, st.booleans(), st.booleans())
def test_what_csv_writes_is_read_back_or_refused(
    tmp_path: Path, delimiter: str, quoting: int, texts: list[str], last: bool, dated: bool
) -> None:
    """A table with a column of numbers or dates beside the texts."""
    other: list[object] = [f"2020-01-{n % 28 + 1:02}" if dated else 1000 + n for n in range(len(texts))]
    rows = list(zip(other, texts, strict=True) if last else zip(texts, other, strict=True))
    heading = ["when", "text"] if last else ["text", "when"]
    path = tmp_path / "file"
    path.write_bytes(table(rows, heading, delimiter=delimiter, quoting=quoting))
    read = written_back(path)
    assert read is None or read == [text for text in texts if text.strip()]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TEXTS)
def test_texts_that_hold_no_odd_marks_are_never_refused(tmp_path: Path, texts: list[str]) -> None:
    texts = [f"it is {text.translate({34: None, 39: None, 92: None, 10: ' '})} so" for text in texts]
    path = tmp_path / "file"
    path.write_bytes(table(enumerate(texts), ["id", "text"]))
    assert written_back(path) == texts


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TEXTS, st.integers(0, 10_000), st.sampled_from(['"', ",", '",', "\n", '"\n']))
def test_a_damaged_table_is_refused_or_its_texts_are_those_that_the_damage_left(
    tmp_path: Path, texts: list[str], at: int, mark: str
) -> None:
    """One mark put anywhere: no row may vanish into another without a word."""
    whole = table([(n + 1000, text) for n, text in enumerate(texts)], ["id", "text"]).decode()
    at %= len(whole)
    path = tmp_path / "file"
    path.write_bytes((whole[:at] + mark + whole[at:]).encode())
    read = written_back(path)
    if read is not None and read[:1] != ["not a table"]:
        assert len(read) >= len(texts) - 1, "at most the damaged row itself is empty"


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(PLAIN)
def test_prose_is_no_table_unless_every_line_fits_one(tmp_path: Path, texts: list[str]) -> None:
    path = tmp_path / "file"
    path.write_text("\n".join(f"It was {text}" for text in texts))
    try:
        reading = open_corpus(path)
    except DeepproverbsError:
        return
    if reading.form.name == "table":
        width = {text.count(reading.options["delimiter"]) for text in texts}
        assert len(width) == 1 and width != {0}


@pytest.mark.parametrize("rows", [1, 2, 5, 100])
def test_tables_of_any_length(tmp_path: Path, rows: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(table([(n, SAYINGS[n % 30]) for n in range(rows)], ["id", "text"]))
    assert written_back(path) == [SAYINGS[n % 30] for n in range(rows)]
