"""Texts that name a people or a religion, or for whose language there is no list of such names, one by one before a
person: `deepproverbs review`.

In:  RUN/review.jsonl, and answers, a line each: y (publish), n (never), q or the end (stop).
Out: RUN/reviewed.jsonl: {"id", "text", "publish"}, an answer a line, written as it is given;
     RUN/approved.jsonl: pool records of the texts to publish.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TextIO

from training.common import jsonl
from training.common.errors import DeepproverbsError, WrongUse
from training.common.manifest import Manifest
from training.common.progress import Say
from training.common.text import indented, text_id
from training.curate.fill import read_pool

NOTED = {"names", "round"}
"""What review.jsonl has beside a pool record."""
YES, NO, STOP = ("y", "yes"), ("n", "no"), ("q", "quit")


def review(run: Path, answers: TextIO, say: Say) -> Path | None:
    """Ask about each text that has no answer yet. Returns approved.jsonl, or None when nothing was approved so far.

    Raises:
        WrongUse: the run has set no texts apart.
    """
    waiting, given = run / "review.jsonl", run / "reviewed.jsonl"
    if not waiting.exists():
        raise WrongUse(f"There is nothing to review in {run}; `deepproverbs run` sets such texts apart.")
    manifest, started = Manifest(run), time.monotonic()
    manifest.keep("filter", waiting)
    records = read_pool(waiting) if waiting.stat().st_size else []
    known = _answers(given)
    asked = [record for record in records if record["id"] not in known]
    say(f"{len(asked):,} texts to read, {len(records) - len(asked):,} read before. y: publish, n: never, q: stop.")
    with given.open("a", encoding="utf-8", errors="backslashreplace") as out:
        for number, record in enumerate(asked, 1):
            say(f"\n{number}/{len(asked)} ({record['names']})\n  {indented(record['text'], 2)}")
            answer = _answer(answers, say)
            if answer is None:
                break
            known[record["id"]] = answer
            out.write(jsonl.line({"id": record["id"], "text": record["text"], "publish": answer}))
            out.flush()
            os.fsync(out.fileno())
    approved = [record for record in records if known.get(record["id"])]
    say(f"\n{len(approved):,} approved, {sum(not yes for yes in known.values()):,} refused.")
    if not approved:
        return None
    published = ({name: record[name] for name in sorted(record.keys() - NOTED)} for record in approved)
    jsonl.write(run / "approved.jsonl", published)
    if manifest.stages:
        manifest.record("review", "", {}, started, [run / "approved.jsonl"])
    return run / "approved.jsonl"


def _answer(answers: TextIO, say: Say) -> bool | None:
    """True: publish; False: never; None: stop here."""
    while True:
        line = answers.readline()
        word = line.strip().lower()
        if word in YES or word in NO:
            return word in YES
        if not line or word in STOP:
            return None
        say("Please answer y (publish), n (never) or q (stop).")


def _answers(path: Path) -> dict[str, bool]:
    """Earlier answers, by the id of the text; half a line, left by a killed program, is cut off."""
    if not jsonl.cut_half_line(path):
        return {}
    found: dict[str, bool] = {}
    try:
        for record in jsonl.records(path):
            if record["id"] != text_id(record["text"]) or not isinstance(record["publish"], bool):
                raise jsonl.BadLine(len(found) + 1, "another text's id, or no answer")
            found[record["id"]] = record["publish"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        where = error if isinstance(error, jsonl.BadLine) else f"line {len(found) + 1}: {error}"
        raise DeepproverbsError(
            f"{path} is damaged ({where}); delete that line, and its text is asked about again."
        ) from error
    return found
