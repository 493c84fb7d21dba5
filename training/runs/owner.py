"""Whose a run's folder is: RUN/run.json names its bot and its pool, from the first use on.

    bot      the bot's file; `near`: the same from the run's folder, which stays where the whole checkout moves
    digest   of that file; `name`: the bot's
    pool     where the run's texts went last, from the run's folder if it is a relative path; null before the first ones
    asked    the pool that the bot's file named then: while it does, the run keeps to its own
    earlier  pools that it filled before: nothing repeats their texts

Another bot is refused: it would train over this one's model. A bot that is elsewhere now goes on.
"""

from __future__ import annotations

import os
import shlex
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from post_tweet.errors import PostError

from training import settings
from training.common import progress
from training.common.errors import DeepproverbsError, WrongUse
from training.common.files import copy_of, digest, read_note, write_note
from training.common.manifest import FILE as MANIFEST
from training.common.paths import DEFAULT_BOT
from training.common.progress import Say
from training.settings import Bot

FILE = "run.json"


@dataclass(frozen=True)
class Owner:
    """What run.json says."""

    bot: str
    near: str
    digest: str
    name: str
    pool: str | None = None
    asked: str | None = None
    earlier: tuple[str, ...] = ()

    @classmethod
    def of(cls, run: Path, bot: Bot, file: Path) -> Owner:
        at = file.resolve()
        return cls(str(at), os.path.relpath(at, run.resolve()), digest(at), bot.name)

    @classmethod
    def read(cls, run: Path) -> Owner | None:
        """None: nothing has been made in the folder yet, or by a version that did not write this."""
        path, manifest = run / FILE, run / MANIFEST
        if not (manifest.exists() or copy_of(manifest).exists()):
            return None
        try:
            return read_note(path, cls.of_note, progress.say)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise DeepproverbsError(
                f"{path} cannot be read ({error}), and neither can its copy {copy_of(path)}; delete both: the next run "
                "writes them again, for its own bot."
            ) from error

    @classmethod
    def of_note(cls, note: dict[str, Any]) -> Owner:
        texts = ("bot", "near", "digest", "name"), ("pool", "asked")
        if not all(isinstance(note[key], str) for key in texts[0]) or not all(
            isinstance(note[key], str | None) for key in texts[1]
        ):
            raise ValueError("a text is missing")
        return cls(**{**note, "earlier": tuple(map(str, note["earlier"]))})

    def write(self, run: Path) -> None:
        write_note(run / FILE, asdict(self), twice=True)

    def is_same(self, other: Owner) -> bool:
        """Is `other` this bot, though it may lie elsewhere now?"""
        if self.bot == other.bot or self.near == other.near:
            return True
        return not Path(self.bot).exists() and (self.digest == other.digest or self.name == other.name)


def shown(path: str | Path) -> str:
    """A path for people: from here if it lies below, and a bot's folder for the bot.toml in it."""
    path = Path(path)
    if path.name == "bot.toml":
        path = path.parent
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_absolute() and path.is_relative_to(here) else str(path)


def check(run: Path, bot: Bot, file: Path) -> Owner | None:
    """What is known of the folder.

    Raises:
        WrongUse: it is another bot's.
    """
    known, mine = Owner.read(run), Owner.of(run, bot, file)
    if known is None or known.is_same(mine):
        return known
    other = f"{run} belongs to the bot {shown(known.bot)}, and {shown(file.resolve())} is another"
    if known.name == bot.name:
        other += f" of the same name, {bot.name}: give it a name of its own, name = … in {file}"
    else:
        other += f": name the first one, --bot {shlex.quote(shown(known.bot))}"
    raise WrongUse(f"{other}, or another folder with --run.")


def claim(run: Path, bot: Bot, file: Path, say: Say) -> Owner:
    """Write down whose the folder is, if that is new. Raises WrongUse: it is another bot's."""
    known, mine = check(run, bot, file), Owner.of(run, bot, file)
    if known:
        if known.bot != mine.bot:
            say(f"The bot of {run} was {shown(known.bot)} and is {shown(mine.bot)} now; the run goes on.")
        mine = replace(mine, pool=known.pool, asked=known.asked, earlier=known.earlier)
    if mine != known:
        mine.write(run)
    return mine


