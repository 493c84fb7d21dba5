"""`review`: texts before a person, in the browser or line by line, and what they decided into the pool."""

from __future__ import annotations

import os
import shlex
import sys
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from training.cli.command import command, option
from training.cli.console import result, warn
from training.cli.fill import READ, show_added, told_added
from training.cli.options import bot_option, given, load_bot, run_folder, run_option, setting_options
from training.cli.stages import PATH
from training.common.errors import WrongUse
from training.common.files import lock, locked, part_file
from training.common.text import indented

if TYPE_CHECKING:
    from training.curate.decisions import Decisions
    from training.pages.review.desk import Desk
    from training.pages.review.guard import Guard
    from training.runs.anew import Anew
    from training.runs.in_pool import Pending
    from training.settings import Bot


@command("review", section=READ)
@bot_option
@run_option
@setting_options("pool")
@option("--terminal", is_flag=True, help="Ask line by line here. [default where answers come from a pipe]")
@option("--no-browser", is_flag=True, help="Print the page's address and open no browser.")
@option("--port", type=click.IntRange(1, 65535), metavar="N", help="The page's port. [default: any free one]")
@option("--by", metavar="NAME", help="Who decides, for the log. [default: the user's name]")
@option("--publish", is_flag=True, help="Put what was decided into the pool, and ask nothing.")
@option("--unread", is_flag=True, help="With --publish: what nobody has read, too; never what was set apart.")
@option("--merge", type=PATH, metavar="FILE", help="Take over another person's decisions.jsonl; tell where you differ.")
@option("--export", type=PATH, metavar="FILE", help="Write what was decided: a table to FILE.csv, else the log.")
def review(
    bot: Path,
    run: Path | None,
    terminal: bool,
    no_browser: bool,
    port: int | None,
    by: str | None,
    publish: bool,
    unread: bool,
    merge: Path | None,
    export: Path | None,
) -> None:
    """Read texts before they are published: keep, drop, edit or star each.

    It shows a page in the browser: the texts that were set apart, as they name a people or a religion, and the pool's
    that are not yet posted. What you decide is kept in the run's decisions.jsonl until you publish it.

    $ deepproverbs review
    $ deepproverbs review --publish
    $ deepproverbs review --merge from-anna.jsonl
    $ deepproverbs review --terminal --run runs/demo --pool runs/demo/pool
    """
    from training.curate.decisions import open_decisions
    from training.runs import owner, reviewed

    if unread and not publish:
        raise WrongUse("--unread says what --publish publishes; give both.")
    settings = load_bot(bot)
    folder = run_folder(run, settings)
    at = Reviewed(folder, settings, bot, owner.pool_of(folder, settings, bot, given().get("pool")))
    if not folder.is_dir():
        raise WrongUse(f"There is nothing to review in {folder}; `{owner.first_command('run', bot)}` makes texts.")
    with open_decisions(folder, by or "") as decisions:
        reviewed.check(folder)
        if merge:
            at.merge(merge, decisions)
        if publish:
            at.publish(decisions, unread)
        if export:
            at.export(export, decisions)
        if merge or publish or export:
            return
        if terminal or not (no_browser or port or _person_at(sys.stdin)):
            at.ask(decisions)
        else:
            at.show(decisions, port or 0, no_browser)


def _person_at(stream: TextIO | None) -> bool:
    return stream is not None and stream.isatty()


