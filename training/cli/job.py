"""`job`: one of the jobs that many machines share; training/runs/jobs.py says how they meet."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from training.cli.command import ELSEWHERE, Group, json_option, option
from training.cli.console import result, show
from training.cli.fill import fill_pool, show_added
from training.cli.options import (
    JUDGED,
    SAMPLED,
    bot_option,
    given,
    load_bot,
    run_option_in,
    setting_options,
    with_options,
)
from training.cli.refill import enough
from training.cli.review import review as read_texts
from training.common.errors import WrongUse
from training.common.files import locked
from training.common.progress import say

if TYPE_CHECKING:
    from training.runs.waiting import Waiting

HELP = """Share one run among several machines.

The machines share a workspace, a prefix in S3 or a directory: place, train, then sample in shards, then fill; later
refill, as often as the pool is low; review shows a person what waits to be read first. Any of the jobs may be killed
and started again, on another machine too.

$ deepproverbs job place --work work
$ deepproverbs job sample --work work --shard 2/3
"""
group = Group("job", section=ELSEWHERE, help=HELP)
work_option = option(
    "--work", required=True, metavar="URL", help="Where the jobs meet: s3://bucket/prefix or a directory."
)


shard_option = option(
    "--shard",
    default="1/1",
    metavar="N/M",
    help="sample: 3/8 is the third of eight; auto/8 in an array job. [default: 1/1]",
)


run_option = run_option_in("a folder of its own in runs/ for each workspace")


def job(name: str) -> Callable[[Callable[..., Any]], Any]:
    """A command of the group, with the options that all of them take."""

    def decorate(function: Callable[..., Any]) -> Any:
        function = setting_options("model", "count", "pool", *SAMPLED, *JUDGED)(function)
        return group.command(name)(work_option(shard_option(bot_option(run_option(function)))))

    return decorate


def folder_of(run: Path | None, work: str, part: str = "") -> Path:
    """The run's folder, one for each workspace: two bots must not share a model."""
    from training.common.manifest import digest_of

    folder = run or Path(f"runs/job-{digest_of([work])[:8]}")
    return folder.with_name(f"{folder.name}-{part}") if part else folder


@job("place")
def place(work: str, bot: Path, run: Path | None, shard: str) -> None:
    """Copy the bot's files to the workspace, where the other jobs read them.

    $ deepproverbs job place --work s3://my-bucket/work --bot data/mybot
    """
    from training.runs import jobs
    from training.runs.workspace import Workspace

    jobs.place(load_bot(bot), bot, Workspace(work), say)


@job("train")
def train(work: str, bot: Path, run: Path | None, shard: str) -> None:
    """Fine-tune and convert a model, which the other jobs fetch.

    $ deepproverbs job train --work s3://my-bucket/work --model 124M
    """
    from training.runs import jobs
    from training.runs.workspace import Workspace

    place, folder = Workspace(work), folder_of(run, work)
    with locked(folder):
        jobs.train(with_options(jobs.fetch_bot(place, folder)), folder, place, say)


@job("sample")
def sample(work: str, bot: Path, run: Path | None, shard: str) -> None:
    """Draw the candidates of one shard.

    Shards may run on any number of machines, side by side.

    $ deepproverbs job sample --work s3://my-bucket/work --shard auto/8
    """
    from training.runs import jobs
    from training.runs.workspace import Workspace

    place, folder = Workspace(work), folder_of(run, work, shard.replace("/", "-of-"))
    with locked(folder):
        jobs.sample(with_options(jobs.fetch_bot(place, folder)), folder, place, shard, say)


