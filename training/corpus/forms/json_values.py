"""JSON in one piece: a list of texts or of objects, an object of lists, {name: text}, a table by columns, objects one
after the other.
"""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from training.common.errors import DeepproverbsError
from training.corpus.forms import fields
from training.corpus.forms.fields import Strings, strings_in, value_at
from training.corpus.forms.form import Form, Found, Raw, Source
from training.corpus.forms.json_stream import Item, Values
from training.corpus.forms.records import Missing, raw_of
from training.corpus.ledger import Ledger

ALL = "*"
"""`field` for every list of an object."""
LOOKED_AT = 100_000
"""Entries of a list from which its field is chosen."""
_BEGINNING = re.compile(r'\ufeff*\s*(\[\s*(\]|[{\[]|"(?:[^"\\\n]|\\.)*"\s*[,\]])|\{\s*(\}|"(?:[^"\\\n]|\\.)*"\s*:))')
"""No prose begins like this: a list of strings, objects or lists, or an object with a first name."""
_HEAD = 1 << 16


@dataclass(frozen=True)
class Plan:
    """How the values make up records, and which field of which of them is the text; `group` ALL: of every one."""

    shape: str
    group: str = ""
    field: str = ""


def begins_as_json(source: Source) -> bool:
    with source.open() as file:
        return bool(_BEGINNING.match(file.read(_HEAD)))


def recognise(source: Source) -> Found | None:
    if not begins_as_json(source):
        if source.settings.form == JSON.name or source.path.suffix.lower() == ".json":
            raise DeepproverbsError(
                f"{source.name} is not JSON, though its name says so: it begins with neither a list nor an object of "
                "JSON; mend it, or say what it is: --form lines for one text a line."
            )
        return None
    shape = _shape(source)
    groups, strings = _look(source, shape)
    if not strings:
        raise DeepproverbsError(
            f"{source.name} is JSON without a text: only numbers, empty lists or nothing; choose another file."
        )
    paths = {_path(*key): held for key, held in strings.items()}
    of_path = {_path(*key): key for key in strings}
    asked = source.settings.field
    if asked == ALL:
        leaf = _of_all(groups, strings)
        return Found(
            f"JSON, all of its lists{f'; the texts are in {leaf!r}' * bool(leaf)}",
            {"field": ALL},
            Plan(shape, ALL, leaf),
        )
    chosen, why = fields.choose(paths, max(groups[group] for group, _ in strings), asked, source.name)
    group, name = of_path[chosen]
    if not asked and shape in ("lists", "rows"):
        _ask_if_several(source, chosen, of_path, strings)
    count = groups[group]
    many = f"more than {count:,}" if count == LOOKED_AT and shape in ("list", "rows", "objects") else f"{count:,}"
    what = _DESCRIBED[shape].format(count=many)
    place = f"; the texts are in {chosen!r} ({why})" if chosen else ""
    return Found(f"{what}{place}", {"field": chosen} if chosen else {}, Plan(shape, group, name))


def _ask_if_several(
    source: Source, chosen: str, of_path: dict[str, tuple[str, str]], strings: dict[tuple[str, str], Strings]
) -> None:
    """
    Raises:
        DeepproverbsError: other lists hold texts as well, and no name says that they are none.
    """
    group, name = of_path[chosen]
    texts = {
        path: strings[key]
        for path, key in of_path.items()
        # Lists of strings, or of objects with the same field; of rows, the columns. X's API adds what a post cites.
        if (key[1] == name or (key[0] == group and name.isdecimal())) and key[0] != "includes" and strings[key].lengths
    }
    if len(texts) > 1 and not _known([group] if not name or group else [name]):
        named = ", ".join(f"{path!r} ({held.count:,})" for path, held in sorted(texts.items())[:12])
        raise DeepproverbsError(
            f"{source.name} holds {len(texts)} lists of texts: {named}; "
            f"name one with --field, or all of them with --field '{ALL}'."
        )


def _of_all(groups: dict[str, int], strings: dict[tuple[str, str], Strings]) -> str:
    """The field of the objects in all lists; "" if they are strings."""
    merged: dict[str, Strings] = defaultdict(Strings)
    for (_, name), held in strings.items():
        merged[name].count += held.count
        merged[name].lengths += held.lengths
        merged[name].seen |= held.seen
    return fields.choose(merged, sum(groups[group] for group in {group for group, _ in strings}), "", "")[0]


_DESCRIBED = {
    "list": "a list of {count} entries",
    "lists": "lists in an object, this one of {count} entries",
    "rows": "a list of {count} rows",
    "names": "{count} names, each with its text",
    "columns": "a table by columns, this one of {count} entries",
    "records": "{count} named objects",
    "objects": "{count} objects, one after the other",
}


