"""`new`: files of texts → a bot of its own, measured and fitted: data/NAME/ with its texts and a short bot.toml."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from training import settings
from training.cli.command import FIRST, argument, command, json_option, option
from training.cli.console import console, next_steps, show
from training.cli.options import READ, given, setting_options, with_options
from training.common.errors import DeepproverbsError, WrongUse
from training.common.paths import MODELS, NANO
from training.common.progress import say, step
from training.common.toml import toml
from training.settings import Bot, CorpusSettings

if TYPE_CHECKING:
    from training.corpus.gather import Gathered, Told
    from training.corpus.look import CountTokens, Look
    from training.runs.fit import Fit
    from training.runs.preflight import Preflight

PATH = click.Path(path_type=Path, allow_dash=True)
WORDS = (
    "The bot's name (letters, digits and -; by default that of the first file), then your texts, in any form; - reads "
    "what is piped in."
)
SHOWN = 60
"""Characters of a setting's value that are printed."""


@command("new", section=FIRST)
@argument("words", nargs=-1, required=True, type=PATH, metavar="[NAME] FILE…", help=WORDS)
@option("--yes", is_flag=True, help="Ask nothing.")
@setting_options("model", "count", "pool", default="fitted to the texts")
@setting_options(*READ)
@json_option
def new(words: tuple[Path, ...], yes: bool) -> None:
    """Make a bot of your own texts, with settings that fit them.

    It writes data/NAME/, which git ignores: your texts, and a short bot.toml that gives its reasons.

    $ deepproverbs new my-posts.txt
    $ deepproverbs new tweets ~/Downloads/twitter-archive.zip
    $ deepproverbs new sayings sayings.csv --field quote --yes
    $ deepproverbs new notes - --yes                # what is piped in
    """
    asks = not yes and not console.json and sys.stdin.isatty()
    name, files = _named(words, asks)
    try:
        _make(name, files, asks)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("Stopped; nothing was written.") from None


def _named(words: Sequence[Path], asks: bool) -> tuple[str, list[Path]]:
    """The bot's name and its files. Without a name it is called as its first file is; `asks`: unless a person says
    another.

    Raises:
        WrongUse: there is no file, or no name can be made of the first one's.
    """
    from training.runs import new_bot

    first, *others = words
    if str(first) != "-" and first.suffix and not first.exists():
        raise WrongUse(
            f"There is no file {first}; correct it, or give a name of letters, digits and - first: "
            "`deepproverbs new NAME FILE…`."
        )
    if others and (new_bot.is_name(str(first)) or not first.is_file()):
        return str(first), others
    if not first.exists():
        call = shlex.join(["deepproverbs", "new", str(first)])
        why = f"give the name first: `deepproverbs new NAME {first}`" if str(first) == "-" else f"`{call} FILE…`"
        raise WrongUse(f"Name the bot and the files that hold your texts: {why}.")
    name = new_bot.name_of(first)
    if asks:
        question = "What should the bot be called?"
        return click.prompt(question, default=name or None, value_proc=_free), list(words)
    call = shlex.join(["deepproverbs", "new", "NAME", str(first)])
    if not name:
        raise WrongUse(f"No name can be made of {first.name!r}; give one: `{call}`.")
    say(f"The bot is called {name}, after {first.name}; `{call}` gives it another name.\n")
    return name, list(words)


def _free(name: str) -> str:
    """The name, if no bot has it. Raises click.UsageError: it is asked for again."""
    from training.runs import new_bot

    try:
        new_bot.folder_of(name)
    except WrongUse as error:
        raise click.UsageError(str(error)) from None
    return name


def _make(name: str, files: list[Path], asks: bool) -> None:
    from training.corpus.build import FEWEST_TEXTS
    from training.corpus.look import look
    from training.corpus.warn import PLACEHOLDERS
    from training.runs import new_bot, preflight
    from training.runs.fit import apply, fit

    folder, model = new_bot.folder_of(name), given().get("model", "")
    with new_bot.in_the_making(folder) as part:
        with step("Reading your texts"):
            gathered, reading = new_bot.write_texts(part, files, with_options(Bot()).corpus)
        for told in gathered.told:
            say(f"{_table(told)}\n")
        if (kept := gathered.ledger.kept) < FEWEST_TEXTS:
            raise DeepproverbsError(
                f"{kept:,} different text{'s' * (kept != 1)} are too few: at least {FEWEST_TEXTS} are needed, and some "
                "hundreds make a bot. Add texts; or, if the file was read as what it is not, name another --form."
            )
        count_tokens = _token_counter(model)
        with step("Measuring your texts"):
            found = look(new_bot.texts_in(part, reading), count_tokens)
        with step("Fitting the rules to your texts"):
            fits = _all_fits(name, fit(found, model), reading)
            made = settings.fitted(apply(Bot(name=name, folder=folder), fits))
            possible = preflight.check(made, found.sample, (), count_tokens)
        say(_described(found))
        for line in _warnings(found, possible, made):
            say(f"  ! {line}")
        say("\nSettings that were chosen for them, and why:")
        for each in fits:
            say(f"  {'# ' * each.suggested}{each.key} = {_short(toml(each.value))}\n      {each.reason}.")
        odd = any(warning.what.endswith(PLACEHOLDERS) for told in gathered.told for warning in told.warnings)
        question = f"\nWrite {folder}" + ", placeholders and all" * odd + "?"
        if asks and not click.confirm(question, default=not odd):
            raise DeepproverbsError("Nothing was written. Change the texts, or their reading (`deepproverbs new -h`).")
        with step("Estimating how long it will take"):
            following = _next(folder, made, found)
        new_bot.finish(part, folder, fits, _repeated(name, files, gathered))
    chosen = {each.key: each.value for each in fits if not each.suggested}
    facts = {"bot": str(folder), "settings": chosen, "look": found.facts()}
    show({**facts, "files": [told.facts() for told in gathered.told]}, following)


