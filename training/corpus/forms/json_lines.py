"""JSON Lines: an object with the text under a key, or the text itself, a line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from training.common.errors import DeepproverbsError
from training.corpus.forms.form import Form, Found, Raw, Source
from training.corpus.ledger import Ledger


def recognise(source: Source) -> Found | None:
    return Found("its name says so") if source.path.suffix.lower() in (".jsonl", ".ndjson", ".json") else None


def read(source: Source, found: Found, ledger: Ledger) -> Iterator[Raw]:
    field = source.settings.field or "text"
    with source.open() as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield Raw(_text_of(line, field, f"{source.path}, line {number}"), number)


def _text_of(line: str, field: str, where: str) -> str:
    try:
        value: Any = json.loads(line)
    except ValueError as error:
        raise DeepproverbsError(f"{where}: not JSON ({error}); JSONL holds one object a line.") from error
    if isinstance(value, dict):
        if field not in value:
            raise DeepproverbsError(
                f"{where}: no field {field!r} but {', '.join(map(repr, value))}; "
                "name the one with the texts with --field."
            )
        value = value[field]
    if not isinstance(value, str):
        raise DeepproverbsError(f"{where}: {field!r} is {type(value).__name__}, not a text.")
    return value


JSON_LINES = Form("json-lines", "JSON Lines", recognise, read)
