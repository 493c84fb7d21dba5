"""Load a folder with transformers and say what comes of it: {folder, rows, texts, out} → `out`.npz with the logits of
the rows of tokens, and `out`.json with the tokens of the texts and the texts of those. Any warning is an error.

For the Python of the environment torch; tests call `run`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any


def run(
    torch: Path, folder: Path, rows: list[list[int]], texts: list[str], out: Path
) -> tuple[list[Any], dict[str, Any]]:
    """Logits [n, vocabulary] of each row, and what else was found."""
    import numpy as np

    arguments = json.dumps({"folder": str(folder), "rows": rows, "texts": texts, "out": str(out)})
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment |= {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    done = subprocess.run([torch, __file__, arguments], capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr[-2000:]
    with np.load(f"{out}.npz") as file:
        logits = [file[str(i)] for i in range(len(rows))]
    return logits, json.loads(Path(f"{out}.json").read_text())


def main(a: dict[str, Any]) -> None:
    warnings.simplefilter("error")
    warnings.filterwarnings("ignore", category=DeprecationWarning)  # between libraries
    import numpy as np
    import torch  # type: ignore[import-not-found]
    from transformers import AutoModelForCausalLM, AutoTokenizer  # type: ignore[import-not-found]
    from transformers.utils import logging  # type: ignore[import-not-found]

    logging.disable_progress_bar()
    model = AutoModelForCausalLM.from_pretrained(a["folder"]).eval()
    tokenizer = AutoTokenizer.from_pretrained(a["folder"])
    with torch.no_grad():
        found = [model(torch.tensor([row])).logits[0].numpy() for row in a["rows"]]
    np.savez(f"{a['out']}.npz", **{str(i): logits for i, logits in enumerate(found)})
    tokens = [tokenizer(text).input_ids for text in a["texts"]]
    facts = {
        "tokens": tokens,
        "texts": [tokenizer.decode(row) for row in tokens],
        "end": [tokenizer.eos_token, tokenizer.eos_token_id, tokenizer.bos_token_id, model.config.eos_token_id],
        "special": sorted(set(tokenizer.all_special_tokens)),
        "longest": tokenizer.model_max_length,
        "dtype": str(model.dtype),
        "parameters": model.num_parameters(),
    }
    Path(f"{a['out']}.json").write_text(json.dumps(facts))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
