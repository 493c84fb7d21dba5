"""Candidates → verdicts: a small named rule each, in order of cost."""
