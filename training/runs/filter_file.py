"""`deepproverbs filter`: any file of candidates, judged on its own → a pool file; or how often each rule rejects."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from training.common import jsonl, progress
from training.common.errors import WrongUse
from training.common.files import part_file
from training.common.manifest import Manifest
from training.common.progress import Say
from training.corpus.read import load_corpus, open_beside, open_corpus
from training.curate import fill
from training.curate.choose import Chooser, Chosen
from training.curate.write import Filtered, review_file, write
from training.judge import base_like, rates
from training.judge.band import measure
from training.judge.blocks import Tally, judge_file, read_candidates
from training.judge.judge import Judging, Reference
from training.judge.names import Names
from training.model.converted import model_of
from training.model.score import of_held_out
from training.settings import Bot, CorpusSettings


@dataclass(frozen=True)
class FilterOptions:
    """The options of `deepproverbs filter`."""

    candidates: Path
    """JSON Lines with a "text" a line; or texts, in any form that `corpus` reads."""
    corpus: Sequence[Path] = ()
    """The corpus, then what else nothing may copy."""
    out: Path | None = None
    """The pool file to write; the texts for review come beside it."""
    verdicts: Path | None = None
    """Every verdict. None: verdicts.jsonl beside `out`."""
    history: str | None = None
    """The pool whose texts nothing may repeat."""
    run: Path | None = None
    """A run's folder: its model measures real texts, and ranks the candidates."""
    workers: int = 0
    """Processes that judge. 0: as many as pay."""
    references: Sequence[Path] = ()
    """The bot's own references, which nothing may copy, either."""
    reading: CorpusSettings | None = None
    """How the command line says that the candidates are to be read: it holds even if their file proves to be of
    another form. None: it says nothing, and the bot's [corpus] holds where it fits."""

    @property
    def pool_file(self) -> Path:
        """
        Raises:
            WrongUse: it has no name.
        """
        if not self.out:
            raise WrongUse("Name the pool file to write with --out; or give --calibrate.")
        return self.out

    @property
    def verdicts_file(self) -> Path:
        return self.verdicts or self.pool_file.with_name("verdicts.jsonl")


def filter_candidates(bot: Bot, options: FilterOptions, say: Say = print) -> Filtered:
    """`filter`: judge the file and choose from all of it."""
    _ = options.pool_file  # if missing, fail before anything is read
    if notice := Names(bot.filter).notice:
        say(notice)
    return filter_file(options, judging_of(bot, options))


def summary(filtered: Filtered, options: FilterOptions) -> list[str]:
    """The lines after the table."""
    lines = []
    if filtered.left_out:
        lines.append(
            f"{filtered.left_out:,} candidates were cut short under other [filter] settings or originals and are left "
            "out; `deepproverbs sample`, or run with --no-early-stop, writes whole texts, which any settings can judge."
        )
    lines.append(f"{filtered.kept:,} texts in {options.pool_file}, every verdict in {options.verdicts_file}.")
    if filtered.set_apart:
        lines.append(f"To be read first, {filtered.set_apart:,} more: they are in {review_file(options.pool_file)}.")
    return lines


def rates_table(bot: Bot, options: FilterOptions) -> str:
    """`filter --calibrate`: how often each rule rejects people (the corpus, leave one out) and candidates."""
    judging = judging_of(bot, replace(options, history=None))
    judge, corpus = judging.judge(), judging.reference.corpus
    held_out = of_held_out(judging.model, options.run / "corpus.npz").tolist() if judging.model and options.run else ()
    with as_candidates(options.candidates, bot.corpus, options.reading) as path:
        machine = rates.machine(judge, (candidate for _, candidate in read_candidates(path)))
    columns = {"real texts": rates.people(judge, corpus, held_out), "candidates": machine}
    return rates.table(columns, judge)


def judging_of(bot: Bot, options: FilterOptions) -> Judging:
    """What the candidates are judged by."""
    originals = [*options.corpus[1:], *options.references]
    more = [text for path in originals for text in load_corpus(path, bot.corpus)]
    history = fill.history(options.history) if options.history else []
    judging = Judging(bot, Reference(load_corpus(options.corpus[0], bot.corpus), more, history))
    if not options.run:
        return judging
    model, base = model_of(options.run), options.run / "base"
    Manifest(options.run).rely(base, options.run / "corpus.npz", cure="`deepproverbs run` makes it again")
    second, corpus = base if (base / "model.bin").exists() else None, options.run / "corpus.npz"
    return replace(
        judging,
        model=model,
        base=second,
        band=measure(bot.filter, model, corpus, second),
        base_like=base_like.measure(bot.filter, model, corpus, second),
    )


def filter_file(options: FilterOptions, judging: Judging) -> Filtered:
    """Judge a file of candidates by itself, and choose from all of them."""
    judging = replace(judging, stop_id=judging.judge().stop_rules().id)
    tally = Tally()
    settings, said = judging.bot.corpus, options.reading
    with as_candidates(options.candidates, settings, said) as path, part_file(options.verdicts_file) as out:
        size = path.stat().st_size
        with progress.bar(size, "judged", "B") as bar:
            for judged in judge_file(path, judging, size, options.workers):
                tally.add(judged)
                out.write(judged.verdicts)
                bar.update(judged.size)
        passed = tally.passed()
        chosen = Chosen(path, tally, passed, Chooser(path, judging).choose(passed))
        return write(chosen, judging, options.pool_file, out)


@contextmanager
def as_candidates(path: Path, settings: CorpusSettings, said: CorpusSettings | None = None) -> Iterator[Path]:
    """A file of candidates: `path` itself if it is JSON Lines with a "text" each, else its texts as such a file, which
    is deleted after use. It is read as `said`, or else as `settings` say where they fit."""
    if not said and settings.field in ("", "text") and _is_candidates(path):
        yield path
        return
    # A link or a name in a candidate is a reason to reject it.
    drop = tuple(each for each in settings.drop if each not in ("reposts", "replies"))
    whole = replace(settings, drop=drop, links="keep", mentions="keep")
    reading = open_corpus(path, said) if said else open_beside(path, whole)
    with tempfile.TemporaryDirectory() as folder:
        part = Path(folder) / "candidates.jsonl"
        with part.open("w", encoding="utf-8") as file:
            for raw in reading.texts():
                if text := raw.text.strip():
                    file.write(jsonl.line({"text": text}))
        yield part


def _is_candidates(path: Path) -> bool:
    """Whether it ends in .jsonl and its first line names a "text"."""
    if path.suffix != ".jsonl" or not path.is_file():
        return False
    with path.open("rb") as file:
        return b'"text"' in file.readline(1 << 20)
