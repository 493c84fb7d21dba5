"""The papers keep their word: links lead somewhere, files that are named exist, commands are known."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from click.exceptions import Exit, NoArgsIsHelpError

from data.proverbs import prepare
from tests.cli.test_help import parsed
from training.common.paths import ROOT
from training.corpus.read import load_corpus

PAPERS = sorted(
    ROOT / name
    for name in subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
)
LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MADE = ("runs/", "models/", "pool/", "data/mybot", "data/proverbs/corpus.txt", "data/proverbs/kjv.txt")
"""Paths that exist only once somebody has run something."""


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def anchors(path: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("paper", PAPERS, ids=named)
def test_every_link_leads_somewhere(paper: Path) -> None:
    for link in LINK.findall(paper.read_text(encoding="utf-8")):
        if link.startswith(("http://", "https://")):
            continue
        target, _, anchor = link.partition("#")
        path = (paper.parent / target).resolve() if target else paper
        assert path.exists(), f"{named(paper)} links to {link}"
        assert not anchor or anchor in anchors(path), f"{named(paper)} links to {link}, and there is no such heading"


@pytest.mark.parametrize("paper", PAPERS, ids=named)
def test_every_file_that_is_named_exists(paper: Path) -> None:
    words = re.findall(
        r"`((?:training|functions|infra|tests|scripts|benchmarks|data|docs)/[\w./-]*)`", paper.read_text()
    )
    for word in words:
        assert word.startswith(MADE) or (ROOT / word).exists(), f"{named(paper)} names {word}"


def commands(paper: Path) -> Iterator[str]:
    """The commands in a paper's code blocks, without comments; lines that end with a backslash go on."""
    for language, block in FENCE.findall(paper.read_text(encoding="utf-8")):
        if not language:
            for line in block.replace("\\\n", " ").splitlines():
                yield re.sub(r"\s+#.*$", "", line.strip())


@pytest.mark.parametrize("paper", PAPERS, ids=named)
def test_every_make_target_and_variable_is_known(paper: Path) -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = dict(re.findall(r"^([a-z-]+):.*?##(.*)$", makefile, re.MULTILINE))
    for command in [*commands(paper), *re.findall(r"`(make [^`]+)`", paper.read_text(encoding="utf-8"))]:
        if command.startswith("make "):
            for word in shlex.split(command.replace("`", ""))[1:]:
                name, given, _ = word.partition("=")
                known = re.search(rf"\b{name}\b", makefile) if given else name in targets
                assert known, f"{named(paper)} says {command}"


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 170


def test_the_road_is_a_picture_with_words() -> None:
    picture = (ROOT / "docs" / "road.svg").read_text()
    assert "<title" in picture and "<desc" in picture
    for room in ("corpus", "model", "sample", "judge", "curate"):
        assert f">{room}</text>" in picture and (ROOT / "training" / room).is_dir()


def test_every_deepproverbs_command_is_understood() -> None:
    """The commands of all papers, which are parsed here and not run."""
    calls = []
    for paper in PAPERS:
        inline = re.findall(r"`(deepproverbs [^`]+)`", paper.read_text(encoding="utf-8"))
        for command in [*commands(paper), *inline]:
            found = re.match(r"(?:.*&& )?(?:\.venvs/project/bin/)?deepproverbs ([^>]*)", command)
            # FILE… and [--shard 3/8] are how papers write what may be left out or repeated.
            if found and not set("…[|") & set(found[1].replace("s3://…", "s3://bucket")):
                calls.append(found[1])
                with contextlib.suppress(NoArgsIsHelpError, Exit):  # a command that is only named, or `-h`
                    parsed(shlex.split(found[1]))
    assert len(calls) > 20


def test_the_readme_s_walk_with_a_corpus_of_one_s_own(
    tf1: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The block of commands as it stands, on a file of sayings, from the corpus to a filled pool and a dry post."""
    prepare.main(tmp_path)  # nano has read the Bible alone, and learns no other English from forty texts
    (tmp_path / "sayings.txt").write_text("\n".join(load_corpus(tmp_path / "corpus.txt")[::3]) + "\n")
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path)
    section = (ROOT / "README.md").read_text().partition("## Your own corpus")[2]
    blocks = [block for _, block in FENCE.findall(section)][:1]
    run = 0
    for line in "".join(blocks).splitlines():
        line = re.sub(r"\s+#.*$", "", line).replace("--count 100 --setup", "--count 3")
        program = f"{shlex.quote(sys.executable)} -m training.cli.main"
        environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'functions'}"}
        made = subprocess.run(
            ["bash", "-c", re.sub(r"^deepproverbs", program, line)], capture_output=True, text=True, env=environment
        )
        assert made.returncode == 0, f"{line}\n{made.stdout}{made.stderr}"
        run += 1
    assert run >= 3 and len((tmp_path / "pools" / "mybot" / "state.json").read_text()) > 100
