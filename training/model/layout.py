"""How a model's folder is arranged: what it must contain, what it says of the model, and the sums of its files.

OpenAI's layout: checkpoint, encoder.json, hparams.json, vocab.bpe, and the files that `checkpoint`
names (model.ckpt.*, or gpt-2-simple's model-<step>.*). Hugging Face's: config.json, tokenizer.json, and
model.safetensors or the parts that model.safetensors.index.json names.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import re
import struct
from dataclasses import MISSING, astuple, dataclass, fields
from pathlib import Path
from typing import Any

from training.common.errors import DeepproverbsError, WrongUse, brief
from training.common.files import digest, write_whole
from training.common.text import END_OF_TEXT

OPENAI_LAYOUT = "openai"
HF_LAYOUT = "huggingface"
RECORD = "sha256.json"
SUM_KEYS = ("sha256", "from", "size", "mtime_ns")
"""Of a file in sha256.json."""
INDEX_END = bytes.fromhex("57fb808b247547db")
"""The last 8 bytes of every TensorFlow index file (LevelDB's table magic): an error page has others."""


@dataclass(frozen=True)
class Hparams:
    """The shape of a model, as hparams.json has it. Of a GPT-2 it says everything."""

    n_vocab: int
    n_ctx: int
    n_embd: int
    n_head: int
    n_layer: int
    n_head_kv: int = 0
    """Heads of keys and values; 0: as many as of queries."""
    architecture: str = "gpt2"
    """Hugging Face's model_type."""

    @property
    def parameters(self) -> int:
        """A GPT-2's weights; 124,439,808 for 124M."""
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
    except (OSError, ValueError, RecursionError) as error:
        raise WrongUse(
            f"encoder.json and vocab.bpe in {folder} are not a vocabulary of at most {hparams.n_vocab:,} "
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
    path = folder / "hparams.json"
    needed = [field.name for field in fields(Hparams) if field.default is MISSING]
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        hparams = Hparams(**{field.name: raw[field.name] for field in fields(Hparams) if field.name in raw})
        if any(type(raw[name]) is not int or raw[name] < 1 for name in needed) or hparams.n_embd % hparams.n_head:
            raise ValueError("they describe no model")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise WrongUse(
            f"{path} must hold {', '.join(needed)} as whole numbers, n_embd a multiple of n_head; copy it again."
        ) from error
    return hparams


CONFIG_NAMES = {
    "n_vocab": ("vocab_size",),
    "n_ctx": ("n_positions", "max_position_embeddings", "n_ctx", "max_seq_len", "seq_length"),
    "n_embd": ("n_embd", "hidden_size", "d_model"),
    "n_head": ("n_head", "num_attention_heads"),
    "n_layer": ("n_layer", "num_hidden_layers"),
}
"""What the families of models call the same number in config.json."""


def check_hf_layout(folder: Path) -> Hparams:
    """Return the shape of the model in `folder`, or raise WrongUse with what is missing or wrong."""
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        found = {
            name: next(config[known] for known in names if config.get(known) is not None)
            for name, names in CONFIG_NAMES.items()
        }
        hparams = Hparams(
            **found, n_head_kv=config.get("num_key_value_heads") or 0, architecture=str(config["model_type"])
        )
        if any(type(value) is not int or value < 1 for value in found.values()):
            raise ValueError("the model's numbers must be whole")
    except StopIteration:
        raise WrongUse(
            f"{path} describes no causal language model that this project knows: its numbers are missing."
        ) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise WrongUse(f"{path} cannot be read as a model's description ({brief(error)}); copy it again.") from error
    if not (folder / "tokenizer.json").is_file():
        raise WrongUse(
            f"{folder} has no tokenizer.json; write one there with transformers: "
            "AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)."
        )
    for part in hf_weights(folder):
        if not part.is_file() or part.stat().st_size != safetensors_size(part):
            raise WrongUse(f"{part} is missing, damaged or cut short; copy it again.")
    return hparams


def hf_weights(folder: Path) -> list[Path]:
    """The files that hold the weights of a model in Hugging Face's layout.

    Raises:
        WrongUse: there are none.
    """
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        if not (folder / "model.safetensors").is_file():
            raise WrongUse(f"{folder} has no model.safetensors; weights in other forms are not read.")
        return [folder / "model.safetensors"]
    try:
        names = sorted({str(name) for name in json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise WrongUse(f"{index} is damaged ({brief(error)}); copy it again.") from error
    return [folder / Path(name).name for name in names]


def safetensors_header(path: Path) -> tuple[int, dict[str, Any]]:
    """(bytes before the data, tensor → its dtype, shape and data_offsets); (0, {}) for a file that is none."""
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8).ljust(8, b"\0"))
        if not 0 < length <= min(100_000_000, path.stat().st_size):
            return 0, {}
        try:
            tensors = json.loads(file.read(length))
        except (ValueError, RecursionError):
            return 0, {}
    if not isinstance(tensors, dict):
        return 0, {}
    return 8 + length, {name: about for name, about in tensors.items() if name != "__metadata__"}


def safetensors_size(path: Path) -> int:
    """How long the file must be by its own header; -1 if it has none."""
    before, tensors = safetensors_header(path)
    try:
        return before + max(about["data_offsets"][1] for about in tensors.values()) if tensors else -1
    except (KeyError, IndexError, TypeError, AttributeError):
        return -1


def hf_parameters(folder: Path) -> int:
    """How many weights a model in Hugging Face's layout has."""
    return sum(
        math.prod(about["shape"]) for part in hf_weights(folder) for about in safetensors_header(part)[1].values()
    )


def layout_of(folder: Path) -> str:
    """The layout that a folder looks like."""
    if (folder / "config.json").is_file() and not (folder / "hparams.json").is_file():
        return HF_LAYOUT
    return OPENAI_LAYOUT


def check_folder(folder: Path) -> Hparams:
    """The shape of the model in a folder of either layout; raises as `check_layout`."""
    return check_hf_layout(folder) if layout_of(folder) == HF_LAYOUT else check_layout(folder)


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

    def check(self) -> None:
        """Read the files that look as they did, before hours are spent on them.

        Raises:
            DeepproverbsError: one of them is not what it was, though its length and time are: the disk is bad.
        """
        for file in sorted(self.files):
            if self.fresh(file) and digest(self.folder / file, "sha256") != self.files[file].sha256:
                raise DeepproverbsError(
                    f"{self.folder / file} has been damaged since it was summed; delete it and start again, it is then "
                    "fetched or built again (a model of your own: copy it again)."
                )

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
