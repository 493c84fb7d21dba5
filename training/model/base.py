"""Find a base model: `locate(name, cache)` gives a folder in OpenAI's layout, ready to fine-tune.

    124M, 355M, 774M, 1558M   OpenAI's weights, downloaded once into cache/<size>/
    nano                      the small model of this project, unpacked once into cache/nano/
    any other name            a folder in OpenAI's layout, used in place

    deepproverbs base --model 124M        DEEPPROVERBS_MIRROR=https://… deepproverbs base --model 355M

The layout: checkpoint, encoder.json, hparams.json, vocab.bpe, and the files that `checkpoint` names (model.ckpt.*, or
gpt-2-simple's model-<step>.*).

Checks: encoder.json and vocab.bpe, the same for every size, have published SHA-256 sums, as have all files of 124M. For
the weights of other sizes no published sum was found: their length is known to the byte (4 bytes a parameter),
hparams.json must have the right shape, and later sums must equal that of the first download, in sha256.json beside the
files.

sha256.json also has each file's length and time, so a second start reads no weights and takes milliseconds.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from training.common.errors import DeepproverbsError, WrongUse
from training.common.files import digest, lock
from training.common.paths import NANO as NANO_SOURCE
from training.model.download import check_space, fetch, kept, size_text
from training.model.events import Written
from training.model.layout import (
    OPENAI_LAYOUT,
    Hparams,
    Record,
    check_layout,
    checkpoint_name,
    index_is_whole,
    read_hparams,
    sha_of,
    weight_files,
)
from training.model.trainers import TENSORFLOW

log = logging.getLogger(__name__)

OPENAI = "https://openaipublic.blob.core.windows.net/gpt-2/models"
SIZES = ("124M", "355M", "774M", "1558M")
NANO = "nano"

VOCABULARY = ("hparams.json", "encoder.json", "vocab.bpe")
WEIGHTS = "model.ckpt.data-00000-of-00001"
FILES = ("hparams.json", "checkpoint", "encoder.json", "vocab.bpe", "model.ckpt.index", "model.ckpt.meta", WEIGHTS)
"""The small ones first: a wrong mirror shows after 91 bytes, not after 6 GB."""


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


@dataclass(frozen=True)
class Release:
    """What is known of a size before its download begins."""

    hparams: Hparams
    lengths: dict[str, int] = field(default_factory=dict)
    """File → bytes, beside that of the weights, which follows from hparams."""
    sha256: dict[str, str] = field(default_factory=dict)
    """File → published sum."""


_ENCODER = {
    "encoder.json": "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783",
    "vocab.bpe": "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5",
}
_ENCODER_LENGTHS = {"encoder.json": 1_042_301, "vocab.bpe": 456_318}
RELEASES = {
    # Sums: two public downloaders of the same files agree on the weights and vocab.bpe, one lists all;
    # those of checkpoint and hparams.json were recomputed from their text. Lengths: the tests of
    # "Build a Large Language Model (From Scratch)" ask OpenAI's server for 124M's and 355M's.
    "124M": Release(
        Hparams(50257, 1024, 768, 12, 12),
        _ENCODER_LENGTHS,
        {
            **_ENCODER,
            "checkpoint": "dd1b025d2e155283f5e300ce95bf6d5b6bc0f7fe010db73daa6975eb896ab9cb",
            "hparams.json": "d9d56e4121c427164e0c55c6f03c08e1daf9002b9b672825112d19097b680318",
            WEIGHTS: "2060c885360cc0cf41d7a6dbc4d24b5127aae20260c8b5ae521b5a6578407118",
            "model.ckpt.index": "71916f763f9746f9b2a06b12d91996cf1084ae008d0424543d39391c5f2dc687",
            "model.ckpt.meta": "4668c448fa11531fd6700460487f73e82d3272960cea942252f8744bf225c77b",
        },
    ),
    "355M": Release(
        Hparams(50257, 1024, 1024, 16, 24),
        {
            **_ENCODER_LENGTHS,
            "checkpoint": 77,
            "hparams.json": 91,
            "model.ckpt.index": 10_399,
            "model.ckpt.meta": 926_519,
        },
        _ENCODER,
    ),
    "774M": Release(Hparams(50257, 1024, 1280, 20, 36), _ENCODER_LENGTHS, _ENCODER),
    "1558M": Release(Hparams(50257, 1024, 1600, 25, 48), _ENCODER_LENGTHS, _ENCODER),
}


def locate(name_or_path: str, cache: Path, progress: bool = True) -> BaseModel:
    """Find, download or build the base model `name_or_path` and log what was done.

    Args:
        cache: where downloaded and built models are kept, a folder each.
        progress: show a bar while downloading.

    Raises:
        WrongUse: no such name, or a folder that does not hold a model.
        DeepproverbsError: the download or the building failed; the next start continues from there.
    """
    if name_or_path == NANO:
        return _nano(cache)
    if name_or_path in RELEASES:
        return _released(name_or_path, cache, progress)
    return _folder(name_or_path, cache)


def _released(name: str, cache: Path, progress: bool) -> BaseModel:
    release, folder = RELEASES[name], cache / name
    record = Record(folder)
    if not all(record.fresh(file) for file in FILES):
        with _locked(cache, name):
            record = Record(folder)  # another run may have finished meanwhile
            _download(name, release, record, progress)
    else:
        log.info("%s: ready in %s, nothing to download", name, folder)
    return BaseModel(name, folder, release.hparams, record.sha())


def _download(name: str, release: Release, record: Record, progress: bool) -> None:
    base = (os.environ.get("DEEPPROVERBS_MIRROR") or OPENAI).rstrip("/")
    lengths = {**release.lengths, WEIGHTS: 4 * release.hparams.parameters}
    record.folder.mkdir(parents=True, exist_ok=True)
    absent = [file for file in FILES if not (record.folder / file).exists()]
    if WEIGHTS in absent:
        check_space(record.folder, lengths[WEIGHTS] - kept(record.folder / WEIGHTS))
        log.info(
            "%s: downloading %d files, %s of weights, from %s", name, len(absent), size_text(lengths[WEIGHTS]), base
        )
    for file in FILES:
        if record.fresh(file):
            continue
        if file == WEIGHTS:
            _check_small(name, release, record, f"{base}/{name}")
        target, size, known = record.folder / file, lengths.get(file), release.sha256.get(file) or record.sum_of(file)
        origin = "published" if file in release.sha256 else "seen first"
        if target.exists():
            log.info("%s: checking %s", name, target)
            found = digest(target, "sha256")
            if found == known or (known is None and target.stat().st_size == (size or target.stat().st_size)):
                record.add(file, found, origin)
                record.save()
                continue
            log.warning("%s: %s is not the right file; downloading it again", name, target)
            target.unlink()
        known_from = origin if origin == "published" else f"the first one seen, in {record.path},"
        url = f"{base}/{name}/{file}"
        found = fetch(url, target, size=size, sha256=known, progress=progress, known_from=known_from)
        record.add(file, found, origin)
        record.save()
        compared = f"as {origin}" if known else f"{found}, not published, noted as seen first"
        log.info("%s: %s downloaded; SHA-256 %s", name, file, compared)


def _check_small(name: str, release: Release, record: Record, source: str) -> None:
    """Check the small files that have no published sum before gigabytes follow."""
    try:
        right = (
            read_hparams(record.folder) == release.hparams
            and checkpoint_name(record.folder) == "model.ckpt"
            and index_is_whole(record.folder / "model.ckpt.index")
        )
    except WrongUse:
        right = False
    if not right:
        for file in {*FILES} - {*release.sha256, WEIGHTS}:
            record.drop(file)
        raise DeepproverbsError(
            f"{source} holds another model than {name}, or error pages; its small files were "
            "deleted: name another mirror in DEEPPROVERBS_MIRROR."
        )


def _nano(cache: Path) -> BaseModel:
    sources = [NANO_SOURCE / file for file in (*VOCABULARY, "weights.npz")]
    for path in sources:
        if not path.is_file():
            raise DeepproverbsError(
                f"The weights of nano are incomplete, {path} is missing; check the files out again "
                "or train them with `make nano`."
            )
    sha = sha_of({path.name: digest(path, "sha256") for path in sources})
    folder = cache / NANO
    record = Record(folder)
    if record.source == sha and all(record.fresh(file) for file in FILES):
        log.info("nano: ready in %s, nothing to build", folder)
        return BaseModel(NANO, folder, read_hparams(folder), sha)
    started = time.monotonic()
    with _locked(cache, NANO):
        (cache / "nano.log").unlink(missing_ok=True)
        for old in cache.glob(".nano-*"):  # left by a kill
            shutil.rmtree(old, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=".nano-", dir=cache) as scratch:
            new = Path(scratch) / "new"
            new.mkdir()
            for path in sources[:3]:
                shutil.copyfile(path, new / path.name)
            arguments = {"weights": sources[3].resolve(), "folder": new.resolve()}
            built = TENSORFLOW.result("build_checkpoint", arguments, cache / "nano.log", Written)
            (cache / "nano.log").unlink()
            check_layout(new)
            record = Record(new, source=sha)
            for file in FILES:
                record.add(file, digest(new / file, "sha256"), "built")
            record.save()
            if folder.exists():
                folder.rename(Path(scratch) / "old")
            new.rename(folder)
    log.info("nano: built in %s, %s parameters, %.1f s", folder, f"{built.parameters:,}", time.monotonic() - started)
    return BaseModel(NANO, folder, read_hparams(folder), sha)


def _folder(name: str, cache: Path) -> BaseModel:
    choices = f"choose {', '.join(SIZES)}, {NANO}, or a folder in OpenAI's layout"
    try:
        folder = Path(name).expanduser()
        if not name.strip() or not folder.exists():
            raise WrongUse(f"Unknown size or missing folder {name!r}; {choices}.")
        if not folder.is_dir():
            raise WrongUse(f"{name} is a file, not a folder; {choices}.")
        hparams = check_layout(folder)
        # The sums of the user's own folder are kept in the cache, never in the folder.
        path = folder.resolve()
        known = Record(path, keep=cache / ".folders" / (hashlib.sha256(str(path).encode()).hexdigest()[:16] + ".json"))
        files = ["checkpoint", *VOCABULARY, *weight_files(path, checkpoint_name(path))]
        known.keep_only(files)
        stale = [file for file in files if not known.fresh(file)]
        for file in stale:
            known.add(file, digest(path / file, "sha256"), "as found")
    except (OSError, RuntimeError) as error:  # RuntimeError: ~nobody
        raise WrongUse(f"Cannot read the model in {name!r} ({error}); {choices}.") from error
    with contextlib.suppress(OSError):  # a read-only cache only costs the time to sum again
        if stale:
            known.save()
    log.info("%s: a model of %s parameters", folder, f"{hparams.parameters:,}")
    return BaseModel(name, folder, hparams, known.sha())


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