def from_run(run: Path, pool: str) -> str:
    """A pool's address as run.json has it."""
    if "://" in pool or Path(pool).is_absolute():
        return pool
    return os.path.relpath(Path(pool).resolve(), run.resolve())


def from_here(run: Path, pool: str) -> str:
    """The address of a pool that run.json names."""
    if "://" in pool or Path(pool).is_absolute():
        return pool
    return shown(Path(os.path.normpath(run.resolve() / pool)))


def place_of(pool: str) -> str:
    """One text for all addresses of a pool."""
    return pool.rstrip("/") if "://" in pool else str(Path(pool).resolve())


def pool_of(run: Path, bot: Bot, file: Path, given: str | None) -> str:
    """The pool that the run's texts go to: `given` on the command line; or the run's own, until the bot's file names
    another than it did."""
    asked, known = settings.load(file).pool, check(run, bot, file)
    if given is None and known and known.pool and known.asked == asked:
        return from_here(run, known.pool)
    return given or asked


def own_pool(bot: Bot, file: Path) -> str | None:
    """The pool that the run under the bot's name fills; None: there is no such run, or it is another bot's."""
    run = Path("runs") / bot.name
    known = Owner.read(run)
    if known is None or known.pool is None or not known.is_same(Owner.of(run, bot, file)):
        return None
    return from_here(run, known.pool)


def claim_pool(run: Path, bot: Bot, file: Path, given: str | None, say: Say) -> tuple[Bot, list[str]]:
    """The bot with its run's pool, which is written down; and every text that this pool and the run's earlier ones have
    ever held. Call `claim` before.

    Raises:
        WrongUse: another bot's run, in a folder beside this one, fills that pool.
    """
    from training.curate import fill

    mine, pool = Owner.read(run) or Owner.of(run, bot, file), pool_of(run, bot, file, given)
    here, asked, earlier = place_of(pool), settings.load(file).pool, list(mine.earlier)
    for path in sorted(run.resolve().parent.glob(f"*/{FILE}")):
        folder, theirs = path.parent, Owner.read(path.parent)
        fills = theirs and theirs.pool and place_of(from_here(folder, theirs.pool)) == here
        if theirs and fills and not theirs.is_same(Owner.of(folder, bot, file)):
            raise WrongUse(
                f"The pool {pool} is that of the bot {shown(theirs.bot)}: give {bot.name} its own with --pool, or "
                f'pool = "…" in {file}. (`deepproverbs fill` adds a pool.jsonl to any pool.)'
            )
    texts = fill.history(pool)
    before = from_here(run, mine.pool) if mine.pool else pool
    if place_of(before) != here:
        say(f"{run} was for the pool {before}, and is for {pool} from here on; the texts there are not repeated.")
        earlier.append(from_run(run, before))
    elif here != place_of(asked) and given is None:
        say(f"Pool: {pool}, as before; --pool names another.")
    for url in (from_here(run, url) for url in earlier):
        try:
            texts += fill.history(url) if place_of(url) != here else []
        except PostError as error:
            say(f"Texts of the run's earlier pool {url} may come again, for it cannot be read: {error}")
    kept = tuple(dict.fromkeys(url for url in earlier if place_of(from_here(run, url)) != here))
    replace(mine, pool=from_run(run, pool), asked=asked, earlier=kept).write(run)
    return replace(bot, pool=pool), texts


def first_command(words: str, file: Path, *options: str) -> str:
    """A command for people to give where there is no run yet. `file`: the bot's."""
    named = ["--bot", shown(file.resolve())] if file.resolve() != DEFAULT_BOT.resolve() else []
    return shlex.join(["deepproverbs", *words.split(), *named, *options])


def command(words: str, run: Path) -> str:
    """A command for people to give next, which names the bot, the run and the pool where they are not the defaults."""
    owner = Owner.read(run)
    parts = ["deepproverbs", *words.split()]
    if owner and Path(owner.bot) != DEFAULT_BOT.resolve():
        parts += ["--bot", shown(owner.bot)]
    if owner is None or run.resolve() != (Path("runs") / owner.name).resolve():
        parts += ["--run", str(run)]
    if owner and owner.pool and owner.asked:
        pool = from_here(run, owner.pool)
        if place_of(pool) != place_of(owner.asked):
            parts += ["--pool", pool]
    return shlex.join(parts)
