"""The two Dockerfiles: what they are built from, what their steps do, and whom the container works as."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from pathlib import Path

import pytest
import yaml

from tests.helpers.bare import one_sentence, run
from tests.helpers.docker import DOCKERFILES, Machine
from training.common.paths import ROOT

BIN = Path(sys.executable).parent


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


BASES = {
    "tensorflow": {"BASE": "nvcr.io/nvidia/tensorflow:23.03-tf1-py3", "UV": "ghcr.io/astral-sh/uv:0.12.9"},
    "torch": {"BASE": "ubuntu:24.04", "UV": "ghcr.io/astral-sh/uv:0.12.9"},
}
NO_DIGEST = {BASES["tensorflow"]["BASE"]}
"""Nobody who could reach NVIDIA's registry has run `scripts/image pin` yet: take it out when somebody has."""


def bases(file: Path) -> dict[str, tuple[str, str]]:
    """ARG → (name and tag, digest) of what a Dockerfile is built from."""
    lines = re.findall(r"^ARG (BASE|UV)=([^@\n]+)(?:@(sha256:[0-9a-f]{64}))?$", file.read_text(), re.MULTILINE)
    return {arg: (tag, digest) for arg, tag, digest in lines}


def test_images_are_built_from_digests() -> None:
    for kind, file in DOCKERFILES.items():
        found = bases(ROOT / file)
        assert {arg: tag for arg, (tag, _) in found.items()} == BASES[kind]
        assert {tag for tag, digest in found.values() if not digest} == NO_DIGEST & {tag for tag, _ in found.values()}
        froms = re.findall(r"^(?:FROM|COPY --from=)\s*(\S+)", (ROOT / file).read_text(), re.MULTILINE)
        assert froms == ["${UV}", "${BASE}", "uv"], "nothing else is fetched as an image"
    assert len({bases(ROOT / file)["UV"] for file in DOCKERFILES.values()}) == 1


def test_a_base_without_a_digest_is_told(machine: Machine) -> None:
    digest = f"sha256:{'0' * 64}"
    for base, kind, told in (
        ("", "tensorflow", True),
        ("", "torch", False),
        ("debian:13", "torch", True),
        (f"debian:13@{digest}", "torch", False),
    ):
        result = machine.image("build", IMAGE_KIND=kind, BASE=base)
        assert result.returncode == 0 and result.stderr.count("\n") == 1
        assert ("has no digest" in result.stderr) is told, result.stderr
        assert not told or f" {base or BASES[kind]['BASE']} has no digest" in result.stderr


def test_pin_writes_the_digests_that_the_registries_tell(machine: Machine) -> None:
    told = {tag: f"sha256:{number:064x}" for number, tag in enumerate({t for k in BASES.values() for t in k.values()})}
    for tag, digest in told.items():
        (machine.root / re.sub(r"[^a-z0-9]", "-", f"of {tag}")).write_text(f"{digest}\n")
    before = {kind: (machine.root / file).read_text() for kind, file in DOCKERFILES.items()}
    for _ in range(2):
        result = machine.image("pin")
        assert (result.returncode, result.stdout) == (0, ""), result.stderr
        assert result.stderr.count("\n") == 4
        for kind, file in DOCKERFILES.items():
            path = machine.root / file
            assert bases(path) == {arg: (tag, told[tag]) for arg, tag in BASES[kind].items()}
            rest = [
                [line for line in text.splitlines() if not line.startswith("ARG ")]
                for text in (before[kind], path.read_text())
            ]
            assert rest[0] == rest[1]
    assert "has no digest" not in machine.image("build", IMAGE_KIND="tensorflow").stderr
    # A registry that does not answer, or not with a digest.
    kept = (machine.root / DOCKERFILES["torch"]).read_text()
    for answer in ("", "unauthorized", "sha256:1", None):
        asked = machine.root / "of-ubuntu-24-04"
        asked.unlink() if answer is None else asked.write_text(f"{answer}\n")
        result = machine.image("pin")
        assert result.returncode == 1 and "does not tell the digest of ubuntu:24.04" in result.stderr.splitlines()[-1]
        assert (machine.root / DOCKERFILES["torch"]).read_text() == kept
    (machine.bin / "docker").unlink()
    assert "Docker does not answer" in one_sentence(machine.image("pin"))


@pytest.mark.parametrize("file", DOCKERFILES.values())
def test_the_dockerfile_is_clean(file: str) -> None:
    result = run(BIN / "hadolint", file)
    assert (result.returncode, result.stdout) == (0, "")


