"""The folder of a new bot: data/NAME/ with corpus.txt, a bot.toml that says only what differs and why, and a .gitignore
that keeps both private.

Nothing is half there: the folder is written beside its place, read back, compared, and then given its name.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import textwrap
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from training import settings
from training.common.errors import DeepproverbsError, WrongUse
from training.common.terminal import one_line
from training.common.text import DELIMITER
from training.common.toml import rows, toml
from training.corpus.clean import clean
from training.corpus.gather import Gathered, gather
from training.corpus.read import open_corpus
from training.runs.fit import Fit
from training.settings import CorpusSettings

BOTS, POOLS = Path("data"), Path("pools")
"""Where bots and their pools are made: in the folder in which the command is given."""
WIDTH = 112
PRIVATE = "# Your texts are yours. To put this bot into git, delete this file.\n*\n"
OF_ORIGINAL: dict[str, Any] = {"form": "delimited", "delimiter": "", "field": "", "encoding": "", "author": ""}
"""What corpus.txt has instead of what was said of the file that the texts come from."""
NOTHING_TAKEN_OUT: dict[str, Any] = {"drop": (), "links": "keep", "mentions": "keep"}
"""Where what was taken out once would leave something to be taken out again."""


def is_name(text: str) -> bool:
    """Whether a bot can be called so."""
    return bool(re.fullmatch(r"[A-Za-z][A-Za-z0-9-]{0,39}", text))


def name_like(text: str) -> str:
    """The name nearest to a text, ü as u; empty where it has no letter."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return re.sub(r"[^A-Za-z0-9]+", "-", re.sub(r"^[^A-Za-z]+", "", plain))[:40].strip("-")


def name_of(file: Path) -> str:
    """The name nearest to a file's or folder's."""
    return name_like((file if file.stem else file.resolve()).stem.removesuffix(".tar"))


def folder_of(name: str) -> Path:
    """Where a new bot of this name is made.

    Raises:
        WrongUse: it is no name, or taken.
    """
    if not is_name(name):
        near = name_like(name)
        hint = f"; {near!r} would do" if near else ""
        raise WrongUse(f"A bot cannot be called {name!r}, only by letters, digits and -, a letter first{hint}.")
    folder = BOTS / name
    if os.path.lexists(folder):
        raise WrongUse(f"{folder} is there already; choose another name, or delete that folder first.")
    return folder


@contextmanager
def in_the_making(folder: Path) -> Iterator[Path]:
    """A folder beside its place, which is gone at the end unless it was renamed."""
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        yield part
    finally:
        shutil.rmtree(part, ignore_errors=True)


def write_texts(part: Path, files: list[Path], settings: CorpusSettings) -> tuple[Gathered, CorpusSettings]:
    """Write PART/corpus.txt: the different texts of the files, as they are learnt; and, beside it, what came through a
    pipe and exists nowhere else. Returns how corpus.txt is read, too.

    Raises: as `gather`.
    """
    texts = hashlib.blake2b()
    with (part / "corpus.txt").open("w", encoding="utf-8", newline="\n") as file:
        first = True

        def take(batch: list[str]) -> None:
            nonlocal first
            for text in batch:
                file.write(DELIMITER * (not first) + _as_read(text))
                texts.update(f"{text}\0".encode())
                first = False

        gathered = gather(files, settings, take)
        file.write("\n")
    for number, (path, told) in enumerate(zip(files, gathered.told, strict=True), 1):
        if not path.exists() or path.is_fifo():
            shutil.copyfile(told.reading.source.path, part / f"original-{number}.txt")
    for reading in (replace(settings, **OF_ORIGINAL), replace(settings, **OF_ORIGINAL, **NOTHING_TAKEN_OUT)):
        read = hashlib.blake2b()
        for text in texts_in(part, reading) if gathered.ledger.kept else ():
            read.update(f"{text}\0".encode())
        if read.digest() == texts.digest():
            return gathered, reading
    raise DeepproverbsError("What was written into corpus.txt does not come back as it was; please report the file.")


def texts_in(folder: Path, settings: CorpusSettings) -> Iterator[str]:
    """The texts of its corpus.txt, as a run reads them."""
    return (text for raw in open_corpus(folder / "corpus.txt", settings).texts() if (text := clean(raw.text)))


def finish(part: Path, folder: Path, fits: Sequence[Fit], made_by: str) -> None:
    """Write bot.toml, and give the folder its name. `made_by`: the command that makes the bot again."""
    (part / ".gitignore").write_text(PRIVATE, encoding="utf-8")
    (part / "bot.toml").write_text(bot_toml(folder.name, fits, made_by), encoding="utf-8")
    settings.load(part)
    part.rename(folder)


def _as_read(text: str) -> str:
    """A text so that cleaning gives it back: one that writes of &amp; must be escaped for that."""
    return text if clean(text) == text else text.replace("&", "&amp;")


def bot_toml(name: str, fits: Sequence[Fit], made_by: str) -> str:
    """A short bot.toml: each setting with its reason above it."""
    parts = [
        f"# The bot {name}, as it was made by\n#   {one_line(made_by)}\n"  # a file's name must not write settings
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
        text = f"{key} = [\n" + "".join(f"  {row}\n" for row in rows(fit.value, WIDTH)) + "]"
    if fit.suggested:
        text = "\n".join(f"# {line}" for line in text.splitlines())
    return "\n".join([*(f"# {line}" for line in reason), text])
