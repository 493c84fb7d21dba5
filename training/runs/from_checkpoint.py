"""A checkpoint → a small pool: what `deepproverbs post --checkpoint` posts from."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from post_tweet.numbers import Numbers
from post_tweet.pool import Pool
from post_tweet.store import open_store

from training.common.errors import WrongUse
from training.common.files import locked
from training.common.manifest import Manifest
from training.curate import fill
from training.model import convert
from training.runs import owner, rounds, stages
from training.runs.until_enough import sample_and_filter
from training.settings import Bot

SPARE = 20
"""Texts that a checkpoint is asked for at a time: one is posted, the others wait for the next call."""


def checkpoint_folder(path: Path) -> Path:
    """The folder with the checkpoint itself: gpt-2-simple's `checkpoint` or the `run1` in it, or one in Hugging Face's
    layout."""
    for folder in (path, path / "run1"):
        for needed in (("checkpoint", "encoder.json"), ("config.json", "tokenizer.json")):
            if all((folder / name).is_file() for name in needed):
                return folder
    raise WrongUse(
        f"No checkpoint in {path}: gpt-2-simple's has the files checkpoint, encoder.json, hparams.json, vocab.bpe and "
        "the model's own, Hugging Face's config.json, tokenizer.json and model.safetensors."
    )


def pool_from(bot: Bot, file: Path, checkpoint: Path, folder: Path, say: Callable[[str], None]) -> str:
    """A small pool sampled from `checkpoint` through the bot's filters; filled up when it is used up. `file`: the
    bot's. What waits of another checkpoint is withdrawn."""
    url = str(folder / "pool")
    owner.check(folder, bot, file)
    with locked(folder):
        owner.claim(folder, bot, file, say)
        source = checkpoint_folder(checkpoint)
        stages.prepare(bot, say)
        model = convert.convert(folder, source, say)  # the whole vocabulary: trimming takes longer than 20 texts
        pool = Pool(open_store(url))
        state, _ = pool.load()
        made_of = f"{source} {Manifest(folder).stages['convert']['key']}"
        others, first = Numbers(), 0
        for batch in state.batches:
            if batch.run != made_of:
                others |= Numbers(((first, first + batch.count),))
            first += batch.count
        if gone := pool.withdraw(others):
            say(f"{gone} texts of another checkpoint are withdrawn from {url}.")
            state, _ = pool.load()
        if state.remaining == 0:
            more = dataclasses.replace(
                bot,
                count=SPARE,
                sample=dataclasses.replace(bot.sample, seed=bot.sample.seed + len(state.batches), budget=0),
            )
            stages.build_corpus(bot, [bot.corpus_file], folder, model, say)
            texts = sample_and_filter(more, folder, model, fill.history(url), say)
            rounds.fill_round(folder, texts, url, made_of)
    return url
