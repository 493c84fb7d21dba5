"""What the function says: one JSON line a step, and metrics in CloudWatch's embedded format.

Standard library only: it costs nothing at a cold start.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

quiet = False
"""Set by the command line, whose user wants the result and warnings alone."""


def log(event: str, **facts: Any) -> None:
    """One JSON line on standard error (CloudWatch takes both streams; a command's result is on the other)."""
    if quiet and event != "warning":
        return
    print(json.dumps({"event": event, **facts}, ensure_ascii=False, default=str), file=sys.stderr, flush=True)


def metrics(namespace: str, bot: str, values: dict[str, float]) -> None:
    """One line of metrics with the dimension Bot."""
    units = [{"Name": name, "Unit": "Count"} for name in values]
    about = {
        "Timestamp": int(time.time() * 1000),
        "CloudWatchMetrics": [{"Namespace": namespace, "Dimensions": [["Bot"]], "Metrics": units}],
    }
    log("metrics", _aws=about, Bot=bot, **values)
