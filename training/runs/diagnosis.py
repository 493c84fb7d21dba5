"""What is wrong with a run whose texts are no good, and what to change: one sentence a cause, told once.

In:  what became of the candidates so far, RUN/manifest.json, RUN/corpus.npz.
Out: sentences.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from training.common.errors import DeepproverbsError
from training.common.manifest import Manifest
from training.common.progress import Say
from training.corpus.read import load_arrays
from training.judge.band import LIKELY, UNLIKELY
from training.judge.blocks import Tally
from training.settings import FITTED, Bot, SampleSettings

LOOK = 500
"""Candidates after which a run is looked at for the first time: some seconds, and a share is known to 5 %."""
ASKED = 64
"""Texts of which the base model is asked then whether they are its own."""
BROKEN, UNFINISHED, LINES, OWN, MOST = 0.2, 0.3, 0.3, 0.2, 0.5
"""Shares from which it is told, and that of the base model's own texts from which nothing more is sampled."""
RULES = {
    "characters": 'list more in [filter] characters, or set it to "" to allow all',
    "vocabulary": "set [filter] closed_vocabulary to false, or raise common_words",
    "digits": 'put "digits" into [filter] skip to allow them',
    "too-short": "lower [filter] min_words",
    "length": "take shorter texts for the corpus",
    "edges": 'put "edges" into [filter] skip to let texts begin and end in any way',
    "opening": "raise [filter] opening_share",
    "near-duplicate": "sample hotter with --temperature, or add texts to the corpus",
    "copied-run": "train for fewer epochs with --epochs, or add texts to the corpus",
    "copy": "train for fewer epochs with --epochs, or add texts to the corpus",
    "band": "see in verdicts.jsonl on which side of your own texts they are; [filter] band lets more of them in",
    "duplicate": "sample more with --budget, or hotter with --temperature",
    "set-apart": "read them with `deepproverbs review`",
}
"""What to do when a rule takes too many texts."""
LEARNING = ("unfinished", "lines", "base-like")
"""Rules that take the texts of a model that has not learnt its corpus."""


@dataclass
class Diagnosis:
    """Of one run."""

    bot: Bot
    run: Path
    told: set[str] = field(default_factory=set)
    """The causes that were told before."""

    def look(self, tally: Tally, own: float, say: Say) -> None:
        """Tell what is wrong so far. own: share of the base model's texts among those that pass.

        Raises:
            DeepproverbsError: most of them are the base model's.
        """
        count = tally.candidates or 1
        for cause, share, least, text in (
            ("broken", tally.broken / count, BROKEN, self._broken()),
            ("unfinished", tally.counts["unfinished"] / count, UNFINISHED, self._unfinished()),
            ("lines", tally.counts["lines"] / count, LINES, self._lines()),
            ("own", own, OWN, self._own()),
        ):
            if share > least and cause not in self.told:
                self.told.add(cause)
                sentence = f"{share:.0%} of the {'texts that pass' if cause == 'own' else 'candidates'} {text}"
                if cause == "own" and own > MOST:
                    raise DeepproverbsError(f"{sentence[:-1]}; the pool is not filled with them.")
                say(sentence)

    def _broken(self) -> str:
        return f"break characters: the model has not learnt this script yet; {self._cure()}."

    def _unfinished(self) -> str:
        most = self.bot.sample.max_tokens
        corpus = self.run / "corpus.npz"
        lengths = np.diff(load_arrays(corpus, "train_offsets")["train_offsets"]) if corpus.exists() else np.zeros(1)
        if (lengths > most).mean() > UNFINISHED / 2:
            enough = min(1023, int(np.quantile(lengths, 0.99)))
            return f"have no end after {most} tokens, nor have many of the corpus; set [sample] max_tokens to {enough}."
        return f"have no end after {most} tokens: the model has not learnt yet where texts end; {self._cure()}."

    def _lines(self) -> str:
        return f"have more or fewer lines than the corpus's: the model has not learnt their form yet; {self._cure()}."

    def _own(self) -> str:
        return f"are the base model's own, not of this corpus: there were too few texts or epochs; {self._cure()}."

    def out_of_band(self, sides: Mapping[str, int]) -> str:
        """What to say of a run in which most candidates are out of the band. sides: how many on which."""
        likely, unlikely = sides[LIKELY], sides[UNLIKELY]
        side, cure = self._side(sides)
        why = "hold words that do not belong together"
        if side == LIKELY:
            why = "say what the corpus, or they themselves, say over and over"
        return (
            f"Beside your own texts {likely:,} {'is' if likely == 1 else 'are'} {LIKELY} and {unlikely:,} {UNLIKELY} "
            f"(the rule 'band'). Texts that are {side} {why}: {cure}."
        )

    def _side(self, sides: Mapping[str, int]) -> tuple[str, str]:
        """(the side of the band on which more candidates are, what to change)."""
        side = max(sides, key=lambda side: sides[side])
        usual = FITTED.get(self.bot.model, {}).get("sample.temperatures", SampleSettings().temperatures)
        if side == LIKELY:
            if min(self.bot.sample.temperatures) < min(usual):
                return side, f"sample hotter, with --temperature {min(usual)}"
            return side, f"read some of them, and if they are good, set [filter] band to {self.bot.filter.band + 1:g}"
        if max(self.bot.sample.temperatures) > max(usual):
            return side, f"sample cooler, with --temperature {max(usual)}"
        return side, self._cure()

    def main_reason(self, verdicts: Mapping[str, int], candidates: int, sides: Mapping[str, int] | None = None) -> str:
        """The rule that took most, and what to change: `45% of the candidates fell to the rule 'characters': …`. sides:
        as in `out_of_band`; None where a run of an earlier version did not note them."""
        lost = {name: count for name, count in verdicts.items() if name not in ("kept", "spare") and count}
        if not lost:
            return "raise --budget to sample more"
        name = max(lost, key=lambda rule: lost[rule])
        cure, why = RULES.get(name, f"[filter] skip can leave {name!r} out"), ""
        if name in LEARNING:
            cure = self._cure()
        elif name == "band" and sides and any(sides.values()):
            side, cure = self._side(sides)
            why = f", most of them as {side}"
        return f"{lost[name] / max(1, candidates):.0%} of the candidates fell to the rule {name!r}{why}: {cure}"

    def _cure(self) -> str:
        """More epochs only where the last was still the best."""
        if self.bot.model == "nano":
            return "nano has read the King James Bible alone: take --model smollm2-135m, or another (hf:NAME)"
        other = "a base that has read more of this language (--model hf:NAME)"
        losses = [line["held_out"] for line in Manifest(self.run).stages.get("finetune", {}).get("metrics", [])[1:]]
        if losses and min(losses) == losses[-1]:
            return f"train longer (--epochs {2 * len(losses)}), or take {other}"
        return f"add texts to the corpus, or take {other}"


def shortage(bot: Bot, run: Path) -> str | None:
    """One sentence if the run kept fewer than half of the texts that were wanted; None if it did well."""
    entry = Manifest(run).stages.get("filter", {})
    kept, wanted = entry.get("kept", bot.count), bot.count
    if kept >= wanted / 2:
        return None
    return (
        f"Only {kept:,} of the {wanted:,} texts that were wanted are good; they are in the pool. "
        f"{Diagnosis(bot, run).main_reason(entry['verdicts'], entry['candidates'], entry.get('sides'))}."
    )
