"""Facts → RUN/report.html: one page that needs nothing else, neither a network nor a script."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from training.common.files import write_whole
from training.common.terminal import visible
from training.judge.rules import glosses
from training.pages.report import plots, words
from training.pages.report.facts import Facts

HOURLY = 0.25
"""Dollars an hour of a machine with a small GPU (a spot g4dn.xlarge, or any laptop with its power and age)."""


def render(facts: Facts, run: Path) -> str:
    """The page. `run`: the run's folder, which commands on the page name."""
    environment = Environment(
        loader=PackageLoader("training.pages", ""), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"share": share, "span": span, "shared_words": shared_words, "cents": cents, "shown": shown}
    environment.filters |= {"options": options, "pieces": pieces}
    drawn = {
        "losses": facts.metrics and plots.losses(facts.metrics, facts.best_epoch),
        "lengths": plots.lengths(facts.lengths),
        "novelty": plots.novelty(facts.quality["sets"]),
    }
    return environment.get_template("report/report.html").render(
        facts=facts,
        answers=list(words.answers(facts)),
        steps=list(words.steps(facts, run)),
        meaning=glosses(),
        chosen=_settings(facts, True),
        defaults=_settings(facts, False),
        sets={plots.SETS[name]: numbers for name, numbers in facts.quality["sets"].items()},
        plots={name: svg and Markup(svg) for name, svg in drawn.items()},
        hourly=HOURLY,
        widest=max((rule.first for rule in facts.rules), default=1) or 1,
    )


def write(facts: Facts, run: Path) -> Path:
    """Write RUN/report.html."""
    path = run / "report.html"
    write_whole(path, visible(render(facts, run)))
    return path


def _settings(facts: Facts, chosen: bool) -> dict[str, dict[str, Any]]:
    """Section → setting → value of those that the bot chose, or of the others; no section without any."""
    sections = {
        section: {
            name: value
            for name, value in values.items()
            if ((f"{section}.{name}" if section else name) in facts.chosen) == chosen
        }
        for section, values in facts.settings.items()
    }
    return {section: values for section, values in sections.items() if values}


def share(value: float | None, digits: int = 1) -> str:
    """0.123 → 12.3 %; None, where nobody asked, → a dash."""
    return "–" if value is None else f"{100 * value:.{digits}f}\N{NO-BREAK SPACE}%"


def span(seconds: float) -> str:
    """75 → 1 min 15 s"""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def cents(dollars: float) -> str:
    """0.0031 → 0.3 ¢; a dollar and more as such."""
    return f"${dollars:.2f}" if dollars >= 1 else f"{100 * dollars:.1f}\N{NO-BREAK SPACE}¢"


def shown(value: Any) -> str:
    """A setting for people: lists with commas, yes and no, and a dash for nothing."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        value = ", ".join(map(str, value))
    return f"{value:,}" if isinstance(value, int) else str(value) or "–"


def options(sentence: str) -> Markup:
    """The sentence with its --options set as code."""
    return Markup(re.sub(r"(?<!\w)(--[\w-]+(?: [\w.-]*\w)?)", r'<code class="option">\1</code>', str(escape(sentence))))


def pieces(command: str) -> Markup:
    """A command that breaks between its options, not inside them."""
    return Markup(" ").join(Markup("<span>{}</span>").format(piece) for piece in re.split(r" (?=--)", command))


def shared_words(text: str, nearest: str) -> Markup:
    """The text with the runs of two words and more marked that its nearest original has in the same order."""
    words, theirs = text.split(" "), nearest.split(" ")
    matcher = SequenceMatcher(None, list(map(_bare, words)), list(map(_bare, theirs)), autojunk=False)
    marked = list(words)
    parts: list[Any] = []
    at = 0
    for block in matcher.get_matching_blocks():
        if block.size >= 2:
            parts += [escape(" ".join(marked[at : block.a])), Markup("<mark>{}</mark>").format(_run(words, block))]
            at = block.a + block.size
    parts.append(escape(" ".join(marked[at:])))
    return Markup(" ").join(part for part in parts if part)


def _run(words: Sequence[str], block: Any) -> str:
    return " ".join(words[block.a : block.a + block.size])


def _bare(word: str) -> str:
    return word.casefold().strip(".,;:!?\"'()“”‘’«»")
