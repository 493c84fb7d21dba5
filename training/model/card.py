"""The model card of an exported checkpoint, README.md as Hugging Face's hub reads it: what the run's manifest knows.

Of the corpus it tells how large it is, and none of the texts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.common.manifest import Manifest
from training.model import hub, smollm2
from training.model.base import HUB, HUB_NAMES, NANO

UNKNOWN = "unknown"
SETTINGS = ("recipe", "epochs", "batch_size", "learning_rate", "layers", "seed", "trainer")
"""Of the stage finetune: those that a card tells."""


@dataclass(frozen=True)
class Origin:
    """A base model as a card names it."""

    title: str
    name: str | None
    """On the hub; None: it is not there."""
    licence: str
    """As the hub calls it."""
    terms: str
    """The same in words."""


GPT2_TERMS = 'OpenAI\'s "Modified MIT License" (https://github.com/openai/gpt-2/blob/master/LICENSE)'
ORIGINS = {
    **{size: Origin(f"GPT-2 {size}", name, "mit", GPT2_TERMS) for size, name in HUB_NAMES.items()},
    NANO: Origin("nano, the small model of deepproverbs", None, "mit", "the MIT License of deepproverbs"),
    smollm2.NAME: Origin(
        "SmolLM2-135M-Instruct", "HuggingFaceTB/SmolLM2-135M-Instruct", "apache-2.0", "the Apache License 2.0"
    ),
}
"""Base model, as the settings name it → where it is from."""
BY_HUB = {origin.name: origin for origin in ORIGINS.values() if origin.name}


def origin_of(base: str | None, cache: Path) -> Origin:
    """base: as the settings name it. cache: where models of the hub were fetched to."""
    if base is None:
        return Origin("a model that the run does not name", None, UNKNOWN, "a licence that is not known here")
    if base in ORIGINS:
        return ORIGINS[base]
    if not base.startswith(HUB):
        return Origin("a model of its maker's own", None, UNKNOWN, "a licence that is not known here")
    wanted = base.removeprefix(HUB)
    name = wanted.partition("@")[0]
    if name in BY_HUB:
        return BY_HUB[name]
    fetched = hub.read(hub.place(wanted, cache))
    licence = fetched.licence if fetched else None
    terms = f"`{licence}`, as its page says" if licence else "a licence that is not known here; see its page"
    return Origin(name, name, licence or UNKNOWN, terms)


def card(run: Path, name: str, folder: str, architecture: str, language: str, end: str, cache: Path) -> str:
    """The text of README.md.

    name: of the bot. folder: the exported folder's name. end: the token before and after every text.
    """
    stages = Manifest(run).stages
    tuned = stages.get("finetune", {})
    origin = origin_of(tuned.get("settings", {}).get("base"), cache)
    # Quoted, or YAML takes Norwegian for a no.
    front = [f"license: {origin.licence}", f"language: {json.dumps(language)}", "library_name: transformers"]
    front += [f"base_model: {origin.name}"] if origin.name else []
    front += [
        "pipeline_tag: text-generation",
        "tags:",
        *(f"- {tag}" for tag in (architecture, "deepproverbs", "short-texts")),
    ]
    parts = [
        "\n".join(["---", *front, "---"]),
        f"# {name}",
        f"{origin.title}, fine-tuned on short texts with deepproverbs. It writes texts like those, one at a time: each "
        f"begins after `{end}` and ends with it.",
        "```python\nfrom transformers import pipeline\n\n"
        f'write = pipeline("text-generation", model="{folder}")\n'
        f'text = write("{end}", do_sample=True, temperature=0.8, max_new_tokens=60)[0]["generated_text"]\n'
        f'print(text.removeprefix("{end}"))\n```',
        "## Corpus\n\n" + _corpus(name, stages.get("corpus", {}).get("counts")),
        "## Loss on held-out texts\n\n" + _losses(tuned),
    ]
    parts += ["## What it writes\n\n" + written] if (written := _written(run / "quality.json")) else []
    settings = {key: tuned.get("settings", {}).get(key) for key in SETTINGS}
    rows = [f"| {key} | {value} |" for key, value in settings.items() if value is not None]
    parts += ["## Settings\n\n" + "\n".join(["| setting | value |", "|---|---|", *rows])] if rows else []
    parts += [
        f"## License\n\nThe base model, {origin.title}, is under {origin.terms}. Whether the texts of the corpus may "
        "be used in this way is for whoever publishes this model to know."
    ]
    return "\n\n".join(parts) + "\n"


def _corpus(name: str, counts: Mapping[str, int] | None) -> str:
    if not counts:
        return f"`{name}`; its size is not known."
    return (
        f"`{name}`: {counts['texts']:,} texts, {counts['tokens']:,} tokens; {counts['held_out_texts']:,} of the texts, "
        "drawn at random, were kept back from training to measure the loss. The texts are not part of this model card."
    )


def _losses(tuned: Mapping[str, Any]) -> str:
    metrics, best = tuned.get("metrics"), tuned.get("best_epoch")
    if not metrics:
        return "Not known."
    before, after = metrics[0], next(line for line in metrics if line["epoch"] == best)
    bits = "bits" in before and "bits" in after

    def row(what: str, line: Mapping[str, Any]) -> str:
        return f"| {what} | {line['held_out']:.3f} |" + (f" {line['bits']:.3f} |" if bits else "")

    head = ["| | nats a token |" + " bits a character |" * bits, "|---|---|" + "---|" * bits]
    return "\n".join([*head, row("base model", before), row(f"this model, after epoch {best}", after)])


def _written(path: Path) -> str:
    """What `deepproverbs report` measured of the pool, beside people's texts; "" where it has not."""
    if not path.exists():
        return ""
    sets = json.loads(path.read_text(encoding="utf-8"))["sets"]
    shown = {name: sets[name] for name in ("pool", "held-out texts") if name in sets}
    rows = [["", *shown], ["---"] * (len(shown) + 1), ["texts", *(f"{each['texts']:,}" for each in shown.values())]]
    rows += [
        [f"runs of {n} words that no training text holds", *(f"{each['novelty'][n]:.0%}" for each in shown.values())]
        for n in ("3", "4", "5", "6")
    ]
    nearest = "likeness to the nearest training text, median and greatest (0 to 100)"
    rows.append([nearest, *(f"{each['nearest']['0.5']:.0f}, {each['nearest']['1']:.0f}" for each in shown.values())])
    told = "The pool is what the bot's rules chose; the held-out texts are people's, and the model never saw them."
    return told + "\n\n" + "\n".join(f"| {' | '.join(row)} |" for row in rows)
