"""nano itself as a converted model, straight from its stored weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from training.common.paths import ROOT
from training.model.convert import write_model

NANO = ROOT / "data" / "base" / "nano"


def model(folder: Path, rows: list[int] | None = None) -> Path:
    with np.load(NANO / "weights.npz") as weights:
        arrays = {name: weights[name].astype(np.float32) for name in weights.files}
    write_model(arrays, NANO, folder / "model", rows)
    return folder / "model"
