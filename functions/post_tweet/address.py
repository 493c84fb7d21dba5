"""Addresses of pools: s3://bucket/prefix, git://remote/branch, a folder's path, file:///folder.

An address means what it says, or is refused with the reason: a part that was dropped in silence, as a URL's "#…" is,
would make one pool of two.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote_to_bytes

from post_tweet.errors import BadInput

_BUCKET = re.compile("[A-Za-z0-9](?:[A-Za-z0-9._-]{0,253}[A-Za-z0-9])?")
_NO_BRANCH = re.compile(r"[\0-\x20\x7f~^:?*\[\\\ud800-\udfff]|\.\.|@\{|//|(?:^|/)[.-]|(?:\.|\.lock)(?:/|$)|/$|^@$|^$")
"""What `git check-ref-format` refuses, and a part that begins with a hyphen, which git takes for an option."""
_CONTROL = re.compile("[\0-\x1f\x7f-\x9f]")
_BAD_PERCENT = re.compile("%(?![0-9A-Fa-f]{2})|%00")


def no_pool(url: str, why: str = "") -> BadInput:
    return BadInput(
        f"{url!r} is not a pool{why and f', {why}'}: give s3://bucket/prefix, git://remote/branch or a directory."
    )


def scheme_of(url: str) -> str:
    """In small letters; empty for a path."""
    scheme, found, _ = url.partition("://")
    return scheme.lower() if found else ""


def can_name_file(name: str) -> bool:
    try:
        return b"\0" not in os.fsencode(name)
    except UnicodeEncodeError:  # half a character
        return False


def folder_in(url: str) -> Path:
    """The folder of a path, or of file:///…, where %20 is a space."""
    if not url.strip() or not can_name_file(url):
        raise no_pool(url)
    if not scheme_of(url):
        return Path(url)
    host, _, path = url.partition("://")[2].partition("/")
    if host not in ("", "localhost") or "/" not in url.partition("://")[2]:
        raise no_pool(url, "a folder's address begins with file:///")
    if "#" in path or "?" in path or _BAD_PERCENT.search(path):
        raise no_pool(url, "write # as %23, ? as %3F and % as %25 after file://")
    return Path(os.fsdecode(unquote_to_bytes(os.fsencode(f"/{path}"))))


def place_in_s3(url: str) -> tuple[str, str]:
    """(bucket, prefix) of s3://bucket/prefix; every character of the prefix counts but one slash at its end."""
    bucket, _, prefix = url.partition("://")[2].partition("/")
    if not _BUCKET.fullmatch(bucket):
        raise no_pool(url, f"a bucket cannot be called {bucket!r}" if bucket else "")
    if prefix and not {"", ".", ".."}.isdisjoint(prefix.removesuffix("/").split("/")):
        raise no_pool(url, "its prefix has an empty part, . or ..")
    if _CONTROL.search(prefix) or any("\ud800" <= c <= "\udfff" for c in prefix):
        raise no_pool(url, "its prefix has a character that cannot be seen")
    return bucket, prefix.removesuffix("/")


def place_in_git(url: str) -> tuple[str, str]:
    """(remote, branch) of git://remote/branch."""
    remote, _, branch = url.partition("://")[2].partition("/")
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", remote):
        raise no_pool(url, f"a remote cannot be called {remote!r}" if remote else "")
    if _NO_BRANCH.search(branch):
        raise no_pool(url, f"a branch cannot be called {branch!r}" if branch else "it names no branch")
    return remote, branch
