"""The only folder that knows PyTorch: programs for the environment `torch`, run as subprocesses.

Each takes one JSON object as its argument and writes events to its standard output, a JSON line each
(training/model/events.py); whatever the libraries print goes to standard error.
"""
