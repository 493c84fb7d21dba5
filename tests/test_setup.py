"""The rooms that install and start everything: scripts/, requirements/, Makefile."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.bare import bare_machine, one_sentence, run
from training.common.paths import ROOT

BIN = Path(sys.executable).parent
REQUIREMENTS = [*sorted((ROOT / "requirements").glob("*.txt")), ROOT / "functions" / "requirements.txt"]


@pytest.fixture
def bare(tmp_path: Path) -> dict[str, str]:
    return bare_machine(tmp_path)


def test_setup_knows_no_other_environment() -> None:
    assert "nonsense" in one_sentence(run("scripts/setup", "nonsense"), 2)


@pytest.mark.parametrize("path", REQUIREMENTS, ids=lambda path: path.parent.name + "/" + path.name)
def test_requirements_are_pinned_with_hashes_and_name_no_address(path: Path) -> None:
    text = path.read_text()
    assert not re.search(r"://|--(extra-)?index-url|--find-links|--trusted-host|^-[ief]", text, re.MULTILINE)
    packages = re.sub(r"\\\n", " ", text).splitlines()
    packages = [line for line in packages if line and not line.lstrip().startswith("#")]
    assert packages
    assert [line for line in packages if not re.match(r"[\w.-]+==\S+.*--hash=sha256:[0-9a-f]{64}", line)] == []


def test_tensorflows_versions_fit_each_other() -> None:
    text = (ROOT / "requirements" / "tf1.txt").read_text()
    assert "tensorflow==1.15.5 " in text
    assert "gpt-2-simple==0.7.2 " in text
    assert "protobuf==3.20." in text
    assert not re.search(r"^(tensorflow|numpy)==", (ROOT / "requirements" / "tf1-image.txt").read_text(), re.MULTILINE)


def test_tensorflows_programs_compile_on_their_python(tf1: Path) -> None:
    for path in sorted((ROOT / "training" / "tf1").glob("*.py")):
        result = run(
            tf1, "-c", "import sys; compile(open(sys.argv[1], encoding='utf-8').read(), sys.argv[1], 'exec')", path
        )
        assert result.returncode == 0, result.stderr


def test_make_help_lists_every_target() -> None:
    text = (ROOT / "Makefile").read_text()
    (phony,) = re.findall(r"^\.PHONY: (.*)$", text, re.MULTILINE)
    listed = re.findall(r"^make (\S+)", run("make").stdout, re.MULTILINE)
    assert sorted(listed) == sorted(phony.split())
    assert len(set(listed)) == len(listed)


def needed(target: str, tmp_path: Path, *options: str) -> set[str]:
    """The environments that `make TARGET` would set up in a fresh clone."""
    for part in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / part, tmp_path)
    for part in ("scripts", "requirements"):
        shutil.copytree(ROOT / part, tmp_path / part, dirs_exist_ok=True)
    result = run(
        "make", "--dry-run", target, *options, cwd=tmp_path, ARGS=""
    )  # `make test ARGS=…` has exported its own
    assert result.returncode == 0, result.stderr
    return set(re.findall(r"^scripts/setup (\w+)", result.stdout, re.MULTILINE))


@pytest.mark.parametrize(
    ("target", "environments"),
    [
        ("demo", {"project"}),
        ("status", {"project"}),
        ("tweet", {"project"}),
        ("secrets", {"project"}),
        ("lint", {"project", "dev"}),
        ("check", {"project", "dev"}),
        ("test", {"project", "dev", "tf1", "torch", "sam", "checkov"}),
        ("deploy", {"project", "sam"}),
        ("pause", {"project"}),
        ("build", set()),
        ("help", set()),
    ],
)
def test_a_target_sets_up_what_it_needs_and_no_more(target: str, environments: set[str], tmp_path: Path) -> None:
    assert needed(target, tmp_path) == environments


def test_tweeting_from_a_checkpoint_needs_no_trainer(tmp_path: Path) -> None:
    assert needed("tweet", tmp_path, "CHECKPOINT_DIR=checkpoint") == {"project"}


def test_train_and_fill_passes_only_what_is_given() -> None:
    line = run("make", "--dry-run", "train-and-fill", "MODEL=355M", "POOL=s3://a/b").stdout.split()
    assert line == ["scripts/train-and-fill", "--model", '"$MODEL"', "--pool", '"$POOL"']


def test_train_and_fill_says_where_it_works(bare: dict[str, str], tmp_path: Path) -> None:
    shutil.copytree(ROOT / "scripts", tmp_path / "project" / "scripts")
    for name, body in {"setup": 'echo "setup $*"', "../.venvs/project/bin/deepproverbs": 'echo "ran $*"'}.items():
        path = tmp_path / "project" / "scripts" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!{shutil.which('bash')}\n{body}\n")
        path.chmod(0o755)
    result = run("scripts/train-and-fill", "--count", "3", cwd=tmp_path / "project", **bare)
    assert result.stdout.splitlines() == [
        "No Docker with an NVIDIA runtime answers: working in the local environments.",
        "setup project",
        "ran run --setup --count 3",
    ]


def secrets(creds: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return run(sys.executable, "-m", "training.cli.main", "cloud", "secrets", creds, **env)


def test_secrets_without_aws_credentials_is_one_sentence(tmp_path: Path) -> None:
    creds = tmp_path / "twitter.json"
    creds.write_text(
        json.dumps(dict.fromkeys(("consumer_key", "consumer_secret", "access_key", "access_secret"), "VALUE"))
    )
    creds.chmod(0o600)
    result = secrets(creds, AWS_DEFAULT_REGION="eu-central-1", HOME=str(tmp_path))
    assert "aws configure" in one_sentence(result)
    assert "VALUE" not in result.stderr


def test_secrets_lacking_a_key_is_one_sentence(tmp_path: Path) -> None:
    creds = tmp_path / "twitter.json"
    creds.write_text('{"consumer_key": "VALUE"}')
    creds.chmod(0o600)
    result = secrets(creds)
    assert "consumer_secret" in one_sentence(result, 2)
    assert "VALUE" not in result.stderr
