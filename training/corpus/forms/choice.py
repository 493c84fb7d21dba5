"""Two readings that both fit are shown, and an option is asked for: neither is picked silently."""

from __future__ import annotations

from training.common.errors import DeepproverbsError
from training.corpus.forms.form import Source


def ask(source: Source, *readings: tuple[str, str, str]) -> DeepproverbsError:
    """The refusal that shows readings: (value of --form and options, what it gives, its first text)."""
    lines = "".join(f"\n  --form {form}: {what}\n      {excerpt(text)}" for form, what, text in readings)
    return DeepproverbsError(f"{source.name} can be read in {len(readings)} ways; say which:{lines}")


def excerpt(text: str, length: int = 120) -> str:
    """A text on one line: its breaks as ⏎, cut at `length` characters."""
    shown = " ⏎ ".join(part.strip() for part in text.strip().split("\n"))
    return shown if len(shown) <= length else shown[: length - 1] + "…"


def first_lines(source: Source, until: str | None = None) -> str:
    """The first text of the file: up to the line `until`, or a blank line, or (None) the first line that is filled."""
    lines: list[str] = []
    for _, line in source.lines():
        if until is None and line.strip():
            return line
        if lines and line.strip() == until:
            break
        if line.strip() and line.strip() != until:
            lines.append(line)
        if len(lines) > 12:
            break
    return "\n".join(lines)
