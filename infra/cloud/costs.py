"""What a bot costs: the prices of 2026, and the arithmetic that docs/aws.md shows.

Dollars, us-east-1; other regions differ by some per cent. AWS's free tier is left out: it makes most of this nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

X_POST = 0.015
"""A post without a link."""
S3_WRITE, S3_READ = 0.005 / 1000, 0.0004 / 1000
LAMBDA_CALL, LAMBDA_GB_SECOND = 0.20 / 1e6, 0.0000133334
"""arm64."""
SCHEDULE_CALL = 1.00 / 1e6
LOG_GB = 0.50
ALARM, METRIC_MONTH = 0.10, 0.30
"""A month; a metric counts only in the hours in which something is reported."""
HOURS = 730
"""Hours of a month."""

WRITES, LISTS, READS = 3, 1, 2
"""S3 requests of a post: claim, record and settle; whether the text has a record; the state and the text. A list costs
what a write does."""
SECONDS, GIGABYTES = 1.0, 0.25
LOG_BYTES = 4_000
METRICS = 8
ALARMS = 7
"""Alarm metrics: five alarms of one metric, one of two."""

SPOT_HOUR = 0.20
"""g4dn.xlarge (one T4, 4 processors), about; on demand $0.526. Look at the day's price: it moves."""
DISK_HOUR = 100 * 0.08 / HOURS
"""A machine's 100 GB (gp3)."""
ADDRESS_HOUR = 0.005
"""A machine's public IPv4 address."""
START_MINUTES = 6
"""A machine comes up, and pulls 10 GB of image; paid, too."""
TRAIN_MINUTES = 15
"""124M, four epochs of 900 texts, the base weights to fetch; an upper guess, never measured on a T4."""
TEXTS_A_SECOND = 50
"""124M on a T4: a low guess, never measured; one processor core with AVX-512 writes 70 with the native engine."""
BUILD_DOLLARS = 0.30
"""The image, once: 30 minutes at $0.01."""


@dataclass(frozen=True)
class Bill:
    """Dollars for some posts within a month."""

    x: float
    aws_posts: float
    """S3, Lambda, schedule, log and metrics, by the post."""
    alarms: float

    @property
    def aws(self) -> float:
        return self.aws_posts + self.alarms


def post() -> float:
    """AWS's part of one post: $0.0033, and all but 0.8 % of it is the eight metrics' hour."""
    requests = (WRITES + LISTS) * S3_WRITE + READS * S3_READ
    call = LAMBDA_CALL + SCHEDULE_CALL + SECONDS * GIGABYTES * LAMBDA_GB_SECOND
    return requests + call + LOG_BYTES / 1e9 * LOG_GB + METRICS * METRIC_MONTH / HOURS


def month(posts: int, of_the_month: float = 1.0) -> Bill:
    """`of_the_month`: the part that has passed. No more than one post an hour, or metrics are counted too often."""
    return Bill(posts * X_POST, posts * post(), ALARMS * ALARM * of_the_month)


def machine_hour() -> float:
    """A spot GPU with its disk and its address."""
    return SPOT_HOUR + DISK_HOUR + ADDRESS_HOUR


def training(shards: int, candidates: int) -> str:
    """What a run costs at most, in a sentence with its arithmetic."""
    seconds = candidates / TEXTS_A_SECOND
    minutes = TRAIN_MINUTES + seconds / 60 + START_MINUTES * (shards + 2)
    dollars, starts = minutes / 60 * machine_hour(), shards + 2
    return (
        f"Costs about ${dollars:.2f}: {TRAIN_MINUTES} min of training, {candidates:,} candidates at {TEXTS_A_SECOND} a "
        f"second, {START_MINUTES} min of start for each of {starts} jobs, at ${machine_hour():.2f} an hour of spot GPU "
        f"with disk and address; and once ${BUILD_DOLLARS:.2f} for the image, $1 a month while it is kept."
    )
