"""pool.jsonl → a batch in the pool's store. `deepproverbs fill POOL.jsonl --pool URL`"""

from __future__ import annotations

from pathlib import Path
from typing import Any

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
    records = []
    try:
        for number, record in enumerate(jsonl.records(path), 1):
            if not isinstance(record, dict) or not record.keys() >= FIELDS:
                raise jsonl.BadLine(number, f"a record needs {', '.join(sorted(FIELDS))}")
            records.append(record)
    except OSError as error:
        raise WrongUse(f"Cannot read {path}: {error}; `deepproverbs filter` writes such a file.") from error
    except jsonl.BadLine as error:
        raise WrongUse(
            f"{path}, line {error.number}: not a pool record ({error.reason}); nothing was added."
        ) from error
    if not records:
        raise DeepproverbsError(f"{path} holds no text; nothing was added.")
    return records


def fill(path: Path, url: str, run: str) -> Appended:
    """Append the file's texts to the pool; filling the same file twice adds nothing."""
    Manifest(path.parent).rely(
        path, cure="`deepproverbs run` makes it again, and a copy elsewhere is filled in as it is; nothing was added"
    )
    # Ids are made anew: an older version gave texts that differ in marks alone (Hindi, Thai) the same one.
    return Pool(open_store(url)).append([{**record, "id": text_id(record["text"])} for record in read_pool(path)], run)


def history(url: str) -> list[str]:
    """Every text ever put into the pool, posted or not."""
    return [record["text"] for record in Pool(open_store(url)).records()]
