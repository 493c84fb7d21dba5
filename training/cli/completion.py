"""`completion`: the script by which a shell completes commands, options and files."""

from __future__ import annotations

import click

from training.cli.command import ABOUT, argument, command
from training.cli.console import result

VARIABLE = "_DEEPPROVERBS_COMPLETE"
PROGRAM = "deepproverbs"


@command("completion", section=ABOUT)
@argument(
    "shell",
    type=click.Choice(["bash", "zsh", "fish"]),
    metavar="SHELL",
    help="The shell to complete in: bash, zsh or fish.",
)
def completion(shell: str) -> None:
    """Print a script by which bash, zsh or fish completes commands.

    It completes commands, options and files with the Tab key.

    $ eval "$(deepproverbs completion bash)"      # in ~/.bashrc
    $ eval "$(deepproverbs completion zsh)"       # in ~/.zshrc
    $ deepproverbs completion fish > ~/.config/fish/completions/deepproverbs.fish
    """
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    assert found  # as the choices say
    result(found(click.get_current_context().find_root().command, {}, PROGRAM, VARIABLE).source())
