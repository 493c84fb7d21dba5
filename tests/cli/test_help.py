"""The habits of the program: help that tells, examples that work, completion, what is loaded and what is not."""

from __future__ import annotations

import io
import itertools
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest

from training import settings
from training.cli.command import Command, Group
from training.cli.main import main, program
from training.cli.options import NAMES
from training.common.paths import ROOT

PROGRAM = "deepproverbs"
COMMANDS = {
    "new", "run", "demo", "job", "corpus", "base", "finetune", "convert", "export", "sample", "filter", "fill", "pool",
    "post", "schedule", "refill", "cloud", "report", "review", "settings", "completion", "help",
}  # fmt: skip


def walk(words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """All commands, families before what is in them."""
    yield words
    with context(words) as ctx:
        if isinstance(ctx.command, click.Group):
            for name in ctx.command.list_commands(ctx):
                yield from walk((*words, name))


def context(words: tuple[str, ...]) -> click.Context:
    """The context of a command, nothing having been given to it."""
    made = program.make_context(PROGRAM, [], resilient_parsing=True)
    for name in words:
        group = made.command
        assert isinstance(group, click.Group)
        command = group.get_command(made, name)
        assert command is not None
        made = command.make_context(name, [], parent=made, resilient_parsing=True)
    return made


ALL = list(walk())
LEAVES = [words for words in ALL if not isinstance(context(words).command, click.Group)]


def help_of(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> str:
    assert main([*words, "-h"]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    return said.out


def flat(text: str) -> str:
    """Without line breaks, which depend on the terminal's width."""
    return " ".join(text.split())


def test_the_commands() -> None:
    assert {words[0] for words in ALL if words} == COMMANDS
    assert {words[1] for words in ALL if words[:1] == ("pool",) and words[1:]} == {
        "status", "list", "batches", "show", "withdraw", "restore", "verify", "pause", "resume",
        "account", "repair",
    }  # fmt: skip
    assert {words[1] for words in ALL if words[:1] == ("job",) and words[1:]} == {
        "place", "train", "sample", "fill", "refill", "review",
    }  # fmt: skip
    assert {words[1] for words in ALL if words[:1] == ("cloud",) and words[1:]} == {
        "deploy", "secrets", "status", "pause", "resume", "post-now", "logs", "clear-queues", "destroy", "train",
        "train-status", "train-destroy",
    }  # fmt: skip


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_help_tells_what_it_does_with_every_option_and_an_example(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    text = help_of(words, capsys)
    command = context(words).command
    assert command.help and flat(command.help) in flat(text)
    for param in command.get_params(context(words)):
        assert getattr(param, "help", None), param
        name = max(param.opts, key=len) if isinstance(param, click.Option) else param.make_metavar(context(words))
        assert name in text
    assert "\nExamples:\n  " in text
    assert "\x1b" not in text


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_every_example_is_a_call_that_is_understood(words: tuple[str, ...]) -> None:
    command = context(words).command
    assert isinstance(command, Command) and command.examples
    for example in command.examples:
        call = re.sub(r'^eval "\$\((.*)\)"', r"\1", re.sub(r"\s+#.*$", "", example))
        line = shlex.split(call.partition(" > ")[0])
        assert line[: len(words) + 1] == [PROGRAM, *words], example
        parsed(line[1:])


def parsed(line: list[str]) -> click.Context:
    """The context of the command that `line` calls, which is not run."""
    made = program.make_context(PROGRAM, line)
    while isinstance(made.command, click.Group):
        name, command, rest = made.command.resolve_command(made, [*made._protected_args, *made.args])
        assert command is not None
        made = command.make_context(name, rest, parent=made)
    return made


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_a_bare_call_is_help_where_something_must_be_said(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    command = context(words).command
    if isinstance(command, Group) or any(param.required for param in command.params):
        assert main(list(words)) == 2
        said = capsys.readouterr()
        assert said.out == "" and said.err.startswith(f"usage: {' '.join([PROGRAM, *words])} ")


def test_options_are_the_settings(capsys: pytest.CaptureFixture[str]) -> None:
    """Every option that bears a setting's name: type, bounds, choices, default and help are the setting's; `new` fits
    what it is not told."""
    seen = set()
    for words in LEAVES:
        text = flat(help_of(words, capsys))
        assert "[]" not in text
        for param in context(words).command.params:
            key = (param.name or "").replace("__", ".")
            if not param.expose_value and (key in ("model", "count", "pool") or "." in key):
                about = settings.find(key)
                seen.add(key)
                assert param.opts == [NAMES.get(key, f"--{about.name.replace('_', '-')}")]
                if about.item is bool:
                    continue
                assert about.help in text and about.bounds in text and all(c in text for c in about.choices)
                default = about.default[0] if about.many else about.default
                if words == ("new",) and not about.section:
                    default = "fitted to the texts"
                    assert f"default: {about.default}" not in text
                assert f"default: {default}" in text or not any(about.default)
                assert param.multiple == about.many
    assert {"model", "count", "pool", "finetune.epochs", "sample.temperatures", "sample.early_stop"} <= seen


@pytest.mark.parametrize("words", [(), ("run",), ("pool", "status"), ("help",)])
def test_help_is_a_command_too(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help", *words]) == 0
    said = capsys.readouterr()
    assert (said.out, said.err) == (help_of(words, capsys), "")


def test_it_begins_with_what_it_does_for_a_person(capsys: pytest.CaptureFixture[str]) -> None:
    text = help_of((), capsys)
    assert text.split("\n\n")[1].strip() == "Write new short texts like yours, and post them."
    places = [text.index(f"\n  {name} ") for name in ("new", "run", "review", "post", "schedule", "finetune", "cloud")]
    assert places == sorted(places), "in the order in which a person needs them"


@pytest.mark.parametrize(("wrong", "meant"), [("rnu", "run"), ("pots", "post"), ("reveiw", "review")])
def test_a_wrong_command_suggests_the_nearest(wrong: str, meant: str, capsys: pytest.CaptureFixture[str]) -> None:
    for words in ([wrong], ["help", wrong]):
        assert main(words) == 2
        assert f"Did you mean '{meant}'?" in capsys.readouterr().err


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert re.fullmatch(r"deepproverbs \d+\.\d+\.\d+\n", capsys.readouterr().out)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_a_script(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert f"_DEEPPROVERBS_COMPLETE={shell}_complete" in script
    if shell == "bash":
        loaded = subprocess.run(
            ["bash", "-c", f"{script}\ncomplete -p {PROGRAM}"], capture_output=True, text=True, check=True
        )
        assert loaded.stdout.strip().endswith(PROGRAM)


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("deepproverbs po", {"pool", "post"}),
        ("deepproverbs pool st", {"status"}),
        ("deepproverbs run --tem", {"--temperature"}),
        ("deepproverbs run --recipe ", {"texts", "windows"}),
        ("deepproverbs cloud train-", {"train-status", "train-destroy"}),
    ],
)
def test_the_shell_is_offered_what_may_come_next(
    line: str, offered: set[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("_DEEPPROVERBS_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(line.split(" ")) - 1))
    assert main([]) == 0
    assert {answer.partition(",")[2] for answer in capsys.readouterr().out.splitlines()} == offered


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("variable", "value", "colour"), [("TERM", "xterm", True), ("NO_COLOR", "1", False)])
def test_colour_on_a_terminal_alone(variable: str, value: str, colour: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv(variable, value)
    out, err = Terminal(), Terminal()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    assert main(["-h"]) == 0 and main(["nonsense"]) == 2
    assert ("\x1b[" in out.getvalue()) is ("\x1b[" in err.getvalue()) is colour


HEAVY = ("numpy", "ctranslate2", "tokenizers", "boto3", "tweepy", "requests", "rapidfuzz", "tqdm", "wordfreq")


@pytest.mark.parametrize(
    "line",
    [
        ["-h"],
        ["run", "-h"],
        ["settings"],
        ["pool", "status", "--pool", "POOL"],
        ["pool", "list", "--pool", "POOL", "--json"],
    ],
    ids=" ".join,
)
def test_no_heavy_library_is_loaded_for_little(line: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    from post_tweet.pool import Pool
    from post_tweet.store import open_store

    from tests.helpers.fakes import records

    url = str(tmp_path_factory.mktemp("little") / "pool")
    Pool(open_store(url)).append(records(2), "test")
    assert loaded([word.replace("POOL", url) for word in line]) == []


def test_filtering_a_text_file_loads_no_model_library(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("filter")
    texts = [f"the number {a} comes before {b} and {c}" for a, b, c in itertools.permutations("abcd", 3)]
    for name in ("texts.txt", "corpus.txt"):
        (folder / name).write_text("\n".join(texts))
    line = ["filter", str(folder / "texts.txt"), "--corpus", str(folder / "corpus.txt"), "--out"]
    found = loaded([*line, str(folder / "pool.jsonl"), "--workers", "1"])
    assert not {"ctranslate2", "tokenizers", "boto3", "tweepy"} & set(found), found


def loaded(line: list[str]) -> list[str]:
    """The heavy libraries that a command has loaded by its end."""
    code = (
        "import json, sys\nfrom training.cli.main import main\ncode = main(json.loads(sys.argv[1]))\n"
        f"print('loaded', *[name for name in {HEAVY} if name in sys.modules])\nsys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code, json.dumps(line)], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1].split()[1:]
