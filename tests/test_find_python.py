"""Machines without the Pythons that are wanted: what is found, what uv brings, and what is said where nothing can."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.helpers.bare import bare_machine, fake_python, one_sentence, program, run
from training.common.paths import ROOT

UV = Path(sys.executable).parent / "uv"


@pytest.fixture
def bare(tmp_path: Path) -> dict[str, str]:
    return bare_machine(tmp_path)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What of a fresh clone the scripts use: whatever they bring is brought there."""
    for part in ("scripts", "requirements"):
        shutil.copytree(ROOT / part, tmp_path / "clone" / part)
    return tmp_path / "clone"


def find(clone: Path, *arguments: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return run(clone / "scripts" / "find-python", *arguments, cwd=clone, **env)


def test_finds_a_python_on_path(clone: Path, bare: dict[str, str], tmp_path: Path) -> None:
    python = fake_python(tmp_path / "bin" / "python3.7", "3.7")
    assert find(clone, "3.7", env=bare).stdout.strip() == str(python)


def test_prefers_the_newest(clone: Path, bare: dict[str, str], tmp_path: Path) -> None:
    for version in ("3.11", "3.12"):
        fake_python(tmp_path / "bin" / f"python{version}", version)
    assert find(clone, "3.11+", env=bare).stdout.strip().endswith("python3.12")


def test_a_python_that_cannot_make_environments_is_passed_over(
    clone: Path, bare: dict[str, str], tmp_path: Path
) -> None:
    """Debian's python3 without python3-venv; with pip it still brings uv."""
    fake_python(tmp_path / "bin" / "python3.12", "3.12", lacks="ensurepip")
    fake_python(tmp_path / "bin" / "python3.11", "3.11")
    assert find(clone, "3.11+", env=bare).stdout.strip().endswith("python3.11")
    assert find(clone, "any", env=bare).stdout.strip().endswith("python3.12")


def test_a_shim_that_does_not_run_is_passed_over_for_pyenv_versions(
    clone: Path, bare: dict[str, str], tmp_path: Path
) -> None:
    program(tmp_path / "bin" / "python3.7", "exit 127")
    fake_python(tmp_path / "pyenv" / "versions" / "3.7.2" / "bin" / "python", "3.7")
    newest = fake_python(tmp_path / "pyenv" / "versions" / "3.7.16" / "bin" / "python", "3.7")
    assert find(clone, "3.7", env=bare).stdout.strip() == str(newest)


@pytest.mark.parametrize("place", ["clone/.venvs/python", "share/uv/python", "elsewhere"])
def test_finds_what_uv_has_installed(clone: Path, bare: dict[str, str], tmp_path: Path, place: str) -> None:
    for release in ("3.7.4", "3.7.9"):
        fake_python(tmp_path / place / f"cpython-{release}-linux-x86_64-gnu" / "bin" / "python3.7", "3.7")
    result = find(clone, "--local", "3.7", env={**bare, "UV_PYTHON_INSTALL_DIR": str(tmp_path / "elsewhere")})
    assert result.stdout.strip() == str(tmp_path / place / "cpython-3.7.9-linux-x86_64-gnu" / "bin" / "python3.7")


def test_asks_uv_last_and_lets_it_install(clone: Path, bare: dict[str, str], tmp_path: Path) -> None:
    ready = fake_python(tmp_path / "ready", "3.7")
    program(
        tmp_path / "bin" / "uv",
        'python=$UV_PYTHON_INSTALL_DIR/cpython-3.7.9-here/bin/python3.7; mkdir -p "${python%/*}"',
        f'echo "$* $UV_PYTHON_INSTALL_BIN" >"{tmp_path}/asked"; mv {ready} "$python"',
    )
    assert "scripts/find-python 3.7" in one_sentence(find(clone, "--local", "3.7", env=bare))
    result = find(clone, "3.7", env=bare)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "asked").read_text() == "python install 3.7 0\n"
    assert result.stderr == "No Python 3.7 here: uv installs 3.7 into .venvs/python ...\n"
    assert (clone / ".venvs/python/cpython-3.7.9-here/bin/python3.7").exists()


