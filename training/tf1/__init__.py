"""The only folder that knows TensorFlow 1.15: programs for Python 3.6 to 3.8, run as subprocesses.

Each takes one JSON object as its argument and writes events to its standard output, a JSON line each
(training/model/events.py); whatever TensorFlow and gpt-2-simple print goes to standard error.
"""
