"""A folder as a pool: processes killed at every system call, a full disk, a lock that nobody gives back."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from post_tweet import store as stores
from post_tweet.errors import Unreachable
from post_tweet.store import DirectoryStore

from training.common.paths import ROOT


def kill_at_each_call(*arguments: str) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.helpers.kill_at_each_call", *arguments], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    result: dict[str, object] = json.loads(done.stdout)
    return result


@pytest.mark.slow
@pytest.mark.parametrize(("what", "least"), [("post", 200), ("fill", 120), ("repair", 150)])
def test_a_kill_at_any_system_call_loses_and_doubles_nothing(what: str, least: int) -> None:
    result = kill_at_each_call(what)
    assert result["wrong"] == [] and isinstance(result["stops"], int) and result["stops"] > least


@pytest.mark.slow
def test_a_kill_would_be_noticed() -> None:
    assert "not a pool state" in str(kill_at_each_call("post", "in-place")["wrong"])


def test_a_full_disk_keeps_what_was_there(tmp_path: Path) -> None:
    """The kernel's own ENOSPC: the unfinished file is /dev/full."""
    store = DirectoryStore(tmp_path)
    etag = store.put_if("state.json", b"old", None)
    os.symlink("/dev/full", tmp_path / ".part")
    with pytest.raises(Unreachable, match="No space left on device; free some space"):
        store.put_if("state.json", b"new", etag)
    assert store.get("state.json")[0] == b"old"
    assert store.put_if("state.json", b"new", etag), "the way is free again"


def test_a_lock_that_is_never_given_back_ends_in_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = DirectoryStore(tmp_path)
    store.put("a", b"1")
    monkeypatch.setattr(stores, "LOCK_WAIT", 0.1)
    with (tmp_path / ".lock").open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(Unreachable, match="Another process has held the pool"):
            store.put("a", b"2")
    store.put("a", b"2")
    assert store.get("a")[0] == b"2"


def test_a_folder_that_may_only_be_read_says_so() -> None:
    with pytest.raises(Unreachable, match="Cannot use the pool /proc/deepproverbs"):
        DirectoryStore(Path("/proc/deepproverbs")).put("a", b"1")
