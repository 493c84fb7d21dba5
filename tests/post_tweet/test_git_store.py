"""A pool on a branch, beyond what test_store_model does with every store: addresses, other files, what is refused."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from post_tweet.address import place_in_git
from post_tweet.errors import BadInput, Unreachable
from post_tweet.git_store import GitStore
from post_tweet.pool import Pool
from post_tweet.store import open_store

from tests.helpers.clones import git, two_clones
from tests.helpers.fakes import records

BRANCHES = [
    *("pool", "bots/pool", "a.b", "a-b", "ä", "it's", "a@b", "a{b", "x" * 200),
    *("", ".a", "a..b", "a/.b", "a//b", "a/", "a.", "a.lock", "a.lock/b", "a b", "a~b", "a^b", "a:b", "a?b", "a*b"),
    *("a[b", "a\\b", "a@{b", "@", "a\tb", "a\x7fb"),
]


@pytest.mark.parametrize("branch", BRANCHES)
def test_a_branch_is_what_git_takes_for_one(branch: str) -> None:
    taken = subprocess.run(["git", "check-ref-format", f"refs/heads/{branch}"]).returncode == 0
    # Of a branch alone, as `git branch @` has it, git refuses a few more.
    if taken and branch != "@":
        assert place_in_git(f"git://origin/{branch}") == ("origin", branch)
    else:
        with pytest.raises(BadInput, match="is not a pool"):
            place_in_git(f"git://origin/{branch}")


@pytest.mark.parametrize(
    "url", ["git://", "git://origin", "git:///pool", "git://-o/pool", "git://origin/-f", "git:pool"]
)
def test_addresses_that_name_no_branch(url: str) -> None:
    with pytest.raises(BadInput, match="is not a pool"):
        open_store(url)


def test_nothing_else_of_the_repository_is_touched(tmp_path: Path) -> None:
    """Neither files that are being worked on nor what is staged, nor another branch."""
    store, other = two_clones(tmp_path)
    assert store.repository
    here = str(store.repository)
    (store.repository / "work.txt").write_text("unsaved")
    (store.repository / "staged.txt").write_text("staged")
    git("-C", here, "add", "staged.txt")
    before = git("-C", here, "status", "--porcelain"), git("-C", here, "for-each-ref", "refs/heads", "refs/tags")
    Pool(store).append(records(3), "test")
    assert Pool(other).load()[0].total == 3
    assert (
        git("-C", here, "status", "--porcelain"),
        git("-C", here, "for-each-ref", "refs/heads", "refs/tags"),
    ) == before
    with pytest.raises(BadInput, match="leads out"):
        store.put("../x", b"")


def test_what_cannot_be_pushed_is_a_sentence(tmp_path: Path) -> None:
    store, _ = two_clones(tmp_path)
    store.put("a", b"1")
    hook = tmp_path / "bare.git" / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho this branch is protected >&2; exit 1\n")
    hook.chmod(0o755)
    with pytest.raises(Unreachable, match=r"Cannot push to git://origin/pool: .*may this machine write"):
        store.put("a", b"2")
    assert store.get("a")[0] == b"1"
    with pytest.raises(Unreachable, match="git ls-remote says"):
        GitStore("nowhere", "pool", store.repository).get("a")
    with pytest.raises(Unreachable, match="git ls-remote says"):
        GitStore("origin", "pool", tmp_path).get("a")
