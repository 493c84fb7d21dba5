"""The walk through the README's commands in AWS, on loopback: `python -m tests.aws.walk` prints it and what each says.

train-and-fill is the real one there, on nano; the tests fill the pool with texts of their own instead.
"""

from __future__ import annotations

import itertools
import os
import re
import shlex
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from post_tweet.pool import Pool
from post_tweet.store import S3Store

from tests.aws.cloudformation import Skipped
from tests.aws.door import Account, account
from tests.aws.function import deployed
from tests.loopback_x import LoopbackX, loopback_x
from training.text import text_id

ROOT = Path(__file__).resolve().parents[2]
STACK = "deepproverbs-proverbs"
WORDS = ["house", "son", "king", "fool", "bread", "field", "gold", "heart", "law", "lamp", "road", "tree", "voice"]
TEXTS = [f"the {a} of a {b} is better than the {c}." for a, b, c in itertools.permutations(WORDS, 3)]


@dataclass
class Bot:
    aws: Account
    x: LoopbackX
    folder: Path
    said: dict[str, str] = field(default_factory=dict)
    """What each command of the walk printed."""
    texts: Iterator[str] = field(default_factory=lambda: iter(TEXTS))

    def make(self, *arguments: str, code: int = 0) -> str:
        """One command, as the README has it."""
        env = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "MAKE", "MFLAGS"))}
        result = subprocess.run(
            ["make", *arguments],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
            env={**env, **self.aws.environment, "SAM_CLI_TELEMETRY": "0"},
        )
        assert result.returncode == code, result.stdout + result.stderr
        assert "Traceback" not in result.stderr, result.stderr
        said = result.stdout + result.stderr
        self.said[" ".join(arguments)] = said
        return said

    @cached_property
    def outputs(self) -> dict[str, str]:
        (stack,) = self.aws.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"]
        return {o["OutputKey"]: o["OutputValue"] for o in stack["Outputs"]}

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
        """Withdraw texts until so many are left."""
        state, _ = self.pool.load()
        self.pool.withdraw(range(state.next, state.total - left))

    def alarm(self, name: str) -> dict[str, Any]:
        found = [r["Properties"] for n, r in Skipped.made.items() if n.startswith(f"{STACK}-{name}-")]
        assert len(found) == 1, (name, list(Skipped.made))
        return dict(found[0])


def readme_commands() -> list[list[str]]:
    """The commands of the README's block on the schedule."""
    text = (ROOT / "README.md").read_text()
    block = text.split("**4. The schedule.**")[1].split("```")[1]
    return [shlex.split(re.sub(r"  +#.*", "", line)) for line in block.strip().splitlines()]


def walk(bot: Bot, real: bool = False) -> Iterator[tuple[str, str]]:
    """Every command of the block in order; yield it, and what it said. `real`: train, too."""
    for command in readme_commands():
        assert command[0] == "make"
        arguments = command[1:]
        if arguments[0] == "secrets":
            arguments[1] = f"TWITTER_CREDS={bot.folder / 'twitter.json'}"
        if arguments[0] == "train-and-fill":
            (url,) = re.findall(r"pool at +(s3://\S+)", bot.make("status"))  # as the README says
            assert url == bot.outputs["PoolUrl"]
            if not real:
                bot.fill(60)
                yield f"train-and-fill POOL={url}", "(filled by the test)"
                continue
            arguments[1:] = [f"POOL={url}", "MODEL=nano", "COUNT=60", "ENGINE=local"]
        if arguments[0] == "post-now":
            with deployed(bot.aws, STACK, Path(tempfile.mkdtemp(dir=bot.folder)), bot.x.url):
                said = bot.make(*arguments)
        else:
            said = bot.make(*arguments)
        yield shlex.join(arguments), said


def main() -> None:
    with account() as aws, loopback_x() as x, tempfile.TemporaryDirectory() as folder:
        bot = Bot(aws, x, Path(folder))
        (bot.folder / "twitter.json").write_text(x.twitter_json)
        for command, said in walk(bot, real=True):
            lines = [line for line in said.splitlines() if line.strip() and "%|" not in line]  # no progress bars
            print(f"$ make {command}", *lines, "", sep="\n", flush=True)
        for words in (["pause"], ["resume"], ["logs"], ["destroy", "YES=1"]):
            print(f"$ make {shlex.join(words)}\n{bot.make(*words)}", flush=True)
        print("On X:", x.published)


if __name__ == "__main__":
    main()
