"""twitter-text-parser: X's own rules, the oracle of ours, and what X makes of a text by them.

It reads one file of its own through pkg_resources, which setuptools has dropped; that one function stands in.
"""

from __future__ import annotations

import hashlib
import importlib.resources
import re
import sys
import types
import unicodedata
from typing import Any


def _resource_string(module: str, name: str) -> bytes:
    return (importlib.resources.files(module.rpartition(".")[0]) / name).read_bytes()


if "pkg_resources" not in sys.modules:
    stand_in = types.ModuleType("pkg_resources")
    stand_in.resource_string = _resource_string  # type: ignore[attr-defined]
    sys.modules["pkg_resources"] = stand_in
    try:
        from twitter_text import parse_tweet
        from twitter_text.extract_urls import extract_urls_with_indices
    finally:
        del sys.modules["pkg_resources"]

__all__ = ["extract_urls_with_indices", "meaning", "parse_tweet", "shown_by_x"]


def shown_by_x(text: str) -> tuple[str, list[dict[str, Any]]]:
    """X's copy of a post and the links in it: composed, no space around it, &, < and > escaped, links shortened."""
    text = unicodedata.normalize("NFC", text).strip()
    copy, at, links = "", 0, []
    for found in extract_urls_with_indices(text):
        start, end = found["indices"]
        url = text[start:end]
        short = "https://t.co/" + hashlib.sha256(url.encode()).hexdigest()[:10]
        copy, at = copy + _escaped(text[at:start]), end
        links.append(
            {
                "start": len(copy),
                "end": len(copy) + len(short),
                "url": short,
                "expanded_url": url if "://" in url else f"http://{url}",
                "display_url": re.sub("^https?://", "", url),
            }
        )
        copy += short
    return copy + _escaped(text[at:]), links


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def meaning(text: str) -> list[str]:
    """What two texts that X shows alike have in common: their words, and where their links lead."""
    text = unicodedata.normalize("NFC", text)
    parts, at = [], 0
    for found in extract_urls_with_indices(text):
        start, end = found["indices"]
        scheme, _, rest = text[start:end].rpartition("://")
        host, _, path = rest.partition("/")
        parts += [text[at:start], f"{scheme.lower() or 'http'} {host.lower()} {path}"]
        at = end
    whole = "\0".join([*parts, text[at:]])
    return whole.split()
