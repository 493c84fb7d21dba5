"""One of many processes that race for the slots of a pool in a folder: `race_worker FOLDER X_URL SLOTS`.

Tries each slot until somebody has posted it. Whoever is killed is started again by the test.
"""

from __future__ import annotations

import os
import sys
import time

from post_tweet import app, telemetry
from post_tweet.errors import Busy, Undecided
from post_tweet.x import Credentials, XPoster

from tests.loopback_x import KEYS


def main(folder: str, url: str, slots: int) -> None:
    telemetry.quiet = True
    os.environ["LEASE_SECONDS"] = "2"
    poster = XPoster(Credentials(**KEYS), url)
    for slot in range(slots):
        while True:
            try:
                app.run({"slot": f"slot {slot}"}, folder, lambda: poster, str(os.getpid()))
                break
            except (Busy, Undecided):
                time.sleep(0.05)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
