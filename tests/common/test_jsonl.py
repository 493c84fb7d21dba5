"""JSON Lines against json itself, and what a killed program leaves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.common import jsonl

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.lists(VALUES, max_size=5))
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, values: list[object]) -> None:
    path = tmp_path_factory.mktemp("jsonl") / "a.jsonl"
    jsonl.write(path, values)
    assert list(jsonl.records(path)) == values
    assert [json.loads(line) for line in path.read_text().split("\n")[:-1]] == values


def test_lines_end_at_line_feeds_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes('\ufeff"one\u2028two\x85three"\r\n\n  \n{"b": 2}'.encode())
    assert list(jsonl.records(path)) == ["one\u2028two\x85three", {"b": 2}]


@pytest.mark.parametrize("bad", [b"{", b"nope", b'"\xff"', b"1 2"])
def test_a_bad_line_is_named(tmp_path: Path, bad: bytes) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"1\n\n" + bad + b"\n4\n")
    with pytest.raises(jsonl.BadLine, match="line 3") as error:
        list(jsonl.records(path))
    assert error.value.number == 3


@pytest.mark.parametrize("size", [0, 1, 10, (1 << 16) - 1, 1 << 16, (1 << 16) + 1, 200_000])
@pytest.mark.parametrize("lines", [0, 1, 3])
def test_half_a_line_is_cut_off_and_whole_ones_stay(tmp_path: Path, lines: int, size: int) -> None:
    path = tmp_path / "a.jsonl"
    whole = b'{"a": 1}\n' * lines
    path.write_bytes(whole + b"x" * size)
    assert jsonl.cut_half_line(path) == len(whole)
    assert path.read_bytes() == whole


def test_a_missing_file_has_no_bytes(tmp_path: Path) -> None:
    assert jsonl.cut_half_line(tmp_path / "none.jsonl") == 0
    assert not (tmp_path / "none.jsonl").exists()