def _short(value: str) -> str:
    """A setting's value on one line of a terminal; the file has it whole."""
    return value if len(value) <= SHOWN else f"{value[: SHOWN - 1].rpartition(',')[0] or value[: SHOWN - 1]}, …"


def _table(told: Told) -> str:
    """How a file was read. What is fitted needs no warning."""
    fitted = ("min_words", "opening_share")
    return replace(told, warnings=[w for w in told.warnings if not any(name in w.cure for name in fitted)]).table()


def _token_counter(model: str) -> CountTokens:
    """Counts with the tokenizer of the model, or nano's: it is in the checkout, and has more tokens for a text than any
    other, so that a limit in these is never too small."""
    from training.corpus.tokenizer import load_tokenizer

    folder = MODELS / (model or "smollm2-135m")
    tokenizer = load_tokenizer(folder if (folder / "tokenizer.json").is_file() else NANO)
    return lambda texts: [len(each.ids) for each in tokenizer.encode_batch(list(texts))]


def _all_fits(name: str, fits: Sequence[Fit], reading: CorpusSettings) -> list[Fit]:
    """With what was said by hand, which goes before what was measured; in the order of a bot.toml."""
    from training.runs.fit import Fit, in_order
    from training.runs.new_bot import POOLS

    by_key = {fit.key: fit for fit in fits}
    by_key["pool"] = Fit("pool", (POOLS / name).as_posix(), "Its own: what it has posted is remembered there")
    reason = {"form": "corpus.txt has the texts between lines of =========="}
    for each in settings.settings_of("corpus").values():
        if (value := getattr(reading, each.name)) != each.default:
            said = reason.get(each.name, "corpus.txt is as it should be: nothing more is taken out of it")
            by_key[each.key] = Fit(each.key, value, said)
    for key, value in given().items():
        if key not in READ:  # what was said of the file that the texts come from
            by_key[key] = Fit(key, value, "As you said")
    return in_order(by_key.values())


def _described(look: Look) -> str:
    """The measured corpus in a few lines."""
    holding = [
        f"{share:.0%} hold {kind}" for kind, share in look.holding.items() if share >= 0.01 and kind != "capitals"
    ]
    holding += [f"{look.unclosed:.0%} end without a closing mark"] if look.unclosed >= 0.01 else []
    alike = f"{look.duplicates:,} of them repeat another" if look.duplicates else "no two alike"
    lines = "each on one line" if look.lines.most == 1 else f"with up to {look.lines.most} lines"
    share, opening = look.openings[2]
    return "\n".join(
        [
            f"{look.texts:,} texts, {look.language.name}, {alike}.",
            f"Half are longer than {look.words.median} words ({look.graphemes.median} characters), hardly any longer "
            f"than {look.words.high}; {lines}.",
            *([f"{'; '.join(holding)}."] if holding else []),
            *([f'{share:.0%} begin with "{opening}".'] if share >= 0.05 else []),
        ]
    )


def _warnings(look: Look, found: Preflight, bot: Bot) -> Iterator[str]:
    """What the owner should know before anything is trained."""
    if look.duplicates > 0.1 * look.texts:
        yield f"{look.duplicates / look.texts:.0%} of the texts repeat another; each is learnt as it stands."
    if look.language.others:
        yield (
            f"The texts are {look.language.name}; if it is not the first, put language = "
            f"{toml(look.language.others[0])} under [filter]."
        )
    for objection in found.objections:
        yield str(objection)
    if found.possible < bot.count / 2:
        yield f"at most {found.possible:,} of the {bot.count:,} wanted texts can come of this: {found.hindrance}"


def _repeated(name: str, files: Sequence[Path], gathered: Gathered) -> str:
    """The command that makes the bot again without guessing."""
    words: list[Any] = ["deepproverbs", "new", name]
    words += [path.resolve() if path.exists() else path for path in files]
    readings = [told.reading.options for told in gathered.told]
    options = {f"corpus.{key}": value for key, value in readings[0].items()} if len(readings) == 1 else {}
    for key, value in {**options, **given()}.items():
        words += [f"--{key.rpartition('.')[2].replace('_', '-')}", value]
    return shlex.join(map(str, words))


def _next(folder: Path, bot: Bot, look: Look) -> str:
    """What was written, and the commands that follow."""
    from training.runs import nano

    took = ""
    if bot.model in nano.INSTEAD:
        size = sum(map(len, look.sample)) / len(look.sample) * look.texts
        took = f"   # about {nano.minutes(bot.model, size)} to fine-tune here without a GPU, if little else runs"
    ours = shlex.quote(str(folder))
    written = f"Written: {folder / 'bot.toml'} and {folder / 'corpus.txt'}; git ignores them."
    commands = next_steps(
        f"deepproverbs run --bot {ours} --setup{took}",
        f"deepproverbs review --bot {ours}   # read the texts: keep, drop or edit each",
        f"deepproverbs post --pool {shlex.quote(bot.pool)} --dry-run",
    )
    return f"{written}\n{commands}"
