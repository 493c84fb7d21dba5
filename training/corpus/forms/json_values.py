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
    """How the values make up records, and which field of which of them is the text."""

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
                f"{source.name} is no JSON, though its name says JSON: it begins with neither a list nor an object of "
                "JSON; mend it, or say what it is: --form lines for one text a line."
            )
        return None
    shape, groups, strings, lists = _look(source)
    where = source.name
    if not strings:
        raise DeepproverbsError(
            f"{where} is JSON without a text: only numbers, empty lists or nothing; choose another file."
        )
    if source.settings.field == ALL:
        return Found("JSON; every list in it, as you say", {"field": ALL}, Plan(shape, ALL))
    if len(lists) > 1 and not source.settings.field and _different(lists, strings):
        named = ", ".join(f"{name!r} ({strings[name, ''].count:,})" for name in sorted(lists)[:12])
        raise DeepproverbsError(
            f"{where} holds {len(lists)} lists of texts: {named}; "
            f"name one with --field, or all of them with --field '{ALL}'."
        )
    of_path: dict[str, tuple[str, str]] = {_path(*key): key for key in strings}
    chosen, why = fields.choose(
        {path: strings[key] for path, key in of_path.items()}, _records(groups, strings), source.settings.field, where
    )
    group, name = of_path[chosen]
    count = groups.get(group, 0)
    many = f"more than {count:,}" if count == LOOKED_AT and shape in ("list", "objects") else f"{count:,}"
    what = _DESCRIBED[shape].format(count=many)
    place = f"; the texts are in {chosen!r} ({why})" if chosen else ""
    return Found(f"{what}{place}", {"field": chosen} if chosen else {}, Plan(shape, group, name))


_DESCRIBED = {
    "list": "a list of {count} entries",
    "lists": "lists in an object, this one of {count} entries",
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
            if isinstance(record, str):
                yield Raw(record, line)
        elif group == plan.group:
            raw = raw_of(record, value_at(record, plan.field), line, ledger)
            missing.saw(raw, record, line, ledger)
            if raw:
                yield raw
    missing.check()


def _look(source: Source) -> tuple[str, dict[str, int], dict[tuple[str, str], Strings], set[str]]:
    """(shape, records of each group, what their fields hold, the groups that are lists of strings)."""
    shape = _shape(source)
    groups: dict[str, int] = defaultdict(int)
    strings: dict[tuple[str, str], Strings] = defaultdict(Strings)
    lists = set()
    entries: Iterable[tuple[str, Any, int]] = _entries(source, shape)
    for group, record, _ in itertools.islice(entries, LOOKED_AT) if shape in ("list", "objects") else entries:
        groups[group] += 1
        for name, text in strings_in(record):
            strings[group, name].add(text)
        if shape == "lists" and isinstance(record, str):
            lists.add(group)
    return shape, groups, strings, lists


def _shape(source: Source) -> str:
    """How the file is built, by a look at all of it. An object is walked once: its end tells whether more follow."""
    with source.open() as file:
        values = Values(file, source.name)
        if values.next() == "[":
            return "list"
        lists, inner, scalars = set[str](), defaultdict[str, set[str]](set), dict[str, Any]()
        for item in values.items():
            if not item.group:
                scalars[item.name] = item.value
            elif item.name:
                if len(inner[item.group]) < 1000:
                    inner[item.group].add(item.name)
            else:
                lists.add(item.group)
        if values.next():
            return "objects"
    if lists:
        return "lists"
    if inner:
        # {"a": {"text": …}, "b": {"text": …}} has names in common, {"meta": {…}, "data": {…}} has not.
        columns = all(name.isdecimal() for names in inner.values() for name in names)
        alike = set.intersection(*inner.values()) if len(inner) > 1 else _known(next(iter(inner.values())))
        return "records" if alike and not columns else "columns"
    if len(scalars) < 2 or _known(scalars):
        return "objects"
    return "names"


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
            for item in values.items():
                # {"data": {"a name": [{…}, {…}]}}: the two faces of a card
                inner = item.value if isinstance(item.value, list) and shape != "list" else [item.value]
                for value in inner:
                    yield ("" if shape == "names" else item.group or item.name), value, item.line
        if mark := values.next():
            raise DeepproverbsError(
                f"{source.name} is JSON that ends before line {values.line}, where {mark!r} follows; "
                "take out what stands there, or put one value on each line."
            )


def _path(group: str, name: str) -> str:
    return f"{group}.{name}" if group and name else group or name


def _records(groups: dict[str, int], strings: dict[tuple[str, str], Strings]) -> int:
    """The records of the largest group that holds strings."""
    return max((groups[group] for group, _ in strings), default=0)


def _different(lists: set[str], strings: dict[tuple[str, str], Strings]) -> bool:
    """Whether several lists of strings are kinds of texts and not the columns of a table, which are of one length."""
    return len({strings[name, ""].count for name in lists}) > 1 and not _known(lists)


JSON = Form("json", "JSON", recognise, read)
