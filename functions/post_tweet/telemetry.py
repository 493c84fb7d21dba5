"""What the function logs: one JSON line an effect, and metrics in CloudWatch's embedded format.

Standard library only: it costs nothing at a cold start. docs/pool.md says what each metric counts.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any, Literal, get_args

from post_tweet.errors import Metric
from post_tweet.state import State

COUNTS: tuple[Metric, ...] = get_args(Metric)
POOL = ("PoolRemaining", "DaysLeft")

quiet = False
"""Set by the command line, whose user wants only the result and warnings."""


def log(event: str, **facts: Any) -> None:
    """One JSON line on standard error: CloudWatch takes both streams, and a command's result is on the other."""
    if not quiet or event == "warning":
        put(json.dumps({"event": event, **facts}, ensure_ascii=False, default=str), "stderr")


def put(line: str, on: Literal["stdout", "stderr"]) -> None:
    """Print a line with JSON's escapes for what nobody sees or a terminal would obey. Who reads it can stop no post by
    going away: nothing is printed there from then on."""
    if (stream := getattr(sys, on)) is None:
        return
    if not line.isprintable():
        line = "".join(each if each.isprintable() else json.dumps(each)[1:-1] for each in line)
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        print(line.encode(encoding, "backslashreplace").decode(encoding), file=stream, flush=True)
    except (OSError, ValueError):
        setattr(sys, on, None)


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