@job("fill")
@json_option
def fill(work: str, bot: Path, run: Path | None, shard: str) -> None:
    """Filter the candidates of all shards and fill the pool.

    Where they do not suffice, it draws more. What is to be read first waits in the workspace, and it prints the
    command that shows it to you: all texts with publish = "after-review", else those set apart.

    $ deepproverbs job fill --work s3://my-bucket/work --pool s3://my-bucket/mybot
    """
    from training.runs import jobs, waiting
    from training.runs.workspace import Workspace

    place, folder = Workspace(work), folder_of(run, work)
    with locked(folder):
        settings = with_options(jobs.fetch_bot(place, folder))
        texts = jobs.pool(settings, folder, place, say)
        if at_once := settings.publish == "at-once" and texts.stat().st_size > 0:
            fill_pool(texts, settings.pool, settings.name)
        left = waiting.look(place)
        if at_once and left:  # they were set apart
            say(str(left))
        elif left:
            show_waiting(left)
        elif not at_once:
            text = "All of them were read, and what was kept is in the pool; `deepproverbs job refill` adds more."
            show({"pool": settings.pool, "added": 0}, text)


@job("refill")
@setting_options("refill.days")
@json_option
def refill(work: str, bot: Path, run: Path | None, shard: str) -> None:
    """Add texts if those of the pool last for less than a month.

    It samples on, from a seed that none has had before it, and repeats nothing that was ever in the pool. In AWS the
    alarm of a low pool can start it.

    $ deepproverbs job refill --work s3://my-bucket/work --pool s3://my-bucket/mybot
    $ deepproverbs job refill --work work --pool pool --days 60 --count 1000
    """
    from post_tweet.pool import Pool
    from post_tweet.store import open_store

    from training.runs import jobs
    from training.runs.waiting import Waiting
    from training.runs.workspace import Workspace

    place, folder = Workspace(work), folder_of(run, work)
    with locked(folder):
        placed = jobs.fetch_bot(place, folder)
        given().setdefault("count", placed.refill.count or placed.count)
        settings = with_options(placed)
        pool = Pool(open_store(settings.pool))
        if pool.load()[1] is None:
            raise WrongUse(f"There is no pool at {settings.pool}; `deepproverbs job fill` fills the first one.")
        if enough(pool.status(), settings.refill.days):
            return
        added = jobs.refill(settings, folder, place, say)
    if isinstance(added, Waiting):
        show_waiting(added)
    else:
        show_added(settings.pool, added)


def show_waiting(left: Waiting) -> None:
    facts = {"pool": left.pool, "added": 0, "waiting": left.count + left.apart, "review": left.command}
    show(facts, f"Nothing was added yet. {left}")


@group.command("review")
@work_option
@bot_option
@run_option
@option("--terminal", is_flag=True, help="Ask line by line here.")
@option("--no-browser", is_flag=True, help="Print the page's address and open no browser.")
def review(work: str, bot: Path, run: Path | None, terminal: bool, no_browser: bool) -> None:
    """Read what waits: fetch it, and keep, drop, edit or star each text.

    It is published from here, into the pool that the texts are for. --bot names the bot's folder on this machine: its
    rules judge what you write. No code of the workspace is run.

    $ deepproverbs job review --work s3://my-bucket/work --bot data/mybot
    """
    from training.curate.decisions import open_decisions
    from training.runs import waiting
    from training.runs.workspace import Workspace

    place, folder = Workspace(work), folder_of(run, work, "review")
    left = waiting.look(place)
    if left is None:
        result(f"Nothing waits in {work}.")
        return
    if left.bot != (name := load_bot(bot).name):
        raise WrongUse(f"What waits in {work} is of the bot {left.bot}, not {name}; name its folder with --bot.")
    with locked(folder), open_decisions(folder):  # no review is open that would publish what it has not shown
        waiting.fetch(place, left, folder)
    say(f"Fetched into {folder}; what is kept goes into {left.pool}.")
    given().update(pool=left.pool, **({"publish": "after-review"} if left.count else {}))
    ctx = click.get_current_context()
    ctx.invoke(read_texts, bot=bot, run=folder, terminal=terminal, no_browser=no_browser)
