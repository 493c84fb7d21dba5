"""Walk through the AWS commands of the README on loopback: `python -m tests.helpers.aws.walk` prints each and its
output.

There train-and-fill is the real one, with nano; the tests fill the pool with texts of their own. Tests that need the
deployed bot and not the walk use `switched_on`.
"""

from __future__ import annotations

import re
import shlex
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from infra.cloud import deploy
from tests.helpers.aws.bot import STACK, Bot
from tests.helpers.aws.function import deployed
from tests.helpers.aws.gateway import account
from tests.helpers.aws.iam import REGION
from tests.helpers.loopback_x import LoopbackX, loopback_x
from training.cli import main as program
from training.common.paths import ROOT


def write_keys(folder: Path, x: LoopbackX) -> None:
    """twitter.json, as its owner would keep it."""
    path = folder / "twitter.json"
    path.touch(mode=0o600)
    path.write_text(x.twitter_json)


def readme_commands() -> list[list[str]]:
    """The commands of the README's block on a schedule in AWS."""
    text = (ROOT / "README.md").read_text()
    block = text.split("**In AWS**")[1].split("```")[1]
    return [shlex.split(re.sub(r"  +#.*", "", line)) for line in block.strip().splitlines()]


def walk(bot: Bot, real: bool = False) -> Iterator[tuple[str, str]]:
    """Run the commands of the block in order; yield each and its output. `real`: train, too."""
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


def _variables(command: list[str]) -> list[tuple[str, str]]:
    """(name, value) of each NAME=value in a command."""
    return [(name, value) for name, equals, value in (word.partition("=") for word in command) if equals]


@contextmanager
def switched_on(folder: Path, built: Path) -> Iterator[Bot]:
    """A bot as the walk leaves it, but with an empty pool and no post. sam takes seconds to start, so CloudFormation
    gets directly what `make deploy` would upload with it: the function as sam `built` it, and the template."""
    with account() as aws, loopback_x() as x:
        bot = Bot(aws, x, folder)
        write_keys(folder, x)
        s3, artefact = aws.client("s3"), shutil.make_archive(str(folder / "function"), "zip", built)
        s3.create_bucket(Bucket="artefacts", CreateBucketConfiguration={"LocationConstraint": REGION})
        s3.upload_file(artefact, "artefacts", "function.zip")

        def upload(stack: str, parameters: dict[str, str], *_: object) -> None:
            template = (ROOT / "infra" / "template.yaml").read_text()
            aws.client("cloudformation").create_stack(
                StackName=stack,
                TemplateBody=template.replace("CodeUri: ../functions", "CodeUri: s3://artefacts/function.zip"),
                Parameters=[
                    {"ParameterKey": name, "ParameterValue": value}
                    for name, value in {**parameters, "ScheduleState": "ENABLED"}.items()
                ],
            )

        with pytest.MonkeyPatch.context() as patch:
            aws.act_as_owner(patch)
            patch.setattr(deploy, "build", lambda _: None)
            patch.setattr(deploy, "upload", upload)
            first, *_ = readme_commands()
            options = [f"--{name.lower().replace('_', '-')}={value}" for name, value in _variables(first)]
            for words in (["deploy", *options], ["secrets", str(folder / "twitter.json")]):
                assert program.main(["cloud", *words]) == 0
        yield bot


def main() -> None:
    with account() as aws, loopback_x() as x, tempfile.TemporaryDirectory() as folder:
        bot = Bot(aws, x, Path(folder))
        write_keys(bot.folder, x)
        for command, said in walk(bot, real=True):
            lines = [line for line in said.splitlines() if line.strip() and "%|" not in line]  # no progress bars
            print(f"$ make {command}", *lines, "", sep="\n", flush=True)
        for words in (["pause"], ["resume"], ["logs"], ["destroy", "YES=1"]):
            print(f"$ make {shlex.join(words)}\n{bot.make(*words)}", flush=True)
        print("On X:", x.published)


if __name__ == "__main__":
    main()
