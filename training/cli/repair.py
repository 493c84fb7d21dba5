"""`pool repair`: rebuild what is damaged of a pool from what is there."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime
from pathlib import Path

from training.cli.command import command, json_option, option
from training.cli.console import show
from training.cli.options import bot_option, load_bot, setting_options
from training.cli.stages import PATH


@command("repair")
@option("--yes", is_flag=True, help="Do it; without this, only say what would be done.")
@option("--creds", type=PATH, metavar="FILE", help="twitter.json: ask the account about its latest posts as well.")
@option("--from", "source", type=PATH, metavar="FILE", help="The pool.jsonl that a lost batch was filled from.")
@bot_option
@setting_options("pool")
@json_option
def repair(yes: bool, creds: Path | None, source: Path | None, bot: Path) -> None:
    """Rebuild a damaged pool from what is there.

    A lost, damaged or older state is rebuilt from the batches and from the records of posts; a lost or damaged batch
    from its good lines, those records and, with --from, the file that it came from. What may have been posted is not
    posted again. Broken off at any moment, the same command goes on.

    $ deepproverbs pool repair --pool s3://my-bucket/mybot
    $ deepproverbs pool repair --pool s3://my-bucket/mybot --creds twitter.json --yes
    $ deepproverbs pool repair --pool pool --from runs/mybot/pool.jsonl --yes
    """
    from post_tweet import app
    from post_tweet.pool import Pool
    from post_tweet.repair import Helper, Repair, carry_out
    from post_tweet.store import open_store

    from training.common.text import text_id
    from training.curate import fill

    place = app.open_place(lambda: app.from_file(creds or Path()))
    account = place.connect() if creds else None
    pool = Pool(open_store(load_bot(bot).pool), place.name)
    texts = fill.records_of(source) if source else []
    helper = Helper(text_id, place.problems, place.did_post if creds else None, account, texts)
    plan = Repair(pool, helper, datetime.now(UTC)).plan()
    url = pool.store.url
    if plan.said and yes:
        carry_out(pool, plan)
    verify = shlex.join(["deepproverbs", "pool", "verify", "--pool", url])
    if plan.given_up and not creds:
        plan.said.append("With --creds twitter.json the account is asked whether it shows that text.")
    end = (
        [f"{url} needs no repair; `{verify}` reads every file."]
        if not plan.said
        else [f"{url} is repaired; `{verify}` reads every file."]
        if yes
        else ["Nothing was changed; add --yes to do it. Copy the pool first, if you can."]
    )
    show({"pool": url, "found": plan.said, "repaired": bool(plan.said and yes)}, "\n".join([*plan.said, *end]))
