"""Candidates → verdicts: a small named rule each, in order of cost."""

from training.filters.judge import KEPT, Judge, Verdict

__all__ = ["KEPT", "Judge", "Verdict"]
