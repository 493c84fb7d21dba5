"""What the peers share; Python 3.7 to 3.13, standard library only."""

import json
import os
import re
import sys
import time

_answers = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)  # libraries print to standard output


def arguments():
    return json.loads(sys.argv[1])


def peak_mb():
    """The most memory that this process has held. (getrusage's ru_maxrss will not do: a process that is started takes
    over the peak of the one that starts it, and all peers had the peak of benchmarks.sampling.)"""
    with open("/proc/self/status") as file:
        return round(int(re.search(r"VmHWM:\s*(\d+)", file.read()).group(1)) / 1024)


_chosen = None


def best(choices, run):
    """The choice with the most tokens a second, each tried twice, the first time to warm up; or the one that the
    arguments name, found by an earlier process of this peer."""
    global _chosen
    _chosen = arguments().get("chosen")
    if _chosen is not None:
        run(choices[_chosen])
        return choices[_chosen]
    speed = {}
    for choice in choices:
        run(choice)
        started = time.time()
        tokens, _ = run(choice)
        speed[choice] = tokens / (time.time() - started)
    fastest = max(speed, key=speed.get)
    _chosen = choices.index(fastest)
    return fastest


def ready(settings):
    answer({"ready": settings, "chosen": _chosen})


def answer(values):
    _answers.write(json.dumps(values) + "\n")


def serve(settings, run):
    """`run()` samples once and returns (tokens, texts)."""
    ready(settings)
    for _ in sys.stdin:
        started = time.time()
        tokens, texts = run()
        answer({"tokens": tokens, "texts": texts, "seconds": time.time() - started, "peak_mb": peak_mb()})
