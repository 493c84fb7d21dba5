"""No test may reach AWS with the caller's keys, or the caller's settings at all; and models: two to sample from, one
fine-tuned; and the function and the slots of a bot that a test file has deployed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from infra.cloud.make import speak_of
from tests.helpers import fine_tuned, nano, tiny
from tests.helpers.fine_tuned import Line
from training.common.paths import DEFAULT_BOT
from training.model import convert

if TYPE_CHECKING:  # moto takes a second to load, which most files do not need
    from tests.helpers.aws.bot import Bot
    from tests.helpers.aws.function import Lambda


@pytest.fixture(autouse=True)
def _no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    missing = str(tmp_path_factory.getbasetemp() / "no-such-aws-file")
    monkeypatch.setenv("AWS_CONFIG_FILE", missing)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", missing)
    # Without it boto3 waits seconds for an EC2 instance to answer.
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("SAM_CLI_TELEMETRY", "0")
    # boto3's own session remembers the credentials of the test before.
    monkeypatch.setattr("boto3.DEFAULT_SESSION", None)
    speak_of(DEFAULT_BOT)  # a command given in the tests' own process may have spoken of another bot


@pytest.fixture(scope="session", autouse=True)
def sam_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the tests' sam builds: one build for all of them, and the checkout's own stays as it is."""
    folder = tmp_path_factory.mktemp("sam")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEEPPROVERBS_BUILD", str(folder))
        yield folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return nano.model(tmp_path_factory.mktemp("nano"))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def line(tmp_path_factory: pytest.TempPathFactory) -> Line:
    return fine_tuned.line(tmp_path_factory.mktemp("line"), tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def tuned(line: Line) -> Path:
    """The checkpoint. One for all files, for TensorFlow takes its time; no test changes it."""
    return fine_tuned.checkpoint(line)


@pytest.fixture(scope="session")
def tuned_model(line: Line, tuned: Path) -> Path:
    """The checkpoint, converted."""
    return convert.convert(line.folder, tuned, fine_tuned.QUIET.append)


@pytest.fixture
def service(bot: Bot, tmp_path: Path) -> Iterator[Lambda]:
    """The function of the file's own bot in AWS."""
    from tests.helpers.aws.slots import serving

    with serving(bot, tmp_path) as service:
        yield service


@pytest.fixture
def start(bot: Bot) -> datetime:
    """When a test's slots may begin."""
    from tests.helpers.aws.slots import after_all_posts

    return after_all_posts(bot)
