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
    READ,
    SAMPLED,
    SHAPED,
    TUNED,
    bot_option,
    force_option,
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
    "files",
    nargs=-1,
    required=True,
    type=PATH,
    metavar="FILE…",
    help="Texts in any form: lines, tables, JSON, fortune files … (docs/corpora.md). - reads standard input.",
)
@option("--out", type=PATH, metavar="DIR", help="Folder for corpus.txt and corpus.npz. Without it, nothing is written.")
@bot_option
@setting_options(*READ, "corpus.style", "model")
@json_option
def corpus(files: tuple[Path, ...], out: Path | None, bot: Path) -> None:
    """Read any text file, drop duplicates, split, count and encode it.

    Shows what kind of file it is and why, some texts, and what became of all of them. Unless --model says otherwise,
    nano's tokens are counted.

    $ deepproverbs corpus sayings.txt
    $ deepproverbs corpus sayings.txt --out runs/sayings
    $ deepproverbs corpus tweets.csv --field tweet --style plain --out runs/tweets --json
    """
    from training.corpus import build
    from training.corpus.gather import gather
    from training.corpus.tokenizer import load_tokenizer
    from training.model import base as base_model

    settings = dataclasses.replace(load_bot(bot).corpus, style=given().get("corpus.style", "keep"))
    if not out:
        gathered = gather(list(files), settings, lambda _: None)
        facts: dict[str, Any] = {"files": [told.facts() for told in gathered.told]}
        again = "The same without guessing: "
        show(facts, "\n\n".join(f"{told.table()}\n{again}{told.command()}" for told in gathered.told))
        return
    model = given().get("model", "nano")
    # nano's tokenizer is in the checkout; its model need not be built to count tokens.
    tokenizer = load_tokenizer(NANO if model == "nano" else base_model.locate(model, MODELS).folder)
    shown: list[str] = []
    with locked(out, "--out"):
        counts = build.build(
            list(files), out, settings, tokenizer, tell=lambda all: shown.extend(told.table() for told in all.told)
        )
        facts = {**dataclasses.asdict(counts), **json.loads((out / "corpus.json").read_text(encoding="utf-8"))}
    rows = [f"{n.replace('_', ' '):>18}: {format(v, ',') if isinstance(v, int) else v}" for n, v in facts.items()][:-2]
    commands = (f"The same without guessing: {file['command']} --out {out}" for file in facts["files"])
    show(facts, "\n".join([*shown, "", *rows, *commands]))
    say(f"Written: {out / 'corpus.txt'}, {out / 'corpus.npz'}, {out / 'corpus.json'}")


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
@force_option
def finetune(bot: Path, run: Path | None, force: bool) -> None:
    """Fine-tune the base model on the bot's corpus.

    The best epoch by the held-out loss is kept.

    $ deepproverbs finetune
    $ deepproverbs finetune --bot data/proverbs --model nano --epochs 2
    """
    from training.runs import owner, stages

    settings = load_bot(bot)
    folder = run_folder(run, settings)
    owner.check(folder, settings, bot)
    with locked(folder):
        owner.claim(folder, settings, bot, say)
        stages.finetune_model(settings, folder, say, force=force)


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
    from training.runs import from_checkpoint, owner, stages

    settings = load_bot(bot)
    folder = run_folder(run, settings)
    owner.check(folder, settings, bot)
    source = from_checkpoint.checkpoint_folder(checkpoint or folder / "checkpoint")
    with locked(folder):
        owner.claim(folder, settings, bot, say)
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
    from training.runs import owner

    settings = load_bot(bot)
    folder = run_folder(run, settings)
    owner.check(folder, settings, bot)
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
    from training.runs import owner, stages

    settings = load_bot(bot)
    folder = run_folder(run, settings)
    owner.check(folder, settings, bot)
    with locked(folder):
        model = model_of(folder)
        owner.claim(folder, settings, bot, say)
        stages.sample_only(settings, folder, model, settings.count, say)


@command("filter", section=ROAD)
@argument("candidates", type=PATH, help="candidates.jsonl, or texts in any form that `corpus` reads.")
@option(
    "--corpus",
    type=PATH,
    multiple=True,
    metavar="FILE",
    help="The corpus, then more texts that nothing may copy, besides the references of --bot. [may be repeated; "
    "default: the bot's corpus and its references]",
)
@option("--out", type=PATH, metavar="FILE", help="The pool file to write; texts to be read first go beside it.")
@option("--verdicts", type=PATH, metavar="FILE", help="Every verdict. [default: verdicts.jsonl beside --out]")
@option("--history", metavar="URL", help="A pool whose texts nothing may repeat: s3://bucket/prefix or a directory.")
@option("--run", type=PATH, metavar="DIR", help="A run whose model scores the candidates and has seen the real texts.")
@option("--workers", type=int, default=0, metavar="N", help="Processes that judge. [default: 0, as many as help]")
@option("--calibrate", is_flag=True, help="Print how often each rule rejects real texts, and the candidates.")
@bot_option
@setting_options("count", *READ)
@json_option
def filter_(bot: Path, calibrate: bool, **files: Any) -> None:
    """Judge a file of texts and write the best into a pool.jsonl.

    $ deepproverbs filter texts.txt --corpus corpus.txt --out pool.jsonl
    $ deepproverbs filter tweets.csv --field tweet --bot data/mybot --calibrate
    $ deepproverbs filter candidates.jsonl --corpus corpus.txt --corpus book.txt --run runs/mine --calibrate
    """
    from training.corpus.read import AS_IT_IS
    from training.runs import owner, stages
    from training.runs.filter_file import FilterOptions, filter_candidates, rates_table, summary

    settings = load_bot(bot)
    references = [file for file in settings.reference_files if file not in files["corpus"]]
    if not files["corpus"]:
        stages.prepare(settings, say)
        files["corpus"] = [settings.corpus_file]
    elif click.get_current_context().get_parameter_source("bot") == click.core.ParameterSource.DEFAULT:
        references = []  # another bot's: this one's corpus was named
    else:
        stages.tell_outside(settings, references, say)
    said = {key.partition(".")[2]: value for key, value in given().items() if key in READ}
    reading = dataclasses.replace(AS_IT_IS, **said) if said else None
    options = FilterOptions(**files, references=references, reading=reading)
    if options.run:
        owner.check(options.run, settings, bot)
    if calibrate:
        result(rates_table(settings, options))
        return
    filtered = filter_candidates(settings, options, say)
    facts = {"kept": filtered.kept, "set_apart": filtered.set_apart, "left_out": filtered.left_out}
    show({**facts, "verdicts": dict(filtered.counts)}, filtered.table(settings.filter))
    for line in summary(filtered, options):
        say(line)
