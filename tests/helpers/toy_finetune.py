"""A trainer's program that has learnt already: the checkpoint that it leaves lies in the base's folder, in `tuned`."""

import json
import shutil
import sys
from pathlib import Path

arguments = json.loads(sys.argv[1])
checkpoint = Path(arguments["checkpoint"])
shutil.copytree(Path(arguments["base"]) / "tuned", checkpoint, dirs_exist_ok=True)
before = {"epoch": 0, "step": 0, "training": None, "held_out": 4.0, "seconds": 0}
after = {"epoch": 1, "step": 9, "training": 3.5, "held_out": 3.0, "seconds": 1}
for event in ({"event": "epoch", **before}, {"event": "epoch", **after}, {"event": "done", "epochs": [before, after]}):
    print(json.dumps(event), flush=True)
