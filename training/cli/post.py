"""`post`: one text of the pool, through the function's own code, dry or for real."""

from __future__ import annotations

import dataclasses
import json
import os
import shlex
import sys
from datetime import UTC, datetime
from datetime import time as TimeOfDay
from pathlib import Path
from typing import Any

from post_tweet.daily import latest_slot
from post_tweet.errors import Busy, PostError, Undecided, Unreachable

from training.cli.command import command, option
from training.cli.console import as_json, console, result, warn
from training.cli.options import bot_option, keys_of, load_bot, setting_options
from training.cli.pool import POOL, low, no_pool
from training.cli.schedule import at_option
from training.cli.stages import PATH
from training.common.errors import DeepproverbsError, WrongUse
from training.common.progress import say
from training.common.terminal import put


@command("post", section=POOL)
@option("--creds", type=PATH, metavar="FILE", help="twitter.json with the four X keys.")
@option("--dry-run", is_flag=True, help="Do everything but claim and post the text.")
@option("--slot", metavar="NAME", help="One slot posts once. [default: the time]")
@at_option
@option("--checkpoint", type=PATH, metavar="DIR", help="Sample from this gpt-2-simple checkpoint instead of a pool.")
@option("--run", type=PATH, metavar="DIR", help="Folder for what --checkpoint makes. [default: runs/NAME-tweet]")
@bot_option
@setting_options("pool")
def post(
    creds: Path | None,
    dry_run: bool,
    slot: str | None,
    times: tuple[TimeOfDay, ...],
    checkpoint: Path | None,
    run: Path | None,
    bot: Path,
) -> None:
    """Post one text of the pool.

    The code is that of the function in AWS, and the result a line of JSON; a dry run shows a terminal the text alone.

    $ deepproverbs post --pool s3://my-bucket/mybot --dry-run
    $ deepproverbs post --pool pool --creds twitter.json
    $ deepproverbs post --pool pool --creds twitter.json --at 09:00     # once a day, however often it is called
    $ deepproverbs post --checkpoint checkpoint/run1 --dry-run
    """
    from post_tweet.pool import Pool
    from post_tweet.store import open_store

    settings = load_bot(bot)
    if slot and times:
        raise WrongUse("A slot has one name: give --slot or --at.")
    now = datetime.now(UTC)
    slot = slot or (latest_slot(times, now) if times else f"manual {now:%Y-%m-%dT%H:%M:%SZ}")
    url = settings.pool
    if checkpoint:
        from training.runs import from_checkpoint

        url = from_checkpoint.pool_from(settings, bot, checkpoint, run or Path(f"runs/{settings.name}-tweet"), say)
    # Its claim may stay in the pool. Another slot would settle it and then post a text of its own.
    again = (
        f"To repeat this post and not post another, wait a minute and add --slot {shlex.quote(slot)} (SLOT= for make)."
    )
    pool = Pool(open_store(url))
    if url == settings.pool and pool.load()[1] is None:
        raise no_pool(settings, bot)
    try:
        outcome = post_once(url, creds, slot, dry_run)
    except (Undecided, Unreachable, Busy) as error:
        raise type(error)(f"{error} {again}") if error.claimed else error from None
    except KeyboardInterrupt:
        if not dry_run:
            put(again, "stderr")
        raise
    # From here on nothing may look like a post that was not made.
    try:
        if dry_run and outcome["text"] and sys.stdout.isatty():
            result(f"{outcome['text']}\n")
            say("This would be posted now; nothing was.")
        else:
            as_json(outcome)
    except OSError as error:
        if dry_run:
            raise
        warn(f"The text was posted, but the result cannot be written ({error.strerror}): {json.dumps(outcome)}")
    if not checkpoint:  # its pool is filled up when it is used up
        try:
            warn(low(pool.status()))
        except (DeepproverbsError, PostError, OSError) as error:
            warn(f"Cannot tell how many texts are left: {error}")


def post_once(url: str, credentials: Path | None, slot: str, dry_run: bool = False) -> dict[str, Any]:
    """Post one text of the pool for `slot` with the function's code; the same slot posts once.

    Raises:
        WrongUse: no credentials for a real post, or no pool there.
        DeepproverbsError: the pool is paused.
        PostError: what the function itself would raise.
    """
    from post_tweet import app, telemetry

    if credentials is not None:
        credentials = keys_of(credentials)
    if not dry_run and credentials is None:
        raise WrongUse("Name your X keys with --creds twitter.json (TWITTER_CREDS=… for make), or add --dry-run.")
    place = app.open_place(lambda: app.from_file(credentials or Path()))
    if not dry_run:
        place.connect()  # a wrong file is reported before anything is touched
    telemetry.quiet = not console.verbose
    try:
        outcome = app.run({"slot": slot, "dry_run": dry_run}, url, place, f"cli-{os.getpid()}")
    finally:
        telemetry.quiet = False
    if outcome.outcome == "paused":
        raise DeepproverbsError(
            f"{url} is paused; `deepproverbs pool resume --pool {shlex.quote(url)}` opens it again."
        )
    return dataclasses.asdict(outcome)
