"""What all commands share, on top of click: grouped options, examples, -q -v --debug, help for a bare call.

    @command("base", section="One stage at a time")
    @option("--model", heading="The bot", help="…")
    def base(model: str) -> None:
        '''Find, download or unpack a base model.

        $ deepproverbs base --model 355M
        '''

The list of commands shows the first line of the docstring; lines that begin with $ are its examples.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import click

from training.cli.console import apply, colour, console
from training.common.errors import DeepproverbsError

OPTIONS, COMMON = "Options", "Common options"
FIRST, ELSEWHERE, ABOUT = "From your texts to posts", "On other machines", "About the program"
"""Sections of the list of commands: what a person needs, in that order; AWS and its jobs; itself."""
WIDTH = 100


class Formatter(click.HelpFormatter):
    def write_heading(self, heading: str) -> None:
        self.write(click.style(f"{'':>{self.current_indent}}{heading}:", bold=True) + "\n")

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        super().write_usage(prog, args, "usage: " if prefix is None else prefix)


class Context(click.Context):
    formatter_class = Formatter

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.max_content_width, self.help_option_names = WIDTH, ["-h", "--help"]
        self.color = colour(sys.stdout)


class Option(click.Option):
    """An option with the heading that it is listed under."""

    def __init__(self, *args: Any, heading: str = OPTIONS, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.heading = heading


option = partial(click.option, cls=Option)
argument = click.argument


def _flag(name: str) -> Callable[[click.Context, click.Parameter, bool], None]:
    def note(_: click.Context, __: click.Parameter, given: bool) -> None:
        if given:
            setattr(console, name, True)
            apply()

    return note


def common_options() -> list[click.Parameter]:
    def flag(*names: str, help: str) -> Option:
        note = _flag(names[-1].lstrip("-"))
        return Option(names, is_flag=True, expose_value=False, callback=note, heading=COMMON, help=help)

    return [
        flag("-q", "--quiet", help="Print only results and errors."),
        flag("-v", "--verbose", help="Print more: paths, times, and what the function logs."),
        flag("--debug", help="Show the traceback of an error."),
    ]


json_option = option(
    "--json", is_flag=True, expose_value=False, callback=_flag("json"), heading=COMMON, help="Print the result as JSON."
)


class Command(click.Command):
    """A command with examples and options under headings, itself listed under `section`."""

    context_class = Context

    def __init__(
        self, name: str | None = None, *, help: str | None = None, section: str = "Commands", **kwargs: Any
    ) -> None:
        lines = inspect.cleandoc(help or "").splitlines()
        text = "\n".join(line for line in lines if not line.startswith("$ ")).strip()
        super().__init__(name, help=text, short_help=text.partition("\n")[0].rstrip("."), **kwargs)
        self.examples, self.section = [line[2:] for line in lines if line.startswith("$ ")], section
        self.params += common_options()
        self.no_args_is_help = any(param.required for param in self.params)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            error.ctx = error.ctx or ctx  # so that the message names the command
            raise

    def takes_value(self) -> dict[str, bool]:
        """Each option, of a family those of all commands below, and whether a value follows it."""
        return {o: not p.is_flag for p in self.params if isinstance(p, click.Option) for o in p.opts}

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        groups: dict[str, list[tuple[str, str]]] = {OPTIONS: []}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record and not isinstance(param, click.Argument):
                groups.setdefault(getattr(param, "heading", COMMON), []).append(record)
        last = groups.pop(COMMON, [])
        for title, records in [*groups.items(), (COMMON, last)]:
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        if self.examples:
            with formatter.section("Examples"):
                for example in self.examples:
                    formatter.write(f"{'':>{formatter.current_indent}}{example}\n")


class Group(Command, click.Group):
    """Commands under one name. Their options may also stand before the command, as in `pool --pool URL status`."""

    command_class = Command
    group_class = type

    def __init__(self, name: str | None = None, **kwargs: Any) -> None:
        super().__init__(name, subcommand_metavar="COMMAND …", **kwargs)
        self.params = []
        self.no_args_is_help = True

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        sections: dict[str, list[tuple[str, str]]] = {}
        for name, command in self.commands.items():
            row = (name, command.get_short_help_str(WIDTH))
            sections.setdefault(getattr(command, "section", "Commands"), []).append(row)
        for title, rows in sections.items():
            with formatter.section(title):
                formatter.write_dl(rows)
        super().format_options(ctx, formatter)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Done above: commands come before options."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, self._command_first(args))

    def _command_first(self, args: list[str]) -> list[str]:
        takes_value, at = self.takes_value(), 0
        while at < len(args) and (name := args[at].split("=")[0]) in takes_value:
            at += 2 if takes_value[name] and name == args[at] else 1
        return [args[at], *args[:at], *args[at + 1 :]] if 0 < at < len(args) else args

    def takes_value(self) -> dict[str, bool]:
        below = [command for command in self.commands.values() if isinstance(command, Command)]
        return {name: takes for command in below for name, takes in command.takes_value().items()}


class Lazy(Command):
    """A group that is imported only when called."""

    def __init__(self, name: str, where: str, missing: str, **kwargs: Any) -> None:
        super().__init__(name, **kwargs)
        self.where, self.missing = where, missing

    def load(self) -> click.Command:
        module, _, attribute = self.where.partition(":")
        try:
            found: click.Command = getattr(importlib.import_module(module), attribute)
        except ModuleNotFoundError as error:
            if (error.name or "").split(".")[0] != module.split(".")[0]:
                raise
            raise DeepproverbsError(self.missing) from error
        return found

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        return self.load().make_context(*args, **kwargs)


command = partial(click.command, cls=Command)
