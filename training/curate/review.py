"""Texts one by one before a person, on a terminal or from a pipe: `deepproverbs review --terminal`.

First those that name a people or a religion, or all, where there is no list of such names for their language; then, if
the person wants, those of the pool. It is what the page offers, in the same order.

In:  the records to ask about, and answers, a line each: y (keep), n (drop), s (star), e TEXT (edit: publish TEXT
     instead), u (undo), an empty line (skip), q or the end (stop).
Out: RUN/decisions.jsonl.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, TextIO

from training.common.progress import Say
from training.common.text import indented
from training.curate.decisions import Decisions, What

ANSWERS: dict[str, What] = {
    **dict.fromkeys(("y", "yes", "k", "keep"), "keep"),
    **dict.fromkeys(("n", "no", "d", "drop"), "drop"),
    **dict.fromkeys(("s", "star"), "star"),
}
STOP, UNDO, EDIT = ("q", "quit"), ("u", "undo"), ("e", "edit")
KEYS = """y: keep, it is published; n: drop, it never is; s: star, it is published before the others;
e TEXT: edit, TEXT is published instead; u: undo; Enter alone: skip, it stays to be read; q: stop."""
STARRED = "It is in the pool already and keeps its turn there."

Answer = tuple[What, str] | Literal["undo", "skip"]
"""(decision, edited text), or what else to do."""
Objection = Callable[[str, str], object | None]
"""(new text, original) → why the rules refuse it."""


def review(
    records: Sequence[dict[str, Any]],
    decisions: Decisions,
    answers: TextIO,
    say: Say,
    objection: Objection,
    first: int,
) -> None:
    """Ask about each text that nobody has decided about, or about which people differ, and say what was decided.

    Args:
        records: with "id", and "fate", what the pool has of it, where there is one.
        first: so many are to be read; those after them are the pool's, of which a person may want to read none.
    """
    asked = [record for record in records if not decisions.decided(record["id"])]
    places, number = {record["id"]: place for place, record in enumerate(asked)}, 0
    read = {record["id"]: record for record in records}
    pool = sum(not decisions.decided(record["id"]) for record in records[first:])
    first = len(asked) - pool
    to_read = f"{texts(first)} to read"
    if pool:
        to_read = f"{texts(first)} to read and {pool:,} of the pool" if first else f"{texts(pool)} of the pool to read"
    say(f"{to_read}; {len(records) - len(asked):,} read before.")
    if asked:
        say(KEYS)
    on = False
    while number < len(asked):
        if number == first and pool and not on:
            number_of = "the text" if pool == 1 else f"the {pool:,} texts"
            say(f"\nRead {number_of} of the pool{', too' * (first > 0)}? y or n")
            on = _yes(answers, say)
            if not on:
                break
        record = asked[number]
        notes = [record.get("names", ""), "in the pool" if record.get("fate") == "waiting" else ""]
        why = f" ({', '.join(filter(None, notes))})" if any(notes) else ""
        said = "".join(f"\n  {line.by}: {line.decision} {line.edited}" for line in decisions.standing(record["id"]))
        say(f"\n{number + 1}/{len(asked) if on else first}{why}\n  {indented(record['text'], 2)}{said}")
        answer = _answer(answers, say, record["text"], objection)
        if answer is None:
            break
        if answer == "undo":
            undone = decisions.undo()
            say(
                "There is nothing to undo."
                if undone is None
                else f"Undone: {undone.decision} {indented(undone.text, 2)}"
            )
            if undone and undone.id in read and undone.id not in places:  # decided before: it is to be read now
                asked.insert(number, read[undone.id])
                places = {record["id"]: place for place, record in enumerate(asked)}
                first += not on
            number = places.get(undone.id, number) if undone else number
            continue
        if answer != "skip":
            decisions.decide(record["text"], *answer)
            if answer[0] == "star" and record.get("fate") == "waiting":
                say(STARRED)
        number += 1
    decided = [line.decision for record in records if (line := decisions.decided(record["id"]))]
    refused = decided.count("drop")
    say(f"\n{len(decided) - refused:,} approved, {refused:,} refused.")


def texts(count: int) -> str:
    return f"{count:,} text{'s' * (count != 1)}"


def _yes(answers: TextIO, say: Say) -> bool:
    """Yes; the end of the answers is none."""
    while line := answers.readline():
        if (word := line.strip().lower()) in ("y", "yes", "n", "no", *STOP):
            return word in ("y", "yes")
        say("Please answer y or n.")
    return False


def _answer(answers: TextIO, say: Say, text: str, objection: Objection) -> Answer | None:
    """None: stop here."""
    while True:
        line = answers.readline()
        word, _, rest = line.strip().partition(" ")
        word, rest = word.lower(), rest.strip()
        if not line or word in STOP:
            return None
        if not word:
            return "skip"
        if word in ANSWERS and not rest:
            return ANSWERS[word], ""
        if word in UNDO and not rest:
            return "undo"
        if word in EDIT and rest:
            new = rest.replace("\\n", "\n")
            if new == text:
                return "keep", ""
            if reason := objection(new, text):
                say(f"{reason} Write another, or answer n (drop).")
                continue
            return "edit", new
        say("Please answer y (keep), n (drop), s (star), e TEXT (edit), u (undo), q (stop), or Enter alone (skip).")
