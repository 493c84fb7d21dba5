"""A checkout on a machine with a Docker that notes its calls, for scripts/image."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.helpers.bare import bare_machine, program, run
from training.common.paths import ROOT

DOCKERFILES = {"tensorflow": "training/Dockerfile", "torch": "training/Dockerfile.torch"}
IMAGES = {"tensorflow": "deepproverbs", "torch": "deepproverbs-torch"}


class Machine:
    """A checkout on a machine with basic tools, a Docker that notes its calls, and a GPU or none."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "checkout"
        self.env = {**bare_machine(folder), "IMAGE_KIND": "", "IMAGE": "", "BASE": "", "CUBLAS": "", "ENGINE": ""}
        self.bin = Path(self.env["PATH"])
        for name in ("grep", "id", "tr"):
            (self.bin / name).symlink_to(shutil.which(name) or "")
        shutil.copytree(ROOT / "scripts", self.root / "scripts")
        (self.root / "training").mkdir()
        for file in DOCKERFILES.values():
            shutil.copy(ROOT / file, self.root / file)
        (self.root / "data" / "proverbs").mkdir(parents=True)
        self.docker(built=True)

    def docker(self, built: bool) -> None:
        note = f"printf '%s\\n' \"$@\" >{self.root}/called"
        program(
            self.bin / "docker",
            'case "$1 $2" in',
            """  "info --format") echo '{"nvidia": {}, "runc": {}}' ;;""",
            '  "info "*) ;;',
            f'  "image inspect") echo "$3" >>{self.root}/asked; exit {int(not built)} ;;',
            # Asked for a digest: the file of that tag.
            '  "buildx imagetools") [[ "$4 $5" == "--format {{.Manifest.Digest}}" ]] &&',
            f'    cat "{self.root}/of-${{6//[^a-z0-9]/-}}" ;;',
            f"  *) {note} ;;",
            "esac",
        )

    def gpu(self, *lines: str) -> None:
        """What nvidia-smi answers to the one question that it is asked."""
        answer = "\n".join(lines)
        program(
            self.bin / "nvidia-smi",
            '[[ $* == "--query-gpu=compute_cap --format=csv,noheader" ]] || exit 2',
            f"printf '%s\\n' '{answer}'",
        )

    def image(self, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
        return run("scripts/image", *words, cwd=self.root, **{**self.env, **env})

    def called(self) -> list[str]:
        """The words of the last docker run or docker build."""
        return (self.root / "called").read_text().splitlines()

    def chosen(self, *words: str, **env: str) -> str:
        """The kind of image that `scripts/image build` with these words builds."""
        result = self.image("build", *words, **env)
        assert result.returncode == 0, result.stderr
        called = self.called()
        (kind,) = [kind for kind, file in DOCKERFILES.items() if called[called.index("--file") + 1] == file]
        assert called[called.index("--tag") + 1] == IMAGES[kind]
        assert f"The image {IMAGES[kind]} ({kind}): " in result.stderr and result.stderr.count("\n") == 1
        return kind
