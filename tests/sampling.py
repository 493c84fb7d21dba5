"""What the tests of sampling share: settings, plans, a bot, and candidates by the number."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from training import calibrate
from training.calibrate import Plan
from training.candidates import Candidate
from training.config import Bot, CorpusSettings, FilterSettings, SampleSettings
from training.converted import Converted
from training.engines import StopRules
from training.sample import sample

ROOT = Path(__file__).resolve().parents[1]
SETTINGS = SampleSettings(max_tokens=16)
NATIVE = Plan("native", workers=2, batch=24)
CT2 = Plan("ctranslate2", compute_type="float32", workers=2, threads=1, batch=16)
PLANS = [NATIVE, CT2]


def some(
    folder: Path, plan: Plan, settings: SampleSettings, count: int, first: int = 0, rules: StopRules | None = None
) -> list[Candidate]:
    """Candidates `first` to `first` + `count`."""
    converted = Converted(folder)
    engine = calibrate.make(plan, converted, settings, rules, folder)
    found: list[Candidate] = []
    with closing(sample(engine, converted, settings, first)) as batches:
        for batch in batches:
            found += batch
            if len(found) >= count:
                return found[:count]
    raise AssertionError("the source ran dry")


def texts(candidates: list[Candidate]) -> list[str]:
    return [candidate.text for candidate in candidates]


def bot(tmp_path: Path, **settings: Any) -> Bot:
    (tmp_path / "corpus.txt").write_text("\n".join(f"the saying {n} of the wise" for n in range(30)))
    return Bot(
        "t",
        tmp_path,
        corpus=CorpusSettings(),
        sample=replace(SETTINGS, workers=2, batch=24, budget=15_000),
        count=300,
        filter=FilterSettings(
            skip=("band", "opening", "set-apart", "dangling"),
            characters="",
            closed_vocabulary=False,
            min_words=1,
            near_ratio=101,
            choose_from=1.4,
        ),
        **settings,
    )
