"""Files that are whole or not there; one run at a time in a folder."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from pathlib import Path

import pytest

from training.common.errors import DeepproverbsError
from training.common.files import LARGE, copy_of, digest, inside, locked, part_file, read_note, write_note, write_whole


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


def test_a_file_that_keeps_its_size_and_time_is_read_again(tmp_path: Path) -> None:
    """Large ones are remembered while the program runs; a change shows all the same."""
    path = tmp_path / "large"
    path.write_bytes(bytes(LARGE))
    os.utime(path, ns=(1, 1))
    time.sleep(0.03)
    before, status = digest(path), path.stat()
    assert digest(path) == before == hashlib.blake2b(bytes(LARGE), digest_size=8).hexdigest()
    with path.open("r+b") as file:
        file.seek(LARGE // 2)
        file.write(b"\x01")
    os.utime(path, ns=(1, 1))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (status.st_size, status.st_mtime_ns)
    assert digest(path) != before


NOTE = {"a": 1, "b": ["x", None, 2.5], "c": {"d": True}}


def test_every_flipped_bit_of_a_note_is_noticed(tmp_path: Path) -> None:
    path, said = tmp_path / "note.json", list[str]()
    write_note(path, NOTE, twice=True)
    data = path.read_bytes()
    assert read_note(path, dict) == NOTE
    for at in range(8 * len(data)):
        path.write_bytes(data[: at // 8] + bytes([data[at // 8] ^ 1 << at % 8]) + data[at // 8 + 1 :])
        with contextlib.suppress(ValueError):  # one flip in the name of the sum: it has none
            found = read_note(path, dict)
            assert {name: found[name] for name in NOTE} == NOTE
        said.clear()
        assert read_note(path, dict, said.append) == NOTE and path.read_bytes() == data, at
        assert said and "taken from its copy" in said[0]


def test_a_note_without_a_sum_is_of_an_older_version_unless_it_has_a_copy(tmp_path: Path) -> None:
    path, said = tmp_path / "note.json", list[str]()
    path.write_text('{"a": 2}')
    assert read_note(path, dict, said.append) == {"a": 2}
    write_note(path, NOTE, twice=True)
    path.write_text('{"a": 2}')
    assert read_note(path, dict, said.append) == NOTE and said
    path.unlink()
    assert read_note(path, dict, said.append) == NOTE
    for each in (path, copy_of(path)):
        each.write_bytes(b"[" * 200_000)
    with pytest.raises(ValueError, match="too deeply"):
        read_note(path, dict, said.append)
    copy_of(path).unlink()
    path.unlink()
    with pytest.raises(FileNotFoundError):
        read_note(path, dict, said.append)


@pytest.mark.parametrize("name", ["a", "a/b.txt", "model/..a", "...", "a b", "ä", "-rf", "~root"])
def test_a_name_stays_in_its_folder(name: str, tmp_path: Path) -> None:
    assert inside(tmp_path, name).relative_to(tmp_path).as_posix() == name


@pytest.mark.parametrize("name", ["", ".", "..", "/a", "//a", "a//b", "a/../b", "../a", "a/", "a\\b", "a\0", "a\nb"])
def test_a_name_that_leads_out_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(DeepproverbsError, match="leads out of the folder"):
        inside(tmp_path, name)
