"""What the tests of sampling share: settings, plans, a bot, and candidates by the number."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from data.proverbs import prepare
from training.common.paths import DEFAULT_BOT, ROOT
from training.corpus.read import load_corpus
from training.model.converted import Converted
from training.sample.candidates import Candidate
from training.sample.draw import sample
from training.sample.engine import Plan
from training.sample.plan import make_engine
from training.sample.stop_rules import StopRules
from training.settings import Bot, CorpusSettings, FilterSettings, SampleSettings, load

STRICT = load(DEFAULT_BOT).filter
"""The Proverbs' own rules: few characters, a closed vocabulary, words that no text ends on."""
SETTINGS = SampleSettings(max_tokens=16)
NATIVE = Plan("native", workers=2, batch=24)
CT2 = Plan("ctranslate2", compute_type="float32", workers=2, threads=1, batch=16)
PLANS = [NATIVE, CT2]


def some(
    folder: Path, plan: Plan, settings: SampleSettings, count: int, first: int = 0, rules: StopRules | None = None
) -> list[Candidate]:
    """Candidates `first` to `first` + `count`."""
    converted = Converted(folder)
    engine = make_engine(plan, converted, settings, rules, folder)
    found: list[Candidate] = []
    with closing(sample(engine, converted, settings, first)) as batches:
        for batch in batches:
            found += batch
            if len(found) >= count:
                return found[:count]
    raise AssertionError("the source ran dry")


def quick_bot(folder: Path) -> Path:
    """The bot of proverbs for nano untrained: none of its texts is as probable as a proverb, and every one that passes
    is taken; with a sixth of the Bible, since the whole one takes a second a machine. Returns its bot.toml."""
    prepare.main(folder)
    bible, file = folder / "kjv.txt", folder / "bot.toml"
    bible.write_text("\n==========\n".join(load_corpus(bible)[::6]) + "\n")
    text = (ROOT / "data" / "proverbs" / "bot.toml").read_text()
    file.write_text(text.replace("[filter]", '[filter]\nskip = ["band", "opening", "edges"]\nchoose_from = 1.0'))
    return file


def texts(candidates: list[Candidate]) -> list[str]:
    return [candidate.text for candidate in candidates]


def bot(tmp_path: Path, **settings: Any) -> Bot:
    # As `corpus` writes it: a run reads its own corpus.txt.
    (tmp_path / "corpus.txt").write_text("\n==========\n".join(f"the saying {n} of the wise" for n in range(30)) + "\n")
    return Bot(
        "t",
        tmp_path,
        corpus=CorpusSettings(),
        sample=replace(SETTINGS, workers=2, batch=24, budget=15_000),
        count=300,
        filter=FilterSettings(
            skip=("band", "opening", "set-apart", "dangling", "edges"),
            characters="",
            closed_vocabulary=False,
            min_words=1,
            near_ratio=101,
            choose_from=1.4,
        ),
        **settings,
    )
