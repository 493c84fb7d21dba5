"""twitter-text-parser: X's own rules, the oracle of ours.

It reads one file of its own through pkg_resources, which setuptools has dropped; that one function stands in.
"""

from __future__ import annotations

import importlib.resources
import sys
import types


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

__all__ = ["extract_urls_with_indices", "parse_tweet"]
