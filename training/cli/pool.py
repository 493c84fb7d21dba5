"""`pool`: look at a pool, take texts out of it, pause it. No model library is loaded for that."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from training.cli.command import FIRST, Group, argument, json_option, option
from training.cli.console import as_json, console, result, show, warn
from training.cli.options import bot_option, given, load_bot, setting_options
from training.cli.repair import repair
from training.common.errors import DeepproverbsError, WrongUse
from training.common.terminal import one_line
from training.common.text import indented

if TYPE_CHECKING:
    from post_tweet.numbers import Numbers
    from post_tweet.pool import Pool

    from training.settings import Bot

POOL = FIRST
LOW_DAYS = 30
"""With fewer days left the pool is low: as the alarm in AWS, by default."""
LOW_TEXTS = 10
"""With fewer texts it is low at any pace."""

HELP = """Look at the pool, take texts out, pause it.

$ deepproverbs pool status --pool s3://my-bucket/mybot
$ deepproverbs pool list --pool pool
"""
group = Group("pool", section=POOL, help=HELP)
group.add_command(repair)


def command(name: str) -> Callable[[Callable[..., Any]], Any]:
    """A command of the group, with the options that all of them take."""
    return lambda function: group.command(name)(bot_option(setting_options("pool")(json_option(function))))


def open_pool(bot: Path) -> Pool:
    """The pool of --pool or of the bot. Raises WrongUse: there is none."""
    from post_tweet.pool import Pool
    from post_tweet.store import open_store

    settings = load_bot(bot)
    pool = Pool(open_store(settings.pool))
    if pool.load()[1] is None:
        raise no_pool(settings, bot)
    return pool


def no_pool(settings: Bot, bot: Path) -> WrongUse:
    """What to say where there is no pool. If the bot's run has filled another one, that is named."""
    from training.runs import owner

    url, other = settings.pool, owner.own_pool(settings, bot)
    if other and owner.place_of(other) != owner.place_of(url):
        return WrongUse(f"There is no pool at {url}; the bot's run fills {other}: add --pool {shlex.quote(other)}.")
    asked = ["--pool", url] if "pool" in given() else []
    return WrongUse(f"There is no pool at {url}; `{owner.first_command('run', bot, *asked)}` makes one.")


def low(status: dict[str, Any]) -> str | None:
    """What to say of a pool that is damaged, or will soon be empty."""
    if status["damage"]:
        return f"{status['pool']}: {' '.join(status['damage'])}"
    left, days = status["remaining"], status["days_left"]
    if days >= LOW_DAYS and left >= LOW_TEXTS:
        return None
    return (
        f"The pool runs low: {left:,} text{'s' * (left != 1)}, for {days:,.0f} day{'s' * (round(days) != 1)} at the "
        "present pace; `deepproverbs run`, called as before, adds more."
    )


@command("status")
@option("--watch", "every", type=click.FloatRange(1), metavar="S", help="Show it again every so many seconds.")
def status(every: float | None, bot: Path) -> None:
    """Show what was posted when, what comes next, how long the pool lasts, and what is wrong.

    Of a pool in S3 that a bot in AWS posts from it shows the alarms of that bot, too.

    $ deepproverbs pool status --pool s3://my-bucket/mybot
    $ deepproverbs pool status --watch 60
    """
    from training.cli import glance

    pool, name = open_pool(bot), load_bot(bot).name

    def once() -> None:
        now = datetime.now(UTC)
        found = glance.look(pool, now, name, bot)
        show(found, "\n".join(filter(None, [status_text(found), glance.text(found, now.date())])))
        if found["damage"]:
            raise DeepproverbsError(f"{found['pool']}: {' '.join(found['damage'])}")
        warn(low(found))

    if every is None:
        once()
    else:
        glance.watch(once, every)


