"""The image that the training jobs run: which of the two, what it is made of, and its build in AWS (CodeBuild).

    image_for(bot) → IMAGES["torch"]            by the model and the trainer, as in scripts/image
    build(owner, outputs, image, files, say)    unless the repository has it already

The jobs name it by its tag (infra/training.yaml), which is its kind and a digest of its sources. The build gets the
sources packed, and their sha256 by another way, as the template's SourceDigest: it builds nothing else.
"""

from __future__ import annotations

import hashlib
import io
import re
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from infra.cloud.stack import Owner, aws_errors
from training.common.errors import DeepproverbsError
from training.common.manifest import digest_of, key_of
from training.common.paths import ROOT
from training.common.progress import Say
from training.model.base import layouts_of
from training.model.trainers import choose_trainer
from training.settings import Bot

SOURCES = ("requirements", "scripts", "pyproject.toml", "training", "functions", "data/base", ".dockerignore")
"""What the images are made of. A bot's own folder goes to the workspace instead (training/runs/jobs.py), and this
package is not needed there: a change of either makes no new image."""
EVERY = 20.0
"""Seconds between two looks at what AWS is doing."""


@dataclass(frozen=True)
class Image:
    """One of the two, and the machines with one GPU that it serves."""

    kind: str
    """Its trainer's name; scripts/image calls it so, too, and the tag begins with it."""
    dockerfile: str
    title: str
    machines: tuple[str, ...]
    """With 4 processors."""
    larger_machines: tuple[str, ...]
    """With 8."""


IMAGES = {
    image.kind: image
    for image in (
        # T4 and A10G, compute capabilities 7.5 and 8.6: TensorFlow 1.15 ends there.
        Image(
            "tensorflow",
            "training/Dockerfile",
            "TensorFlow 1.15",
            ("g4dn.xlarge", "g5.xlarge"),
            ("g4dn.2xlarge", "g5.2xlarge"),
        ),
        # L4 (8.9), too.
        Image(
            "torch",
            "training/Dockerfile.torch",
            "PyTorch",
            ("g4dn.xlarge", "g5.xlarge", "g6.xlarge"),
            ("g4dn.2xlarge", "g5.2xlarge", "g6.2xlarge"),
        ),
    )
}


def image_for(bot: Bot) -> Image:
    """The image with the trainer that the bot's model and recipe get where all are installed.

    Raises:
        WrongUse: no trainer can, or not the one that the bot wants.
    """
    settings = bot.finetune
    choice = choose_trainer(settings.trainer, layouts_of(bot.model), settings.recipe, install=lambda trainer: True)
    return IMAGES[choice.trainer.name]


def source_files() -> Iterator[Path]:
    """What the Dockerfiles copy, without what no job reads."""
    ignored = re.compile(r"(__pycache__|\.egg-info|twitter.*\.json|^infra/cloud/)")
    for name in SOURCES:
        path = ROOT / name
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and not ignored.search(file.relative_to(ROOT).as_posix()):
                yield file


def names_of(files: list[Path]) -> list[str]:
    return [file.relative_to(ROOT).as_posix() for file in files]


def tag_of(image: Image, files: list[Path]) -> str:
    """The image's tag: a digest of its sources. The jobs name it, so that none runs another image."""
    digest = digest_of(f"{name} {key_of(None, file)}" for name, file in zip(names_of(files), files, strict=True))
    return f"{image.kind}-{digest}"


def packed(files: list[Path]) -> bytes:
    """A zip of the files, the same for the same files: no times, owners, or modes beyond executable or not."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for file, name in zip(files, names_of(files), strict=True):
            entry = zipfile.ZipInfo(name)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # Unix, whose modes follow
            entry.external_attr = (0o100755 if file.stat().st_mode & 0o100 else 0o100644) << 16
            archive.writestr(entry, file.read_bytes())
    return buffer.getvalue()


def source_digest(files: list[Path]) -> str:
    """The sha256 of what `build` has AWS build, in hex."""
    return hashlib.sha256(packed(files)).hexdigest()


def build(owner: Owner, outputs: dict[str, str], image: Image, files: list[Path], say: Say) -> None:
    """The image of these sources, unless it is there.

    Raises:
        DeepproverbsError: AWS could not build it.
    """
    tag = tag_of(image, files)
    with aws_errors("look for the image"):
        try:
            owner.client("ecr").describe_images(repositoryName=outputs["RepositoryName"], imageIds=[{"imageTag": tag}])
            say("The image is built already.")
            return
        except ClientError as error:
            if error.response["Error"]["Code"] != "ImageNotFoundException":
                raise
    with aws_errors("build the image"):
        client, project = owner.client("codebuild"), outputs["BuildName"]
        if build_id := running_build(client, project, tag):
            say("AWS builds the image already; waiting for that ...")
        else:
            say("AWS builds the image: 15 to 30 minutes, once for each state of the program ...")
            source = packed(files)
            digest = hashlib.sha256(source).hexdigest()
            owner.client("s3").put_object(Bucket=outputs["WorkBucketName"], Key=f"source/{digest}.zip", Body=source)
            given = {"TAG": tag, "DOCKERFILE": image.dockerfile, "SHA256": digest}
            override = [{"name": name, "value": value, "type": "PLAINTEXT"} for name, value in given.items()]
            build_id = client.start_build(projectName=project, environmentVariablesOverride=override)["build"]["id"]
        while (status := client.batch_get_builds(ids=[build_id])["builds"][0]["buildStatus"]) == "IN_PROGRESS":
            time.sleep(EVERY)
    if status != "SUCCEEDED":
        raise DeepproverbsError(
            f"AWS could not build the image ({status}); `aws logs tail {outputs['TrainingLogGroupName']}` says why."
        )
    say("The image is built.")


def running_build(client: Any, project: str, tag: str) -> str:
    """The id of a build of this image that somebody has begun and stopped waiting for; "" if there is none."""
    ids = client.list_builds_for_project(projectName=project, sortOrder="DESCENDING")["ids"][:10]
    for build in client.batch_get_builds(ids=ids)["builds"] if ids else []:
        variables = {v["name"]: v["value"] for v in build.get("environment", {}).get("environmentVariables", [])}
        if build["buildStatus"] == "IN_PROGRESS" and variables.get("TAG") == tag:
            return str(build["id"])
    return ""
