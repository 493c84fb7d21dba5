"""A folder in OpenAI's layout: what it must contain, what it says of the model, and the sums of its files.

The layout: checkpoint, encoder.json, hparams.json, vocab.bpe, and the files that `checkpoint`
names (model.ckpt.*, or gpt-2-simple's model-<step>.*).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from training.common.errors import WrongUse
from training.common.files import write_whole
from training.common.text import END_OF_TEXT

OPENAI_LAYOUT = "openai"
RECORD = "sha256.json"
SUM_KEYS = ("sha256", "from", "size", "mtime_ns")
"""Of a file in sha256.json."""
INDEX_END = bytes.fromhex("57fb808b247547db")
"""The last 8 bytes of every TensorFlow index file (LevelDB's table magic): an error page has others."""


@dataclass(frozen=True)
class Hparams:
    """The shape of a GPT-2, as hparams.json has it."""

    n_vocab: int
    n_ctx: int
    n_embd: int
    n_head: int
    n_layer: int

    @property
    def parameters(self) -> int:
        """Its weights; 124,439,808 for 124M."""
        d = self.n_embd
        return (self.n_vocab + self.n_ctx + 2) * d + self.n_layer * (12 * d * d + 13 * d)


@dataclass(frozen=True)
class Sum:
    """A file's SHA-256, whose word that is, and the length and time that the file had when it was summed."""

    sha256: str
    origin: str
    """published, seen first, built, as found."""
    size: int
    mtime_ns: int


def check_layout(folder: Path) -> Hparams:
    """Return the hparams of the model in `folder`, or raise WrongUse with what is missing or wrong."""
    missing = [
        file for file in ("checkpoint", "encoder.json", "hparams.json", "vocab.bpe") if not (folder / file).is_file()
    ]
    prefix = checkpoint_name(folder) if "checkpoint" not in missing else "model.ckpt"
    parts = weight_files(folder, prefix)
    missing += [
        file
        for file in (f"{prefix}.index", f"{prefix}.data-*")
        if not any(re.fullmatch(re.escape(file).replace(r"\*", r"\d+-of-\d+"), part) for part in parts)
    ]
    if missing:
        raise WrongUse(
            f"{folder} is not a model in OpenAI's layout: {', '.join(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} missing."
        )
    hparams = read_hparams(folder)
    shards = [part for part in parts if ".data-" in part]
    if len(shards) != int(shards[0].rsplit("-", 1)[1]):
        raise WrongUse(
            f"{folder} is incomplete: {len(shards)} of {prefix}'s {int(shards[0].rsplit('-', 1)[1])} "
            "data files are there; copy the others too."
        )
    try:
        encoder = json.loads((folder / "encoder.json").read_text(encoding="utf-8"))
        if not isinstance(encoder, dict) or END_OF_TEXT not in encoder or len(encoder) > hparams.n_vocab:
            raise ValueError
        if "\n" not in (folder / "vocab.bpe").read_text(encoding="utf-8"):
            raise ValueError
    except ValueError as error:
        raise WrongUse(
            f"encoder.json and vocab.bpe in {folder} are no vocabulary of at most {hparams.n_vocab:,} "
            f"tokens with {END_OF_TEXT}; copy them again."
        ) from error
    have, need = sum((folder / shard).stat().st_size for shard in shards), 4 * hparams.parameters
    if have < need or not index_is_whole(folder / f"{prefix}.index"):
        raise WrongUse(
            f"The weights in {folder} are cut short ({have:,} bytes; hparams.json asks for {need:,}) or "
            f"their index is damaged; copy {prefix}.* again."
        )
    return hparams


def index_is_whole(path: Path) -> bool:
    """The file ends as TensorFlow's index files do."""
    return path.read_bytes()[-len(INDEX_END) :] == INDEX_END  # 5 to 20 kB


def checkpoint_name(folder: Path) -> str:
    """The prefix that `folder`/checkpoint names: `model.ckpt`, `model-123`."""
    path = checkpoint_path(folder)
    if str(path) != path.name:  # TensorFlow would look in the other folder
        raise WrongUse(
            f"{folder / 'checkpoint'} names {path}, in another folder; "
            f'write in it: model_checkpoint_path: "{path.name}"'
        )
    return path.name


def checkpoint_path(folder: Path) -> Path:
    """The prefix with the folder, if any, that TensorFlow wrote before it: where it was when it was saved."""
    try:
        text = (folder / "checkpoint").read_text(encoding="utf-8")
    except (OSError, ValueError):
        text = ""
    match = re.search(r'^model_checkpoint_path:\s*"([^"]+)"', text, re.MULTILINE)
    if not match:
        raise WrongUse(f'{folder / "checkpoint"} names no checkpoint; write in it: model_checkpoint_path: "model.ckpt"')
    return Path(match[1])


def weight_files(folder: Path, prefix: str) -> list[str]:
    """Names of the checkpoint's index and data files, sorted."""
    return sorted(
        path.name
        for path in folder.iterdir()
        if re.fullmatch(re.escape(prefix) + r"\.(index|data-\d+-of-\d+)", path.name)
    )


def read_hparams(folder: Path) -> Hparams:
    """The model's shape.

    Raises:
        WrongUse: the file is missing or describes no model.
    """
    path, names = folder / "hparams.json", [field.name for field in fields(Hparams)]
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        hparams = Hparams(**{name: raw[name] for name in names})
        if any(type(raw[name]) is not int or raw[name] < 1 for name in names) or hparams.n_embd % hparams.n_head:
            raise ValueError("they describe no model")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WrongUse(
            f"{path} must hold {', '.join(names)} as whole numbers, n_embd a multiple of n_head; copy it again."
        ) from error
    return hparams


class Record:
    """sha256.json: the sums of a folder's files."""

    def __init__(self, folder: Path, source: str | None = None, keep: Path | None = None) -> None:
        self.folder, self.path = folder, keep or folder / RECORD
        self.files: dict[str, Sum] = {}
        self.source = source
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            raw = json.loads(self.path.read_text(encoding="utf-8"))
            self.files = {file: Sum(*(facts[key] for key in SUM_KEYS)) for file, facts in raw["files"].items()}
            self.source = source or raw["source"]

    def fresh(self, file: str) -> bool:
        """The file has not been touched since it was summed."""
        try:
            status = (self.folder / file).stat()
        except OSError:
            return False
        known = self.files.get(file)
        return known is not None and (known.size, known.mtime_ns) == (status.st_size, status.st_mtime_ns)

    def sum_of(self, file: str) -> str | None:
        return self.files[file].sha256 if file in self.files else None

    def add(self, file: str, sha256: str, origin: str) -> None:
        """Note a file's sum."""
        status = (self.folder / file).stat()
        self.files[file] = Sum(sha256, origin, status.st_size, status.st_mtime_ns)

    def drop(self, file: str) -> None:
        """Delete a file and what is known of it."""
        self.files.pop(file, None)
        self.save()
        (self.folder / file).unlink(missing_ok=True)

    def keep_only(self, files: list[str]) -> None:
        """Forget what is known of other files."""
        self.files = {file: known for file, known in self.files.items() if file in files}

    def sha(self) -> str:
        # The meta file is left out: it is a graph that nothing reads, and it differs from build to build.
        return sha_of({file: known.sha256 for file, known in self.files.items() if not file.endswith(".meta")})

    def save(self) -> None:
        files = {file: dict(zip(SUM_KEYS, astuple(known), strict=True)) for file, known in self.files.items()}
        write_whole(self.path, json.dumps({"source": self.source, "files": files}, indent=1) + "\n")


def sha_of(sums: dict[str, str]) -> str:
    """One sum over named sums, whatever their order."""
    return hashlib.sha256("".join(f"{name} {sums[name]}\n" for name in sorted(sums)).encode()).hexdigest()
