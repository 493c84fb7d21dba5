"""The native engine of this project, with the plan that its own trial chooses (.venvs/project)."""

import dataclasses
from contextlib import closing
from pathlib import Path

import common

from training.model.converted import Converted
from training.sample.draw import sample
from training.sample.plan import choose_plan, make_engine
from training.settings import SampleSettings

a = common.arguments()
settings = SampleSettings(
    max_tokens=a["length"], temperatures=(1.0,), top_p=1.0, batch=a.get("batch", 0), workers=a.get("workers", 0)
)
converted = Converted(Path(a["folder"]))
plan = choose_plan(converted, settings, lambda _: None)
engine = make_engine(plan, converted, settings, None, Path(a["folder"]))


def run():
    """From the first text of an empty house to the last that is wanted, decoded and in order."""
    tokens = texts = 0
    with closing(sample(engine, converted, settings)) as batches:
        for batch in batches:
            tokens, texts = tokens + sum(candidate.tokens for candidate in batch), texts + len(batch)
            if texts >= plan.workers * plan.batch * a["rounds"]:
                return tokens, texts
    raise AssertionError


run()
common.serve(dataclasses.asdict(plan), run)
