"""Values as TOML writes them; Python reads TOML, but does not write it."""

from __future__ import annotations

import json
from typing import Any

from training.common.terminal import toml_escape, visible


def toml(value: Any) -> str:
    """A text, a number, true or false, or a tuple of these."""
    if isinstance(value, tuple):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, str):
        return visible(json.dumps(value, ensure_ascii=False), toml_escape)
    return str(value).lower() if isinstance(value, bool) else repr(value)
