"""OpenAI's weights: what is known of each size, and their download into OpenAI's layout.

Checks: encoder.json and vocab.bpe, the same for every size, have published SHA-256 sums, as have all files of 124M. For
the weights of other sizes no published sum was found: their length is known to the byte (4 bytes a parameter),
hparams.json must have the right shape, and later sums must equal that of the first download, in sha256.json beside the
files. The first time, a warning says that they are unverified, with their sums.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, field

from training.common.errors import DeepproverbsError, WrongUse
from training.common.files import digest
from training.model.download import check_space, fetch, kept, size_text
from training.model.layout import Hparams, Record, checkpoint_name, index_is_whole, read_hparams
from training.model.mirror import warn_if_open

log = logging.getLogger(__name__)

OPENAI = "https://openaipublic.blob.core.windows.net/gpt-2/models"
SIZES = ("124M", "355M", "774M", "1558M")

WEIGHTS = "model.ckpt.data-00000-of-00001"
FILES = ("hparams.json", "checkpoint", "encoder.json", "vocab.bpe", "model.ckpt.index", "model.ckpt.meta", WEIGHTS)
"""The small ones first: a wrong mirror shows after 91 bytes, not after 6 GB."""


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


def download(name: str, release: Release, record: Record, progress: bool) -> None:
    base = (os.environ.get("DEEPPROVERBS_MIRROR") or OPENAI).rstrip("/")
    lengths = {**release.lengths, WEIGHTS: 4 * release.hparams.parameters}
    warn_if_open(base, "DEEPPROVERBS_MIRROR")
    record.folder.mkdir(parents=True, exist_ok=True)
    absent = [file for file in FILES if not (record.folder / file).exists()]
    if WEIGHTS in absent:
        check_space(record.folder, lengths[WEIGHTS] - kept(record.folder / WEIGHTS, lengths[WEIGHTS]))
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
                if known is None:
                    _tell_unverified(name, file, found)
                continue
            log.warning("%s: %s is not the right file; downloading it again", name, target)
            target.unlink()
        known_from = origin if origin == "published" else f"the first one seen, in {record.path},"
        url = f"{base}/{name}/{file}"
        found = fetch(url, target, size=size, sha256=known, progress=progress, known_from=known_from)
        record.add(file, found, origin)
        record.save()
        if known:
            log.info("%s: %s downloaded; SHA-256 as %s", name, file, origin)
        else:
            _tell_unverified(name, file, found)


def _tell_unverified(name: str, file: str, sha256: str) -> None:
    log.warning(
        "%s: %s is unverified, for its SHA-256 is not published; it is %s, and a later download must have the same",
        name,
        file,
        sha256,
    )


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
