"""Candidates → verdicts: a small named rule each, in order of cost."""

from training.filters.screen import PASSED, Screen, Verdict, order_of

__all__ = ["PASSED", "Screen", "Verdict", "order_of"]
