"""A pool on a branch of a git repository: git://REMOTE/BRANCH, of the repository that holds the current folder.

For bots that GitHub Actions or any other runner posts: what a call writes is pushed before it goes on, so a machine
that is thrown away afterwards has left its claim behind. A push with a lease on the branch's commit is the
compare-and-swap. Working files and other branches are neither read nor changed.
"""

from __future__ import annotations

import os
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from post_tweet.address import can_name_file
from post_tweet.errors import BadInput, Conflict, Missing, Unreachable

TIMEOUT = 15.0
"""Seconds for one command: two pushes, a post and a reserve lie within a lease of 55."""
TRIES = 10
"""Pushes of one write, each of which another's write to another file may overtake."""
WRITER = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "deepproverbs"), ("EMAIL", "deepproverbs@localhost"))
}


class Answer(NamedTuple):
    code: int
    out: bytes
    said: str
    """The last line on standard error."""

    @property
    def word(self) -> str:
        return self.out.decode().strip()


class GitStore:
    """The files of a branch, each write one commit."""

    def __init__(self, remote: str, branch: str, repository: Path | None = None) -> None:
        self.url, self.requests = f"git://{remote}/{branch}", 0
        self.remote, self.ref, self.repository = remote, f"refs/heads/{branch}", repository or Path()
        self._seen: str | None = None
        """The branch's commit as last fetched: batches never change, so a piece of one may come from it."""

    def get(self, key: str) -> tuple[bytes, str]:
        blob = self._blob(self._fetch(), key)
        if blob is None:
            raise Missing(key)
        return self._git("cat-file", "blob", blob).out, blob

    def get_range(self, key: str, start: int, length: int) -> bytes:
        blob = self._blob(self._seen, key) or self._blob(self._fetch(), key)
        if blob is None:
            raise Missing(key)
        return self._git("cat-file", "blob", blob).out[start : start + length]

    def has(self, key: str) -> bool:
        return self._blob(self._fetch(), key) is not None

    def put_if(self, key: str, data: bytes, etag: str | None) -> str:
        return self._write(key, data, lambda there: there == etag)

    def put(self, key: str, data: bytes) -> None:
        self._write(key, data, lambda _: True)

    def list(self, prefix: str) -> list[str]:
        head = self._fetch()
        names = self._git("ls-tree", "-r", "-z", "--name-only", "--full-tree", head).out.decode() if head else ""
        return sorted(name for name in names.split("\0") if name and name.startswith(prefix))

    def upload(self, path: Path, key: str) -> None:
        self.put(key, path.read_bytes())

    def download(self, key: str, path: Path) -> None:
        data = self.get(key)[0]
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.part")
        try:
            part.write_bytes(data)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)

    def _fetch(self) -> str | None:
        """The branch's commit, and all that it holds is here; None: there is no such branch yet."""
        self.requests += 1
        found = self._git("ls-remote", "--", self.remote, self.ref).word.split()
        head = found[0] if found else None
        if head and head != self._seen:
            self._git("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--", self.remote, self.ref)
        self._seen = head
        return head

    def _blob(self, head: str | None, key: str) -> str | None:
        """The name of the file's contents in that commit."""
        if ".." in Path(key).parts or Path(key).is_absolute() or "\n" in key:
            raise BadInput(f"{key!r} leads out of the pool.")
        if not can_name_file(key):
            raise BadInput(f"{key!r} cannot be the name of a file.")
        found = self._git("ls-tree", "-z", "--full-tree", head, "--", key).out.decode() if head else ""
        about, _, name = found.rstrip("\0").partition("\t")
        return about.split()[2] if name == key and about.split()[1] == "blob" else None

    def _write(self, key: str, data: bytes, allowed: Callable[[str | None], bool]) -> str:
        """Push a commit with the file, if that is allowed where the branch holds this blob, or none. Returns its
        blob."""
        said = ""
        for attempt in range(TRIES):
            head = self._fetch()
            if not allowed(self._blob(head, key)):
                raise Conflict(key)
            blob = self._git("hash-object", "-w", "--stdin", data=data).word
            commit = self._commit(head, key, blob)
            self.requests += 1
            lease = f"--force-with-lease={self.ref}:{head or ''}"
            pushed = self._run("push", "--quiet", lease, "--", self.remote, f"{commit}:{self.ref}")
            if not pushed.code:
                self._seen = commit
                return blob
            said = pushed.said
            if self._fetch() == head:  # not overtaken: it is being written to, or may not be
                time.sleep(0.05 * attempt)
        raise Unreachable(f"Cannot push to {self.url}: {said!r}; may this machine write to the repository? Try again.")

    def _commit(self, head: str | None, key: str, blob: str) -> str:
        """A commit on top of that one with the file in it. No two are the same, or two writers of the same bytes would
        both believe that they were first."""
        with tempfile.TemporaryDirectory() as folder:
            index = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
            if head:
                self._git("read-tree", head, variables=index)
            self._git("update-index", "--add", "--cacheinfo", f"100644,{blob},{key}", variables=index)
            tree = self._git("write-tree", variables=index).word
        message = f"{key}\n\n{uuid.uuid4().hex}"
        return self._git("commit-tree", tree, *(["-p", head] if head else []), "-m", message, variables=WRITER).word

    def _git(self, *words: str, data: bytes = b"", variables: Mapping[str, str] | None = None) -> Answer:
        """Raises Unreachable: git says no."""
        answer = self._run(*words, data=data, variables=variables)
        if answer.code:
            raise Unreachable(
                f"Cannot use {self.url}: git {words[0]} says {answer.said!r}; check the remote and the branch."
            )
        return answer

    def _run(self, *words: str, data: bytes = b"", variables: Mapping[str, str] | None = None) -> Answer:
        """Raises Unreachable: git takes too long, or is not there."""
        import subprocess  # the function in AWS has no use for it, and would load it at every start

        environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C", **(variables or {})}
        try:
            done = subprocess.run(
                ["git", "-c", "gc.auto=0", *words],
                input=data,
                capture_output=True,
                timeout=TIMEOUT,
                cwd=self.repository,
                env=environment,
            )
        except FileNotFoundError as error:
            raise Unreachable(f"The pool {self.url} wants git, which is not installed.") from error
        except subprocess.TimeoutExpired as error:
            raise Unreachable(f"git {words[0]} of {self.url} took more than {TIMEOUT:.0f} s; try again.") from error
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        return Answer(done.returncode, done.stdout, lines[-1] if lines else "nothing")
