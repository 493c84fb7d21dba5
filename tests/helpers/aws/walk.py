"""The walk through the README's commands in AWS, on loopback: `python -m tests.helpers.aws.walk` prints it and
what each says.

train-and-fill is the real one there, on nano; the tests fill the pool with texts of their own instead. Tests that need
the bot and not the walk take `switched_on`.
"""

from __future__ import annotations

import re
import shlex
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.helpers.aws.bot import STACK, Bot
from tests.helpers.aws.door import account
from tests.helpers.aws.function import deployed
from tests.helpers.loopback_x import loopback_x
from training.common.paths import ROOT


def readme_commands() -> list[list[str]]:
    """The commands of the README's block on a schedule in AWS."""
    text = (ROOT / "README.md").read_text()
    block = text.split("**In AWS**")[1].split("```")[1]
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


@contextmanager
def switched_on(folder: Path) -> Iterator[Bot]:
    """A bot as the walk leaves it, but without a text or a post. The second deployment, which the walk gives to sam
    again, is one call of CloudFormation here: the stack is the same, after half the time."""
    with account() as aws, loopback_x() as x:
        bot = Bot(aws, x, folder)
        (folder / "twitter.json").write_text(x.twitter_json)
        first, *_ = readme_commands()
        bot.make(*first[1:])
        bot.make("secrets", f"TWITTER_CREDS={folder / 'twitter.json'}")
        stacks = aws.client("cloudformation")
        (stack,) = stacks.describe_stacks(StackName=STACK)["Stacks"]
        parameters = {p["ParameterKey"]: p["ParameterValue"] for p in stack["Parameters"]}
        stacks.update_stack(
            StackName=STACK,
            UsePreviousTemplate=True,
            Parameters=[
                {"ParameterKey": name, "ParameterValue": value}
                for name, value in {**parameters, "ScheduleState": "ENABLED"}.items()
            ],
        )
        yield bot


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
