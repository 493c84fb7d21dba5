"""`make secrets [TWITTER_CREDS=twitter.json] [BOT=data/proverbs/bot.toml]`: the X keys into AWS, encrypted.

In:  twitter.json with the four keys, and AWS credentials that may write SSM parameters.
Out: the SecureString /deepproverbs/<bot>/twitter, which infra/template.yaml names to the function. The values go
     nowhere else: no output and no error shows them.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from post_tweet.app import from_file
from post_tweet.x import Credentials

from infra.cloud.make import make
from infra.cloud.ready import next_step, parameter
from infra.cloud.stack import Owner, Stack, aws_errors
from training.common.progress import Say


def put(bot: str, creds: Path, say: Say) -> None:
    """Raises BadInput: the file lacks a key; DeepproverbsError: AWS does not take it."""
    credentials = Credentials.parse(from_file(creds))  # what is wrong with the file is said before AWS is asked
    owner = Owner.present()
    stack, name = Stack.of(owner, bot), parameter(bot)
    say(f"Putting the X keys of {creds} into the SSM parameter {name} in {owner.region}, encrypted.")
    with aws_errors("take the X keys"):
        # Stored under X's own names, whichever spelling the file has.
        owner.client("ssm").put_parameter(
            Name=name,
            Value=json.dumps(asdict(credentials)),
            Type="SecureString",
            Overwrite=True,
            Description="X keys of the bot",
        )
    say("Done; the function reads them at its next start, or when X refuses the old ones.")
    say("Next: " + next_step(owner, stack, bot, make("post-now DRY_RUN=1")))


def forget(owner: Owner, bot: str) -> None:
    with aws_errors("delete the X keys"):
        owner.client("ssm").delete_parameters(Names=[parameter(bot)])