def status_text(status: dict[str, Any]) -> str:
    """A pool's status for people."""
    last, claim, days = status["last_post"], status["claim"], status["days_left"]
    lines = [
        f"{status['pool']}: {status['remaining']:,} of {status['texts']:,} text{'s' * (status['texts'] != 1)} left, "
        f"for {days:,.0f} day{'s' * (round(days) != 1)} at the present pace, "
        f"{status['batches']} batch{'es' * (status['batches'] != 1)}, {status['withdrawn']:,} withdrawn"
        + f", {status['dropped']:,} dropped by people"
        * (status["dropped"] > 0),
        f"last post: {last['time']} for {last['slot']} (id {last['tweet_id']})" if last else "no post yet",
    ]
    if status["runs"]:
        lines.append(f"filled by {', '.join(status['runs'])}")
    if status["paused"]:
        resume = shlex.join(["deepproverbs", "pool", "resume", "--pool", status["pool"]])
        lines.append(f"paused since {status['paused']}; `{resume}` opens it again")
    if status["account"]:
        lines.append(f"posts as the account {status['account']}, and no other")
    if claim:
        lines.append(f"text {claim['index']} is claimed for {claim['slot']} since {claim['since']}")
    return "\n".join(map(one_line, lines))


@command("list")
@argument("start", type=int, required=False, help="Number of the first text to list. [default: the next one]")
@option("--count", type=click.IntRange(1), default=20, metavar="N", help="How many texts to list. [default: 20]")
@option("--all", "everything", is_flag=True, help="List all texts from there on.")
def list_(start: int | None, count: int, everything: bool, bot: Path) -> None:
    """List the next twenty texts with their numbers.

    Those that will not be posted next are marked: withdrawn, claimed, posted, …

    $ deepproverbs pool list 100 --pool pool
    $ deepproverbs pool list 0 --all --pool pool
    """
    pool = open_pool(bot)
    records = pool.listing(start, None if everything else count)
    lines = [
        f"{r['index']:>8}  {'' if r['fate'] == 'waiting' else r['fate']:<9}  {indented(r['text'], 21)}" for r in records
    ]
    show(records, "\n".join(lines) or "no unused text")
    status = pool.status()
    following = records[-1]["index"] + 1 if records else status["texts"]
    if following < status["texts"]:
        more = shlex.join(["deepproverbs", "pool", "list", str(following), "--pool", pool.store.url])
        warn(f"{status['texts'] - following:,} more: `{more}` goes on, --all lists them all.")
    warn(low(status))


@command("batches")
def batches(bot: Path) -> None:
    """List the batches: the numbers of their texts, and how many are unused.

    $ deepproverbs pool batches --pool pool
    """
    found = open_pool(bot).batches()
    rows = [
        f"{b['id']}  {b['created'][:16].replace('T', ' ')}  texts {b['first']:,} to {b['last']:,}, {b['unused']:,} "
        f"unused, {b['withdrawn']:,} withdrawn, by {b['run']}"
        for b in found
    ]
    show(found, "\n".join(map(one_line, rows)) or "no batch")


def _numbers(words: tuple[str, ...], batch: str | None, what: str, pool: Pool) -> Numbers:
    """The texts that are named by their numbers, ranges or batch. Raises WrongUse: none is."""
    from post_tweet.numbers import Numbers

    try:
        found = Numbers.read(" ".join(words))
    except ValueError as error:
        raise WrongUse(f"{error}; `deepproverbs pool list` shows the numbers.") from error
    if batch is not None:
        found |= pool.batch(batch)
    if not found:
        example = "17 --pool" if what == "show" else "17 20-25 --pool"
        raise WrongUse(
            f"Name the texts by their numbers: deepproverbs pool {what} {example} {shlex.quote(pool.store.url)}"
        )
    return found


numbers_argument = argument("numbers", nargs=-1, metavar="NUMBER…", help="Numbers or ranges: 17 20-25.")
batch_option = option("--batch", metavar="ID", help="All texts of a batch, by the beginning of its id.")


@command("show")
@numbers_argument
def show_(numbers: tuple[str, ...], bot: Path) -> None:
    """Show all that is known of some texts, as JSON.

    $ deepproverbs pool show 17 20-25 --pool pool
    """
    pool = open_pool(bot)
    found = [pool.show(number) for number in _numbers(numbers, None, "show", pool)]
    if console.json:
        as_json(found)
    for each in () if console.json else found:
        as_json(each, indent=1)


