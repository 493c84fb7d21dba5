"""How CloudWatch evaluates an alarm of the template: each period's statistic against the threshold, periods without
data by TreatMissingData, ALARM when all EvaluationPeriods breach.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.helpers.aws.function import Point

COMPARE: dict[str, Callable[[float, float], bool]] = {
    "GreaterThanOrEqualToThreshold": lambda value, threshold: value >= threshold,
    "LessThanThreshold": lambda value, threshold: value < threshold,
}
STATISTICS: dict[str, Callable[[list[float]], float]] = {"Sum": sum, "Minimum": min, "Maximum": max}


def state(alarm: dict[str, Any], points: Iterable[Point], now: datetime, before: str = "INSUFFICIENT_DATA") -> str:
    """OK, ALARM, or `before` where the alarm keeps its state. `alarm` is its resolved properties."""
    points = list(points)
    period = int(alarm.get("Period") or alarm["Metrics"][1]["MetricStat"]["Period"])
    breaching = COMPARE[alarm["ComparisonOperator"]]
    missing = alarm["TreatMissingData"]
    votes: list[bool] = []
    lacking = False
    # Periods are aligned with the clock; the newest is the one that holds `now`.
    end = datetime.fromtimestamp((int(now.timestamp()) // period + 1) * period, UTC)
    count = int(alarm["EvaluationPeriods"])
    for stat in (m["MetricStat"] for m in alarm.get("Metrics", []) if "MetricStat" in m):
        # FILL gives nothing for a metric that has no value in the whole range, and a sum with nothing is nothing.
        begin = end - timedelta(seconds=period * count)
        lacking |= _statistic(stat["Metric"], stat["Stat"], points, begin, end) is None
    for n in range(count):
        since, until = end - timedelta(seconds=period * (n + 1)), end - timedelta(seconds=period * n)
        value = None if lacking else _value(alarm, points, since, until)
        if value is not None:
            votes.append(breaching(value, float(alarm["Threshold"])))
        elif missing != "ignore":
            votes.append(missing == "breaching")
    if not votes:
        return before
    return "ALARM" if all(votes) else "OK"


def _value(alarm: dict[str, Any], points: list[Point], start: datetime, end: datetime) -> float | None:
    if "Metrics" not in alarm:
        return _statistic(alarm, alarm["Statistic"], points, start, end)
    (expression,) = [m["Expression"] for m in alarm["Metrics"] if m.get("ReturnData")]
    total, found = 0.0, False
    rest = re.sub(r"FILL\((\w+), 0\)", r"\1", expression)
    for name in rest.split(" + "):
        (stat,) = [m["MetricStat"] for m in alarm["Metrics"] if m["Id"] == name]
        value = _statistic(stat["Metric"], stat["Stat"], points, start, end)
        total, found = total + (value or 0), found or value is not None
    return total if found else None


def _statistic(
    metric: dict[str, Any], statistic: str, points: list[Point], start: datetime, end: datetime
) -> float | None:
    dimensions = tuple(sorted((d["Name"], d["Value"]) for d in metric["Dimensions"]))
    values = [
        p.value
        for p in points
        if (p.namespace, p.name, p.dimensions) == (metric["Namespace"], metric["MetricName"], dimensions)
        and start <= p.time < end
    ]
    return STATISTICS[statistic](values) if values else None
