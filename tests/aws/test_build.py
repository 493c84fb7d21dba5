"""The build of the training image in AWS: it builds the source of its digest and nothing else. AWS and Docker are stood
in for."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import yaml

from infra.cloud import image, training
from tests.helpers.aws.cloudformation import transformed
from tests.helpers.bare import program

UNZIP = """import os, sys, zipfile
archive = zipfile.ZipFile(sys.argv[1])
for entry in archive.infolist():
    os.chmod(archive.extract(entry, sys.argv[2]), entry.external_attr >> 16 & 0o777)"""


def test_the_build_runs_nothing_but_the_source_of_its_digest(tmp_path: Path) -> None:
    """The build's own commands in a shell, a phase's up to the first that fails; AWS and Docker are stood in for."""
    build = transformed(training.TEMPLATE.read_text())["Resources"]["Build"]["Properties"]
    assert build["Source"]["Type"] == "NO_SOURCE", "nothing is unpacked before the check"
    phases = {name: phase["commands"] for name, phase in yaml.safe_load(build["Source"]["BuildSpec"])["phases"].items()}
    assert list(phases) == ["install", "pre_build", "build", "post_build"]
    files = list(image.source_files())
    source = image.packed(files)
    assert source == image.packed(files) and image.source_digest(files) == hashlib.sha256(source).hexdigest()
    stubs = tmp_path / "bin"
    stubs.mkdir()
    program(stubs / "aws", f'if [[ $1 == s3 ]]; then echo "$4" >>{tmp_path}/asked; cp {tmp_path}/stored "$5"; fi')
    program(stubs / "docker", f'echo "$1 $(ls | tr "\\n" " ")" >>{tmp_path}/docker; cat >/dev/null')
    program(stubs / "unzip", f'exec {sys.executable} -c \'{UNZIP}\' "$2" "$4"')
    given = {
        "SOURCE": "s3://work/source",
        "REPOSITORY": "1.ecr/images",
        "TAG": "t",
        "DOCKERFILE": "training/Dockerfile",
    }
    variables = {**given, "SHA256": image.source_digest(files), "PATH": f"{stubs}{os.pathsep}{os.environ['PATH']}"}
    for name, stored, whole in (
        ("as it was packed", source, True),
        ("one bit", bytes([*source[:-1], source[-1] ^ 1]), False),
        ("another whole zip", image.packed(files[:-1]), False),
        ("more behind it", source + b"x", False),
        ("nothing", b"", False),
    ):
        (folder := tmp_path / name).mkdir()
        (tmp_path / "stored").write_bytes(stored)
        (tmp_path / "docker").unlink(missing_ok=True)
        failed = False
        for phase, commands in phases.items():
            if failed and phase != "post_build":
                break
            env = {**variables, "CODEBUILD_BUILD_SUCCEEDING": str(int(not failed))}
            script = "\n".join(["set -e", *commands])
            failed |= (
                subprocess.run(["bash", "-c", script], cwd=folder, env=env, input=b"", capture_output=True).returncode
                != 0
            )
        assert failed is not whole, name
        assert (folder / "source").exists() is (tmp_path / "docker").exists() is whole, name
        if whole:
            ran = (tmp_path / "docker").read_text().splitlines()
            assert [line.split()[0] for line in ran] == ["login", "build", "push"]
            assert ran[1].split()[1:] == sorted({Path(n).parts[0] for n in image.names_of(files) if n[0] != "."})
            assert os.access(folder / "source" / "scripts" / "setup", os.X_OK)
            assert not os.access(folder / "source" / "pyproject.toml", os.X_OK)
    assert set((tmp_path / "asked").read_text().split()) == {f"s3://work/source/{variables['SHA256']}.zip"}
