"""What a new rule costs: one record. This one compares, and runs through `filter`, the rates and their table."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from training.judge import rules
from training.judge.judge import Judge, Reference
from training.judge.rates import people
from training.judge.rule import Context, Rule, Text
from training.runs.filter_file import FilterOptions, filter_candidates, rates_table
from training.sample.candidates import Candidate
from training.settings import Bot, FilterSettings

ORIGINALS = ["the king of the north is wise", "the king of the south is a fool", "a soft answer turneth away wrath"]
OPEN = FilterSettings(characters="", closed_vocabulary=False, copy_run=99, copy_ratio=101, common_words=0)


def openings(context: Context) -> Counter[str]:
    return Counter(" ".join(normal.split()[:3]) for normal in context.originals)


def begins_like(texts: Sequence[Text], context: Context) -> Sequence[str | None]:
    """It begins like an original."""
    known = context.once(openings)
    starts = [" ".join(text.words[:3]) for text in texts]
    return [start if known[start] else None for start in starts]


def begins_like_another(texts: Sequence[Text], context: Context) -> Sequence[bool]:
    return [context.once(openings)[" ".join(text.words[:3])] > 1 for text in texts]


TOY = Rule("begins-like", comparison=begins_like, leave_one_out=begins_like_another)


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the copies and before what is asked when the pool is chosen."""
    place = [rule.name for rule in rules.RULES].index("near-duplicate")
    monkeypatch.setattr(rules, "RULES", (*rules.RULES[:place], TOY, *rules.RULES[place:]))


def test_the_judge_asks_it(tmp_path: Path) -> None:
    (tmp_path / "c.txt").write_text("the king of the east is kind\na hard answer stirreth up strife\n")
    (tmp_path / "corpus.txt").write_text("\n".join(ORIGINALS))
    options = FilterOptions(tmp_path / "c.txt", [tmp_path / "corpus.txt"], tmp_path / "pool.jsonl")
    bot = Bot("t", tmp_path, filter=OPEN, count=5)
    filtered = filter_candidates(bot, options)
    verdicts = [json.loads(line) for line in (tmp_path / "verdicts.jsonl").read_text().splitlines()]
    assert [verdict["verdict"] for verdict in verdicts] == ["begins-like", "kept"]
    assert verdicts[0]["detail"] == "the king of"
    assert "  begins-like              1   50.0%" in filtered.table(OPEN)
    rows = rates_table(bot, options).splitlines()
    assert "| begins-like | 66.7% | 50.0% |" in rows
    assert rows.index("| begins-like | 66.7% | 50.0% |") == 1 + rows.index("| copy | 0.0% | 0.0% |")


def test_a_bot_can_skip_it() -> None:
    judge = Judge(replace(OPEN, skip=("begins-like",)), Reference(ORIGINALS))
    like = Candidate("the king of the east is kind", 5, -1.0, True, 1.0)
    assert judge.verdicts([like])[0].verdict == rules.PASSED
    assert "begins-like" not in people(judge, ORIGINALS).shares


def test_every_rule_has_a_reason() -> None:
    nameless = [rule.name for rule in rules.RULES if not rule.reason]
    assert nameless == ["base-like", "opening"], "asked when the pool is chosen"
    assert TOY.reason == "It begins like an original."
