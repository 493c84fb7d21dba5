"""The folder of a new bot: data/NAME/ with corpus.txt, a bot.toml that says only what differs and why, and a .gitignore
that keeps both private.

Nothing is half there: the folder is written beside its place, read back, compared, and then given its name.
"""

from __future__ import annotations

import os
import re
import shutil
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import zip_longest
from pathlib import Path

from training import settings
from training.common.errors import DeepproverbsError, WrongUse
from training.common.text import DELIMITER
from training.common.toml import toml
from training.corpus.clean import clean
from training.corpus.read import open_corpus
from training.runs.fit import Fit

BOTS, POOLS = Path("data"), Path("pools")
"""Where bots and their pools are made: in the folder in which the command is given."""
WIDTH = 112
PRIVATE = "# Your texts are yours. To put this bot into git, delete this file.\n*\n"
Texts = Callable[[], Iterator[str]]
"""The texts as they are learnt, as often as they are wanted."""


def folder_of(name: str) -> Path:
    """Where a new bot of this name is made.

    Raises:
        WrongUse: it is no name, or taken.
    """
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9-]{0,39}", name):
        near = re.sub(r"[^A-Za-z0-9]+", "-", re.sub(r"^[^A-Za-z]+", "", name)).strip("-")[:40]
        hint = f"; {near!r} would do" if near else ""
        raise WrongUse(f"A bot cannot be called {name!r}, only by letters, digits and -, a letter first{hint}.")
    folder = BOTS / name
    if os.path.lexists(folder):
        raise WrongUse(f"{folder} is there already; choose another name, or delete that folder first.")
    return folder


def make(folder: Path, texts: Texts, fits: Sequence[Fit], made_by: str, originals: Sequence[Path] = ()) -> None:
    """Write the bot's folder.

    Args:
        texts: those of corpus.txt.
        fits: what bot.toml says.
        made_by: the command that makes it again.
        originals: files that exist nowhere else, such as what came through a pipe; they are kept beside the texts.

    Raises:
        DeepproverbsError: what was written does not read as the same texts.
    """
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        (part / ".gitignore").write_text(PRIVATE, encoding="utf-8")
        for number, path in enumerate(originals, 1):
            shutil.copyfile(path, part / f"original-{number}.txt")
        corpus = part / "corpus.txt"
        _write_corpus(corpus, texts())
        (part / "bot.toml").write_text(bot_toml(folder.name, fits, made_by), encoding="utf-8")
        bot = settings.load(part)
        read = (clean(raw.text) for raw in open_corpus(corpus, bot.corpus).texts())
        for wanted, got in zip_longest(_once(texts()), read):
            if wanted != got:
                raise DeepproverbsError(
                    f"The text {wanted!r} does not come back from corpus.txt as it was ({got!r}); please report it."
                )
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _write_corpus(path: Path, texts: Iterable[str]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for number, text in enumerate(_once(texts)):
            file.write(DELIMITER * bool(number) + _as_read(text))
        file.write("\n")


def _once(texts: Iterable[str]) -> Iterator[str]:
    """Each text once."""
    seen: set[str] = set()
    for text in texts:
        if text not in seen:
            seen.add(text)
            yield text


def _as_read(text: str) -> str:
    """A text so that cleaning gives it back: one that writes of &amp; must be escaped for that."""
    return text if clean(text) == text else text.replace("&", "&amp;")


def bot_toml(name: str, fits: Sequence[Fit], made_by: str) -> str:
    """A short bot.toml: each setting with its reason above it."""
    parts = [
        f"# The bot {name}, as it was made by\n#   {made_by}\n"
        "# What is not here has its default: `deepproverbs settings` shows every setting."
    ]
    section = ""
    for fit in fits:
        here, _, key = fit.key.rpartition(".")
        if here != section:
            section = here
            parts.append(f"[{section}]")
        parts.append(_entry(key, fit))
    return "\n\n".join(parts) + "\n"


def _entry(key: str, fit: Fit) -> str:
    reason = textwrap.wrap(f"{fit.reason}.", WIDTH, break_long_words=False, break_on_hyphens=False)
    text = f"{key} = {toml(fit.value)}"
    if len(text) > WIDTH and isinstance(fit.value, tuple):
        items = textwrap.wrap(", ".join(map(toml, fit.value)), WIDTH, break_long_words=False, break_on_hyphens=False)
        text = f"{key} = [\n" + "".join(f"  {line}\n" for line in items) + "]"
    if fit.suggested:
        text = "\n".join(f"# {line}" for line in text.splitlines())
    return "\n".join([*(f"# {line}" for line in reason), text])
