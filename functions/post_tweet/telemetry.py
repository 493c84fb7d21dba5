"""What the function logs: one JSON line an effect, and metrics in CloudWatch's embedded format.

Standard library only: it costs nothing at a cold start. docs/pool.md says what each metric counts.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from typing import Any, get_args

from post_tweet.errors import Metric
from post_tweet.state import State

COUNTS: tuple[Metric, ...] = get_args(Metric)
POOL = ("PoolRemaining", "DaysLeft")

quiet = False
"""Set by the command line, whose user wants only the result and warnings."""


def log(event: str, **facts: Any) -> None:
    """One JSON line on standard error: CloudWatch takes both streams, and a command's result is on the other.

    What is not printed or not seen is escaped, and nobody who reads it can stop a post by going away.
    """
    if quiet and event != "warning":
        return
    line = json.dumps({"event": event, **facts}, ensure_ascii=False, default=str)
    if not line.isprintable():
        line = "".join(each if each.isprintable() else json.dumps(each)[1:-1] for each in line)
    with contextlib.suppress(OSError, ValueError):
        print(line, file=sys.stderr, flush=True)


class Metrics:
    """The metrics of one call."""

    def __init__(self) -> None:
        self.values: dict[str, float] = dict.fromkeys(COUNTS, 0.0)
        self._state: State | None = None

    def count(self, name: Metric, number: float = 1) -> None:
        self.values[name] += number

    def pool(self, state: State) -> None:
        """Keep the state as last seen; its figures are worked out at the end."""
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
