"""A causal model of Hugging Face's hub → a folder in Hugging Face's layout in the cache.

    fetch("HuggingFaceTB/SmolLM2-135M", cache, TORCH)        fetch("openai-community/gpt2@main", cache, TORCH)

training/pytorch/fetch.py does the work, into a hidden folder beside, which becomes the model's when it is whole. An
interrupted download goes on where it was. commit.json says what was fetched: a later start needs no network, and
keeps that commit though the branch may have moved on.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import shutil
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from training.common.errors import DeepproverbsError, WrongUse
from training.common.files import lock, write_whole
from training.common.progress import Bar, bar
from training.model.events import Event, Fetched, Progress
from training.model.mirror import warn_if_open
from training.model.trainers import Trainer

log = logging.getLogger(__name__)

RECORD = "commit.json"
FOLDER = "hub"
"""In the cache."""
NAME = re.compile(r"[\w.-]+(/[\w.-]+)?(@[\w./-]+)?", re.ASCII)


@dataclass(frozen=True)
class Commit:
    """What was fetched."""

    name: str
    """With the revision that was asked for, if any: `OWNER/MODEL@REVISION`."""
    commit: str
    licence: str | None
    """As the model's page names it: `apache-2.0`."""
    files: dict[str, int]
    """File → bytes."""


def place(wanted: str, cache: Path) -> Path:
    """The folder of a model, whether it has been fetched or not.

    Raises:
        WrongUse: that is no name of a model.
    """
    if not NAME.fullmatch(wanted) or ".." in wanted:
        raise WrongUse(
            f"{wanted!r} is not the name of a model on Hugging Face's hub: those are OWNER/MODEL or "
            "OWNER/MODEL@REVISION."
        )
    return cache / FOLDER / wanted.replace("/", "--")


def read(folder: Path) -> Commit | None:
    """What the folder of a model says of itself; None if it was not fetched from the hub, or is not whole."""
    try:
        known = Commit(**json.loads((folder / RECORD).read_text(encoding="utf-8")))
        whole = all((folder / file).stat().st_size == size for file, size in known.files.items())
    except (OSError, ValueError, TypeError, AttributeError):
        return None
    return known if whole else None


def known(wanted: str, cache: Path) -> bool:
    """Whether a model has been fetched."""
    return read(place(wanted, cache)) is not None


def fetch(wanted: str, cache: Path, trainer: Trainer) -> Path:
    """Fetch `OWNER/MODEL` or `OWNER/MODEL@REVISION` unless it is there. Returns its folder.

    trainer: whose environment has huggingface_hub.

    Raises:
        WrongUse: that is no name of a model.
        DeepproverbsError: it cannot be fetched; what has come stays for the next start.
    """
    folder = place(wanted, cache)
    if read(folder):
        log.info("%s: ready in %s, nothing to download", wanted, folder)
        return folder
    trainer.interpreter()  # before the cache is written to
    try:
        with lock(
            folder.parent / f".{folder.name}.lock", lambda: log.info("%s: another run is fetching it; waiting", wanted)
        ):
            if not read(folder):  # another run may have finished meanwhile
                _fetch(wanted, folder, trainer)
    except OSError as error:
        raise DeepproverbsError(
            f"Cannot write in the cache {cache}: {error.strerror or error}; make room, or make it writable."
        ) from error
    return folder


def _fetch(wanted: str, folder: Path, trainer: Trainer) -> None:
    name, _, revision = wanted.partition("@")
    part, path = folder.with_name(f".{folder.name}.part"), folder.with_name(f"{folder.name}.log")
    path.unlink(missing_ok=True)
    started = time.monotonic()
    warn_if_open(os.environ.get("HF_ENDPOINT", ""), "HF_ENDPOINT")
    log.info("%s: downloading from Hugging Face's hub", wanted)
    with contextlib.ExitStack() as stack:
        shown: list[Bar] = []

        def show(event: Event) -> None:
            if isinstance(event, Progress):
                if not shown:
                    shown.append(stack.enter_context(bar(event.total, name, "B", done=event.done)))
                shown[0].update(event.done - shown[0].n)

        arguments = {"name": name, "revision": revision or None, "folder": part.resolve()}
        fetched = trainer.result("fetch", arguments, path, Fetched, show)
    files = {file: (part / file).stat().st_size for file in fetched.files}
    record = Commit(wanted, fetched.commit, fetched.licence, files)
    write_whole(part / RECORD, json.dumps(asdict(record), indent=1) + "\n")
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)
    path.unlink(missing_ok=True)
    log.info("%s: commit %s in %s, %.1f s", wanted, fetched.commit[:12], folder, time.monotonic() - started)
