"""Values as TOML writes them; Python reads TOML, but does not write it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from training.common.terminal import toml_escape, visible


def toml(value: Any) -> str:
    """A text, a number, true or false, or a tuple of these."""
    if isinstance(value, tuple):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, str):
        return visible(json.dumps(value, ensure_ascii=False), toml_escape)
    return str(value).lower() if isinstance(value, bool) else repr(value)


def rows(values: Sequence[Any], width: int) -> list[str]:
    """The items of a list in lines of up to `width` characters, broken between items and never in a text."""
    lines: list[str] = []
    for number, value in enumerate(values, 1):
        item = toml(value) + "," * (number < len(values))
        if lines and len(lines[-1]) + 1 + len(item) <= width:
            lines[-1] += f" {item}"
        else:
            lines.append(item)
    return lines
