"""One of many processes that race for the slots of a pool in a folder: `race_worker FOLDER X_URL SLOTS`.

Tries each slot until somebody has posted it. Whoever is killed is started again by the test.
"""

from __future__ import annotations

import os
import signal
import sys
import time

from post_tweet import app, telemetry
from post_tweet.errors import Busy, Undecided
from post_tweet.x import X

from tests.helpers.loopback_x import secret

LEASE = 2.0
"""Seconds."""
TIMEOUT = LEASE * 45 / app.LEASE
"""Seconds that a call may last, as long beside its lease as Lambda's 45 s are. Without an end, a call that this machine
has kept waiting for longer than its lease might post what is another's by then."""
PATIENCE = 600.0
"""Seconds for all slots."""


def main(folder: str, url: str, slots: int) -> None:
    telemetry.quiet = True
    os.environ.update({"LEASE_SECONDS": str(LEASE), "X_API_URL": url})
    place = X(secret, url)
    place.connect()  # loads tweepy, which may take longer than a call may
    started = time.monotonic()
    for slot in range(slots):
        while True:
            signal.setitimer(signal.ITIMER_REAL, TIMEOUT)  # SIGALRM ends this process, whatever it does
            try:
                app.run({"slot": f"slot {slot}"}, folder, place, str(os.getpid()))
                break
            except (Busy, Undecided) as error:
                if time.monotonic() - started > PATIENCE:
                    sys.exit(f"Slot {slot} is not posted after {PATIENCE:.0f} s: {error}")
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
            time.sleep(0.05)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
