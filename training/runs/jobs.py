"""A run on several machines: each job fetches what it needs from the workspace and puts what it made there.

The workspace is a prefix in S3 or a directory:

    bot/      the bot's folder: its texts and rules, placed.json    `place`, by whoever starts the jobs
    run/      corpus.txt, corpus.npz, model/, base/, trained.json   `train`
    shards/   candidates                                            `sample`, any number at a time
    out/KEY/  verdicts.jsonl, review.jsonl, chosen.json, pool.jsonl `fill`, which puts the texts into the pool, too
    refills.json                                                    `refill`, which samples and fills on
    waiting.json  what a person reads first (waiting.py)            `fill` and `refill`

In run/ and out/ the last file is put last: if it is there, all are. trained.json has a key of the texts and settings
behind the model; it, placed.json and chosen.json have the digests of the files beside them. KEY is one of all that the
pool depends on. So any job may be killed at any moment and started again, on this machine or another.

AWS Batch runs these (infra/training.yaml); the same commands on one machine do the same.
"""

from __future__ import annotations

import dataclasses
import math
import os
import shutil
from pathlib import Path
from typing import Any

from post_tweet.pool import Appended
from post_tweet.store import Missing

from training import settings as config
from training.common.errors import DeepproverbsError, WrongUse
from training.common.files import digest, inside, note_bytes, note_of, write_note, write_whole
from training.common.manifest import FILE as MANIFEST
from training.common.manifest import MEASURED, key_of
from training.common.progress import Say
from training.curate import fill
from training.judge.own import own_files
from training.runs import owner, shards, stages, waiting
from training.runs.until_enough import AllApart, budget_of, sample_and_filter
from training.runs.waiting import Waiting
from training.runs.workspace import Workspace
from training.sample.candidates import Candidates
from training.sample.engine import seed_of
from training.settings import Bot, lies_in, plain

PLACED, TRAINED, CHOSEN, REFILLS = "placed.json", "trained.json", "chosen.json", "refills.json"
MADE = ("corpus.txt", "corpus.npz", MANIFEST)
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
    work.put(file, "bot/bot.toml")
    digests = {path.relative_to(bot.folder).as_posix(): digest(path) for path in files} | {"bot.toml": digest(file)}
    work.store.put(
        f"bot/{PLACED}", note_bytes({"files": digests, "bot": owner.shown(file)})
    )  # last: a job that finds it finds all
    say(f"Placed {bot.name}: {len(digests)} files in {work.url}/bot.")


def fetch_bot(work: Workspace, folder: Path) -> Bot:
    """The bot of the workspace, whose texts have been prepared already.

    Raises:
        WrongUse: there is none.
        DeepproverbsError: one of its files is not what was placed.
    """
    at = folder / "bot"
    again = f"`deepproverbs job place --work {work.url}`"
    if not work.get_all("bot", at) or not (at / "bot.toml").exists():
        raise WrongUse(f"There is no bot in {work.url}/bot; {again} puts one there.")
    if (at / PLACED).exists():  # older versions noted nothing
        try:
            there = Noted.of_note(note_of((at / PLACED).read_bytes(), summed=True))
            wrong = _changed(there, at)
        except (ValueError, KeyError, TypeError, AttributeError):
            wrong = [PLACED]
        if wrong:
            raise DeepproverbsError(f"{work.url}/bot/{wrong[0]} is not what was placed; {again} puts it there again.")
    bot = config.load(at / "bot.toml")
    return dataclasses.replace(bot, corpus=dataclasses.replace(bot.corpus, prepare=""))


def model_key(bot: Bot) -> str:
    """Hash of all that a model depends on."""
    sampled = (bot.sample.vocabulary, bot.sample.temperatures, bot.sample.prefixes)
    settings = [plain(bot.corpus), plain(bot.finetune), bot.model, sampled, stages.wants_base(bot)]
    return key_of(settings, bot.corpus_file, *bot.reference_files)


@dataclasses.dataclass(frozen=True)
class Noted:
    """What placed.json and trained.json say."""

    key: str
    """Of the texts and settings behind a model."""
    files: dict[str, str]
    """File → its digest; none of what a version made that noted none."""

    @classmethod
    def of_note(cls, note: dict[str, Any]) -> Noted:
        return cls(str(note.get("key", "")), {str(name): str(known) for name, known in note.get("files", {}).items()})