@command("withdraw")
@numbers_argument
@batch_option
def withdraw(numbers: tuple[str, ...], batch: str | None, bot: Path) -> None:
    """Take texts out: they will not be posted.

    No new text may repeat them. `pool restore` takes it back, until the pool has gone past them.

    $ deepproverbs pool withdraw 17 20-25 --pool pool
    $ deepproverbs pool withdraw --batch 3f9a --pool pool
    """
    pool = open_pool(bot)
    wanted = _numbers(numbers, batch, "withdraw", pool)
    count, status = pool.withdraw(wanted), pool.status()
    behind = len(wanted.within(0, status["next"]))
    text = f"{count:,} text{'s' * (count != 1)} withdrawn; {status['remaining']:,} are left."
    if behind:
        text += f" {behind:,} lie before text {status['next']:,}, the next one: what became of them stays."
    if count:
        text += f" `{_back(numbers, batch, pool)}` takes it back."
    show({"withdrawn": count, "settled": behind, "remaining": status["remaining"]}, text)
    warn(low(status))


def _back(numbers: tuple[str, ...], batch: str | None, pool: Pool) -> str:
    named = [*numbers, *(["--batch", batch] if batch else [])]
    return shlex.join(["deepproverbs", "pool", "restore", *named, "--pool", pool.store.url])


@command("restore")
@numbers_argument
@batch_option
def restore(numbers: tuple[str, ...], batch: str | None, bot: Path) -> None:
    """Let withdrawn texts be posted after all.

    Those that the pool has gone past stay out.

    $ deepproverbs pool restore 17 20-25 --pool pool
    """
    pool = open_pool(bot)
    found = pool.restore(_numbers(numbers, batch, "restore", pool))
    status = pool.status()
    past = (
        f"{found.passed:,} cannot come back: they lie before text {status['next']:,}, the next one, or are claimed."
        if found.passed
        else ""
    )
    if past and not found.restored:
        raise DeepproverbsError(f"Nothing was restored: {past}")
    text = f"{found.restored:,} text{'s' * (found.restored != 1)} restored; {status['remaining']:,} are left. {past}"
    facts = {"restored": found.restored, "passed": found.passed, "remaining": status["remaining"]}
    show(facts, text.rstrip())


@command("verify")
def verify(bot: Path) -> None:
    """Check every file of the pool, and the records of the latest posts.

    $ deepproverbs pool verify --pool s3://my-bucket/mybot
    """
    pool = open_pool(bot)
    wrong, url = pool.verify(), pool.store.url
    if console.json:
        show({"pool": url, "whole": not wrong, "wrong": wrong}, "")
    if wrong:
        raise DeepproverbsError(f"{url}: " + " ".join(wrong))
    if not console.json:
        result(f"{url}: every batch is whole.")
    warn(low(pool.status()))


@command("account")
@argument("account", required=False, metavar="[ID]", help="The id of the account that posts from now on.")
@option("--forget", is_flag=True, help="The account that posts next is the pool's from then on.")
def account_(account: str | None, forget: bool, bot: Path) -> None:
    """Show whose pool it is, or hand it to another account.

    A pool belongs to the account that posted from it first: another one would not see what that has posted.

    $ deepproverbs pool account --pool s3://my-bucket/mybot
    $ deepproverbs pool account --forget --pool s3://my-bucket/mybot
    """
    pool = open_pool(bot)
    if account is not None and (forget or not account.isalnum()):
        raise WrongUse("Give an account's id, of letters and digits, or --forget.")
    changed = bool(account or forget) and pool.hand_over(account)
    owner, url = pool.load()[0].account, pool.store.url
    text = f"{url} posts as the account {owner}, and no other." if owner else f"{url} belongs to whoever posts next."
    show({"pool": url, "account": owner, "changed": changed}, text)


@command("pause")
def pause(bot: Path) -> None:
    """Stop posting until `resume`.

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
