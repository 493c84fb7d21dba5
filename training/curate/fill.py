"""pool.jsonl → a batch in the pool's store. `deepproverbs fill POOL.jsonl --pool URL`"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from post_tweet.errors import PoolBroken
from post_tweet.pool import Appended, Pool
from post_tweet.store import open_store

from training.common import jsonl
from training.common.errors import DeepproverbsError, WrongUse
from training.common.manifest import Manifest
from training.common.text import text_id
from training.curate.write import Record

FIELDS = Record.__required_keys__


def read_pool(path: Path) -> list[dict[str, Any]]:
    """The records of a pool.jsonl.

    Raises:
        WrongUse: the file is missing, or a line is not a pool record.
        DeepproverbsError: it holds no text.
    """
    records = [record for _, record in pool_records(path)]
    if not records:
        raise DeepproverbsError(f"{path} holds no text; nothing was added.")
    return records


def pool_records(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(byte offset, record) of each line of a pool.jsonl. Raises WrongUse as `read_pool`."""
    try:
        for number, (offset, data) in enumerate(jsonl.lines(path), 1):
            try:
                record = json.loads(data)
            except ValueError as error:
                raise jsonl.BadLine(jsonl.number_at(path, offset), error) from error
            if not isinstance(record, dict) or not record.keys() >= FIELDS:
                raise jsonl.BadLine(number, f"a record needs {', '.join(sorted(FIELDS))}")
            yield offset, record
    except OSError as error:
        raise WrongUse(f"Cannot read {path}: {error}; `deepproverbs filter` writes such a file.") from error
    except jsonl.BadLine as error:
        raise WrongUse(
            f"{path}, line {error.number}: not a pool record ({error.reason}); nothing was added."
        ) from error


def unusable(record: dict[str, Any]) -> str | None:
    """Why a record cannot be one of a pool, or None."""
    if not isinstance(record["text"], str):
        return "its text is no text"
    try:
        json.dumps(record, ensure_ascii=False).encode()
    except (UnicodeEncodeError, RecursionError):
        return "it holds half of a surrogate pair, or is nested too deeply"
    if "check" in record:
        return "the field check is the pool's own; give it another name"
    allow = record.get("allow") or []
    if not isinstance(allow, list) or not all(isinstance(name, str) for name in allow):
        return "allow must be a list of link, mention, hashtag, cashtag"
    return None


def fill(path: Path, url: str, run: str) -> Appended:
    """Append the file's texts to the pool; filling the same file twice adds nothing."""
    Manifest(path.parent).rely(
        path, cure="`deepproverbs run` makes it again, and a copy elsewhere is filled in as it is; nothing was added"
    )
    return Pool(open_store(url)).append(records_of(path), run)


def records_of(path: Path) -> list[dict[str, Any]]:
    """What a file's texts are in a pool. Raises as `read_pool`, and where a pool cannot hold a record."""
    records = read_pool(path)
    for number, record in enumerate(records, 1):
        if why := unusable(record):
            raise WrongUse(f"{path}, record {number}: {why}; nothing was added.")
    # Ids are made anew: an older version gave texts that differ in marks alone (Hindi, Thai) the same one.
    return [{**record, "id": text_id(record["text"])} for record in records]


def filled(url: str) -> list[str]:
    """Every text ever put into the pool, posted or not, that is not lost.

    Raises:
        PoolBroken: the pool is damaged: it would take no new text.
    """
    return [record["text"] for record in whole(url).records() if record["text"]]


def whole(url: str) -> Pool:
    """The pool. Raises PoolBroken: it is damaged."""
    pool = Pool(open_store(url))
    if damage := pool.status()["damage"]:
        raise PoolBroken(f"{url}: {' '.join(damage)}")
    return pool


def dropped(url: str) -> list[str]:
    """Every text that people dropped or replaced, whichever run had made it. Raises PoolBroken as `filled`."""
    return [*Pool(open_store(url)).dropped().values()]


def history(url: str) -> list[str]:
    """What no new text may repeat: `filled`, and `dropped`."""
    return [*filled(url), *dropped(url)]


def note_dropped(url: str, gone: Iterable[str], back: Iterable[str]) -> None:
    """Have the pool remember texts that people dropped, and forget those of `back`. Of capitals and marks alone no text
    differs from another."""
    ids = {text_id(text) for text in back}
    more = {text_id(text): text for text in gone if _is_whole(text)}
    Pool(open_store(url)).drop({id: text for id, text in more.items() if id not in ids}, ids)


def _is_whole(text: str) -> bool:
    """Whether it has no half of a surrogate pair, which no pool can hold."""
    return not any("\ud800" <= c <= "\udfff" for c in text)
