"""From the command line into the function's own code: post one text, dry or real; look at a pool."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from post_tweet import app, telemetry
from post_tweet.pool import Pool
from post_tweet.store import open_store

from training.common.errors import DeepproverbsError, WrongUse
from training.common.files import locked
from training.curate import fill
from training.model import convert
from training.runs import stages
from training.runs.until_enough import sample_and_filter
from training.settings import Bot

POOL_COMMANDS = ("status", "list", "show", "withdraw", "verify", "pause", "resume")
"""What `deepproverbs pool` knows."""
SPARE = 20
"""Texts that a checkpoint is asked for at a time: one is posted, the others wait for the next call."""


def post(url: str, credentials: Path | None, slot: str, dry_run: bool = False) -> dict[str, Any]:
    """Post one text of the pool for `slot` with the function's code; the same slot posts once.

    Raises:
        WrongUse: no credentials for a real post, or no pool there.
        DeepproverbsError: the pool is paused.
        PostError: what the function itself would raise.
    """
    if not dry_run and credentials is None:
        raise WrongUse("Name your X keys with --creds twitter.json (TWITTER_CREDS=… for make), or add --dry-run.")
    place = app.open_place(lambda: app.from_file(credentials or Path()))
    if not dry_run:
        place.connect()  # a wrong file is said before anything is touched
    telemetry.quiet = True
    try:
        result = app.run({"slot": slot, "dry_run": dry_run}, url, place, f"cli-{os.getpid()}")
    finally:
        telemetry.quiet = False
    if result.outcome == "paused":
        raise DeepproverbsError(f"{url} is paused; `deepproverbs pool resume --pool {url}` opens it again.")
    return dataclasses.asdict(result)


def checkpoint_folder(path: Path) -> Path:
    """The folder with the checkpoint itself: gpt-2-simple's `checkpoint` or the `run1` in it."""
    for folder in (path, path / "run1"):
        if (folder / "checkpoint").is_file() and (folder / "encoder.json").is_file():
            return folder
    raise WrongUse(
        f"No gpt-2-simple checkpoint in {path}: it must hold the files checkpoint, encoder.json, "
        "hparams.json, vocab.bpe and the model's own."
    )


def pool_from(bot: Bot, checkpoint: Path, folder: Path, say: Callable[[str], None]) -> str:
    """A small pool sampled from `checkpoint` through the bot's filters; filled up when it is used up."""
    url = str(folder / "pool")
    with locked(folder):
        source = checkpoint_folder(checkpoint)
        stages.prepare(bot, say)
        model = convert.convert(folder, source, say)  # the whole vocabulary: trimming takes longer than 20 texts
        pool = Pool(open_store(url))
        state, _ = pool.load()
        if state.remaining == 0:
            more = dataclasses.replace(
                bot,
                count=SPARE,
                sample=dataclasses.replace(bot.sample, seed=bot.sample.seed + len(state.batches), budget=0),
            )
            stages.build_corpus(bot, [bot.corpus_file], folder, model, say)
            texts = sample_and_filter(more, folder, model, fill.history(url), say)
            fill.fill(texts, url, str(source))
    return url


def pool_look(url: str, what: str, indexes: list[int]) -> str:
    """Every word of POOL_COMMANDS but status: done, and told as text.

    Raises:
        WrongUse: an index is missing, or there is no pool.
        DeepproverbsError: `verify` found something.
    """
    pool = Pool(open_store(url))
    if pool.load()[1] is None:
        raise WrongUse(f"There is no pool at {url}; `make train-and-fill POOL={url}` makes one.")
    if what == "list":
        records = pool.listing(*indexes[:1])
        return "\n".join(f"{record['index']:>8}  {record['text']}" for record in records) or "no unused text"
    if what in ("pause", "resume"):
        return paused(pool, what == "pause")
    if what == "verify":
        if wrong := pool.verify():
            raise DeepproverbsError(f"{url}: " + " ".join(wrong))
        return f"{url}: every batch is whole."
    if not indexes:
        raise WrongUse(f"Name the texts by their numbers: deepproverbs pool {what} 17 --pool {url}")
    if what == "withdraw":
        return f"{pool.withdraw(indexes)} texts withdrawn; they will never be posted."
    return "\n".join(json.dumps(pool.show(index), ensure_ascii=False, indent=1) for index in indexes)


def paused(pool: Pool, wanted: bool) -> str:
    """Pause the pool or open it again; says what has changed."""
    if wanted:
        new = pool.pause(datetime.now(UTC))
        return f"{pool.store.url} {'is' if new else 'was already'} paused: nothing is posted until `pool resume`."
    new = pool.resume()
    return f"{pool.store.url} {'is open again' if new else 'was not paused'}: the next slot posts."


def pool_status(url: str, as_json: bool) -> str:
    """What is in the pool, for people or as JSON.

    Raises:
        WrongUse: there is no pool at `url`.
    """
    status = Pool(open_store(url)).status()
    if not status["exists"]:
        raise WrongUse(f"There is no pool at {url}; `make train-and-fill POOL={url}` makes one.")
    if as_json:
        return json.dumps(status, ensure_ascii=False)
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
