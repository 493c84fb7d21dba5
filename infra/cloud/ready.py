"""What a bot in AWS still lacks, and so what its owner does next."""

from __future__ import annotations

from post_tweet.pool import Pool
from post_tweet.store import open_store

from infra.cloud.make import make
from infra.cloud.stack import Owner, Stack, aws_errors
from training.common.errors import DeepproverbsError


def parameter(bot: str) -> str:
    """The name of the X keys in SSM."""
    return f"/deepproverbs/{bot}/twitter"


def has_keys(owner: Owner, bot: str) -> bool:
    """Whether keys have been stored. Their values are not read."""
    with aws_errors("look for the X keys"):
        filters = [{"Key": "Name", "Values": [parameter(bot)]}]
        return bool(owner.client("ssm").describe_parameters(ParameterFilters=filters)["Parameters"])


def check(owner: Owner, stack: Stack, bot: str) -> None:
    """Raises DeepproverbsError: there is nothing to switch on yet."""
    if stack.found is None:
        raise DeepproverbsError(
            f"There is no pool yet that could be posted from; `{make('deploy')}` without ENABLE first."
        )
    if not has_keys(owner, bot):
        raise DeepproverbsError(
            f"The X keys are not in AWS yet; `{make('secrets TWITTER_CREDS=twitter.json')}` puts them there."
        )
    url = stack.outputs["PoolUrl"]
    if not Pool(open_store(url)).load()[0].remaining:
        raise DeepproverbsError(f"The pool {url} holds no text yet; `{make(f'train-and-fill POOL={url}')}` fills it.")


def next_step(owner: Owner, stack: Stack, bot: str, when_all_is_well: str) -> str:
    """The command that the bot waits for."""
    if stack.found is None:
        return make("deploy")
    if not has_keys(owner, bot):
        return make("secrets TWITTER_CREDS=twitter.json")
    url = stack.outputs["PoolUrl"]
    state, _ = Pool(open_store(url)).load()
    if not state.remaining:
        return f"{make(f'train-and-fill POOL={url}')}, or {make('cloud-train')}"
    if state.paused:
        return make("resume")
    return when_all_is_well if stack.is_on else f"{make('post-now DRY_RUN=1')}, then {make('deploy ENABLE=yes')}"
