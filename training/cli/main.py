"""`deepproverbs`: all commands under one name, and the handling of errors.

Exit codes: 0 done, 1 failed, 2 wrong use, 130 stopped by Ctrl-C. Errors are one sentence on standard error; tracebacks
only with --debug. Commands import what is slow to load (models, boto3) when they are called.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence

import click
from click.exceptions import Exit, NoArgsIsHelpError, NoSuchCommand, NoSuchOption
from post_tweet.errors import PostError

from training.cli import completion, describe, fill, job, new, pool, post, refill, review, run, schedule, stages
from training.cli.command import ABOUT, COMMON, ELSEWHERE, Group, Lazy, Option, argument, command
from training.cli.console import colour, console, detail, fail, log_to_stderr, reset
from training.common.errors import DeepproverbsError
from training.common.terminal import be_lenient, put

PROGRAM = """Write new short texts like yours, and post them.

It learns from texts that you give it, writes new ones, keeps what is good and new, and posts one at a time.

$ deepproverbs demo                          # all of it on the Proverbs, with a small model: a minute
$ deepproverbs new mybot my-posts.txt        # a bot of your own texts
$ deepproverbs run --bot mybot               # it learns, writes, and fills its pool
$ deepproverbs review --bot mybot            # you read what it has written
$ deepproverbs post --bot mybot --dry-run    # what would be posted
"""
program = Group(completion.PROGRAM, help=PROGRAM)


@command("help", section=ABOUT)
@argument("words", nargs=-1, metavar="[COMMAND…]", help="The command to explain. [default: all of them]")
def help_(words: tuple[str, ...]) -> None:
    """Explain a command, as its -h does.

    $ deepproverbs help
    $ deepproverbs help pool status
    """
    with program.make_context(completion.PROGRAM, [*words, "-h"]) as context:
        program.invoke(context)


for each in (
    run.demo,
    new.new,
    run.run,
    review.review,
    fill.report,
    post.post,
    schedule.schedule,
    pool.group,
    refill.refill,
    stages.corpus,
    stages.base,
    stages.finetune,
    stages.convert,
    stages.export_,
    stages.sample,
    stages.filter_,
    fill.fill,
    job.group,
    Lazy(
        "cloud",
        "infra.cloud.commands:group",
        missing="The commands for AWS are not here: infra/ is missing, as in the GPU image; call them from a checkout.",
        section=ELSEWHERE,
        help="Deploy the bot in AWS, look after it, train it on spot GPUs.",
    ),
    help_,
    describe.settings_,
    completion.completion,
):
    program.add_command(each)


click.version_option(
    package_name=completion.PROGRAM,
    message="%(prog)s %(version)s",
    help="Show the version.",
    cls=Option,
    heading=COMMON,
)(program)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    try:
        return _main(list(sys.argv[1:] if argv is None else argv))
    finally:
        reset()


def _main(words: list[str]) -> int:
    reset()
    be_lenient()
    if instruction := os.environ.get(completion.VARIABLE):
        from click.shell_completion import shell_complete

        return shell_complete(program, {}, completion.PROGRAM, completion.VARIABLE, instruction)
    log_to_stderr()
    started = time.monotonic()
    try:
        with program.make_context(completion.PROGRAM, words) as context:
            program.invoke(context)
    except Exit as end:
        return end.exit_code
    except NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True, color=colour(sys.stderr))
        return 2
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx else completion.PROGRAM
        return _failed(error, f"{_sentence(error)} See `{where} -h`.", 2)
    except click.Abort:
        put("\nStopped at the question; what it asked about was not done.", "stderr")
        return 130
    except KeyboardInterrupt as stopped:
        put(str(stopped) or "Stopped; what was done is kept, the same command goes on from there.", "stderr")
        return 130
    except (DeepproverbsError, PostError) as error:
        return _failed(error, str(error), error.exit_code)
    except BrokenPipeError:
        # Whoever read click's help has gone (`| head`): no error.
        sys.stdout = None
        return 0
    except UnicodeEncodeError as error:
        # A word of the command line, a text or a file's name that is no UTF-8, where it would have to be.
        where = error.object[max(0, error.start - 20) : error.end + 20]
        return _failed(
            error, f"{where!r} has bytes that are no UTF-8, half a character; give it another name or text.", 2
        )
    except OSError as error:
        # A fault of the disk for which no stage has a message.
        where = f" ({error.filename})" if error.filename else ""
        advice = "free some space or choose another folder, then start again: finished work is kept."
        return _failed(error, f"{error.strerror or error}{where}; {advice}", 1)
    detail(f"Took {time.monotonic() - started:.1f} s.")
    return 0


def _sentence(error: click.UsageError) -> str:
    """Click's message, with the nearest name."""
    if isinstance(error, NoSuchOption | NoSuchCommand):
        return f"{error.message} Did you mean {error.possibilities[0]!r}?" if error.possibilities else error.message
    text = error.format_message().strip()
    return text if text.endswith((".", "?")) else f"{text}."


def _failed(error: Exception, text: str, code: int) -> int:
    if console.debug:
        raise error
    fail(text)
    return code


if __name__ == "__main__":
    sys.exit(main())