def trained(work: Workspace) -> tuple[Noted, bytes] | None:
    """What the workspace says of its model, if there is a whole one; and the bytes that say so.

    Raises:
        DeepproverbsError: they are damaged.
    """
    try:
        data = work.store.get(f"run/{TRAINED}")[0]
        return Noted.of_note(note_of(data)), data
    except Missing:
        return None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DeepproverbsError(
            f"{work.url}/run/{TRAINED} is damaged ({error}); delete it there: `deepproverbs job train` then puts the "
            "model there again."
        ) from error


def train(bot: Bot, folder: Path, work: Workspace, say: Say) -> None:
    """Everything up to a converted model, unless the workspace has it. Training that is interrupted starts over: it
    takes minutes on a GPU."""
    key, there = model_key(bot), trained(work)
    if there and there[0].key == key:
        say(f"There is a model in {work.url}/run already; nothing to do.")
        return
    model, base = stages.train(bot, folder, say, force=True)
    found = [*model.rglob("*"), *(base.rglob("*") if base else [])]
    files = [path for path in found if path.is_file() and path.name not in MEASURED]
    files = [folder / name for name in MADE] + files
    work.put_all(files, folder, "run")
    # Not the manifest's: it goes on to change.
    digests = {path.relative_to(folder).as_posix(): digest(path) for path in files if path.name != MANIFEST}
    write_note(folder / TRAINED, {"key": key, "files": digests})
    work.put(folder / TRAINED, f"run/{TRAINED}")
    say(f"The model is in {work.url}/run.")


def fetch_model(work: Workspace, folder: Path, say: Say) -> Path:
    """Fetch the run's folder as `train` left it, unless it is here. Returns the model's folder.

    Raises:
        DeepproverbsError: there is none in the workspace, or a damaged one.
    """
    found, mark = trained(work), folder / TRAINED
    if found is None:
        raise DeepproverbsError(f"There is no model in {work.url}/run yet; `deepproverbs job train` makes it.")
    there, data = found
    if mark.is_file() and mark.read_bytes() == data:
        wrong = _changed(there, folder)
        if not wrong:
            return folder / "model"
        say(f"{folder / wrong[0]} is not what was trained: the model is fetched again.")
    mark.unlink(missing_ok=True)  # until all are there
    for part in ("model", "base"):
        shutil.rmtree(folder / part, ignore_errors=True)
    for key in work.store.list("run/"):
        if key != f"run/{TRAINED}":
            work.get(key, folder, key.removeprefix("run/"))
    if wrong := _changed(there, folder):
        raise DeepproverbsError(
            f"{work.url}/run/{wrong[0]} is not what was trained; delete {TRAINED} there: `deepproverbs job train` then "
            "puts the model there again."
        )
    write_whole(mark, data.decode())
    return folder / "model"


def _changed(there: Noted, folder: Path) -> list[str]:
    """The files of a bot or a model that are not what they were."""
    paths = {name: inside(folder, name) for name in there.files}
    return [name for name, path in paths.items() if not path.is_file() or digest(path) != there.files[name]]


def sample(bot: Bot, folder: Path, work: Workspace, text: str, say: Say) -> None:
    """Draw one shard; `auto/8` is this machine's in an array job of AWS Batch."""
    if text.startswith("auto/"):
        text = f"{int(os.environ.get('AWS_BATCH_JOB_ARRAY_INDEX', '0')) + 1}/{text[5:]}"
    shard = shards.Shard.read(text, total(bot))
    drawn = shards.sample_shard(bot, folder, fetch_model(work, folder, say), shard, work.store, say)
    say(f"Shard {shard.index} of {shard.of} is done: {drawn:,} candidates drawn.")


def total(bot: Bot) -> int:
    """Candidates of all shards together."""
    return min(math.ceil(SPARE * bot.filter.choose_from * bot.count), budget_of(bot))


def pool(bot: Bot, folder: Path, work: Workspace, say: Say) -> Path:
    """Filter all shards into one pool.jsonl, drawing more if too few texts pass. Nothing repeats a text of the pool in
    the store. waiting.json then tells where the texts are that a person reads first. Empty: those are all of them."""
    out, texts, before = _chosen(bot, folder, work, say)
    if not (before and _waits(bot, work)):  # a refill's may wait now, and are not to be forgotten
        waiting.note(work, out, bot.pool, bot.name, placed_at(folder))
    return texts


