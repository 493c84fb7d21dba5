"""JSON Lines: an object with the text in a field, or the text itself, a line."""

from __future__ import annotations

import itertools
import json
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
_LOOKED_AT = 20
"""Lines, of which half may be damaged: which they are is told while reading."""


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
    """Whether half of the first lines are objects, of two at least. Strings must be so in every line: prose, too, has
    lines between quotation marks."""
    with source.open() as file:
        lines = (line.lstrip("\ufeff") for line in _lines(file) if line.strip("\ufeff \t\r\n"))
        first = list(itertools.islice(lines, _LOOKED_AT))
        if len(first) < 2:
            return False
        if 2 * sum(map(_is_object, first)) >= len(first):
            return True
        if first[0].lstrip().startswith("["):
            return all(map(_is_list, first))
        return all(map(_is_string, itertools.chain(first, lines)))


def _lines(file: Any) -> Iterator[str]:
    """Lines of a bounded length: one that is longer is no JSON Lines."""
    return iter(lambda: file.readline(LONGEST), "")


def _is_object(line: str) -> bool:
    return line.lstrip().startswith("{") and isinstance(_value(line), dict)


def _is_list(line: str) -> bool:
    return isinstance(_value(line), list)


def _is_string(line: str) -> bool:
    return isinstance(_value(line), str)


def _value(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


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