def image_steps(kind: str) -> list[tuple[str, str]]:
    """(instruction, its text) of the Dockerfile's second stage, continued lines joined."""
    text = re.sub(r"^#.*\n", "", (ROOT / DOCKERFILES[kind]).read_text(), flags=re.MULTILINE)
    steps = [line.partition(" ") for line in text.replace("\\\n", " ").splitlines() if line.strip()]
    return [(name, re.sub(r" +", " ", rest)) for name, _, rest in steps]


@pytest.mark.parametrize(
    ("kind", "environments"),
    [
        ("tensorflow", ["project tf1 jupyter", "project tf1 cublas"]),
        ("torch", ["project torch cublas jupyter", "project torch cublas"]),
    ],
)
def test_the_image_s_steps_outside_docker(kind: str, environments: list[str], tmp_path: Path) -> None:
    """What is copied is there and suffices; what is run does what it says, but for the downloads, which are stood in
    for. The environments themselves are those of every test here, made by the same scripts/setup."""
    image = tmp_path / "image"
    image.mkdir()
    ignored = shutil.ignore_patterns("__pycache__", "corpus.txt", "kjv.txt", "twitter*.json")  # .dockerignore
    listed = (ROOT / ".dockerignore").read_text().splitlines()
    for what, rest in image_steps(kind):
        if what == "COPY" and not rest.startswith("--"):
            source, target = rest.split()
            assert f"!{source}" in listed, f".dockerignore hides {source}"
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, image / target, ignore=ignored)
            else:
                shutil.copy(ROOT / source, image / target)
    # The runs: uv and the set-up answer with what they were asked.
    stub = tmp_path / "bin"
    stub.mkdir()
    (stub / "uv").write_text("#!/bin/sh\necho /opt/python/bin/python3.12\n")
    (image / "scripts" / "setup").write_text(
        '#!/bin/sh\necho "$PYTHON setup $*" >>asked; mkdir -p .venvs/project/bin\n'
    )
    for path in (stub / "uv", image / "scripts" / "setup"):
        path.chmod(0o755)
    setup, folders = [
        rest for what, rest in image_steps(kind) if what == "RUN" and ("setup" in rest or "chmod" in rest)
    ]
    setup = setup.replace("rm -rf /root/.cache", "true")
    for arguments in ({"JUPYTER": "yes", "CUBLAS": ""}, {"JUPYTER": "", "CUBLAS": "yes"}):
        result = run("bash", "-ec", setup, cwd=image, PATH=f"{stub}:{os.environ['PATH']}", **arguments)
        assert result.returncode == 0, result.stderr
    asked = (image / "asked").read_text().splitlines()
    assert asked == [f"/opt/python/bin/python3.12 setup {names}" for names in environments]
    # The container's user is no root: what it writes is open to all, and all else readable, whatever the umask was.
    for path in image.rglob("*"):
        path.chmod(path.stat().st_mode & ~0o077)
    assert run("bash", "-ec", folders, cwd=image).returncode == 0
    copies = [rest.split()[0] for what, rest in image_steps(kind) if what == "COPY" and not rest.startswith("--")]
    for path in (path for name in copies for path in [image / name, *(image / name).rglob("*")]):
        mode = path.stat().st_mode
        assert mode & 0o444 == 0o444 and (not mode & 0o100 or mode & 0o111 == 0o111), path
    users = [rest for what, rest in image_steps(kind) if what == "USER"]
    job = yaml.safe_load(re.sub(r"!\w+", "", (ROOT / "infra" / "training.yaml").read_text()))["Resources"]["Job"]
    assert [(image_steps(kind)[-4][0], *users)] == [("USER", job["Properties"]["ContainerProperties"]["User"])]
    assert int(users[0]) > 0 and any(f"useradd --uid {users[0]} " in rest for what, rest in image_steps(kind))
    assert job["Properties"]["ContainerProperties"]["Privileged"] is False
    assert all((image / name).stat().st_mode & 0o777 == 0o777 for name in ("runs", "models", "pool", "pools"))
    # The entry point, on the copied files alone: a job places the bot's corpus.
    (entry,) = [json.loads(rest) for what, rest in image_steps(kind) if what == "ENTRYPOINT"]
    assert entry == ["/deepproverbs/.venvs/project/bin/deepproverbs"]
    paths = {"PYTHONPATH": f"{image}{os.pathsep}{image / 'functions'}"}
    result = run(BIN / "python", "-m", "training.cli.main", "job", "place", "--work", "work", cwd=image, **paths)
    assert result.returncode == 0, result.stderr
    assert str(image) in result.stdout and (image / "work" / "bot" / "corpus.txt").exists()
    assert (image / "data" / "base" / "nano" / "weights.npz").exists()
