"""`python -m post_tweet`: post one text on any machine that has tweepy, without the rest of the project.

The environment says where from and where to, as in AWS (app.py): POOL_URL, X_CREDENTIALS_FILE, PLACE.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict
from datetime import UTC, datetime

from post_tweet import app, telemetry
from post_tweet.daily import latest_slot, time_of_day
from post_tweet.errors import PostError


def main() -> int:
    parser = argparse.ArgumentParser("python -m post_tweet", description="Post one text of the pool POOL_URL.")
    slot = parser.add_mutually_exclusive_group(required=True)
    slot.add_argument("--at", type=time_of_day, action="append", help="for the latest of these times of day, HH:MM")
    slot.add_argument("--slot", help="for this slot; one slot posts once")
    parser.add_argument("--dry-run", action="store_true", help="everything but claim and post the text")
    given = parser.parse_args()
    telemetry.quiet = True
    try:
        event = {"slot": given.slot or latest_slot(given.at, datetime.now(UTC)), "dry_run": given.dry_run}
        place = app.open_place()
        if not given.dry_run:
            place.connect()  # wrong keys are told before anything is touched
        outcome = app.run(event, app.setting("POOL_URL"), place, f"main-{os.getpid()}")
    except PostError as error:
        telemetry.put(f"post_tweet: {error}", "stderr")
        return error.exit_code
    telemetry.put(json.dumps(asdict(outcome)), "stdout")
    return 0


if __name__ == "__main__":
    sys.exit(main())
