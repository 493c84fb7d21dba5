"""Model → candidates.

In:  RUN/model/ and the sampling settings.
Out: candidates in the order of their numbers, for RUN/candidates.jsonl (training/sample/candidates.py).

`deepproverbs sample --run DIR --count N`
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing

from training.model.converted import Converted
from training.sample.candidates import Candidate
from training.sample.engine import FINISHED, UNFINISHED, Drawn, Engine, pair
from training.settings import SampleSettings


def sample(
    engine: Engine, converted: Converted, settings: SampleSettings, first: int = 0, rules: str = ""
) -> Generator[list[Candidate], None, None]:
    """Yield candidates `first`, first + 1, … in order and without end; close the iterator to stop.

    An engine yields texts as they finish. Early ones wait here for those before them: a text is at most max_tokens
    steps late, so only some hundreds ever wait. `rules`: the id of the stop rules that the engine follows.
    """
    prefixes = settings.prefixes or ("",)
    waiting: dict[int, Drawn] = {}
    following = first
    with closing(engine.draw(first)) as batches:
        for batch in batches:
            for drawn in batch:
                waiting[drawn.number] = drawn
            ready: list[Drawn] = []
            while following in waiting:
                ready.append(waiting.pop(following))
                following += 1
            if ready:
                yield _candidates(ready, converted, settings.temperatures, prefixes, rules)


def _candidates(
    ready: list[Drawn], converted: Converted, temperatures: tuple[float, ...], prefixes: tuple[str, ...], rules: str
) -> list[Candidate]:
    texts = converted.texts(drawn.rows for drawn in ready)
    made: list[Candidate] = []
    for drawn, text in zip(ready, texts, strict=True):
        temperature, prefix = pair(drawn.number, temperatures, prefixes)
        stopped = "" if drawn.status in (FINISHED, UNFINISHED) else drawn.status
        finished = drawn.status == FINISHED
        made.append(
            Candidate(
                prefix + text,
                len(drawn.rows),
                round(drawn.logprob, 4),  # as in the file: a resumed run makes the same pool to the last digit
                finished,
                temperature,
                stopped,
                rules if stopped else "",
                round(drawn.hardest, 4),
            )
        )
    return made
