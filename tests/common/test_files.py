"""Files that are whole or not there; one run at a time in a folder."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from training.common.errors import DeepproverbsError
from training.common.files import digest, locked, part_file, write_whole


def test_a_file_is_old_until_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_whole(path, "old")
    with part_file(path) as file:
        file.write("new")
        file.flush()
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert [other.name for other in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("stop", [ValueError, KeyboardInterrupt])
def test_what_breaks_off_leaves_the_old_file(tmp_path: Path, stop: type[BaseException]) -> None:
    path = tmp_path / "a.txt"
    write_whole(path, "old")
    with pytest.raises(stop), part_file(path) as file:
        file.write("half")
        raise stop
    assert path.read_text() == "old"
    assert [other.name for other in tmp_path.iterdir()] == ["a.txt"]


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DeepproverbsError, match=r"Cannot write .*a\.txt"):
        write_whole(tmp_path / "file" / "a.txt", "text")


def test_an_error_about_another_file_is_not_ours(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), part_file(tmp_path / "a.txt"):
        (tmp_path / "missing").read_text()


def test_digests_are_those_of_hashlib(tmp_path: Path) -> None:
    path, data = tmp_path / "a", bytes(range(256)) * 10_000
    path.write_bytes(data)
    assert digest(path) == hashlib.blake2b(data, digest_size=8).hexdigest()
    assert digest(path, "sha256") == hashlib.sha256(data).hexdigest()


def test_one_run_at_a_time(tmp_path: Path) -> None:
    with locked(tmp_path / "run"), pytest.raises(DeepproverbsError, match="Another run"), locked(tmp_path / "run"):
        pass
    with locked(tmp_path / "run"):
        pass
