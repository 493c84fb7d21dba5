"""Facts → plots as SVG for a page: no colour of their own, but the page's, so that they suit light, dark and print.

matplotlib draws with stand-in colours, each of which is then replaced by one of the page's custom properties. Every
plot has a title and says in words what it shows, for those who do not see it.
"""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import matplotlib

matplotlib.use("svg")
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

COLOURS = {"ink": "#010203", "soft": "#020304", "rule": "#030405", "accent": "#040506", "second": "#050607"}
"""Custom property of the page → its stand-in."""
STYLE: dict[Any, Any] = {
    "svg.hashsalt": "deepproverbs",  # the same plot has the same bytes
    "svg.fonttype": "none",  # text stays text
    "font.size": 10,
    "text.color": COLOURS["ink"],
    "axes.labelcolor": COLOURS["soft"],
    "axes.edgecolor": COLOURS["rule"],
    "xtick.color": COLOURS["soft"],
    "ytick.color": COLOURS["soft"],
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
}
LINES: dict[str, dict[str, Any]] = {
    "pool": {"color": COLOURS["accent"], "linewidth": 1.8, "marker": "o", "markersize": 5},
    "held-out texts": {"color": COLOURS["second"], "linewidth": 1.8, "marker": "s", "markersize": 5},
    "finished candidates": {"color": COLOURS["soft"], "linewidth": 1.2, "linestyle": "--"},
}
"""How each set of texts is drawn: told apart by mark and dash as well as by colour."""
SETS = {"pool": "pool", "held-out texts": "corpus, unseen", "finished candidates": "all it wrote"}
"""Sets of quality.json → what a reader calls them."""
WIDE = (4.8, 2.9)
"""Inches; the page scales it to its column."""


def losses(metrics: Sequence[Mapping[str, Any]], best: int | None) -> str:
    """Loss on held-out texts by epoch, in bits a character where they are known, else nats a token."""
    unit, key = (
        ("bits a character", "bits") if all("bits" in line for line in metrics) else ("nats a token", "held_out")
    )
    epochs, values = [line["epoch"] for line in metrics], [line[key] for line in metrics]
    with matplotlib.rc_context(STYLE):
        figure, axis = _axis("epoch (0: before training)", f"surprise, {unit}")
        axis.plot(epochs, values, **LINES["pool"])
        axis.set_xticks(epochs)
        chosen = next((value for epoch, value in zip(epochs, values, strict=True) if epoch == best), None)
        if chosen is not None:
            axis.plot([best], [chosen], "o", markersize=12, fillstyle="none", color=COLOURS["ink"])
            axis.annotate(f"chosen: {chosen:.3f}", (best, chosen), (0, 14), textcoords="offset points", ha="center")
        axis.margins(y=0.25)
    told = "; ".join(f"{epoch}: {value:.3f}" for epoch, value in zip(epochs, values, strict=True))
    return _svg(figure, "losses", "How surprising unseen texts are, by epoch", f"{unit} after each epoch, {told}.")


def lengths(sets: Mapping[str, Sequence[int]]) -> str:
    """How many texts have how many words, as shares of each set."""
    longest = max(sorted(each)[int(0.99 * (len(each) - 1))] for each in sets.values())
    with matplotlib.rc_context(STYLE):
        figure, axis = _axis("words", "share of the texts, %")
        for name, style in (("corpus", LINES["held-out texts"]), ("pool", LINES["pool"])):
            counts = Counter(min(words, longest) for words in sets[name])
            xs = range(min(counts), longest + 1)
            ys = [100 * counts[x] / len(sets[name]) for x in xs]
            dash = "--" if name == "corpus" else "-"
            axis.plot(xs, ys, label=name, drawstyle="steps-mid", color=style["color"], linewidth=1.8, linestyle=dash)
        axis.legend()
        axis.set_ylim(bottom=0)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    told = " ".join(f"{name}: median {sorted(each)[len(each) // 2]} words." for name, each in sets.items())
    return _svg(figure, "lengths", "Lengths of the texts", f"{told} Longer than {longest} words counts as {longest}.")


def novelty(sets: Mapping[str, Mapping[str, Any]]) -> str:
    """Share of runs of n words that no training text holds, by set; people who wrote about the same beside it."""
    with matplotlib.rc_context(STYLE):
        figure, axis = _axis("words in a row", "new, %")
        told = []
        for name, style in LINES.items():
            if name in sets:
                curve = {int(n): 100 * share for n, share in sets[name]["novelty"].items()}
                axis.plot(list(curve), list(curve.values()), label=SETS[name], **style)
                told.append(f"{SETS[name]}: " + ", ".join(f"{share:.0f} % of {n}" for n, share in curve.items()) + ".")
        axis.set_xticks([int(n) for n in next(iter(sets.values()))["novelty"]])
        axis.set_ylim(0, 104)
        axis.legend(loc="lower right")
    return _svg(figure, "novelty", "Runs of words that no training text holds", " ".join(told))


def _axis(x: str, y: str) -> tuple[Figure, Any]:
    figure = Figure(figsize=WIDE, layout="constrained")
    axis = figure.subplots()
    axis.set_xlabel(x)
    axis.set_ylabel(y)
    return figure, axis


def _svg(figure: Figure, name: str, title: str, told: str) -> str:
    """The figure as an element of a page. `name`: sets its ids apart from those of the page's other plots."""
    buffer = io.StringIO()
    with matplotlib.rc_context(STYLE):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    for colour, stand_in in COLOURS.items():
        text = text.replace(stand_in, f"var(--{colour})")
    text = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", text)  # the face is the page's
    used = set(re.findall(r"url\(#(\w+)\)|href=\"#(\w+)\"", text))
    kept = {name for pair in used for name in pair if name}
    text = re.sub(r' id="(\w+)"', lambda found: found[0] if found[1] in kept else "", text)
    text = re.sub(r'(id="|url\(#|href="#)(\w+)', rf"\g<1>{name}-\2", text)
    head = f'<svg role="img" aria-labelledby="{name}-title {name}-told" class="plot"'
    words = f'<title id="{name}-title">{escape(title)}</title><desc id="{name}-told">{escape(told)}</desc>'
    text = re.sub(r'<svg( xmlns:xlink="[^"]*")?[^>]*?(viewBox="[^"]*")[^>]*>', rf"{head} \2>{words}", text, count=1)
    return text.replace("xlink:href", "href")