def own_python(folder: Path) -> Path:
    """The tests' Python 3.7 as an archive of the kind that uv installs."""
    code = "import os, sys; print(sys.base_prefix); print(os.path.realpath(sys.executable))"
    prefix, program = run(ROOT / ".venvs" / "tf1" / "bin" / "python", "-c", code).stdout.split("\n")[:2]

    def needed(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        left_out = {"test", "tests", "site-packages", "__pycache__", "lib2to3", "idlelib"}
        parts = Path(member.name).parts
        return None if left_out & set(parts) or any(part.startswith("config-") for part in parts) else member

    archive = folder / "python.tar.gz"
    with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
        tar.add(program, "python/install/bin/python3.7")
        tar.add(Path(prefix) / "lib" / "python3.7", "python/install/lib/python3.7", filter=needed)
        for library in Path(prefix, "lib").glob("libpython3.7*"):
            tar.add(library, f"python/install/lib/{library.name}", filter=needed)
    return archive


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def serve(clone: Path, archive: Path, pinned: str) -> None:
    """A mirror of this archive beside it, for whatever system the tests run on; python-3.7.json wants that hash."""
    path = clone / "requirements" / "python-3.7.json"
    pythons = json.loads(path.read_text())
    for entry in pythons.values():
        *base, release, _ = entry["url"].split("/")
        entry.update(url="/".join([*base, release, archive.name]), sha256=pinned)
        (archive.parent / release).mkdir(exist_ok=True)
        shutil.copy(archive, archive.parent / release)
    path.write_text(json.dumps(pythons))


def index_with_uv(clone: Path, folder: Path) -> dict[str, str]:
    """pip's settings for an index with nothing but a package of uv, whose program is the tests' own uv."""
    wheel = folder / "uv-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as file:
        script = zipfile.ZipInfo("uv-1.0.data/scripts/uv")
        script.external_attr = 0o100755 << 16
        file.writestr(script, f'#!/bin/sh\nexec "{UV}" "$@"\n')
        info = "uv-1.0.dist-info/"
        file.writestr(info + "METADATA", "Metadata-Version: 2.1\nName: uv\nVersion: 1.0\nRequires-Python: >=3.99\n")
        file.writestr(info + "WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(info + "RECORD", "".join(f"{n},,\n" for n in [*file.namelist(), info + "RECORD"]))
    (clone / "requirements" / "uv.txt").write_text(f"uv==1.0 --hash=sha256:{sha256(wheel)}\n")
    return {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(folder)}


def test_from_a_python_with_pip_to_a_python_3_7(tf1: Path, clone: Path, bare: dict[str, str], tmp_path: Path) -> None:
    """The real pip, the real uv and a real Python 3.7, from two folders in place of the network."""
    (tmp_path / "bin" / "python3").symlink_to(os.path.realpath(sys.executable))
    archive = own_python(tmp_path)
    serve(clone, archive, sha256(archive))
    settings = {**bare, **index_with_uv(clone, tmp_path), "UV_PYTHON_INSTALL_MIRROR": tmp_path.as_uri()}
    result = find(clone, "3.7", env=settings)
    assert result.returncode == 0, result.stderr
    said = result.stderr.splitlines()
    assert said[0] == "No Python 3.7 here: uv installs 3.7 into .venvs/python ..."
    assert said[1].startswith("uv      uv on Python 3.") and len(said) == 2
    python = Path(result.stdout.strip())
    assert python.is_relative_to(clone / ".venvs" / "python")
    code = "import ctypes, ensurepip, ssl, sys, venv; print(sys.version[:4], sys.prefix)"
    assert run(python, "-c", code).stdout == f"3.7. {python.parent.parent}\n"
    again = find(clone, "3.7", env=bare)
    assert (again.stdout, again.stderr) == (result.stdout, "")
    assert not (tmp_path / ".local").exists(), "nothing but caches is written outside of the clone"


def test_python_3_7_is_pinned_with_its_hash_where_tensorflow_has_a_build() -> None:
    pythons = json.loads((ROOT / "requirements" / "python-3.7.json").read_text())
    assert {(entry["os"], entry["arch"]["family"], entry["libc"]) for entry in pythons.values()} == {
        ("linux", "x86_64", "gnu"),
        ("darwin", "x86_64", "none"),
    }
    for name, entry in pythons.items():
        assert re.fullmatch("[0-9a-f]{64}", entry["sha256"]), name
        assert name == f"cpython-3.{entry['minor']}.{entry['patch']}-{entry['os']}-x86_64-{entry['libc']}"
        assert f"/cpython-3.7.{entry['patch']}-x86_64-" in entry["url"] and entry["minor"] == 7


def test_a_python_other_than_the_pinned_one_is_refused(clone: Path, bare: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "bin" / "uv").symlink_to(UV)
    archive = tmp_path / "python.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(clone / "scripts" / "setup", "python/install/bin/python3.7")
    serve(clone, archive, "0" * 64)
    result = find(clone, "3.7", env={**bare, "UV_PYTHON_INSTALL_MIRROR": tmp_path.as_uri()})
    assert (result.returncode, result.stdout) == (1, "")
    assert "not the Python that is pinned" in result.stderr.splitlines()[-1], result.stderr
    assert not list((clone / ".venvs" / "python").glob("cpython-*"))


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("cause: Failed to download `x`\n  cause: dns error", "name a mirror with UV_PYTHON_INSTALL_MIRROR"),
        ("cause: No space left on device (os error 28)", "the disk is full"),
        ("cause: something new", "see the lines above"),
    ],
)
def test_uv_s_failure_ends_in_a_sentence(
    clone: Path, bare: dict[str, str], tmp_path: Path, output: str, words: str
) -> None:
    program(tmp_path / "bin" / "uv", f"echo 'error: Failed to install cpython-3.7.9\n  {output}' >&2; exit 1")
    result = find(clone, "3.7", env=bare)
    assert (result.returncode, result.stdout) == (1, "")
    last = result.stderr.splitlines()[-1]
    assert last.startswith("uv could not install Python 3.7: ") and words in last and "TF1_PYTHON" in last
    assert not (clone / ".venvs").exists(), "a second uv would fail as the first"


