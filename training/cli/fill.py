"""Texts into the pool: `fill`, what was set apart read by a person first, and a report on them."""

from __future__ import annotations

import sys
from pathlib import Path

from training.cli.command import argument, command, json_option
from training.cli.console import result, show
from training.cli.options import bot_option, load_bot, run_folder, run_option, setting_options
from training.cli.stages import PATH, ROAD
from training.common.progress import say

READ = "Read what came out"


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

    added = fill.fill(path, url, name)
    if added.added:
        text = f"Added {added.added:,} texts to {url}" + (f"; {added.already:,} were there." if added.already else ".")
    else:
        text = f"Nothing added to {url}: all {added.already:,} texts are already there."
    show({"pool": url, "added": added.added, "already": added.already}, text)


@command("report", section=READ)
@bot_option
@run_option
@json_option
def report(bot: Path, run: Path | None) -> None:
    """Measure how new and how varied the pool is.

    The held-out texts and the candidates stand beside it.

    $ deepproverbs report
    $ deepproverbs report --run runs/demo --json
    """
    from training.curate import report

    settings = load_bot(bot)
    folder = run_folder(run, settings)
    found = report.report(settings, folder)
    show(found, report.table(found))
    say(f"Written: {folder / 'quality.json'}")


@command("review", section=READ)
@bot_option
@run_option
@setting_options("pool")
def review(bot: Path, run: Path | None) -> None:
    """Read the texts that were set apart; publish or refuse each.

    They name a people or a religion.

    $ deepproverbs review
    $ deepproverbs review --run runs/demo --pool runs/demo/pool
    """
    from training.curate import review

    settings = load_bot(bot)
    approved = review.review(run_folder(run, settings), sys.stdin, result)
    if approved:
        fill_pool(approved, settings.pool, f"{settings.name} review")
