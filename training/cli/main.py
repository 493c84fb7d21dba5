"""`deepproverbs`: one subcommand a stage. Only this file knows all the stages; options.py what they take.

Exit codes: 0 done, 1 failed, 2 wrong use, 130 stopped by Ctrl-C. Errors are one sentence on
standard error; tracebacks only with --debug.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from post_tweet.errors import Busy, PostError, Undecided, Unreachable

from training import settings as config
from training.cli.options import parser
from training.common.errors import DeepproverbsError
from training.common.files import locked
from training.common.manifest import digest_of
from training.common.paths import MODELS
from training.corpus import build as corpus
from training.corpus.tokenizer import load_tokenizer
from training.curate import fill, report, review
from training.model import base as base_model
from training.model import finetune
from training.model.converted import model_of
from training.runs import from_checkpoint, jobs, stages
from training.runs.filter_file import FilterOptions, filter_candidates, rates_table, summary
from training.runs.until_enough import sample_and_filter
from training.runs.work_place import Work
from training.settings import Bot, SampleSettings


def say(text: str) -> None:
    print(text, flush=True)


def bot_of(args: argparse.Namespace) -> Bot:
    """The bot's settings with the command line's options over them."""
    return with_options(config.load(args.bot), args)


def with_options(bot: Bot, args: argparse.Namespace) -> Bot:
    given = vars(args)
    bot = config.override(bot, "", **{n: given.get(n) for n in ("model", "count", "pool")})
    bot = config.override(bot, "corpus", field=given.get("field"), style=given.get("style"))
    tuned = ("recipe", "epochs", "batch_size", "learning_rate")
    bot = config.override(bot, "finetune", **{n: given.get(n) for n in tuned})
    sampled = {field.name for field in dataclasses.fields(SampleSettings)} & set(given)
    return config.override(bot, "sample", **{n: given.get(n) for n in sampled})


def run_folder(args: argparse.Namespace, bot: Bot) -> Path:
    return Path(args.run) if args.run else Path("runs") / bot.name


def corpus_command(args: argparse.Namespace) -> None:
    bot = bot_of(args)
    settings = dataclasses.replace(bot.corpus, style=args.style or "keep")
    base = base_model.locate(args.model or base_model.NANO, MODELS)
    with locked(args.out):
        counts = corpus.build(args.file, args.out, settings, load_tokenizer(base.folder))
    facts = dataclasses.asdict(counts)
    if args.json:
        say(json.dumps(facts, ensure_ascii=False))
    else:
        for name, value in facts.items():
            say(f"{name.replace('_', ' '):>18}: {format(value, ',') if isinstance(value, int) else value}")
        say(f"Written: {args.out / 'corpus.txt'}, {args.out / 'corpus.npz'}")


def base_command(args: argparse.Namespace) -> None:
    base = base_model.locate(bot_of(args).model, MODELS)
    say(f"{base.name}: {base.folder} {json.dumps(dataclasses.asdict(base.hparams))}")


def finetune_command(args: argparse.Namespace) -> None:
    bot = bot_of(args)
    folder = run_folder(args, bot)
    with locked(folder):
        stages.prepare(bot, say)
        base = base_model.locate(bot.model, MODELS)
        stages.build_corpus(bot, [bot.corpus_file], folder, base.folder, say)
        finetune.finetune(folder, base, bot.finetune, say)


def convert_command(args: argparse.Namespace) -> None:
    bot = bot_of(args)
    folder = run_folder(args, bot)
    checkpoint = from_checkpoint.checkpoint_folder(args.checkpoint or folder / "checkpoint")
    with locked(folder):
        stages.prepare(bot, say)
        stages.build_corpus(bot, [bot.corpus_file], folder, checkpoint, say)
        stages.convert_model(bot, folder, checkpoint, say)


def sample_command(args: argparse.Namespace) -> None:
    bot = bot_of(args)
    folder = run_folder(args, bot)
    with locked(folder):
        stages.sample_only(bot, folder, model_of(folder), bot.count, say)


def filter_command(args: argparse.Namespace) -> None:
    bot = bot_of(args)
    run = Path(args.run) if args.run else None
    options = FilterOptions(args.candidates, args.corpus, args.out, args.verdicts, args.history, run, args.workers)
    if args.calibrate:
        say(rates_table(bot, options))
    else:
        filtered = filter_candidates(bot, options)
        say(filtered.table(bot.filter))
        for line in summary(filtered, options):
            say(line)


def fill_command(args: argparse.Namespace) -> None:
    say(filled(args.file, bot_of(args).pool, args.file.stem))


def filled(path: Path, url: str, name: str) -> str:
    added = fill.fill(path, url, name)
    if not added.added:
        return f"Nothing added to {url}: all {added.already:,} texts are already there."
    return f"Added {added.added:,} texts to {url}" + (f"; {added.already:,} were there." if added.already else ".")


def run_command(args: argparse.Namespace) -> None:
    bot = bot_of(args)
    folder = run_folder(args, bot)
    with locked(folder):
        history = fill.history(bot.pool)
        model, base = stages.train(bot, folder, say)
        texts = sample_and_filter(bot, folder, model, history, say, base)
        say(filled(texts, bot.pool, bot.name))
    say(f"Next: deepproverbs pool status --pool {bot.pool}")


def job_command(args: argparse.Namespace) -> None:
    work = Work(args.work)
    if args.what == "place":
        jobs.place(bot_of(args), args.bot, work, say)
        return
    # A folder a work place: two bots must not share a model.
    folder = Path(args.run or f"runs/job-{digest_of([args.work])[:8]}")
    if args.what == "sample":
        folder = folder.with_name(f"{folder.name}-{args.shard.replace('/', '-of-')}")  # shards may run side by side
    with locked(folder):
        bot = with_options(jobs.fetched(work, folder), args)
        if args.what == "train":
            jobs.train(bot, folder, work, say)
        elif args.what == "sample":
            jobs.sample(bot, folder, work, args.shard, say)
        else:
            say(filled(jobs.pool(bot, folder, work, say), bot.pool, bot.name))


def demo_command(args: argparse.Namespace) -> None:
    """nano on the real Proverbs, a pool of 1,000 texts, ten of them, one dry post."""
    started = time.monotonic()
    folder = Path(args.run or "runs/demo")
    args.model, args.count, args.pool = args.model or base_model.NANO, args.count or 1000, str(folder / "pool")
    args.run = str(folder)
    run_command(args)
    records = fill.read_pool(folder / "pool.jsonl")
    say("\nTen texts of the pool:")
    for record in records[:10]:
        say(f"  {record['text']}")
    say("\nPosted dry, through the function's own code:")
    say("  " + from_checkpoint.post(args.pool, None, "demo", dry_run=True)["text"])
    say(f"\nDone in {time.monotonic() - started:.0f} s. The pool: {args.pool}")


def report_command(args: argparse.Namespace) -> None:
    bot = bot_of(args)
    folder = run_folder(args, bot)
    result = report.report(bot, folder)
    say(json.dumps(result, ensure_ascii=False) if args.json else report.table(result))
    if not args.json:
        say(f"Written: {folder / 'quality.json'}")


def review_command(args: argparse.Namespace) -> None:
    bot = bot_of(args)
    folder = run_folder(args, bot)
    approved = review.review(folder, sys.stdin, say)
    if approved:
        say(filled(approved, bot.pool, f"{bot.name} review"))


def post_command(args: argparse.Namespace) -> None:
    bot = bot_of(args)
    slot = args.slot or f"manual {time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())}"
    url = bot.pool
    if args.checkpoint:
        url = from_checkpoint.pool_from(bot, args.checkpoint, Path(args.run or f"runs/{bot.name}-tweet"), say)
    # Its claim may stay in the pool. Another slot would settle it and then post a text of its own.
    again = (
        f"To repeat this post and not post another, wait a minute and add --slot {shlex.quote(slot)} (SLOT= for make)."
    )
    try:
        say(json.dumps(from_checkpoint.post(url, args.creds, slot, args.dry_run), ensure_ascii=False))
    except (Undecided, Unreachable, Busy) as error:
        raise type(error)(f"{error} {again}") if error.claimed else error from None
    except KeyboardInterrupt:
        if not args.dry_run:
            print(again, file=sys.stderr)
        raise


def pool_command(args: argparse.Namespace) -> None:
    url = bot_of(args).pool
    say(
        from_checkpoint.pool_status(url, args.json)
        if args.what == "status"
        else from_checkpoint.pool_look(url, args.what, args.index)
    )


COMMANDS: dict[str, Callable[[argparse.Namespace], None]] = {
    "corpus": corpus_command,
    "base": base_command,
    "finetune": finetune_command,
    "convert": convert_command,
    "sample": sample_command,
    "filter": filter_command,
    "report": report_command,
    "review": review_command,
    "fill": fill_command,
    "run": run_command,
    "job": job_command,
    "demo": demo_command,
    "post": post_command,
    "pool": pool_command,
}


def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    for name in ("boto3", "botocore", "urllib3", "tweepy", "requests_oauthlib", "oauthlib"):
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        COMMANDS[args.command](args)
    except KeyboardInterrupt:
        print("Stopped; what was done is kept, the same command goes on from there.", file=sys.stderr)
        return 130
    except (DeepproverbsError, PostError) as error:
        if args.debug:
            raise
        print(f"deepproverbs: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # The reader of our output has gone (`| head`): no error, and nothing more to say.
        sys.stdout = None
        return 0
    except OSError as error:
        # Whatever the disk does at a moment that no stage speaks of itself.
        if args.debug:
            raise
        where = f" ({error.filename})" if error.filename else ""
        print(
            f"deepproverbs: {error.strerror or error}{where}; free some space or choose another folder with --run, "
            "then start again: finished work is kept.",
            file=sys.stderr,
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
