"""make: thin lines over the program. A variable is text and never code, an unknown one is refused, 0 means no, and what
stands in the environment changes nothing by itself."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from training.common.paths import ROOT

VARIABLES = {
    "BOT", "MODEL", "POOL", "COUNT", "TWITTER_CREDS", "CHECKPOINT_DIR", "DRY_RUN", "SLOT", "ARGS", "SCHEDULE",
    "TIME_ZONE", "FLEXIBLE", "ENABLE", "EMAIL", "LOW_DAYS", "DASHBOARD", "HOURS", "YES", "SHARDS", "BUDGET", "ENGINE",
    "BASE", "CUBLAS", "IMAGE", "IMAGE_KIND", "PYTHON", "TF1_PYTHON", "UV", "NAME", "FILE", "REFILL",
}  # fmt: skip
NASTY = [
    "$(touch x)", "$(shell touch x)", "${shell touch x}", "'; touch x;'", '"; touch x; "', "`touch x`", "; touch x",
    "a b  c", "two\nlines\n", "# no comment", "$$HOME", "$HOME", "-x", "back\\", "it's", '"', "100%", "ü",
]  # fmt: skip

OTHERS = ("tf1", "torch", "sam", "checkov", "bench")
TAKEN = {
    "BOT": "pause", "MODEL": "demo --setup", "POOL": "tweet", "COUNT": "cloud-train", "TWITTER_CREDS": "tweet",
    "CHECKPOINT_DIR": "tweet", "SLOT": "post-now", "SCHEDULE": "deploy", "TIME_ZONE": "deploy", "FLEXIBLE": "deploy",
    "ENABLE": "deploy", "EMAIL": "deploy", "LOW_DAYS": "deploy", "DASHBOARD": "deploy", "HOURS": "logs",
    "SHARDS": "cloud-train", "BUDGET": "cloud-train", "REFILL": "cloud-train",
}  # fmt: skip
"""Variable → a target that hands it on by an option, with what else the program gets."""
OPTIONS = {"TWITTER_CREDS": "--creds", "CHECKPOINT_DIR": "--checkpoint"}
COMMANDS = {
    "tweet": ["post"], "pause": ["cloud", "pause"], "demo": ["demo"], "deploy": ["cloud", "deploy"],
    "logs": ["cloud", "logs"], "post-now": ["cloud", "post-now"], "cloud-train": ["cloud", "train"],
}  # fmt: skip


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The Makefile with programs that write down what they were called with, a NUL behind each word."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    for name in ("deepproverbs", "python"):
        program = tmp_path / ".venvs" / "project" / "bin" / name
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text("#!/bin/sh\nprintf '%s\\0' \"$@\" >called\n")
        program.chmod(0o755)
    for stamp in ("project/.installed", "project/.installed-dev", *(f"{name}/.installed" for name in OTHERS)):
        (tmp_path / ".venvs" / stamp).parent.mkdir(exist_ok=True)
        (tmp_path / ".venvs" / stamp).touch()
    for needed in ("pyproject.toml", "requirements"):
        source = ROOT / needed
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / needed)
    for path in [*(tmp_path / "requirements").iterdir(), tmp_path / "pyproject.toml"]:
        os.utime(path, (0, 0))
    for name in ("train-and-fill", "image"):
        (tmp_path / "scripts" / name).write_text("#!/bin/sh\nprintf '%s\\0' \"$@\" >called\n")
    return tmp_path


def make(checkout: Path, *words: str, code: int = 0, **environment: str) -> tuple[list[str], str]:
    """(what the program was called with, what make said)."""
    (checkout / "called").unlink(missing_ok=True)
    clean = {k: v for k, v in os.environ.items() if k not in VARIABLES and not k.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(
        ["make", *words], cwd=checkout, capture_output=True, text=True, env={**clean, **environment}, timeout=60
    )
    assert done.returncode == code, done.stdout + done.stderr
    called = checkout / "called"
    return (called.read_text().split("\0")[:-1] if called.exists() else []), done.stdout + done.stderr


@pytest.mark.parametrize("text", NASTY)
def test_a_variable_is_text(text: str, checkout: Path) -> None:
    """Every variable that the program is called with."""
    before = sorted(path.name for path in checkout.iterdir())
    for variable, target in TAKEN.items():
        target, *more = target.split()
        option = OPTIONS.get(variable, "--" + variable.lower().replace("_", "-"))
        assert make(checkout, target, f"{variable}={text}")[0] == [*COMMANDS[target], *more, option, text]
    wanted = ["pool", "status", "--bot", text, "--pool", text]
    assert make(checkout, "status", f"POOL={text}", f"BOT={text}")[0] == wanted
    assert make(checkout, "secrets", f"TWITTER_CREDS={text}")[0] == ["cloud", "secrets", "--", text]
    assert make(checkout, "train-and-fill", f"MODEL={text}", f"COUNT={text}")[0] == ["--model", text, "--count", text]
    assert make(checkout, "new", f"NAME={text}", f"FILE={text}")[0] == ["new", "--", text, text]
    assert make(checkout, "pause", f"AWS_PROFILE={text}")[0] == ["cloud", "pause"]
    for variable, target in {"DRY_RUN": "tweet", "YES": "destroy"}.items():
        assert make(checkout, target, f"{variable}={text}", code=2)[0] == []
    assert sorted({path.name for path in checkout.iterdir()} - {"called"}) == before


@pytest.mark.parametrize("text", NASTY)
def test_the_scripts_take_text_too(text: str, checkout: Path, tmp_path: Path) -> None:
    """Those that scripts read from the environment, in which make puts what was said to it."""
    for name in ("train-and-fill", "image"):
        shutil.copy(ROOT / "scripts" / name, checkout / "scripts" / name)
    docker = tmp_path / "bin" / "docker"
    docker.parent.mkdir()
    docker.write_text("#!/bin/sh\nprintf '%s\\0' \"$@\" >called\n")
    docker.chmod(0o755)
    path = {"PATH": f"{docker.parent}:{os.environ['PATH']}"}
    before = sorted(path.name for path in checkout.iterdir())
    assert "ENGINE is image or local" in make(checkout, "train-and-fill", f"ENGINE={text}", code=2, **path)[1]
    assert "IMAGE_KIND is tensorflow or torch" in make(checkout, "build", f"IMAGE_KIND={text}", code=2, **path)[1]
    assert "CUBLAS is yes or no" in make(checkout, "build", f"CUBLAS={text}", code=2, **path)[1]
    assert make(checkout, "build", f"BASE={text}", **path)[0][:3] == ["build", "--build-arg", f"BASE={text}"]
    if text.startswith("-"):
        assert "IMAGE is the name of an image" in make(checkout, "build", f"IMAGE={text}", code=2, **path)[1]
    else:
        assert make(checkout, "build", f"IMAGE={text}", **path)[0][:3] == ["build", "--tag", text]
    words = ["--bot", text, f"--model={text}", "--pool", text]
    subprocess.run(["scripts/image", "built", *words], cwd=checkout, env={**os.environ, **path}, timeout=60)
    assert subprocess.run(["scripts/nearest", text, *VARIABLES], cwd=checkout, timeout=60).returncode == 0
    for script, variable in {
        "find-python 3.11+": "PYTHON",
        "find-python 3.7": "TF1_PYTHON",
        "compile-requirements": "UV",
    }.items():
        environment = {**os.environ, variable: text}
        done = subprocess.run(
            f"scripts/{script}".split(), cwd=checkout, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 1 and (text in done.stderr or "uv is missing" in done.stderr), done.stderr
    for script in ("setup", "find-python", "train-and-fill", "image"):
        assert (
            subprocess.run([f"scripts/{script}", text], cwd=checkout, env={**os.environ, "ENGINE": "x"}).returncode == 2
        )
    assert sorted({path.name for path in checkout.iterdir()} - {"called"}) == before


@pytest.mark.parametrize("variable", sorted(VARIABLES - {"PYTHON", "TF1_PYTHON", "UV"}))
def test_what_stands_in_the_environment_changes_nothing(variable: str, checkout: Path) -> None:
    """MODEL or NAME may be another program's, and a run without the DRY_RUN before `make` would post."""
    takes = [
        target for target in re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)
        if re.search(rf"\b{variable}\b", everything_in(target))
    ]  # fmt: skip
    assert takes
    for target in takes:
        called, said = make(checkout, target, code=2, **{variable: "$(shell touch x)"})
        assert (
            called == [] and f"{variable} stands in the environment" in said and f"`make {target} {variable}=" in said
        )
        assert "$(shell" not in said and not (checkout / "x").exists()
    target = takes[0]
    plain = make(checkout, target)[0]
    assert make(checkout, target, f"{variable}=", **{variable: "1"})[0] == plain, "= says: none"
    assert make(checkout, target, f"{variable}=1", **{variable: "2"})[0] == make(checkout, target, f"{variable}=1")[0]
    assert make(checkout, "help", **{variable: "1"})[1] == make(checkout, "help")[1]


