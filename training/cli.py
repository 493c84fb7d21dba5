"""`deepproverbs`: one subcommand a stage. Only this file knows all the stages.

Exit codes: 0 done, 1 failed, 2 wrong use, 130 stopped by Ctrl-C. Errors are one sentence on
standard error; tracebacks only with --debug.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from post_tweet.errors import PostError

from training import base_model, config, corpus, fill, filtering, finetune, job, quality, review, run, scores, tweet
from training.config import Bot, SampleSettings
from training.errors import DeepproverbsError, WrongUse
from training.filtering import Files
from training.manifest import locked
from training.tf1_process import ROOT

DEFAULT_BOT = ROOT / "data" / "proverbs" / "bot.toml"


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
    base = base_model.locate(args.model or base_model.NANO, run.MODELS)
    with locked(args.out):
        counts = corpus.build(args.file, args.out, settings, corpus.load_tokenizer(base.folder))
    facts = dataclasses.asdict(counts)
    if args.json:
        say(json.dumps(facts, ensure_ascii=False))
    else:
        for name, value in facts.items():
            say(f"{name.replace('_', ' '):>18}: {format(value, ',') if isinstance(value, int) else value}")
        say(f"Written: {args.out / 'corpus.txt'}, {args.out / 'corpus.npz'}")


def base_command(args: argparse.Namespace) -> None:
    base = base_model.locate(bot_of(args).model, run.MODELS)
    say(f"{base.name}: {base.folder} {json.dumps(base.hparams)}")


def finetune_command(args: argparse.Namespace) -> None:
    bot = bot_of(args)
    folder = run_folder(args, bot)
    with locked(folder):
        run.prepare(bot, say)
        base = base_model.locate(bot.model, run.MODELS)
        run.build_corpus(bot, [bot.corpus_file], folder, base.folder, say)
        finetune.finetune(folder, base, bot.finetune, say)


def convert_command(args: argparse.Namespace) -> None:
    bot = bot_of(args)
    folder = run_folder(args, bot)
    checkpoint = tweet.checkpoint_folder(args.checkpoint or folder / "checkpoint")
    with locked(folder):
        run.prepare(bot, say)
        run.build_corpus(bot, [bot.corpus_file], folder, checkpoint, say)
        run.convert_model(bot, folder, checkpoint, say)


def model_of(folder: Path) -> Path:
    if not (folder / "model" / "model.bin").exists():
        raise WrongUse(f"No model in {folder}; run `deepproverbs finetune` and `deepproverbs convert` first.")
    return folder / "model"


def sample_command(args: argparse.Namespace) -> None:
    bot = bot_of(args)
    folder = run_folder(args, bot)
    with locked(folder):
        run.sample_only(bot, folder, model_of(folder), bot.count, say)


def filter_command(args: argparse.Namespace) -> None:
    bot = bot_of(args)
    texts = corpus.load_corpus(args.corpus[0])
    references = [text for path in args.corpus[1:] for text in corpus.load_corpus(path)]
    history = fill.history(args.history) if args.history else []
    band, model, base, held_out = None, None, None, []
    if args.run:
        folder = Path(args.run)
        model, base = model_of(folder), folder / "base"
        base = base if bot.filter.ratio and (base / "model.bin").exists() else None
        band = scores.band(bot.filter, model, folder / "corpus.npz", base)
        held_out = scores.of_held_out(model, folder / "corpus.npz").tolist()
    if args.calibrate:
        say(filtering.calibrate(args.candidates, texts, references, bot, band, held_out))
        return
    if not args.out:
        raise WrongUse("Name the pool file to write with --out; or give --calibrate.")
    files = Files(args.candidates, args.out, args.verdicts or args.out.with_name("verdicts.jsonl"))
    kept, apart, judged = filtering.filter_file(files, texts, bot, history, band, model, base, args.workers, references)
    say(filtering.table(judged.counts, bot.filter))
    if judged.left_out:
        say(
            f"{judged.left_out:,} candidates were given up under other [filter] settings or originals and are left "
            "out; `deepproverbs sample`, or run with --no-early-stop, writes whole texts, to be judged under any."
        )
    say(f"{kept:,} texts in {files.out}, every verdict in {files.verdicts}.")
    if apart:
        say(f"{apart:,} more name a people or a religion: they are in {filtering.review_file(files.out)}.")


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
        model, base = run.train(bot, folder, say)
        texts = run.sample_and_filter(bot, folder, model, history, say, base)
        say(filled(texts, bot.pool, bot.name))
    say(f"Next: deepproverbs pool status --pool {bot.pool}")


def job_command(args: argparse.Namespace) -> None:
    work = job.Work(args.work)
    if args.what == "place":
        job.place(bot_of(args), args.bot, work, say)
        return
    folder = Path(args.run or "runs/job")
    if args.what == "sample":
        folder = folder.with_name(f"{folder.name}-{args.shard.replace('/', '-of-')}")  # shards may run side by side
    with locked(folder):
        bot = with_options(job.fetched(work, folder), args)
        if args.what == "train":
            job.train(bot, folder, work, say)
        elif args.what == "sample":
            job.sample(bot, folder, work, args.shard, say)
        else:
            say(filled(job.pool(bot, folder, work, say), bot.pool, bot.name))


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
    say("  " + tweet.post(args.pool, None, "demo", dry_run=True)["text"])
    say(f"\nDone in {time.monotonic() - started:.0f} s. The pool: {args.pool}")


def report_command(args: argparse.Namespace) -> None:
    bot = bot_of(args)
    folder = run_folder(args, bot)
    result = quality.report(bot, folder)
    say(json.dumps(result, ensure_ascii=False) if args.json else quality.table(result))
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
        url = tweet.pool_from(bot, args.checkpoint, Path(args.run or f"runs/{bot.name}-tweet"), say)
    say(json.dumps(tweet.post(url, args.creds, slot, args.dry_run), ensure_ascii=False))


def pool_command(args: argparse.Namespace) -> None:
    url = bot_of(args).pool
    say(tweet.pool_status(url, args.json) if args.what == "status" else tweet.pool_look(url, args.what, args.index))


def parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--bot", type=Path, default=DEFAULT_BOT, help="the bot's settings (default: data/proverbs/bot.toml)"
    )
    common.add_argument("--debug", action="store_true", help="show tracebacks")
    staged = argparse.ArgumentParser(add_help=False, parents=[common])
    staged.add_argument("--run", help="the run's folder (default: runs/NAME)")
    staged.add_argument("--model", help="124M, 355M, 774M, 1558M, nano, or a folder")
    tuned = argparse.ArgumentParser(add_help=False)
    tuned.add_argument("--recipe", choices=["texts", "windows"], help="whole texts, or gpt-2-simple's finetune()")
    tuned.add_argument("--epochs", type=int, help="at most so many passes over the texts")
    tuned.add_argument("--batch-size", type=int, help="texts or windows a step; 0: by the model's size")
    tuned.add_argument("--learning-rate", type=float, help="peak rate; 0: by the model's size")
    shaped = argparse.ArgumentParser(add_help=False)
    shaped.add_argument(
        "--temperature", dest="temperatures", type=float, action="append", help="may be given several times"
    )
    shaped.add_argument(
        "--prefix", dest="prefixes", action="append", help="start of every text; may be given several times"
    )
    sampled = argparse.ArgumentParser(add_help=False, parents=[shaped])
    sampled.add_argument("--count", type=int, help="texts wanted")
    sampled.add_argument("--top-k", type=int, help="sample among the k most probable tokens; 0: all")
    sampled.add_argument("--top-p", type=float, help="sample among the tokens that hold this probability")
    sampled.add_argument("--seed", type=int, help="the same seed gives the same candidates")
    sampled.add_argument("--max-tokens", type=int, help="a text that has not ended by then is cut off and dropped")
    sampled.add_argument(
        "--engine",
        choices=["auto", "native", "ctranslate2", "gpt-2-simple"],
        help="what samples (default: CTranslate2 on a GPU, the native one on a processor)",
    )
    sampled.add_argument("--device", choices=["auto", "cpu", "cuda"], help="where CTranslate2 runs")
    sampled.add_argument("--compute-type", help="CTranslate2's: int8, float32, float16, int8_float16")
    sampled.add_argument("--workers", type=int, help="batches decoded at a time; 0: by a short trial on the model")
    sampled.add_argument("--threads", type=int, help="processor threads a worker of CTranslate2")
    sampled.add_argument("--batch", type=int, help="texts decoded side by side, a worker; 0: by a short trial")
    trimmed = argparse.ArgumentParser(add_help=False)
    trimmed.add_argument(
        "--vocabulary", choices=["auto", "full"], help="full: keep tokens that this bot does not need (default: auto)"
    )
    judged = argparse.ArgumentParser(add_help=False)
    judged.add_argument("--budget", type=int, help="most candidates; 0: 20 times the count")
    judged.add_argument(
        "--no-early-stop",
        dest="early_stop",
        action="store_const",
        const=False,
        help="write every text to its end, even when it has broken a rule of the filters",
    )
    pooled = argparse.ArgumentParser(add_help=False)
    pooled.add_argument("--pool", help="s3://bucket/prefix or a directory (default: the bot's)")

    top = argparse.ArgumentParser(
        prog="deepproverbs", description="Fine-tune GPT-2 on short texts, fill a pool, post from it."
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(
        name: str, function: Callable[[argparse.Namespace], None], help: str, *parents: argparse.ArgumentParser
    ) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=help, description=help, parents=list(parents))
        sub.set_defaults(function=function)
        return sub

    c = add("corpus", corpus_command, "read any text file, clean, split, count and encode it", common)
    c.add_argument("file", type=Path, nargs="+", help="delimited, one text a line, CSV or JSONL")
    c.add_argument("--out", type=Path, required=True, help="folder for corpus.txt and corpus.npz")
    c.add_argument("--field", help="the column or key with the text (default: text)")
    c.add_argument("--style", choices=["keep", "plain"], help="plain: lower case and , . ' - alone (default: keep)")
    c.add_argument("--model", help="whose tokens to count (default: nano)")
    c.add_argument("--json", action="store_true", help="print the counts as JSON")
    add("base", base_command, "find, download or unpack a base model", staged)
    add("finetune", finetune_command, "fine-tune the base model on the bot's corpus", staged, tuned)
    c = add("convert", convert_command, "convert the checkpoint for the fast samplers", staged, shaped, trimmed)
    c.add_argument("--checkpoint", type=Path, help="a gpt-2-simple checkpoint (default: the run's)")
    add("sample", sample_command, "sample candidates from the run's model", staged, sampled)
    c = add("filter", filter_command, "judge candidates and write a pool", common)
    c.add_argument("candidates", type=Path, help="JSONL with a text a line")
    c.add_argument(
        "--corpus",
        type=Path,
        required=True,
        action="append",
        help="the corpus, then what else nothing may copy: may be given several times",
    )
    c.add_argument("--out", type=Path, help="the pool file to write; texts to be read first come beside it")
    c.add_argument("--verdicts", type=Path, help="every verdict (default: verdicts.jsonl beside --out)")
    c.add_argument("--history", help="a pool whose texts nothing may repeat: s3://bucket/prefix or a directory")
    c.add_argument("--run", help="a run's folder: its model says where real texts lie, and ranks the candidates")
    c.add_argument("--count", type=int, help="texts wanted: the best ones")
    c.add_argument("--workers", type=int, default=0, help="processes that judge; 0: as many as pay")
    c.add_argument(
        "--calibrate", action="store_true", help="print how often each rule rejects the corpus itself, and candidates"
    )
    c = add("report", report_command, "how new and how varied the pool is, beside real texts", common)
    c.add_argument("--run", help="the run's folder (default: runs/NAME)")
    c.add_argument("--json", action="store_true", help="print as JSON")
    c = add("review", review_command, "read the texts that were set apart, and publish or refuse each", common, pooled)
    c.add_argument("--run", help="the run's folder (default: runs/NAME)")
    c = add("fill", fill_command, "append a pool.jsonl to the pool", common, pooled)
    c.add_argument("file", type=Path, help="a pool.jsonl")
    add("run", run_command, "all of it: corpus to filled pool", staged, tuned, trimmed, sampled, judged, pooled)
    c = add("job", job_command, "one job of many machines; see training/job.py", staged, sampled, judged, pooled)
    c.add_argument("what", choices=["place", "train", "sample", "fill"], help="what this machine does")
    c.add_argument("--work", required=True, help="where the jobs meet: s3://bucket/prefix or a directory")
    c.add_argument("--shard", default="1/1", help="sample: 3/8 is the third of eight; auto/8 in an array job")
    add(
        "demo", demo_command, "nano on the Proverbs, 1,000 texts, one dry post", staged, tuned, trimmed, sampled, judged
    )
    c = add("post", post_command, "post one text of the pool", common, pooled)
    c.add_argument("--creds", type=Path, help="twitter.json with the four X keys")
    c.add_argument("--dry-run", action="store_true", help="every step but the claim and the post")
    c.add_argument("--slot", help="a name; one slot posts once (default: now)")
    c.add_argument("--checkpoint", type=Path, help="sample from this gpt-2-simple checkpoint instead of a pool")
    c.add_argument("--run", help="folder for what --checkpoint makes (default: runs/NAME-tweet)")
    c = add("pool", pool_command, "look at the pool, take texts out, pause it", common, pooled)
    c.add_argument("what", choices=tweet.POOL_COMMANDS, help="what to look at or do")
    c.add_argument("index", type=int, nargs="*", help="numbers of texts: show, withdraw; list: from this one on")
    c.add_argument("--json", action="store_true", help="print as JSON")
    return top


def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    for name in ("boto3", "botocore", "urllib3", "tweepy", "requests_oauthlib", "oauthlib"):
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        args.function(args)
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