@dataclass(frozen=True)
class Reviewed:
    """A run whose texts a person reads, and the pool that they are for."""

    run: Path
    bot: Bot
    file: Path
    """The bot's."""
    pool: str

    def command(self, words: str) -> str:
        """The command to give next, for the same run, bot and pool."""
        from training.runs import owner

        if owner.Owner.read(self.run) is None:
            where = ["--bot", owner.shown(self.file), "--run", str(self.run), "--pool", self.pool]
            return shlex.join(["deepproverbs", *words.split(), *where])
        usual = owner.pool_of(self.run, self.bot, self.file, None)
        other = owner.place_of(usual) != owner.place_of(self.pool)
        return owner.command(words, self.run) + (f" --pool {shlex.quote(self.pool)}" if other else "")

    def ask(self, decisions: Decisions) -> None:
        """Line by line."""
        from training.curate.review import review
        from training.pages.review.desk import Asked
        from training.runs import reviewed

        anew: list[Anew] = []

        def objection(text: str, original: str) -> object | None:
            if not anew:  # only who edits waits for it
                anew.append(self.anew(decisions))
            return anew[0].objection(text, original)

        with closing(self.desk(decisions)) as desk:
            numbers = desk.window(Asked("all", count=len(desk.texts))).texts
            records = [{**desk.record(n), **desk.known(n)} for n in numbers]
            held = reviewed.held(self.run, self.bot)
            first = int((desk.source[numbers] <= held).sum())  # set apart, and, if held, not in the pool yet
        review(records, decisions, sys.stdin, result, objection, first)
        self.publish(decisions)

    def desk(self, decisions: Decisions) -> Desk:
        """The texts to read: the pool's, too, unless it cannot be read, which is then said."""
        from post_tweet.errors import PostError

        from training.pages.review.desk import Desk
        from training.runs import reviewed

        try:
            return Desk(self.run, decisions, partial(reviewed.in_pool, self.pool, self.bot), self.ours())
        except PostError as error:
            warn(f"Here are the texts of {self.run} alone, as its pool cannot be read. {error}")
            return Desk(self.run, decisions)

    def ours(self) -> list[str]:
        """The texts that reviews took out of the pool."""
        from training.runs import reviewed

        return reviewed.withdrawn(self.run, self.pool)

    def show(self, decisions: Decisions, port: int, no_browser: bool) -> None:
        """In the browser, until Ctrl-C."""
        from training.pages.review.app import Review
        from training.pages.review.serve import open_browser, serve
        from training.runs import reviewed

        held, anew = partial(reviewed.held, self.run, self.bot), partial(self.anew, decisions)
        before = len(decisions.lines)

        def on_start(guard: Guard) -> None:
            page.page_token = guard.page_token
            opened = not no_browser and _person_at(sys.stdout) and open_browser(guard.address_for_once())
            result(f"{'Opened in your browser' if opened else 'Open this page'}: {guard.address}")
            if "SSH_CONNECTION" in os.environ:
                tunnel = f"{guard.port}:127.0.0.1:{guard.port}"
                result(f"From your own machine: `ssh -L {tunnel}` to this one, then open it there.")
            result("It is for this machine alone. Ctrl-C ends it; every decision is kept at once.")

        with closing(self.desk(decisions)) as desk:
            page = Review(desk, decisions, self.bot, held, anew, partial(self._publish, decisions), self.ours)
            serve(page.app, port, on_start)
            result(self._farewell(decisions, len(decisions.lines) - before, desk.pending()))

    def _farewell(self, decisions: Decisions, lines: int, left: Pending) -> str:
        from training.curate.decisions import FILE

        counts = decisions.counts()
        words = {"keep": "kept", "star": "starred", "edit": "edited", "drop": "dropped"}
        told = ", ".join(f"{counts[what]:,} {word}" for what, word in words.items() if counts[what]) or "nothing"
        if any(counts.values()):
            what = "Decided" if lines else "Nothing new; decided before"
            text = f"{what}: {told}. All of it is in {self.run / FILE}."
        else:
            text = "No decision stands: all were taken back." if decisions.lines else "Nothing was decided."
        if counts["conflict"]:
            conflicts = f"{counts['conflict']:,} text{'s' * (counts['conflict'] != 1)}"
            text += f" People differ about {conflicts}; not published until somebody decides."
        if left:
            text += f"\nNext: `{self.command('review --publish')}` brings {self.pool} to what you decided."
        elif any(counts.values()):
            text += f" {self.pool} has it already."
        return f"\n{text}"

    def anew(self, decisions: Decisions) -> Anew:
        from training.runs.anew import Anew

        return Anew(self.bot, self.run, self.pool, decisions)

    def publish(self, decisions: Decisions, unread: bool = False) -> None:
        """Put what was decided into the pool and say what became of it."""
        from training.runs import reviewed

        with locked(self.run):
            done = reviewed.publish(self.run, self.bot, self.pool, decisions, unread)
        if done.approved:
            show_added(self.pool, done.added)
        for sentence in reviewed.sentences(done, self.pool):
            result(sentence)

    def _publish(self, decisions: Decisions, unread: bool) -> list[str]:
        """The same for the page. Raises BlockingIOError: the run is at work."""
        from post_tweet.pool import Pool
        from post_tweet.store import open_store

        from training.runs import reviewed

        with lock(self.run / ".lock"):
            done = reviewed.publish(self.run, self.bot, self.pool, decisions, unread)
        status = Pool(open_store(self.pool)).status()
        first = [told_added("the pool", done.added, status)] if done.approved else []
        return [*first, *reviewed.sentences(done, "the pool", on_page=True)] or ["There was nothing to publish."]

    def merge(self, file: Path, decisions: Decisions) -> None:
        """Take over another person's decisions and tell where people differ."""

        merged = decisions.merge(file)
        came = f"{merged.added:,} decision{'s' * (merged.added != 1)} taken over from {file}"
        result(f"{came}; {merged.known:,} {'was' if merged.known == 1 else 'were'} here.")
        for id in merged.conflicts:
            standing = decisions.standing(id)
            result(f"People differ about: {indented(standing[0].text, 2)}")
            for line in standing:
                result(f"  {line.by or 'earlier'}: {indented(f'{line.decision} {line.edited}'.strip(), 4)}")
        if merged.conflicts:
            texts = f"{len(merged.conflicts):,} text{'s' * (len(merged.conflicts) != 1)}"
            result(f"Decide {texts} with `{self.command('review')}`.")

    def export(self, file: Path, decisions: Decisions) -> None:
        """A table for a spreadsheet, or the log."""
        from training.curate import decisions as log

        table = file.suffix.lower() == ".csv"
        data = log.as_csv(decisions) if table else b"".join(line.line() for line in decisions.lines.values())
        with part_file(file) as out:
            out.write(data.decode())
        result(f"Written: {file}")
