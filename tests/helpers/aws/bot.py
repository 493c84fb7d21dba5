"""The Proverbs bot in an account on loopback: its stack, pool and alarms, and the commands of its owner."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from post_tweet.pool import Pool
from post_tweet.store import S3Store

from tests.helpers.aws.cloudformation import Skipped
from tests.helpers.aws.gateway import Account
from tests.helpers.loopback_x import LoopbackX
from training.common.paths import ROOT
from training.common.text import text_id

STACK = "deepproverbs-proverbs"
LOW_DAYS = 90
"""Of `bot_stack`."""
WORDS = ["house", "son", "king", "fool", "bread", "field", "gold", "heart", "law", "lamp", "road", "tree", "voice"]
TEXTS = [f"the {a} of a {b} is better than the {c}." for a, b, c in itertools.permutations(WORDS, 3)]


@dataclass
class Bot:
    """The Proverbs bot in an account, with its owner at the command line."""

    aws: Account
    x: LoopbackX
    folder: Path
    output: dict[str, str] = field(default_factory=dict)
    """What each command printed."""
    texts: Iterator[str] = field(default_factory=lambda: iter(TEXTS))

    def make(self, *arguments: str, code: int = 0) -> str:
        """Run a make target; returns what it printed."""
        env = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "MAKE", "MFLAGS"))}
        result = subprocess.run(
            ["make", *arguments],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=600,
            env={**env, **self.aws.environment, "SAM_CLI_TELEMETRY": "0"},
        )
        assert result.returncode == code, result.stdout + result.stderr
        assert "Traceback" not in result.stderr, result.stderr
        self.output[" ".join(arguments)] = result.stdout + result.stderr
        return result.stdout + result.stderr

    @cached_property
    def outputs(self) -> dict[str, str]:
        return self.aws.outputs(STACK)

    @property
    def pool(self) -> Pool:
        return Pool(S3Store(self.outputs["BucketName"], "proverbs", self.aws.client("s3")))

    def fill(self, count: int) -> None:
        fresh = [
            {"id": text_id(text), "text": text, "score": -1.0, "nearest": "", "nearest_ratio": 0.0}
            for text in itertools.islice(self.texts, count)
        ]
        assert self.pool.append(fresh, "test").added == count

    def drain(self, left: int) -> None:
        """Withdraw texts until `left` are left."""
        state, _ = self.pool.load()
        self.pool.withdraw(range(state.next, state.total - left))

    def alarm(self, name: str) -> dict[str, Any]:
        found = [r["Properties"] for n, r in Skipped.made.items() if n.startswith(f"{STACK}-{name}-")]
        assert len(found) == 1, (name, list(Skipped.made))
        return dict(found[0])


def bot_stack(aws: Account) -> None:
    """A stack with the parts of a bot's that training looks at."""
    template = {
        "Parameters": {
            "AlarmEmail": {"Type": "String", "Default": "you@example.org"},
            "PoolLowDays": {"Type": "Number", "Default": LOW_DAYS},
        },
        "Resources": {
            "Bucket": {"Type": "AWS::S3::Bucket"},
            "PoolLowAlarm": {
                "Type": "AWS::CloudWatch::Alarm",
                "Properties": {
                    "AlarmDescription": "low",
                    "ComparisonOperator": "LessThanThreshold",
                    "EvaluationPeriods": 1,
                    "Threshold": LOW_DAYS,
                },
            },
        },
        "Outputs": {
            "BucketName": {"Value": {"Ref": "Bucket"}},
            "PoolUrl": {"Value": {"Fn::Sub": "s3://${Bucket}/proverbs"}},
        },
    }
    aws.client("cloudformation").create_stack(StackName=STACK, TemplateBody=json.dumps(template))
