"""What all tests share: no test sees the caller's keys, settings, terminal or GPU; the environments that name a ring
(tests/helpers/rings.py); models to sample from and a fine-tuned one; the function of a bot that a file has deployed.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import botocore.session
import hypothesis
import pytest

from infra.cloud.make import speak_of
from tests.helpers import fine_tuned, hf_llama, nano, tiny
from tests.helpers.browser import chromium  # noqa: F401  a fixture
from tests.helpers.fine_tuned import Line
from tests.helpers.once import once
from tests.helpers.rings import (  # noqa: F401  hooks
    pytest_collection_modifyitems,
    pytest_xdist_auto_num_workers,
    pytest_xdist_make_scheduler,
)
from training.common.paths import DEFAULT_BOT, ROOT
from training.common.progress import speak_on
from training.model import convert
from training.model.layout import HF_LAYOUT

if TYPE_CHECKING:  # moto takes a second to load, which most files do not need
    from tests.helpers.aws.bot import Bot
    from tests.helpers.aws.function import Lambda

os.environ["CUDA_VISIBLE_DEVICES"] = ""  # processors alone, also where there is a GPU
# The same examples in every run, and no limit of time: a busy machine is no failure.
hypothesis.settings.register_profile(
    "tests", deadline=None, derandomize=True, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("tests")

# Every test begins with a new boto3 session; the descriptions of AWS's services are read once all the same (0.1 s).
botocore.session.create_loader = functools.cache(botocore.session.create_loader)


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
    for name in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR"):  # the terminal's
        monkeypatch.delenv(name, raising=False)
    speak_of(DEFAULT_BOT)  # a command given in the tests' own process may have spoken of another bot


def program(environment: str, name: str) -> Path:
    path = ROOT / ".venvs" / environment / "bin" / name
    assert path.exists(), f"This test needs the environment {environment}: run `scripts/setup {environment}`."
    return path


@pytest.fixture
def verbose() -> Iterator[None]:
    """What -v asks for is told, too."""
    speak_on("stdout", verbose=True)
    yield
    speak_on("stdout")


@pytest.fixture(scope="session")
def tf1() -> Path:
    """The Python that has TensorFlow 1.15. Whoever takes this fixture is in the ring `tensorflow`."""
    return program("tf1", "python")


@pytest.fixture(scope="session")
def torch() -> Path:
    """The Python that has PyTorch and transformers. Whoever takes this fixture is in the ring `torch`."""
    return program("torch", "python")


@pytest.fixture(scope="session")
def sam() -> Path:
    """AWS's program that builds and deploys. Whoever takes this fixture is in the ring `sam`."""
    return program("sam", "sam")


@pytest.fixture(scope="session")
def checkov() -> Path:
    """The judge of templates. Whoever takes this fixture is in the ring `checkov`."""
    return program("checkov", "checkov")


@pytest.fixture(scope="session", autouse=True)
def sam_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the tests' sam builds: one build for all of them, and the checkout's own stays as it is."""
    folder = tmp_path_factory.mktemp("sam")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEEPPROVERBS_BUILD", str(folder))
        yield folder


@pytest.fixture(scope="session")
def built(sam: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The function as `make deploy` builds it: the folder that becomes its zip. No test changes it."""
    from infra.cloud import deploy

    def build(folder: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("DEEPPROVERBS_BUILD", str(folder))
            deploy.build(lambda _: None)

    return once(tmp_path_factory, "built", build) / ".aws-sam" / "build" / "Function"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return nano.model(tmp_path_factory.mktemp("nano"))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def line(tf1: Path, tmp_path_factory: pytest.TempPathFactory) -> Line:
    return fine_tuned.line(tmp_path_factory.mktemp("line"), tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def tuned(line: Line) -> Path:
    """The checkpoint. One for all files, for TensorFlow takes its time; no test changes it."""
    return fine_tuned.checkpoint(line)


@pytest.fixture(scope="session")
def torch_line(torch: Path, tmp_path_factory: pytest.TempPathFactory) -> Line:
    """nano for PyTorch."""
    return fine_tuned.line(tmp_path_factory.mktemp("line"), tmp_path_factory.mktemp("models"), HF_LAYOUT)


@pytest.fixture(scope="session")
def llama_line(torch: Path, tmp_path_factory: pytest.TempPathFactory) -> Line:
    """A tiny Llama of noise, with so many rows that a step's softmax is over a part of them."""
    base = hf_llama.folder(tmp_path_factory.mktemp("llama"), hf_llama.TINY)
    return fine_tuned.line(tmp_path_factory.mktemp("line"), tmp_path_factory.mktemp("models"), HF_LAYOUT, str(base))


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