def placed_at(folder: Path) -> str:
    """Where whoever placed the bot has it; empty where an older version placed it. `folder`: of `fetch_bot`."""
    path = folder / "bot" / PLACED
    return str(note_of(path.read_bytes()).get("bot", "")) if path.exists() else ""


def _chosen(bot: Bot, folder: Path, work: Workspace, say: Say) -> tuple[str, Path, bool]:
    """(the folder of the workspace, pool.jsonl here, was it chosen before?)"""
    model = fetch_model(work, folder, say)
    settings = [Candidates(folder, model, bot.sample).key, plain(bot.filter), bot.count, bot.sample.budget, bot.pool]
    out = f"out/{key_of(settings, folder / 'corpus.txt', *bot.reference_files)}"
    there = work.store.list(f"{out}/")
    if f"{out}/pool.jsonl" in there:
        before = work.get(f"{out}/pool.jsonl", folder, "pool.jsonl")
        if f"{out}/{CHOSEN}" not in there or _is_chosen(work.store.get(f"{out}/{CHOSEN}")[0], before):
            more = "" if bot.publish == "after-review" else "; `deepproverbs job refill` adds more texts"
            say(f"The pool was chosen before, {work.url}/{out}{more}.")
            return out, before, True
        say(f"{work.url}/{out}/pool.jsonl is not what was chosen: it is chosen again.")
    shards.merge(bot, folder, model, work.store, say)
    base = folder / "base"
    try:
        made = sample_and_filter(bot, folder, model, fill.history(bot.pool), say, base if base.exists() else None)
    except AllApart:
        made = folder / "pool.jsonl"
    write_note(folder / CHOSEN, {"pool": digest(made)})
    for path in (folder / "verdicts.jsonl", folder / "review.jsonl", folder / CHOSEN, made):
        work.put(path, f"{out}/{path.name}")  # for people, and for this job if it is ended before the texts are in
    return out, made, False


def _is_chosen(note: bytes, pool: Path) -> bool:
    """Whether a pool.jsonl is the one that the note is of."""
    try:
        return bool(note_of(note, summed=True)["pool"] == digest(pool))
    except (ValueError, KeyError):
        return False


def refill(bot: Bot, folder: Path, work: Workspace, say: Say) -> Appended | Waiting:
    """Sample and filter `bot.count` more texts and fill them in. Where a person reads them first: what waits now, and
    while it does nothing more is sampled.

    Each refill has a seed of its own, so that its candidates are none that a fill or another refill has chosen from,
    and a new machine draws none of those again. refills.json says how many are in the pool: one that was ended, at
    whatever moment, goes on from the parts of its shard and the texts that it has chosen.
    """
    if left := _waits(bot, work):
        return left
    done = refills_done(work)
    while True:
        seed = seed_of(bot.sample.seed, done + 1)
        this = dataclasses.replace(bot, sample=dataclasses.replace(bot.sample, seed=seed))
        say(f"Refill {done + 1} of {work.url}: {bot.count:,} texts, with seed {seed}.")
        sample(this, folder, work, "1/1", say)
        texts = pool(this, folder, work, say)
        if left := _waits(bot, work):
            return left
        reads = bot.publish == "after-review" or not texts.stat().st_size
        added = None if reads else fill.fill(texts, bot.pool, bot.name)  # what a person has kept is in the pool
        done += 1
        work.store.put(REFILLS, note_bytes({"done": done}))
        if added and added.added:
            return added
        say("All of those were read." if reads else "Those are in the pool already: the next ones.")


def _waits(bot: Bot, work: Workspace) -> Waiting | None:
    """What waits for a person before more is made for this pool: all texts, not some that were set apart beside
    others."""
    found = waiting.look(work)
    if found is None or owner.place_of(found.pool) != owner.place_of(bot.pool):
        return None
    return found if found.only or (found.count and bot.publish == "after-review") else None


def refills_done(work: Workspace) -> int:
    """How many refills are in the pool.

    Raises:
        DeepproverbsError: the note of them is damaged.
    """
    try:
        return int(note_of(work.store.get(REFILLS)[0], summed=True)["done"])
    except Missing:
        return 0
    except (ValueError, KeyError, TypeError) as error:
        raise DeepproverbsError(
            f"{work.url}/{REFILLS} is damaged ({error}); delete it there: the refills are then counted from 1, and "
            "none of their texts comes twice."
        ) from error
