"""`new`: files of texts → a bot of its own, measured and fitted: data/NAME/ with its texts and a short bot.toml."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from training import settings
from training.cli.command import argument, command, json_option, option
from training.cli.console import console, show
from training.cli.options import given, setting_options, with_options
from training.common.errors import DeepproverbsError
from training.common.paths import MODELS, NANO
from training.common.progress import say
from training.common.toml import toml
from training.settings import Bot

if TYPE_CHECKING:
    from training.corpus.look import CountTokens, Look
    from training.corpus.read import Reading
    from training.runs.fit import Fit
    from training.runs.preflight import Preflight

ORIGINAL = ("corpus.form", "corpus.delimiter", "corpus.field", "corpus.encoding", "corpus.author")
"""How the files are read that are given; not the corpus.txt that is made of them."""
READ = (*ORIGINAL, "corpus.drop", "corpus.links", "corpus.mentions")
PATH = click.Path(path_type=Path, allow_dash=True)
FEW = 300
"""Fewer texts make a bot that repeats itself."""


@command("new", section="All of it")
@argument("name", help="What the bot is called: letters, digits and -.")
@argument(
    "files", nargs=-1, required=True, type=PATH, metavar="FILE…", help="Your texts, in any form; - is what is piped in."
)
@option("--yes", is_flag=True, help="Ask nothing.")
@setting_options("model", "count", "pool", *READ)
@json_option
def new(name: str, files: tuple[Path, ...], yes: bool) -> None:
    """Make a bot of your own texts, with settings that fit them.

    It writes data/NAME/, which git does not see: your texts, and a short bot.toml that gives its reasons.

    $ deepproverbs new tweets ~/Downloads/twitter-archive.zip
    $ deepproverbs new sayings sayings.csv --field quote --yes
    $ deepproverbs new notes - --yes                # what is piped in
    """
    from training.corpus.look import look
    from training.runs import new_bot, preflight
    from training.runs.fit import apply, fit

    folder = new_bot.folder_of(name)
    bot = with_options(Bot())
    readings = [_open(path, bot) for path in files]

    def texts() -> Iterator[str]:
        return (text for reading in readings for text in _texts(reading))

    count_tokens = _token_counter(given().get("model", ""))
    found = look(texts(), count_tokens)
    for path, reading in zip(files, readings, strict=True):
        say(_screen(path, reading))
    if not found.texts:
        raise DeepproverbsError(f"No text is left of {', '.join(map(str, files))}; name another --form or --field.")
    fits = _all_fits(name, fit(found, given().get("model", "")))
    made = settings.fitted(apply(Bot(name=name, folder=folder), fits))
    say(f"\n{_described(found)}\n")
    for line in _warnings(found, preflight.check(made, found.sample, (), count_tokens), made):
        say(f"Note: {line}")
    say("Settings that differ from the defaults:")
    for each in fits:
        say(f"  {'# ' * each.suggested}{each.key} = {toml(each.value)}\n      {each.reason}.")
    if not yes and not console.json and sys.stdin.isatty() and not click.confirm(f"\nWrite {folder}?", default=True):
        raise DeepproverbsError("Nothing was written.")
    piped = [reading.source.path for path, reading in zip(files, readings, strict=True) if not path.exists()]
    new_bot.make(folder, texts, fits, _repeated(name, files, readings), piped)
    chosen = {each.key: each.value for each in fits if not each.suggested}
    show({"bot": str(folder), "settings": chosen, "look": found.facts()}, _next(folder, made))


def _open(path: Path, bot: Bot) -> Reading:
    from training.corpus.read import open_corpus

    return open_corpus(path, bot.corpus)


def _texts(reading: Reading) -> Iterator[str]:
    """The texts of a file as they are learnt."""
    from training.corpus.clean import cleaned

    for raw in reading.texts():
        if text := cleaned(raw.text, entities=not raw.plain)[0]:
            yield text


def _token_counter(model: str) -> CountTokens:
    """Counts with the tokenizer of the model, or nano's: it is in the checkout, and has more tokens for a text than any
    other, so that a limit in these is never too small."""
    from training.corpus.tokenizer import load_tokenizer

    folder = MODELS / (model or "smollm2-135m")
    tokenizer = load_tokenizer(folder if (folder / "tokenizer.json").is_file() else NANO)
    return lambda texts: [len(each.ids) for each in tokenizer.encode_batch(list(texts))]


def _all_fits(name: str, fits: Sequence[Fit]) -> list[Fit]:
    """With what was said by hand, which goes before what was measured; in the order of a bot.toml."""
    from training.runs.fit import Fit, in_order
    from training.runs.new_bot import POOLS

    by_key = {fit.key: fit for fit in fits}
    by_key["pool"] = Fit("pool", (POOLS / name).as_posix(), "Its own: what it has posted is remembered there")
    by_key["corpus.form"] = Fit("corpus.form", "delimited", "corpus.txt has the texts between lines of ==========")
    for key, value in given().items():
        if key not in ORIGINAL:
            by_key[key] = Fit(key, value, "As you said")
    return in_order(by_key.values())


def _screen(path: Path, reading: Reading) -> str:
    """How a file was read, and its first texts."""
    first = []
    for text in _texts(reading):
        first.append(text)
        if len(first) == 3:
            break
    shown = "\n".join(f"  {text}" for text in first)
    return f"{path}: {reading.form.title}, for {reading.found.evidence}. It begins:\n{shown}"


def _described(look: Look) -> str:
    """The measured corpus in a few lines."""
    holding = [
        f"{share:.0%} hold {kind}" for kind, share in look.holding.items() if share >= 0.01 and kind != "capitals"
    ]
    return "\n".join(
        [
            f"{look.texts:,} texts, {look.duplicates:,} of them twice; {look.language.name}.",
            f"Half are longer than {look.words.median} words ({look.graphemes.median} characters), one in a hundred "
            f"than {look.words.high}; up to {look.lines.most} line{'s' * (look.lines.most > 1)}.",
            "; ".join([*holding, f"{look.unclosed:.0%} end without a closing mark"]) + ".",
            f'{look.openings[2][0]:.0%} begin with "{look.openings[2][1]}".',
        ]
    )


def _warnings(look: Look, found: Preflight, bot: Bot) -> Iterator[str]:
    """What the owner should know before anything is trained."""
    if look.texts - look.duplicates < FEW:
        yield f"{look.texts - look.duplicates} texts are few; from {FEW} on a bot repeats itself less."
    if look.duplicates > 0.1 * look.texts:
        yield f"{look.duplicates / look.texts:.0%} of the texts say what another one says; each is learnt as it stands."
    if look.language.others:
        yield (
            f"The texts are {look.language.name}; if it is not the first, put language = "
            f"{toml(look.language.others[0])} under [filter]."
        )
    for objection in found.objections:
        yield str(objection)
    if found.possible < bot.count / 2:
        yield f"at most {found.possible:,} of {bot.count:,} wanted texts can come of this: {found.hindrance}"


def _repeated(name: str, files: Sequence[Path], readings: Sequence[Reading]) -> str:
    """The command that makes the bot again without guessing."""
    words: list[Any] = ["deepproverbs", "new", name]
    words += [path.resolve() if path.exists() else path for path in files]
    options: dict[str, str] = {}
    for reading in readings if len(readings) == 1 else ():
        options = {f"corpus.{key}": value for key, value in reading.found.options.items()}
        options["corpus.form"] = reading.form.name
    for key, value in {**options, **given()}.items():
        words += [f"--{key.rpartition('.')[2].replace('_', '-')}", value]
    return shlex.join(map(str, words))


def _next(folder: Path, bot: Bot) -> str:
    """What was written, and the two commands that follow."""
    return "\n".join(
        [
            f"Written: {folder / 'bot.toml'} and {folder / 'corpus.txt'}; git does not see them.",
            "Next:",
            f"  deepproverbs run --bot {shlex.quote(str(folder))} --setup",
            f"  deepproverbs post --pool {shlex.quote(bot.pool)} --dry-run",
        ]
    )
