"""What the peers share; Python 3.7 to 3.13, standard library only."""

import json
import os
import resource
import sys
import time

_answers = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)  # libraries print to standard output


def arguments():
    return json.loads(sys.argv[1])


def best(choices, run):
    """The choice with the most tokens a second, each tried twice, the first time to warm up."""
    speed = {}
    for choice in choices:
        run(choice)
        started = time.time()
        tokens, _ = run(choice)
        speed[choice] = tokens / (time.time() - started)
    return max(speed, key=speed.get)


def serve(settings, run):
    """`run()` samples once and returns (tokens, texts)."""
    _answers.write(json.dumps({"ready": settings}) + "\n")
    for _ in sys.stdin:
        started = time.time()
        tokens, texts = run()
        answer = {"tokens": tokens, "texts": texts, "seconds": time.time() - started}
        answer["peak_mb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        _answers.write(json.dumps(answer) + "\n")