def everything_in(target: str) -> str:
    """A recipe with the Makefile's own abbreviations written out."""
    text = (ROOT / "Makefile").read_text()
    short = dict(re.findall(r"^(bot|pool|args|image) = (.*)$", text, re.MULTILINE))
    return re.sub(r"\$\((\w+)\)", lambda found: short.get(found[1], found[0]), recipe(target))


@pytest.mark.parametrize("target", ["simulate", "run", "test"])
def test_args_are_words(target: str, checkout: Path) -> None:
    def words(text: str, code: int = 0) -> list[str]:
        return make(checkout, target, f"ARGS={text}", code=code)[0]

    usual = make(checkout, target)[0]
    assert words("--seed 7") == [*usual, "--seed", "7"]
    assert words("-k 'zip or loading' -s") == [*usual, "-k", "zip or loading", "-s"]
    assert words('-k "it\'s" a\\ b') == [*usual, "-k", "it's", "a b"]
    assert words("$(touch x) `touch x` ; touch x & $HOME *") == [
        *usual, "$(touch", "x)", "`touch", "x`", ";", "touch", "x", "&", "$HOME", "*",
    ]  # fmt: skip
    assert words("two\nlines") == [*usual, "two", "lines"]
    assert words("'", code=2) == [] and not (checkout / "x").exists()


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("CONUT=3", "There is no variable CONUT; did you mean COUNT?"),
        ("pool=x", "There is no variable pool; did you mean POOL?"),
        ("DRYRUN=1", "There is no variable DRYRUN; did you mean DRY_RUN?"),
        ("XYZZY=3", "There is no variable XYZZY; `make help` lists them"),
        ("A;touch${IFS}x=3", "There is no variable A;touch"),
    ],
)
def test_an_unknown_variable_is_refused(word: str, hint: str, checkout: Path) -> None:
    called, said = make(checkout, "train-and-fill", "POOL=x", word, code=2)
    assert called == [] and hint in said and not (checkout / "x").exists()


