"""`refill`: more texts for a pool before it runs dry, without a hand, called every day by whatever calls the posts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from training.cli.command import command, json_option
from training.cli.console import show
from training.cli.options import (
    JUDGED,
    SAMPLED,
    bot_option,
    force_option,
    given,
    load_bot,
    run_folder,
    run_option,
    setting_options,
)
from training.cli.pool import POOL, open_pool
from training.cli.run import run_all
from training.common.errors import WrongUse


@command("refill", section=POOL)
@bot_option
@run_option
@setting_options("pool", "count", "refill.days", *SAMPLED, *JUDGED)
@force_option
@json_option
def refill(bot: Path, run: Path | None, force: bool) -> None:
    """Add texts if those of the pool last for less than a month.

    It samples on from the run's model, which is not trained again, and repeats nothing that was ever in the pool. The
    texts are published at once, or when a person has read them: as the bot's `publish` says.

    $ deepproverbs refill --bot data/mybot
    $ deepproverbs refill --bot data/mybot --days 60 --count 1000
    """
    from training.runs import owner

    settings = load_bot(bot)
    folder = run_folder(run, settings)
    given()["pool"] = owner.pool_of(folder, settings, bot, given().get("pool"))
    status = open_pool(bot).status()
    if enough(status, settings.refill.days):
        return
    if not (folder / "model" / "model.bin").exists():
        raise WrongUse(
            f"There is no model in {folder} to sample from; `{owner.command('run', folder)}` trains one, or name its "
            "run with --run."
        )
    given().setdefault("count", settings.refill.count or settings.count)
    run_all(bot, run, setup=False, force=force)


def enough(status: dict[str, Any], wanted: int) -> bool:
    """Whether a pool's texts last for `wanted` days, which is then said. `status`: the pool's."""
    days = status["days_left"]
    if days < wanted:
        return False
    text = (
        f"{status['pool']}: {status['remaining']:,} texts are left, for {days:,.0f} days at the present pace; "
        f"a refill adds more once they last for fewer than {wanted:,} days."
    )
    show({"pool": status["pool"], "added": 0, "unused": status["remaining"], "days_left": days}, text)
    return True
