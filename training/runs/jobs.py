"""A run on several machines: each job fetches what it needs from the workspace and puts what it made there.

The workspace is a prefix in S3 or a directory:

    bot/      the bot's folder: bot.toml, its texts and rules       `place`, by whoever starts the jobs
    run/      corpus.txt, corpus.npz, model/, base/, trained.json   `train`
    shards/   candidates                                            `sample`, any number at a time
    out/KEY/  verdicts.jsonl, review.jsonl, pool.jsonl              `fill`, which puts the texts into the pool, too

In run/ and out/ the last file is put last: if it is there, all are. trained.json has a key of the texts and settings
behind the model; KEY is one of all that the pool depends on. So any job may be killed at any moment and started again,
on this machine or another.

AWS Batch runs these (infra/training.yaml); the same commands on one machine do the same.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import shutil
from pathlib import Path

from post_tweet.store import Missing

from training import settings as config
from training.common.errors import DeepproverbsError, WrongUse
from training.common.files import write_whole
from training.common.manifest import key_of
from training.common.progress import Say
from training.curate import fill
from training.judge.own import own_files
from training.runs import shards, stages
from training.runs.until_enough import budget_of, sample_and_filter
from training.runs.workspace import Workspace
from training.sample.candidates import Candidates
from training.settings import Bot, lies_in, plain

TRAINED = "trained.json"
MADE = ("corpus.txt", "corpus.npz", "manifest.json")
SPARE = 2
"""Candidates of the shards for each text that is to pass: half of nano's pass the filters, and the last job draws what
is still missing."""


def placed(bot: Bot) -> list[Path]:
    """The bot's own files that the jobs read, beside its bot.toml."""
    return [bot.corpus_file, *bot.reference_files, *own_files(bot.filter, bot.folder)]


def place(bot: Bot, file: Path, work: Workspace, say: Say) -> None:
    """Put the bot's own files where the jobs will read them."""
    stages.prepare(bot, say)
    files = placed(bot)
    if outside := next((path for path in files if not lies_in(path, bot.folder)), None):
        raise WrongUse(
            f"{outside} lies outside the bot's folder {bot.folder}, where the jobs cannot see it; move it there."
        )
    work.put_all(files, bot.folder, "bot")
    work.put(file, "bot/bot.toml")  # last: a job that finds it finds all
    say(f"Placed {bot.name}: {len(files) + 1} files in {work.url}/bot.")


def fetch_bot(work: Workspace, folder: Path) -> Bot:
    """The bot of the workspace, whose texts have been prepared already."""
    if not work.get_all("bot", folder / "bot") or not (folder / "bot" / "bot.toml").exists():
        raise WrongUse(f"There is no bot in {work.url}/bot; `deepproverbs job place --work {work.url}` puts one there.")
    bot = config.load(folder / "bot" / "bot.toml")
    return dataclasses.replace(bot, corpus=dataclasses.replace(bot.corpus, prepare=""))


def model_key(bot: Bot) -> str:
    """Hash of all that a model depends on."""
    sampled = (bot.sample.vocabulary, bot.sample.temperatures, bot.sample.prefixes)
    settings = [plain(bot.corpus), plain(bot.finetune), bot.model, sampled, stages.wants_base(bot)]
    return key_of(settings, bot.corpus_file, *bot.reference_files)


def stored_key(work: Workspace) -> str | None:
    """The key of the model in the workspace, if there is a whole one."""
    try:
        return str(json.loads(work.store.get(f"run/{TRAINED}")[0])["key"])
    except Missing:
        return None


def train(bot: Bot, folder: Path, work: Workspace, say: Say) -> None:
    """Everything up to a converted model, unless the workspace has it. Training that is interrupted starts over: it
    takes minutes on a GPU."""
    key = model_key(bot)
    if stored_key(work) == key:
        say(f"There is a model in {work.url}/run already; nothing to do.")
        return
    model, base = stages.train(bot, folder, say, force=True)
    found = [*model.rglob("*"), *(base.rglob("*") if base else [])]
    files = [path for path in found if path.is_file() and path.name != "calibration.json"]
    work.put_all([folder / name for name in MADE], folder, "run")
    work.put_all(files, folder, "run")
    write_whole(folder / TRAINED, json.dumps({"key": key}) + "\n")
    work.put(folder / TRAINED, f"run/{TRAINED}")
    say(f"The model is in {work.url}/run.")


def fetch_model(work: Workspace, folder: Path) -> Path:
    """Fetch the run's folder as `train` left it. Returns the model's folder."""
    key, mark = stored_key(work), folder / TRAINED
    if key is None:
        raise DeepproverbsError(f"There is no model in {work.url}/run yet; `deepproverbs job train` makes it.")
    if not mark.exists() or json.loads(mark.read_text(encoding="utf-8"))["key"] != key:
        for part in ("model", "base"):
            shutil.rmtree(folder / part, ignore_errors=True)
        keys = [name for name in work.store.list("run/") if name != f"run/{TRAINED}"]
        for name in [*keys, f"run/{TRAINED}"]:
            work.get(name, folder / name.removeprefix("run/"))
    return folder / "model"


def sample(bot: Bot, folder: Path, work: Workspace, text: str, say: Say) -> None:
    """Draw one shard; `auto/8` is this machine's in an array job of AWS Batch."""
    if text.startswith("auto/"):
        text = f"{int(os.environ.get('AWS_BATCH_JOB_ARRAY_INDEX', '0')) + 1}/{text[5:]}"
    shard = shards.Shard.read(text, total(bot))
    drawn = shards.sample_shard(bot, folder, fetch_model(work, folder), shard, work.store, say)
    say(f"Shard {shard.index} of {shard.of} is done: {drawn:,} candidates drawn.")


def total(bot: Bot) -> int:
    """Candidates of all shards together."""
    return min(math.ceil(SPARE * bot.filter.choose_from * bot.count), budget_of(bot))


def pool(bot: Bot, folder: Path, work: Workspace, say: Say) -> Path:
    """Filter all shards into one pool.jsonl, drawing more if too few texts pass. Nothing repeats a text of the pool in
    the store."""
    model = fetch_model(work, folder)
    settings = [Candidates(folder, model, bot.sample).key, plain(bot.filter), bot.count, bot.sample.budget, bot.pool]
    out = f"out/{key_of(settings, folder / 'corpus.txt', *bot.reference_files)}"
    if f"{out}/pool.jsonl" in work.store.list(f"{out}/"):
        say(f"The pool was chosen before, {work.url}/{out}; for more texts raise --count, or change the seed.")
        work.get(f"{out}/pool.jsonl", folder / "pool.jsonl")
        return folder / "pool.jsonl"
    shards.merge(bot, folder, model, work.store, say)
    base = folder / "base"
    made = sample_and_filter(bot, folder, model, fill.history(bot.pool), say, base if base.exists() else None)
    for path in (folder / "verdicts.jsonl", folder / "review.jsonl", made):
        work.put(path, f"{out}/{path.name}")  # for people, and for this job if it is ended before the texts are in
    return made
