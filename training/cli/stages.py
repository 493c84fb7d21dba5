"""A command a stage, from a file of texts to candidates that were judged."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import click

from training.cli.command import argument, command, json_option, option
from training.cli.console import result, show
from training.cli.options import (
    SAMPLED,
    SHAPED,
    TUNED,
    bot_option,
    given,
    load_bot,
    run_folder,
    run_option,
    setting_options,
)
from training.common.files import locked
from training.common.paths import MODELS, NANO
from training.common.progress import say

ROAD = "One stage at a time"
PATH = click.Path(path_type=Path)


@command("corpus", section=ROAD)
@argument(
    "files", nargs=-1, required=True, type=PATH, metavar="FILE…", help="Delimited, one a line, CSV or JSON Lines."
)
@option("--out", type=PATH, required=True, metavar="DIR", help="Folder for corpus.txt and corpus.npz.")
@bot_option
@setting_options("corpus.field", "corpus.style", "model")
@json_option
def corpus(files: tuple[Path, ...], out: Path, bot: Path) -> None:
    """Read any text file, drop duplicates, split, count and encode it.

    Unless --model says otherwise, nano's tokens are counted.

    $ deepproverbs corpus sayings.txt --out runs/sayings
    $ deepproverbs corpus tweets.csv --field tweet --style plain --out runs/tweets --json
    """
    from training.corpus import build
    from training.corpus.tokenizer import load_tokenizer
    from training.model import base as base_model

    settings = dataclasses.replace(load_bot(bot).corpus, style=given().get("corpus.style", "keep"))
    model = given().get("model", "nano")
    # nano's tokenizer is in the checkout; its model need not be built to count tokens.
    tokenizer = load_tokenizer(NANO if model == "nano" else base_model.locate(model, MODELS).folder)
    with locked(out):
        counts = build.build(list(files), out, settings, tokenizer)
    facts = dataclasses.asdict(counts)
    rows = (f"{n.replace('_', ' '):>18}: {format(v, ',') if isinstance(v, int) else v}" for n, v in facts.items())
    show(facts, "\n".join(rows))
    say(f"Written: {out / 'corpus.txt'}, {out / 'corpus.npz'}")


@command("base", section=ROAD)
@bot_option
@run_option
@setting_options("model")
@json_option
def base(bot: Path, run: Path | None) -> None:
    """Find, download or unpack a base model.

    $ deepproverbs base --model 355M
    """
    from training.model import base as base_model

    found = base_model.locate(load_bot(bot).model, MODELS)
    hparams = dataclasses.asdict(found.hparams)
    show(
        {"name": found.name, "folder": found.folder, "hparams": hparams},
        f"{found.name}: {found.folder} {json.dumps(hparams)}",
    )


@command("finetune", section=ROAD)
@bot_option
@run_option
@setting_options("model", *TUNED)
def finetune(bot: Path, run: Path | None) -> None:
    """Fine-tune the base model on the bot's corpus.

    The best epoch by the held-out loss is kept.

    $ deepproverbs finetune
    $ deepproverbs finetune --bot data/proverbs --model nano --epochs 2
    """
    from training.runs import stages

    settings = load_bot(bot)
    folder = run_folder(run, settings)
    with locked(folder):
        stages.finetune_model(settings, folder, say)


@command("convert", section=ROAD)
@option("--checkpoint", type=PATH, metavar="DIR", help="A checkpoint of gpt-2-simple. [default: the run's]")
@bot_option
@run_option
@setting_options("model", *SHAPED, "sample.vocabulary")
def convert(checkpoint: Path | None, bot: Path, run: Path | None) -> None:
    """Convert the checkpoint for the fast samplers.

    Tokens that the bot does not need are left out where that is harmless.

    $ deepproverbs convert
    $ deepproverbs convert --checkpoint checkpoint/run1 --run runs/mine
    """
    from training.runs import from_checkpoint, stages

    settings = load_bot(bot)
    folder = run_folder(run, settings)
    source = from_checkpoint.checkpoint_folder(checkpoint or folder / "checkpoint")
    with locked(folder):
        stages.prepare(settings, say)
        stages.build_corpus(settings, [settings.corpus_file], folder, source, say)
        stages.convert_model(settings, folder, source, say)


@command("export", section=ROAD)
@option(
    "--to",
    "form",
    type=click.Choice(["hf", "openai"]),
    required=True,
    help="hf: as transformers loads it, with a model card. openai: as gpt-2-simple loads it.",
)
@option("--out", type=PATH, required=True, metavar="DIR", help="The folder to write, new or empty.")
@bot_option
@run_option
def export_(form: str, out: Path, bot: Path, run: Path | None) -> None:
    """Write the run's checkpoint as a folder that transformers or gpt-2-simple loads.

    $ deepproverbs export --to hf --out proverbs-124M
    $ deepproverbs export --to openai --out checkpoint/run1 --run runs/mine
    """
    from training.model import export

    settings = load_bot(bot)
    folder = run_folder(run, settings)
    export.checkpoint_of(folder)  # before the lock makes the folder
    with locked(folder):
        export.export(folder, form, out, settings.name, settings.filter.language, MODELS)
    where = out.resolve()
    load = f"gpt_2_simple.load_gpt2(session, checkpoint_dir={str(where.parent)!r}, run_name={where.name!r})"
    say(f"Written: {out}" + f"; {load} loads it." * (form == "openai"))


@command("sample", section=ROAD)
@bot_option
@run_option
@setting_options("model", "count", *SAMPLED)
def sample(bot: Path, run: Path | None) -> None:
    """Sample candidates from the run's model.

    Each is written to its end into candidates.jsonl; nothing is filtered.

    $ deepproverbs sample --count 5000
    $ deepproverbs sample --prefix "thou shall not" --temperature 0.8
    """
    from training.model.converted import model_of
    from training.runs import stages

    settings = load_bot(bot)
    folder = run_folder(run, settings)
    with locked(folder):
        stages.sample_only(settings, folder, model_of(folder), settings.count, say)


@command("filter", section=ROAD)
@argument("candidates", type=PATH, help="candidates.jsonl, or any JSON Lines, CSV, or file with a text a line.")
@option(
    "--corpus",
    type=PATH,
    required=True,
    multiple=True,
    metavar="FILE",
    help="The corpus, then what else nothing may copy. [may be repeated]",
)
@option("--out", type=PATH, metavar="FILE", help="The pool file to write; texts to be read first go beside it.")
@option("--verdicts", type=PATH, metavar="FILE", help="Every verdict. [default: verdicts.jsonl beside --out]")
@option("--history", metavar="URL", help="A pool whose texts nothing may repeat: s3://bucket/prefix or a directory.")
@option("--run", type=PATH, metavar="DIR", help="A run whose model ranks the candidates and knows the real texts.")
@option("--workers", type=int, default=0, metavar="N", help="Processes that judge. [default: 0, as many as pay]")
@option("--calibrate", is_flag=True, help="Print how often each rule rejects real texts, and the candidates.")
@bot_option
@setting_options("count")
@json_option
def filter_(bot: Path, calibrate: bool, **files: Any) -> None:
    """Judge a file of texts and write the best into a pool.jsonl.

    $ deepproverbs filter texts.txt --corpus corpus.txt --out pool.jsonl
    $ deepproverbs filter candidates.jsonl --corpus corpus.txt --corpus book.txt --run runs/mine --calibrate
    """
    from training.runs.filter_file import FilterOptions, filter_candidates, rates_table, summary

    settings = load_bot(bot)
    options = FilterOptions(**files)
    if calibrate:
        result(rates_table(settings, options))
        return
    filtered = filter_candidates(settings, options, say)
    facts = {"kept": filtered.kept, "set_apart": filtered.set_apart, "left_out": filtered.left_out}
    show({**facts, "verdicts": dict(filtered.counts)}, filtered.table(settings.filter))
    for line in summary(filtered, options):
        say(line)
