"""A bot's own rules: `[filter] own = ["rules.py:no_wine"]`, Python functions in the bot's folder."""

from __future__ import annotations

import importlib.util
import multiprocessing
import sys
from collections.abc import Callable, Collection
from pathlib import Path
from types import ModuleType

from training.common.errors import WrongUse
from training.common.progress import say
from training.judge.rule import Context, Rule, Text
from training.settings import FilterSettings, code_file

_told: set[Path] = set()


def own_names(settings: FilterSettings) -> list[str]:
    """The names of the bot's own rules."""
    return [name.partition(":")[2].replace("_", "-") for name in settings.own]


def own_files(settings: FilterSettings, folder: Path) -> list[Path]:
    """The existing files that hold them. Raises WrongUse: one lies outside the folder."""
    files = (code_file("[filter] own", name.partition(":")[0], folder) for name in settings.own)
    return [path for path in files if path.exists()]


def own_rules(settings: FilterSettings, folder: Path, taken: Collection[str]) -> list[Rule]:
    """The rules themselves.

    Raises:
        WrongUse: a file or function is missing, lies outside the folder, does not load, or has one of the names that
            are `taken`.
    """
    rules: dict[str, Rule] = {}
    for name, title in zip(settings.own, own_names(settings), strict=True):
        file, _, function = name.partition(":")
        path = code_file("[filter] own", file, folder)
        if not function or not path.is_file():
            raise WrongUse(f"[filter] own: {name!r} must be FILE.py:FUNCTION in {folder}; no such file there.")
        found = getattr(_loaded(path), function, None)
        if not callable(found):
            raise WrongUse(f"[filter] own: {path} has no function {function!r}.")
        if title in taken or title in rules:
            raise WrongUse(f"[filter] own: {name!r} has the name of an existing rule or verdict; rename the function.")
        rules[title] = Rule(title, question=_question(name, found))
    return list(rules.values())


def _loaded(path: Path) -> ModuleType:
    if path not in _told and multiprocessing.parent_process() is None:  # a judging process was told of
        say(f"Running {path}: rules of the bot's own.")
        _told.add(path)
    spec = importlib.util.spec_from_file_location(f"own_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # the bot's code may raise anything
        raise WrongUse(f"[filter] own: {path} does not load: {type(error).__name__}: {error}") from error
    return module


def _question(name: str, function: Callable[[str], str | None]) -> Callable[[Text, Context], str | None]:
    def question(text: Text, context: Context) -> str | None:
        try:
            reason = function(text.text)
        except Exception as error:
            raise WrongUse(f"[filter] own: {name} failed on {text.text!r}: {type(error).__name__}: {error}") from error
        return str(reason) if reason else None

    question.__doc__ = function.__doc__
    return question
