"""Several stages at once: `run` from corpus to filled pool, and `demo`, which shows it on the Proverbs."""

from __future__ import annotations

import re
import shlex
import time
from pathlib import Path

from training.cli.command import FIRST, command, json_option, option
from training.cli.console import next_steps, result
from training.cli.fill import show_added
from training.cli.options import (
    JUDGED,
    READ,
    SAMPLED,
    TUNED,
    bot_option,
    force_option,
    given,
    load_bot,
    run_folder,
    run_option,
    run_option_in,
    setting_options,
)
from training.cli.post import post_once
from training.common.errors import DeepproverbsError
from training.common.files import locked
from training.common.progress import say, step
from training.common.text import indented

EXAMPLES = 7
"""New texts that a run shows."""
setup_option = option("--setup", is_flag=True, help="Install what fine-tunes this model, if it is missing.")


@command("run", section=FIRST)
@bot_option
@run_option
@setting_options("model", "count", "pool", *READ, *TUNED, *SAMPLED, "sample.vocabulary", *JUDGED)
@setup_option
@force_option
@json_option
def run(bot: Path, run: Path | None, setup: bool, force: bool) -> None:
    """Learn from the bot's texts, write new ones, and fill the pool with the good ones.

    Each run adds --count texts; training that is done for the same texts and settings is skipped.

    After Ctrl-C or a crash the same command goes on from there.

    $ deepproverbs run --model 124M --count 20000 --pool pool
    $ deepproverbs run --bot data/mybot --model nano
    """
    run_all(bot, run, setup, force)


def run_all(bot: Path, run: Path | None, setup: bool, force: bool = False, more: bool = True) -> None:
    """`more`: after a run whose texts are in the pool, add as many again."""
    from training.runs import owner, reviewed, rounds, stages
    from training.runs.diagnosis import shortage
    from training.runs.until_enough import sample_and_filter

    settings = load_bot(bot)
    folder = run_folder(run, settings)
    owner.check(folder, settings, bot)  # before a lock makes the folder
    with locked(folder):
        owner.claim(folder, settings, bot, say)
        settings, known = owner.claim_pool(folder, settings, bot, given().get("pool"), say)
        model, base = stages.train(settings, folder, say, setup, force)
        texts = sample_and_filter(settings, folder, model, known, say, base, more, examples=EXAMPLES if more else 0)
        if wait := reviewed.held(folder, settings):
            say(f"They come into the pool when you have read them: `{owner.command('review', folder)}`.")
        else:
            with step("Adding them to the pool"):
                added = rounds.fill_round(folder, texts, settings.pool, settings.name)
    if wait:
        return
    show_added(settings.pool, added)
    if more and not added.added:
        say(f"An interrupted run had added them; the same command again adds {settings.count:,} more.")
    if too_few := shortage(settings, folder):
        raise DeepproverbsError(too_few)
    if more:
        say(
            f"Next: read them ({owner.command('review', folder)}), or see what would be posted first "
            f"(deepproverbs post --pool {shlex.quote(settings.pool)} --dry-run)."
        )


@command("demo", section=FIRST)
@bot_option
@run_option_in("runs/demo, or runs/demo-MODEL")
@setting_options("model", "count", *TUNED, *SAMPLED, "sample.vocabulary", *JUDGED)
@setup_option
@force_option
def demo(bot: Path, run: Path | None, setup: bool, force: bool) -> None:
    """Show it all on a small model: 1,000 texts, one posted dry.

    The defaults are --model nano and --count 1000 here; the pool is in the run's folder. A second time shows it again.

    $ deepproverbs demo
    $ deepproverbs demo --model smollm2-135m
    """
    from training.curate.fill import read_pool

    started = time.monotonic()
    given().setdefault("count", 1000)
    model = given().setdefault("model", "nano")
    folder = run or Path("runs") / ("demo" if model == "nano" else f"demo-{re.sub('[^A-Za-z0-9.]+', '-', model)}")
    given()["pool"] = str(folder / "pool")
    run_all(bot, folder, setup, force, more=False)
    result("\nTen texts of the pool:")
    for record in read_pool(folder / "pool.jsonl")[:10]:
        result(f"  {indented(record['text'], 2)}")
    result("\nPosted dry, through the function's own code:")
    result("  " + indented(post_once(str(folder / "pool"), None, "demo", dry_run=True)["text"], 2))
    result(f"\nDone in {time.monotonic() - started:.0f} s. The pool: {folder / 'pool'}")
    better = ["make demo MODEL=smollm2-135m   # the same by a larger model, which writes better"] * (model == "nano")
    say(next_steps(*better, "deepproverbs new my-posts.txt   # a bot of your own texts"))