def read(source: Source, found: Found, ledger: Ledger) -> Iterator[Raw]:
    plan: Plan = found.details or recognise(source).details  # type: ignore[union-attr]  # it was recognised
    missing = Missing(source, plan.field or plan.group)
    for group, record, line in _entries(source, plan.shape):
        if plan.group == ALL:
            if plan.shape == "rows":
                value: Any = [cell for cell in record.values() if isinstance(cell, str)]
            else:
                value = value_at(record, plan.field)
                if group == "includes" or (not isinstance(value, str) and not isinstance(record, dict)):
                    continue
        elif group == plan.group:
            value = value_at(record, plan.field)
        else:
            continue
        raw = raw_of(record, value, line, ledger)
        missing.saw(raw, record, line, ledger)
        if raw:
            yield raw
    missing.check()


def _look(source: Source, shape: str) -> tuple[dict[str, int], dict[tuple[str, str], Strings]]:
    """(records of each group, what their fields hold)."""
    groups: dict[str, int] = defaultdict(int)
    strings: dict[tuple[str, str], Strings] = defaultdict(Strings)
    entries: Iterable[tuple[str, Any, int]] = _entries(source, shape)
    for group, record, _ in itertools.islice(entries, LOOKED_AT) if shape in ("list", "rows", "objects") else entries:
        groups[group] += 1
        for name, text in strings_in(record):
            strings[group, name].add(text)
    return groups, strings


def _shape(source: Source) -> str:
    """How the file is built. An object is walked to its end, which tells whether more follow."""
    with source.open() as file:
        values = Values(file, source.name)
        if values.next() == "[":
            return "rows" if isinstance(next((item.value for item in values.items()), None), list) else "list"
        lists, decimal, inner, scalars = False, True, 0, 0
        known = set[str]()
        alike: set[str] | None = None
        for group, items in itertools.groupby(values.items(), lambda item: item.group):
            if not group:
                for item in items:
                    scalars += 1
                    known |= _known([item.name])
                continue
            names = {item.name for item in itertools.islice(items, 1000)}
            lists = lists or "" in names
            decimal = decimal and all(name.isdecimal() for name in names)
            alike = names if alike is None else alike & names
            inner += 1
        if values.next():
            return "objects"
    if lists:
        return "lists"
    if inner:
        # {"a": {"text": …}, "b": {"text": …}} has names in common, {"meta": {…}, "data": {…}} has not.
        alike = alike if inner > 1 else _known(alike or ())
        return "records" if alike and not decimal else "columns"
    return "objects" if scalars < 2 or known else "names"


def _known(names: Iterable[str]) -> set[str]:
    return {name for name in names if name.lower() in fields.TEXT_FIELDS}


def _entries(source: Source, shape: str) -> Iterator[tuple[str, Any, int]]:
    """(group, record, line) of every record in the file."""
    with source.open() as file:
        values = Values(file, source.name)
        if shape == "objects":
            for item in values.all():
                yield "", item.value, item.line
            return
        if shape == "records":
            for _, items in itertools.groupby(values.items(), lambda item: item.group):
                record: list[Item] = list(items)
                yield "", {item.name: item.value for item in record}, record[0].line
        else:
            rows = _Rows()
            for item in values.items():
                group = "" if shape == "names" else item.group or item.name
                if isinstance(item.value, list) and item.name:
                    # {"data": {"a name": [{…}, {…}]}}
                    yield from ((group, value, item.line) for value in item.value)
                elif isinstance(item.value, list) or group == "columns":
                    if (row := rows.named(group, item.value)) is not None:
                        yield group, row, item.line
                else:
                    yield group, item.value, item.line
        if mark := values.next():
            raise DeepproverbsError(
                f"{source.name} is JSON that ends before line {values.line}, where {mark!r} follows; "
                "take out what is there, or put one value on each line."
            )


def _path(group: str, name: str) -> str:
    return f"{group}.{name}" if group and name else group or name


class _Rows:
    """Lists as records, named by a heading: the first row, or pandas' list of columns; else by their numbers."""

    def __init__(self) -> None:
        self._heading: dict[str, list[str]] = {}
        self._columns: list[str] = []

    def named(self, group: str, row: Any) -> Any:
        """None: a heading."""
        if not isinstance(row, list):
            self._columns.append(str(row))
            return row
        if group not in self._heading:
            strings = [cell for cell in row if isinstance(cell, str)]
            heads = len(strings) == len(row) and bool(_known(strings))
            numbers = [str(number) for number in range(len(row))]
            self._heading[group] = strings if heads else self._columns if len(self._columns) == len(row) else numbers
            if heads:
                return None
        return dict(zip(self._heading[group], row, strict=False))


JSON = Form("json", "JSON", recognise, read)
