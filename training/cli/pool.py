"""`pool`: look at a pool, take texts out of it, pause it. No model library is loaded for that."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.cli.command import Group, argument, json_option
from training.cli.console import result, show
from training.cli.options import bot_option, load_bot, setting_options
from training.cli.post import POOL
from training.common.errors import DeepproverbsError, WrongUse
from training.common.text import indented

if TYPE_CHECKING:
    from post_tweet.pool import Pool

HELP = """Look at the pool, take texts out, pause it.

$ deepproverbs pool status --pool s3://my-bucket/mybot
$ deepproverbs pool list --pool pool
"""
group = Group("pool", section=POOL, help=HELP)


def command(name: str) -> Callable[[Callable[..., Any]], Any]:
    """A command of the group, with the options that all of them take."""
    return lambda function: group.command(name)(bot_option(setting_options("pool")(json_option(function))))


def open_pool(bot: Path) -> Pool:
    """The pool of --pool or of the bot. Raises WrongUse: there is none."""
    from post_tweet.pool import Pool
    from post_tweet.store import open_store

    url = load_bot(bot).pool
    pool = Pool(open_store(url))
    if pool.load()[1] is None:
        raise WrongUse(f"There is no pool at {url}; `make train-and-fill {shlex.quote(f'POOL={url}')}` makes one.")
    return pool


@command("status")
def status(bot: Path) -> None:
    """Show how many texts and days are left, and the last post.

    $ deepproverbs pool status --pool s3://my-bucket/mybot
    """
    found = open_pool(bot).status()
    show(found, status_text(found))


def status_text(status: dict[str, Any]) -> str:
    """A pool's status for people."""
    last, claim = status["last_post"], status["claim"]
    lines = [
        f"{status['pool']}: {status['remaining']:,} of {status['texts']:,} texts left, "
        f"for {status['days_left']:,.0f} days at the present pace, "
        f"{status['batches']} batch{'es' * (status['batches'] != 1)}, {status['withdrawn']} withdrawn",
        f"last post: {last['time']} for {last['slot']} (id {last['tweet_id']})" if last else "no post yet",
    ]
    if status["paused"]:
        lines.append(f"paused since {status['paused']}; `deepproverbs pool resume` opens it again")
    if claim:
        lines.append(f"text {claim['index']} is claimed for {claim['slot']} since {claim['since']}")
    return "\n".join(lines)


@command("list")
@argument("start", type=int, required=False, help="Number of the first text to list. [default: the next one]")
def list_(start: int | None, bot: Path) -> None:
    """List the next twenty texts with their numbers.

    $ deepproverbs pool list 100 --pool pool
    """
    records = open_pool(bot).listing(start)
    show(
        records,
        "\n".join(f"{record['index']:>8}  {indented(record['text'], 10)}" for record in records) or "no unused text",
    )


def _numbers(indexes: tuple[int, ...], what: str, pool: Pool) -> tuple[int, ...]:
    if not indexes:
        raise WrongUse(
            f"Name the texts by their numbers: deepproverbs pool {what} 17 --pool {shlex.quote(pool.store.url)}"
        )
    return indexes


@command("show")
@argument("index", type=int, nargs=-1, metavar="NUMBER…", help="Numbers of texts, as `pool list` shows them.")
def show_(index: tuple[int, ...], bot: Path) -> None:
    """Show all that is known of some texts, as JSON.

    $ deepproverbs pool show 17 18 --pool pool
    """
    pool = open_pool(bot)
    for number in _numbers(index, "show", pool):
        result(json.dumps(pool.show(number), ensure_ascii=False, indent=1))


@command("withdraw")
@argument("index", type=int, nargs=-1, metavar="NUMBER…", help="Numbers of texts, as `pool list` shows them.")
def withdraw(index: tuple[int, ...], bot: Path) -> None:
    """Take texts out for ever.

    They will not be posted, and no new text may repeat them.

    $ deepproverbs pool withdraw 17 --pool pool
    """
    pool = open_pool(bot)
    count = pool.withdraw(_numbers(index, "withdraw", pool))
    show({"withdrawn": count}, f"{count} texts withdrawn; they will never be posted.")


@command("verify")
def verify(bot: Path) -> None:
    """Check every file of the pool, and the records of the latest posts.

    $ deepproverbs pool verify --pool s3://my-bucket/mybot
    """
    pool = open_pool(bot)
    wrong = pool.verify()
    if wrong:
        raise DeepproverbsError(f"{pool.store.url}: " + " ".join(wrong))
    show({"pool": pool.store.url, "whole": True}, f"{pool.store.url}: every batch is whole.")


@command("pause")
def pause(bot: Path) -> None:
    """Let nothing be posted until `resume`.

    $ deepproverbs pool pause
    """
    pool = open_pool(bot)
    new, url = pool.pause(datetime.now(UTC)), pool.store.url
    text = f"{url} {'is' if new else 'was already'} paused: nothing is posted until `pool resume`."
    show({"pool": url, "paused": True, "changed": new}, text)


@command("resume")
def resume(bot: Path) -> None:
    """Open a paused pool again.

    $ deepproverbs pool resume
    """
    pool = open_pool(bot)
    new, url = pool.resume(), pool.store.url
    text = f"{url} {'is open again' if new else 'was not paused'}: the next slot posts."
    show({"pool": url, "paused": False, "changed": new}, text)