@pytest.mark.parametrize(
    ("target", "variable", "option"),
    [("tweet", "DRY_RUN", "--dry-run"), ("post-now", "DRY_RUN", "--dry-run"), ("destroy", "YES", "--yes"),
     ("cloud-destroy", "YES", "--yes")],
)  # fmt: skip
def test_no_means_no(target: str, variable: str, option: str, checkout: Path) -> None:
    for value, given in {"": False, "0": False, "no": False, "false": False, "off": False, "NO": False,
                         "1": True, "yes": True, "true": True, "on": True}.items():  # fmt: skip
        assert (option in make(checkout, target, f"{variable}={value}")[0]) is given, value
    called, said = make(checkout, target, f"{variable}=perhaps", code=2)
    assert called == [] and f"{variable} is yes or no, not perhaps" in said


def test_enable_and_dashboard_go_to_the_program_which_knows_yes_and_no(checkout: Path) -> None:
    called = make(checkout, "deploy", "ENABLE=0", "DASHBOARD=no", "EMAIL=me@example.org")[0]
    assert called == ["cloud", "deploy", "--enable", "0", "--email", "me@example.org", "--dashboard", "no"]


@pytest.mark.parametrize(("value", "argument"), [("no", []), ("0", []), ("yes", ["CUBLAS=yes"]), ("1", ["CUBLAS=yes"])])
def test_cublas_too(value: str, argument: list[str], checkout: Path, tmp_path: Path) -> None:
    shutil.copy(ROOT / "scripts" / "image", checkout / "scripts" / "image")
    docker = tmp_path / "bin" / "docker"
    docker.parent.mkdir()
    docker.write_text("#!/bin/sh\nprintf '%s\\0' \"$@\" >called\n")
    docker.chmod(0o755)
    words = ["build", f"CUBLAS={value}", "IMAGE_KIND=tensorflow"]
    called = make(checkout, *words, PATH=f"{docker.parent}:{os.environ['PATH']}")[0]
    assert [word for word in called if word.startswith("CUBLAS")] == argument


def test_building_takes_the_bot_and_the_model(checkout: Path) -> None:
    assert make(checkout, "build", "BOT=data/mybot", "MODEL=hf:a/b")[0] == [
        "build", "--bot", "data/mybot", "--model", "hf:a/b",
    ]  # fmt: skip


def test_help_shows_every_variable(checkout: Path) -> None:
    said = make(checkout, "help")[1]
    described = set(re.findall(r"\b([A-Z][A-Z_0-9]+)=", said))
    listed = re.search(r"^VARIABLES := ((?:.*\\\n)*.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert listed and set(listed[1].replace("\\", "").split()) == VARIABLES
    assert VARIABLES - described == {"IMAGE", "PYTHON", "TF1_PYTHON", "UV"}, "these are of set-up and of the image"


def test_every_line_is_understood_by_the_program(checkout: Path) -> None:
    """What make calls the program with is a call that it takes, with every variable that help shows."""
    from tests.cli.test_help import parsed

    for line in make(checkout, "help")[1].splitlines():
        target, variables = line.split()[1], re.findall(r"\b([A-Z][A-Z_0-9]+)=(\S*?)[\]\s|]", line)
        numbers = dict.fromkeys(("DRY_RUN", "YES", "COUNT", "FLEXIBLE", "LOW_DAYS", "HOURS", "SHARDS", "BUDGET"), "1")
        values = {**numbers, **dict.fromkeys(("ENABLE", "DASHBOARD", "REFILL"), "no")}
        words = [f"{name}={values.get(name, 'text')}" for name, _ in variables if name != "ARGS"]
        if "$(BIN)/deepproverbs" in recipe(target) or "$(CLOUD)" in recipe(target):
            parsed(make(checkout, target, *words)[0])
    assert "$(CLOUD)" in recipe("deploy") and "deepproverbs post" in recipe("tweet")


def recipe(target: str) -> str:
    found = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    return found[1] if found else ""
