"""The options of `deepproverbs`: what each subcommand takes, and its help."""

from __future__ import annotations

import argparse
from pathlib import Path

from training.common.paths import DEFAULT_BOT
from training.runs.from_checkpoint import POOL_COMMANDS


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

    def add(name: str, help: str, *parents: argparse.ArgumentParser) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=help, description=help, parents=list(parents))
        return sub

    c = add("corpus", "read any text file, clean, split, count and encode it", common)
    c.add_argument("file", type=Path, nargs="+", help="delimited, one text a line, CSV or JSONL")
    c.add_argument("--out", type=Path, required=True, help="folder for corpus.txt and corpus.npz")
    c.add_argument("--field", help="the column or key with the text (default: text)")
    c.add_argument("--style", choices=["keep", "plain"], help="plain: lower case and , . ' - alone (default: keep)")
    c.add_argument("--model", help="whose tokens to count (default: nano)")
    c.add_argument("--json", action="store_true", help="print the counts as JSON")
    add("base", "find, download or unpack a base model", staged)
    add("finetune", "fine-tune the base model on the bot's corpus", staged, tuned)
    c = add("convert", "convert the checkpoint for the fast samplers", staged, shaped, trimmed)
    c.add_argument("--checkpoint", type=Path, help="a gpt-2-simple checkpoint (default: the run's)")
    add("sample", "sample candidates from the run's model", staged, sampled)
    c = add("filter", "judge candidates and write a pool", common)
    c.add_argument("candidates", type=Path, help="texts: candidates.jsonl, or any JSONL, CSV or file with one a line")
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
    c = add("report", "how new and how varied the pool is, beside real texts", common)
    c.add_argument("--run", help="the run's folder (default: runs/NAME)")
    c.add_argument("--json", action="store_true", help="print as JSON")
    c = add("review", "read the texts that were set apart, and publish or refuse each", common, pooled)
    c.add_argument("--run", help="the run's folder (default: runs/NAME)")
    c = add("fill", "append a pool.jsonl to the pool", common, pooled)
    c.add_argument("file", type=Path, help="a pool.jsonl")
    add("run", "all of it: corpus to filled pool", staged, tuned, trimmed, sampled, judged, pooled)
    c = add("job", "one job of many machines; see training/runs/jobs.py", staged, sampled, judged, pooled)
    c.add_argument("what", choices=["place", "train", "sample", "fill"], help="what this machine does")
    c.add_argument("--work", required=True, help="where the jobs meet: s3://bucket/prefix or a directory")
    c.add_argument("--shard", default="1/1", help="sample: 3/8 is the third of eight; auto/8 in an array job")
    add("demo", "nano on the Proverbs, 1,000 texts, one dry post", staged, tuned, trimmed, sampled, judged)
    c = add("post", "post one text of the pool", common, pooled)
    c.add_argument("--creds", type=Path, help="twitter.json with the four X keys")
    c.add_argument("--dry-run", action="store_true", help="every step but the claim and the post")
    c.add_argument("--slot", help="a name; one slot posts once (default: now)")
    c.add_argument("--checkpoint", type=Path, help="sample from this gpt-2-simple checkpoint instead of a pool")
    c.add_argument("--run", help="folder for what --checkpoint makes (default: runs/NAME-tweet)")
    c = add("pool", "look at the pool, take texts out, pause it", common, pooled)
    c.add_argument("what", choices=POOL_COMMANDS, help="what to look at or do")
    c.add_argument("index", type=int, nargs="*", help="numbers of texts: show, withdraw; list: from this one on")
    c.add_argument("--json", action="store_true", help="print as JSON")
    return top
