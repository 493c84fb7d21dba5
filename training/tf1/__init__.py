"""The only rooms that know TensorFlow 1.15: programs for Python 3.6 to 3.8, run as subprocesses.

Each takes one JSON object as its argument and writes JSON lines to its standard output; whatever
TensorFlow and gpt-2-simple print goes to standard error.
"""
