"""MTGJSON: cards by name, or sets with their cards; the text of a card, or its flavour."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from training.common.errors import DeepproverbsError
from training.corpus.forms.form import Form, Found, Raw, Source
from training.corpus.forms.json_stream import Values
from training.corpus.ledger import Ledger

FACES = "\n//\n"
"""Between the texts of a card's faces."""
FIELDS = ("text", "flavorText", "name", "originalText")
_BEGINNING = re.compile(
    r'\ufeff?\s*\{\s*"meta"\s*:\s*\{\s*"(?:date|version)"\s*:\s*"[^"]*"\s*,\s*"(?:date|version)"\s*:\s*"[^"]*"\s*\}\s*,'
    r'\s*"data"\s*:\s*\{'
)


def recognise(source: Source) -> Found | None:
    with source.open() as file:
        if not _BEGINNING.match(file.read(4096)):
            return None
    field = source.settings.field or FIELDS[0]
    if field not in FIELDS:
        raise DeepproverbsError(
            f"{source.name}: no field {field!r} of cards but {', '.join(map(repr, FIELDS))}; name one with --field."
        )
    return Found(f'its "meta" has a date and a version; the texts are in {field!r}', {"field": field})


def read(source: Source, found: Found, ledger: Ledger) -> Iterator[Raw]:
    field = source.settings.field or FIELDS[0]
    seen = False
    with source.open() as file:
        values = Values(file, source.name)
        for item in values.items():
            if item.group == "data":
                for card in _cards(item.name, item.value):
                    texts = [
                        face[field] for face in card if isinstance(face, dict) and isinstance(face.get(field), str)
                    ]
                    if texts:
                        seen = True
                        yield Raw(FACES.join(texts), item.line)
                    else:
                        ledger.drop(f"cards without {field!r}", str(card)[:200], item.line)
    if not seen:
        raise DeepproverbsError(f"{source.name}: no card in it has {field!r}; name another field with --field.")


def _cards(name: str, value: Any) -> Iterator[list[Any]]:
    """Each card as the list of its faces."""
    if name == "cards" and isinstance(value, list):
        yield from ([card] for card in value)
    elif isinstance(value, list):
        yield value
    elif isinstance(value, dict) and isinstance(value.get("cards"), list):
        yield from ([card] for card in value["cards"])


MTGJSON = Form("mtgjson", "MTGJSON's cards", recognise, read)
