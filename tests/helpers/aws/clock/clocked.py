"""The function's handler on another clock: the protocol's "now" is the invocation's deadline less its time-out.

For tests whose slots lie days apart; everything else of the artefact runs as it was built.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from post_tweet import app, runtime

start = datetime.now(UTC)
shift = timedelta()


class Clock(datetime):
    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Any:
        return datetime.now(tz) + shift


runtime.datetime = Clock  # type: ignore[misc]


def handler(event: Any, context: Any) -> Any:
    global shift
    left = timedelta(seconds=float(os.environ["TIMEOUT_FOR_TESTS"]))
    deadline = datetime.fromtimestamp(context._epoch_deadline_time_in_ms / 1000, UTC)
    shift = deadline - left - datetime.now(UTC)
    return app.handler(event, context)
