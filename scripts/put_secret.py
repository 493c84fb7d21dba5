"""Put the X keys into AWS: `make secrets [TWITTER_CREDS=twitter.json] [BOT=data/proverbs/bot.toml]`.

In:  twitter.json with the four keys, and AWS credentials that may write SSM parameters.
Out: the SecureString /deepproverbs/<bot>/twitter, which infra/template.yaml names to the function. The values
     go nowhere else: no output and no error shows them.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

import boto3
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError
from post_tweet.app import from_file
from post_tweet.errors import PostError

from training import config
from training.errors import DeepproverbsError

ROOT = Path(__file__).resolve().parent.parent


def put(creds: Path, bot: str) -> str:
    """Check the keys and store them; returns the parameter's name."""
    credentials = from_file(creds)
    name = f"/deepproverbs/{bot}/twitter"
    # boto3 itself reads AWS_DEFAULT_REGION alone; sam and the AWS CLI read both.
    ssm = boto3.client("ssm", region_name=os.environ.get("AWS_REGION"))
    # Stored under X's own names, whichever spelling the file has.
    ssm.put_parameter(Name=name, Value=json.dumps(asdict(credentials)), Type="SecureString", Overwrite=True,
                      Description="X keys of the bot")
    return name


def main() -> int:
    arguments = argparse.ArgumentParser(description="Put the X keys into AWS as an SSM SecureString.")
    arguments.add_argument("creds", type=Path, help="twitter.json with the four X keys")
    arguments.add_argument("--bot", type=Path, default=ROOT / "data" / "proverbs" / "bot.toml",
                           help="the bot's settings (default: data/proverbs/bot.toml)")
    args = arguments.parse_args()
    code = 1
    try:
        name = put(args.creds, config.load(args.bot).name)
    except (PostError, DeepproverbsError) as error:
        sentence, code = str(error), error.exit_code
    except NoCredentialsError:
        sentence = "No AWS credentials; run `aws configure` or set AWS_PROFILE."
    except NoRegionError:
        sentence = "No AWS region; set AWS_REGION, for example to eu-central-1."
    except ClientError as error:
        # Its code alone: a message of SSM may quote what it was sent.
        kind = error.response["Error"]["Code"]
        sentence = f"AWS did not take the X keys ({kind}); check that you may call ssm:PutParameter there."
    except BotoCoreError as error:
        sentence = f"Cannot reach AWS ({type(error).__name__}); check the network, the region and the profile."
    else:
        print(f"The X keys are in the SSM parameter {name}. Next: make deploy")
        return 0
    print(f"secrets: {sentence}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