def test_an_index_without_uv_is_one_sentence(clone: Path, bare: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "bin" / "python3").symlink_to(os.path.realpath(sys.executable))
    result = find(clone, "3.7", env={**bare, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path)})
    assert (result.returncode, result.stdout) == (1, "")
    last = result.stderr.splitlines()[-1]
    assert last.startswith("Setting up uv failed: the package index") and last.endswith("run this again.")


def test_a_uv_that_does_not_know_the_python_is_followed_by_ours(
    clone: Path, bare: dict[str, str], tmp_path: Path
) -> None:
    program(tmp_path / "bin" / "uv", "echo 'error: No download found for request: cpython-3.7' >&2; exit 2")
    assert "python3-venv" in find(clone, "3.7", env=bare).stderr.splitlines()[-1]
    program(clone / "scripts" / "setup", 'echo "setup $*"; mkdir -p .venvs/uv/bin; mv ours .venvs/uv/bin/uv')
    program(clone / "ours", "echo 'error: Failed to install: ours' >&2; exit 1")
    said = find(clone, "3.7", env=bare).stderr.splitlines()
    assert said[1:3] == ["setup uv", "error: Failed to install: ours"]


@pytest.mark.parametrize("version", ["3.7", "3.11+", "3.13", "any"])
def test_no_python_at_all_is_one_sentence(clone: Path, bare: dict[str, str], version: str) -> None:
    assert "apt-get install python3 python3-venv" in one_sentence(find(clone, version, env=bare))
    assert not (clone / ".venvs").exists()


@pytest.mark.parametrize(("version", "variable"), [("3.7", "TF1_PYTHON"), ("3.11+", "PYTHON")])
def test_a_named_python_that_does_not_fit_is_one_sentence(
    clone: Path, bare: dict[str, str], tmp_path: Path, version: str, variable: str
) -> None:
    old = fake_python(tmp_path / "python2.7", "2.7")
    for named in (str(old), "/nowhere/python"):
        assert named in one_sentence(find(clone, version, env={**bare, variable: named}))


def on(system: str, machine: str, tmp_path: Path, libc: str = "ldd (GNU libc) 2.36") -> None:
    program(
        tmp_path / "bin" / "uname",
        f"case $1 in -s) echo {system} ;; -m) echo {machine} ;; *) echo {system} {machine} ;; esac",
    )
    program(tmp_path / "bin" / "ldd", f"echo '{libc}' >&2; exit 1")


def test_setup_without_python_is_one_sentence_and_leaves_nothing(
    clone: Path, bare: dict[str, str], tmp_path: Path
) -> None:
    on("Linux", "x86_64", tmp_path)
    assert "No Python with venv or pip" in one_sentence(run("scripts/setup", "tf1", cwd=clone, **bare))
    assert not (clone / ".venvs" / "tf1").exists()


@pytest.mark.parametrize(
    ("system", "machine", "libc"),
    [
        ("Linux", "aarch64", "ldd (GNU libc) 2.36"),
        ("Linux", "x86_64", "musl libc (x86_64)"),
        ("Darwin", "arm64", ""),
        ("FreeBSD", "amd64", ""),
    ],
)
def test_where_tensorflow_has_no_build_the_rest_is_set_up(
    clone: Path, bare: dict[str, str], tmp_path: Path, system: str, machine: str, libc: str
) -> None:
    """Before anything is fetched: no Python is here to fetch with."""
    on(system, machine, tmp_path, libc)
    environment = clone / ".venvs" / "project"
    program(environment / "bin" / "python", "exit 0")
    sum_of_list = run("bash", "-c", "cksum <requirements/project.txt", cwd=clone).stdout.strip()
    (environment / ".installed").write_text(f"1 {clone} {sum_of_list}\n")
    sentence = one_sentence(run("scripts/setup", "project", "tf1", cwd=clone, **bare))
    assert sentence.startswith(f"TensorFlow 1.15 has no build for {system} {machine} ")
    assert "PyTorch can fine-tune in its place" in sentence and "scripts/setup torch" in sentence
    assert sorted(path.name for path in (clone / ".venvs").iterdir() if path.is_dir()) == ["project"]


def test_a_processor_without_avx_is_told_the_same(clone: Path, bare: dict[str, str], tmp_path: Path) -> None:
    on("Linux", "x86_64", tmp_path)
    python = fake_python(tmp_path / "python3.7", "3.7")
    crashes = program(tmp_path / "crashes", "[[ $2 != *gpt_2_simple* ]] || kill -ILL $$")
    makes = f'if [[ ${{2:-}} == venv ]]; then mkdir -p "$3/bin"; mv {crashes} "$3/bin/python"; exit; fi'
    program(python, makes, *python.read_text().splitlines()[1:])
    result = run("scripts/setup", "tf1", cwd=clone, **{**bare, "TF1_PYTHON": str(python)})
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].startswith("TensorFlow 1.15 needs a processor with AVX")
