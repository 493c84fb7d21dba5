"""A trainer's program as anyone would write one: it speaks the protocol and trains nothing.

Its arguments' `seed` says what goes wrong: 1 nothing, 2 an unknown event, 3 a field of the wrong type, 4 no result,
5 it fails.
"""

import json
import sys
from pathlib import Path

arguments = json.loads(sys.argv[1])
checkpoint = Path(arguments["checkpoint"])


def emit(event: str, **fields: object) -> None:
    print(json.dumps({"event": event, **fields}), flush=True)


epochs = [
    {"epoch": n, "step": 3 * n, "training": 2.0 if n else None, "held_out": 3.0 - n % 3, "seconds": 1.5 * n}
    for n in range(arguments["epochs"] + 1)
]
emit("epoch", **epochs[0])
emit("step", step=1, steps=9, loss=2.5, tokens=64)
if arguments["seed"] == 2:
    emit("eureka")
if arguments["seed"] == 3:
    emit("resumed", epoch="one", batch=0)
if arguments["seed"] == 5:
    sys.exit("no such luck")
checkpoint.mkdir(parents=True, exist_ok=True)
(checkpoint / "weights.toy").write_text("42")
if arguments["seed"] != 4:
    emit("done", epochs=epochs)
