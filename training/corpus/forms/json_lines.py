"""JSON Lines: an object with the text in a field, or the text itself, a line."""

from __future__ import annotations

import itertools
import json
import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from training.common.errors import DeepproverbsError
from training.corpus.forms import fields
from training.corpus.forms.columns import is_known_field
from training.corpus.forms.fields import Strings, strings_in, value_at
from training.corpus.forms.form import Form, Found, Raw, Source
from training.corpus.forms.json_stream import LONGEST
from training.corpus.forms.json_values import LOOKED_AT
from training.corpus.forms.records import Missing, raw_of
from training.corpus.ledger import Ledger

SUFFIXES = (".jsonl", ".ndjson", ".json")
_OBJECT = re.compile(r'\s*\{\s*("(?:[^"\\]|\\.)*"\s*:|\}\s*$)')


def recognise(source: Source) -> Found | None:
    said = source.settings.form == JSON_LINES.name or source.path.suffix.lower() in SUFFIXES[:2]
    if not said and not _begins(source):
        return None
    strings, count = defaultdict[str, Strings](Strings), 0
    for record, _ in itertools.islice(_records(source, Ledger()), LOOKED_AT):
        count += 1
        for name, text in strings_in(record):
            strings[name].add(text)
    if not strings and not source.settings.field:
        raise DeepproverbsError(
            f"{source.name} is JSON Lines without a text: only numbers, lists or nothing; choose another file."
        )
    field, why = fields.choose(strings, count, source.settings.field, source.name)
    place = f"; the texts are in {field!r} ({why})" if field else ""
    return Found(f"each line is one value{place}", {"field": field} if field else {}, field)


def read(source: Source, found: Found, ledger: Ledger) -> Iterator[Raw]:
    field = source.settings.field if found.details is None else found.details
    missing = Missing(source, field)
    first = True
    for record, number in _records(source, ledger):
        if first and isinstance(record, str) and is_known_field(record):
            ledger.drop("headings", record, number)  # a table of one column, in quotes
            first = False
            continue
        first = False
        raw = raw_of(record, value_at(record, field), number, ledger)
        missing.saw(raw, record, number, ledger)
        if raw:
            yield raw
    missing.check()


def _begins(source: Source) -> bool:
    """Whether the first line is a value of its own, with more to come. Strings must be so in every line: prose, too,
    has lines between quotation marks."""
    with source.open() as file:
        lines = (line for line in _lines(file) if line.strip())
        first, second = next(lines, ""), next(lines, "")
        if not second:
            return False
        try:
            value = json.loads(first.lstrip("\ufeff"))
        except ValueError:
            # Damaged or cut, if the next line is one.
            return bool(_OBJECT.match(first) and _is_object(second))
        if isinstance(value, dict):
            return True
        if isinstance(value, list):
            return second.lstrip().startswith("[")
        return isinstance(value, str) and all(map(_is_string, itertools.chain([second], lines)))


def _lines(file: Any) -> Iterator[str]:
    """Lines of a bounded length: one that is longer is no JSON Lines."""
    return iter(lambda: file.readline(LONGEST), "")


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def _is_string(line: str) -> bool:
    try:
        return isinstance(json.loads(line), str | None)
    except ValueError:
        return False


def _records(source: Source, ledger: Ledger) -> Iterator[tuple[Any, int]]:
    """(value, line number) of each line. A last line that was cut off is left out.

    Raises:
        DeepproverbsError: a line is no JSON, or holds a list.
    """
    with source.open() as file:
        for number, line in enumerate(_lines(file), 1):
            if not line.strip("\ufeff \t\r\n"):
                continue
            try:
                value = json.loads(line.strip("\ufeff"))
            except (ValueError, RecursionError) as error:
                if not line.endswith("\n") and number > 1 and line.lstrip()[0] in '{"':
                    ledger.drop("cut off", line[:200], number)
                    return
                where = f", column {error.colno}: {error.msg}" if isinstance(error, json.JSONDecodeError) else ""
                raise DeepproverbsError(
                    f"{source.name}, line {number}: not JSON{where}; mend or delete this line "
                    "(JSON Lines holds one object a line)."
                ) from error
            if isinstance(value, list):
                raise DeepproverbsError(
                    f"{source.name}, line {number}: a list, not an object or a text; "
                    "write the text alone on each line, or objects with names."
                )
            yield value, number


JSON_LINES = Form("json-lines", "JSON Lines", recognise, read)
