"""Texts one by one before a person, on a terminal or from a pipe: `deepproverbs review --terminal`.

They name a people or a religion, or there is no list of such names for their language; or all texts of the run's pool
are to be read first.

In:  the records to ask about, and answers, a line each: y (publish), n (never), s (publish first), u (undo),
     e TEXT (publish TEXT instead), q or the end (stop).
Out: RUN/decisions.jsonl.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, TextIO

from training.common.progress import Say
from training.common.text import indented
from training.curate.decisions import Decisions, What

ANSWERS: dict[str, What] = {"y": "keep", "yes": "keep", "n": "drop", "no": "drop", "s": "star", "star": "star"}
STOP, UNDO, EDIT = ("q", "quit"), ("u", "undo"), ("e", "edit")
KEYS = "y: publish, n: never, s: publish first, e TEXT: publish TEXT instead, u: undo, q: stop."

Objection = Callable[[str, str], object | None]
"""(new text, original) → why the rules refuse it."""


def review(
    records: Sequence[dict[str, Any]], decisions: Decisions, answers: TextIO, say: Say, objection: Objection
) -> None:
    """Ask about each text that nobody has decided about, or about which people differ, and say what was decided."""
    asked = [record for record in records if not decisions.decided(record["id"])]
    say(f"{len(asked):,} texts to read, {len(records) - len(asked):,} read before. {KEYS}")
    places, number = {record["id"]: place for place, record in enumerate(asked)}, 0
    while number < len(asked):
        record = asked[number]
        why = f" ({record['names']})" if "names" in record else ""
        said = "".join(f"\n  {line.by}: {line.decision} {line.edited}" for line in decisions.standing(record["id"]))
        say(f"\n{number + 1}/{len(asked)}{why}\n  {indented(record['text'], 2)}{said}")
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
            number = places.get(undone.id, number) if undone else number
            continue
        decisions.decide(record["text"], *answer)
        number += 1
    decided = [line.decision for record in records if (line := decisions.decided(record["id"]))]
    refused = decided.count("drop")
    say(f"\n{len(decided) - refused:,} approved, {refused:,} refused.")


def _answer(answers: TextIO, say: Say, text: str, objection: Objection) -> tuple[What, str] | Literal["undo"] | None:
    """(decision, edited text), undo, or None: stop here."""
    while True:
        line = answers.readline()
        word, _, rest = line.strip().partition(" ")
        word, rest = word.lower(), rest.strip()
        if not line or word in STOP:
            return None
        if word in ANSWERS and not rest:
            return ANSWERS[word], ""
        if word in UNDO and not rest:
            return "undo"
        if word in EDIT and rest:
            new = rest.replace("\\n", "\n")
            if new == text:
                return "keep", ""
            if reason := objection(new, text):
                say(f"{reason} Write another, or answer n (never).")
                continue
            return "edit", new
        say("Please answer y (publish), n (never), s (first), e TEXT (instead), u (undo) or q (stop).")
