"""A trainer's program that is interrupted at a moment of its life: Ctrl-C as a person at the terminal gives it, to the
program that started this one. `loading` swallows an interrupt, as libraries do while they are loaded."""

import contextlib
import json
import os
import signal
import sys
import time
from pathlib import Path

arguments = json.loads(sys.argv[1])
folder = Path(arguments["folder"])


def reach(moment: str) -> None:
    if arguments["moment"] == moment:
        os.kill(os.getppid(), signal.SIGINT)
        time.sleep(20)  # until the interrupt comes back


def stop(*_: object) -> None:
    (folder / "saved").touch()
    print(json.dumps({"event": "interrupted", "epoch": 1, "batch": 0}), flush=True)
    sys.exit(130)


with contextlib.suppress(KeyboardInterrupt):
    reach("loading")
signal.signal(signal.SIGINT, stop)
reach("loaded")
print(json.dumps({"event": "resumed", "epoch": 1, "batch": 0}), flush=True)
while arguments["moment"] == "training" and not (folder / "heard").exists():
    time.sleep(0.01)
reach("training")
time.sleep(arguments.get("seconds", 0))
(folder / "trained").touch()
print(json.dumps({"event": "written", "parameters": 1}), flush=True)
