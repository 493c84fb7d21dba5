"""Texts into the pool: `fill`, and a report on them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.cli.command import FIRST, argument, command, json_option
from training.cli.console import show, warn
from training.cli.options import bot_option, load_bot, run_folder, run_option, setting_options
from training.cli.pool import low
from training.cli.stages import PATH, ROAD
from training.common.errors import WrongUse

if TYPE_CHECKING:
    from post_tweet.pool import Appended

READ = FIRST


@command("fill", section=ROAD)
@argument("file", type=PATH, help="A pool.jsonl, as `deepproverbs filter` and `run` write it.")
@bot_option
@setting_options("pool")
@json_option
def fill(file: Path, bot: Path) -> None:
    """Append a pool.jsonl to the pool.

    The same file a second time adds nothing.

    $ deepproverbs fill pool.jsonl --pool pool
    $ deepproverbs fill pool.jsonl --pool s3://my-bucket/mybot
    """
    fill_pool(file, load_bot(bot).pool, file.stem)


def fill_pool(path: Path, url: str, name: str) -> None:
    """Append the file's texts to the pool and say how many they were. `name`: what the batch is called."""
    from training.curate import fill

    show_added(url, fill.fill(path, url, name))


def show_added(url: str, added: Appended) -> None:
    """Say what came into the pool and what it holds now."""
    from post_tweet.pool import Pool
    from post_tweet.store import open_store

    pool = Pool(open_store(url)).status()
    facts = {"pool": url, "added": added.added, "already": added.already, "dropped": added.dropped}
    show({**facts, "texts": pool["texts"], "unused": pool["remaining"]}, told_added(url, added, pool))
    warn(low(pool))


def told_added(url: str, added: Appended, pool: dict[str, Any]) -> str:
    """The same as a sentence. `pool`: its status."""

    def were(count: int) -> str:
        return f"{count:,} {'was' if count == 1 else 'were'}"

    left_out = "".join(
        [
            f"; {were(added.already)} there already" * (added.already > 0),
            f"; {were(added.dropped)} dropped before and stay{'s' * (added.dropped == 1)} out" * (added.dropped > 0),
        ]
    )
    text = (
        f"Added {added.added:,} text{'s' * (added.added != 1)} to {url}" if added.added else f"Nothing added to {url}"
    )
    return f"{text}{left_out}; the pool now holds {pool['texts']:,}, {pool['remaining']:,} unused."


@command("report", section=READ)
@bot_option
@run_option
@json_option
def report(bot: Path, run: Path | None) -> None:
    """Make a page of all there is to know about a run: RUN/report.html.

    It opens with the texts, whether it worked and what to do next; every number comes after, each explained. --json
    prints the numbers of the pool, beside people's texts.

    $ deepproverbs report
    $ deepproverbs report --run runs/demo --json
    """
    from training.common.paths import MODELS
    from training.pages.report import facts, page, words
    from training.runs import owner

    settings = load_bot(bot)
    folder = run_folder(run, settings)
    owner.check(folder, settings, bot)
    if not (folder / "pool.jsonl").exists():
        raise WrongUse(f"There are no texts in {folder} yet; `{owner.first_command('run', bot)}` writes some.")
    found = facts.gather(settings, folder, MODELS)
    show(found.quality, words.told(found, page.write(found, folder), folder))
