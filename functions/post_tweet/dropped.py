"""Texts that people dropped, or put others in the place of: nothing that is filled in may repeat one, whichever run has
made it. Texts that stand in the pool are withdrawn in its state; these may never have been there.

    dropped.jsonl   {"texts": how many, "check"}, then a line a text: {"id", "text", "check"}

Posting does not read it. It is written whole, by compare-and-swap.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from post_tweet.checks import checksum, read_object, said
from post_tweet.errors import PoolBroken, Unreachable
from post_tweet.store import Conflict, Missing, Store

FILE = "dropped.jsonl"
TRIES = 10
"""Conflicting writes; more means a broken store, not a race."""


def read(store: Store) -> tuple[dict[str, str], str | None]:
    """(id → text, in the order in which they were dropped; etag). Nothing and None where there is no such file.

    Raises:
        PoolBroken: it is damaged.
    """
    try:
        data, etag = store.get(FILE)
    except Missing:
        return {}, None
    found, wrong = salvaged(data)
    if wrong:
        raise PoolBroken(
            f"{store.url}/{FILE} is damaged ({wrong}); `deepproverbs pool repair` keeps what can be read of it."
        )
    return found, etag


def change(store: Store, more: Mapping[str, str], back: Collection[str]) -> None:
    """Add texts, id → text, and take some back, by their ids. Others may write in between.

    Raises:
        PoolBroken: the file is damaged; it stays as it is.
    """
    for _ in range(TRIES):
        before, etag = read(store)
        after = {id: text for id, text in {**before, **more}.items() if id not in back}
        if after == before:
            return
        try:
            store.put_if(FILE, dump(after), etag)
            return
        except Conflict:
            continue  # or our own write, its answer lost: then nothing is left to do
    raise Unreachable(f"{store.url}/{FILE} kept changing during {TRIES} tries; try again.")


def mend(store: Store) -> None:
    """Keep what can be read of a damaged file; a whole one stays. Raises Unreachable: somebody wrote meanwhile."""
    data, etag = store.get(FILE)
    found, wrong = salvaged(data)
    if wrong:
        try:
            store.put_if(FILE, dump(found), etag)
        except Conflict:
            raise Unreachable(f"{store.url}/{FILE} was changed during the repair; run it again.") from None


def dump(texts: Mapping[str, str]) -> bytes:
    """The file's bytes."""
    lines: list[dict[str, Any]] = [{"texts": len(texts)}, *({"id": id, "text": text} for id, text in texts.items())]
    return b"".join(map(_line, lines))


def salvaged(data: bytes) -> tuple[dict[str, str], str]:
    """(the texts that can be read, what is wrong with the file: empty where nothing is)"""
    found: dict[str, str] = {}
    wrong, count = "", -1
    for number, line in enumerate(data.splitlines(), 1):
        try:
            values = read_object(line)
            if values.pop("check", None) != checksum(values, FILE):
                raise ValueError("its checksum differs")
            if number == 1:
                count = int(values["texts"])
            else:
                found[str(values["id"])] = str(values["text"])
        except (ValueError, KeyError, TypeError) as error:
            wrong = wrong or f"line {number}: {said(error)}"
    if not wrong and (count != len(found) or not data.endswith(b"\n")):
        wrong = f"it holds {len(found)} texts, not as its first line says"
    return found, wrong


def _line(values: dict[str, Any]) -> bytes:
    return (json.dumps({**values, "check": checksum(values, FILE)}, ensure_ascii=False) + "\n").encode()
