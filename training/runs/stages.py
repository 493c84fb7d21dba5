"""One function a stage, for one bot: it says what it did, and skips what was done for the same inputs and settings.
Sampling and filtering until the pool is full is in until_enough.py.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

from training.common.errors import DeepproverbsError
from training.common.manifest import Manifest, key_of
from training.common.paths import MODELS, ROOT
from training.common.progress import Progress, Say, details, step
from training.corpus import build as corpus
from training.corpus.read import load_built, load_corpus
from training.corpus.tokenizer import end_of_text, load_tokenizer, tokenizer_files
from training.judge import base_like
from training.judge.judge import Reference
from training.model import base as base_model
from training.model import convert, finetune, trainers
from training.model.converted import Converted
from training.model.trainers import choose_trainer
from training.runs import nano, preflight
from training.sample.candidates import Candidate, Candidates
from training.sample.draw import sample
from training.sample.engine import Plan
from training.sample.plan import check_plan, choose_plan, make_engine
from training.sample.precision import FIRST, MEAN, measure
from training.sample.stop_rules import StopRules
from training.settings import Bot, code_file, lies_in, plain


def prepare(bot: Bot, say: Say = print) -> None:
    """Run the bot's program that writes its corpus and references, if one of them is missing."""
    files = [bot.corpus_file, *bot.reference_files]
    tell_outside(bot, files, say)
    missing = [path for path in files if not path.exists()]
    if missing and bot.corpus.prepare:
        script = code_file("[corpus] prepare", bot.corpus.prepare, bot.folder)
        if not script.exists():
            raise DeepproverbsError(f"{script} is missing; [corpus] prepare names it.")
        say(f"Running {script}, the bot's program that writes {', '.join(path.name for path in missing)}.")
        with step(f"Running {script.name}"):
            result = subprocess.run(
                [sys.executable, str(script), str(bot.folder)],
                capture_output=True,
                encoding="utf-8",
                errors="backslashreplace",  # it may print anything
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
        if result.returncode:
            last = (result.stderr.strip().splitlines() or ["no message"])[-1]
            raise DeepproverbsError(f"{script} failed: {last}")
        for line in result.stdout.splitlines():
            say(f"Prepared {line}.")
        missing = [path for path in files if not path.exists()]
    if missing:
        raise DeepproverbsError(f"{missing[0]} is missing; put your texts there, or name them in [corpus] file.")


def tell_outside(bot: Bot, files: Iterable[Path], say: Say) -> None:
    """Say which texts of others a foreign bot.toml would have read, and so perhaps published."""
    for path in files:
        if not lies_in(path, bot.folder):
            say(f"Reading {path}, which lies outside the bot's folder {bot.folder}.")


def build_corpus(bot: Bot, files: list[Path], out: Path, tokenizer_folder: Path, say: Say = print) -> corpus.Counts:
    """`corpus`: count, split and encode into `out`."""
    manifest, key = Manifest(out, say), key_of(plain(bot.corpus), *files, tokenizer_files(tokenizer_folder)[0])
    if manifest.done("corpus", key, out / "corpus.txt", out / "corpus.npz"):
        counts = corpus.Counts(**manifest.stages["corpus"]["counts"])
    else:
        started = time.monotonic()
        tokenizer, end = load_tokenizer(tokenizer_folder), end_of_text(tokenizer_folder)
        with step("Reading your texts"):
            counts = corpus.build(files, out, bot.corpus, tokenizer, end)
        made = [out / name for name in corpus.MADE]
        manifest.record("corpus", key, plain(bot.corpus), started, made, counts=asdict(counts), files=files)
    say(
        f"Your texts: {counts.texts:,}"
        + f" ({counts.duplicates:,} more say the same as others)" * bool(counts.duplicates)
        + f"; {counts.held_out_texts:,} of them are kept from the model, to test what it has learnt."
    )
    details(say)(
        f"Corpus: {counts.words:,} words, {counts.tokens:,} tokens; median {counts.length_median}, 90 % up to "
        f"{counts.length_p90}, longest {counts.longest} tokens."
    )
    return counts


def references(bot: Bot) -> list[str]:
    """The texts beside the corpus that nothing in the pool may copy."""
    return [text for path in bot.reference_files for text in load_corpus(path, bot.corpus)]


def reference_of(bot: Bot, run: Path, history: list[str] | None = None) -> Reference:
    """What the run's candidates are compared with."""
    return Reference(load_built(run / "corpus.txt"), references(bot), history or [])


def draw(
    bot: Bot, run: Path, model: Path, first: int, rules: StopRules | None, say: Say
) -> Generator[list[Candidate], None, None]:
    """Candidates from number `first` on, without end, by the engine that suits the machine. `run`: where it keeps what
    it measured."""
    converted = Converted(model)
    with step("Loading the model"):
        engine = make_engine(choose_plan(converted, bot.sample, say), converted, bot.sample, rules, run)
    details(say)(f"Sampling: {engine.about}.")
    with closing(sample(engine, converted, bot.sample, first, rules.id if rules else "")) as batches:
        yield from batches


def sample_only(bot: Bot, run: Path, model: Path, count: int, say: Say = print) -> Path:
    """`sample`: at least `count` candidates in candidates.jsonl, no filter."""
    store = Candidates(run, model, bot.sample)
    store.recover()
    with Progress(count, "sampled") as progress:
        progress.update(store.count)
        if store.count < count:
            with closing(draw(bot, run, model, store.count, None, progress.say)) as batches:
                for batch in batches:
                    store.append(batch)
                    progress.update(store.count, len(batch), sum(candidate.tokens for candidate in batch))
                    if store.count >= count:
                        break
    say(f"{store.count:,} candidates in {store.path}.")
    return store.path


def convert_model(bot: Bot, run: Path, checkpoint: Path, say: Say = print) -> Path:
    """`convert`: the checkpoint, without the tokens that neither the run's corpus, its references nor the model
    need."""
    originals: list[str] = []
    if bot.sample.vocabulary != "full":
        originals = reference_of(bot, run).originals
    with step("Making the model ready to write"):
        return convert.convert(run, checkpoint, say, originals, bot.sample)


def check_corpus(bot: Bot, run: Path, tokenizer_folder: Path, say: Say, force: bool) -> None:
    """Ask every rule of the run's corpus before hours are spent on it. `force`: only tell."""
    tokenizer, reference = load_tokenizer(tokenizer_folder), reference_of(bot, run)

    def count_tokens(texts: Sequence[str]) -> list[int]:
        return [len(each.ids) for each in tokenizer.encode_batch(list(texts))]

    with step("Asking each rule of your own texts"):
        found = preflight.check(bot, reference.corpus, reference.more, count_tokens)
    preflight.tell(found, bot, say, force)


def finetune_model(
    bot: Bot, run: Path, say: Say = print, set_up: bool = False, force: bool = False
) -> tuple[base_model.BaseModel, Path]:
    """`corpus`, `base`, `finetune`. Returns the base model and the checkpoint. `set_up`: install the trainer, if it is
    missing. `force`: also if the pool cannot be filled, and nano on whatever the corpus is."""
    with step("Looking at the bot's settings"):
        preflight.check_settings(bot)
    layouts = base_model.layouts_of(bot.model)
    choice = choose_trainer(bot.finetune.trainer, layouts, bot.finetune.recipe, trainers.install if set_up else None)
    prepare(bot, say)
    with step(f"Looking for the model {bot.model}"):
        base = base_model.locate(bot.model, MODELS, choice.trainer.bases)
    build_corpus(bot, [bot.corpus_file], run, base.folder, say)
    nano.check(bot, run, base.folder, say, force)
    check_corpus(bot, run, base.folder, say, force)
    keep: set[int] = set()
    with step("Choosing the tokens that the bot needs"):
        if bot.sample.vocabulary != "full":
            texts = [*reference_of(bot, run).originals, *bot.sample.prefixes]
            keep = {token for each in load_tokenizer(base.folder).encode_batch(texts) for token in each.ids}
    return base, finetune.finetune(run, base, bot.finetune, say, choice, sorted(keep))


def exact_plan(bot: Bot, run: Path, model: Path, say: Say = print) -> Plan:
    """The plan for sampling the run's model, after its probabilities have been compared with float32's."""
    converted = Converted(model)
    while True:
        with step("Getting ready to write"):
            plan = choose_plan(converted, bot.sample, say)
        check_plan(plan, converted, bot.sample, None, run)
        with step("Checking that the fast way writes what the exact one would"):
            found = measure(plan, converted, run / "corpus.npz", run)
        (details(say) if found.fine else say)(
            f"Sampling with {plan.engine} in {plan.compute_type}: {found.mean:.4f} nats a token from float32, "
            f"{found.first:.4f} at the first one."
        )
        if found.fine:
            return plan
        if choose_plan(converted, bot.sample, say) == plan:  # the settings name it
            say(
                f"That changes what the bot says ({MEAN} and {FIRST} are harmless); set [sample] engine and "
                "compute_type to auto."
            )
            return plan


def train(bot: Bot, run: Path, say: Say = print, set_up: bool = False, force: bool = False) -> tuple[Path, Path | None]:
    """`corpus`, `base`, `finetune`, `convert`: everything up to a model. Returns its folder, and that of the base
    model in the same form unless the filters want no second opinion. `set_up`, `force`: as in `finetune_model`."""
    base, checkpoint = finetune_model(bot, run, say, set_up, force)
    model = convert_model(bot, run, checkpoint, say)
    exact_plan(bot, run, model, say)
    if not wants_base(bot):
        return model, None
    with step("Making the model as it was before ready, to compare with"):
        return model, convert.convert_base(run, base.folder, model, say, base.check)


def wants_base(bot: Bot) -> bool:
    """Whether the filters ask the base model for a second opinion."""
    return base_like.wanted(bot.filter) or (bot.filter.ratio and "band" not in bot.filter.skip)
