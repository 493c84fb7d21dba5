"""pool.jsonl → a batch in the pool's store. `deepproverbs fill POOL.jsonl --pool URL`"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from post_tweet.pool import Appended, Pool
from post_tweet.store import open_store

from training.common.errors import DeepproverbsError, WrongUse

FIELDS = {"id", "text", "score", "nearest", "nearest_ratio"}


def read_pool(path: Path) -> list[dict[str, Any]]:
    """The records of a pool.jsonl.

    Raises:
        WrongUse: the file is missing, empty, or a line is not a pool record.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise WrongUse(f"Cannot read {path}: {error}; `deepproverbs filter` writes such a file.") from error
    records = []
    # Not splitlines(): it would also split where a text holds U+2028.
    lines = text.removesuffix("\n").split("\n") if text else []
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
            if not isinstance(record, dict) or not record.keys() >= FIELDS:
                raise ValueError(f"a record needs {', '.join(sorted(FIELDS))}")
        except ValueError as error:
            raise WrongUse(f"{path}, line {number}: not a pool record ({error}); nothing was added.") from error
        records.append(record)
    if not records:
        raise DeepproverbsError(f"{path} holds no text; nothing was added.")
    return records


def fill(path: Path, url: str, run: str) -> Appended:
    """Append the file's texts to the pool; filling the same file twice adds nothing."""
    return Pool(open_store(url)).append(read_pool(path), run)


def history(url: str) -> list[str]:
    """Every text ever put into the pool, posted or not."""
    pool = Pool(open_store(url))
    return [record["text"] for record in pool.records()]
