"""What the function says: one JSON line a step, and metrics in CloudWatch's embedded format.

Standard library only: it costs nothing at a cold start. The metrics, one line a call, dimension Bot:

    Posted         posts that this call made or found made for its slot: 0 or 1
    Refused        texts that X, our own check or the owner turned down, and 1 if X refused the account
    Unknown        1: X's answer was lost; the retry settles it
    Failed         1: any other error but Busy; and texts given up because nobody can tell whether they were posted
    Paused         1: the owner paused the pool; nothing was posted, and no error raised
    S3Requests     requests to the store
    PoolRemaining  texts left
    DaysLeft       PoolRemaining by the pace of the last 64 texts (state.texts_a_day)

The first six are in every line, 0 where there is nothing to count, so a sum over a day tells a bot that is silent
(Posted 0) from one that is not called (no data). The last two are in every line of a call that could read the
state, however it ended: a dry pool says 0 and 0, a paused one what it holds. They are missing when the store cannot
be read or its state is broken (then Failed is 1). Busy counts nothing: the other call does the work, and if it does
not, the retry raises. A call that is killed writes no line; AWS/Lambda Errors counts it.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from post_tweet.state import State

COUNTS = ("Posted", "Refused", "Unknown", "Failed", "Paused", "S3Requests")
POOL = ("PoolRemaining", "DaysLeft")

quiet = False
"""Set by the command line, whose user wants the result and warnings alone."""


def log(event: str, **facts: Any) -> None:
    """One JSON line on standard error (CloudWatch takes both streams; a command's result is on the other)."""
    if quiet and event != "warning":
        return
    print(json.dumps({"event": event, **facts}, ensure_ascii=False, default=str), file=sys.stderr, flush=True)


class Metrics:
    """The metrics of one call."""

    def __init__(self) -> None:
        self.values = dict.fromkeys(COUNTS, 0.0)
        self._state: State | None = None

    def count(self, name: str, number: float = 1) -> None:
        self.values[name] += number

    def pool(self, state: State) -> None:
        """The state as last seen; arithmetic is left for the end."""
        self._state = state

    def emit(self, namespace: str, bot: str) -> None:
        values = dict(self.values)
        if self._state:
            values["PoolRemaining"] = self._state.remaining
            values["DaysLeft"] = round(self._state.days_left, 2)
        units = [{"Name": name, "Unit": "None" if name == "DaysLeft" else "Count"} for name in values]
        about = {
            "Timestamp": int(time.time() * 1000),
            "CloudWatchMetrics": [{"Namespace": namespace, "Dimensions": [["Bot"]], "Metrics": units}],
        }
        log("metrics", _aws=about, Bot=bot, **values)
