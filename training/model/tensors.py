"""The weights in a folder of Hugging Face's layout: model.safetensors, or the parts that model.safetensors.index.json
names."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.common.errors import DeepproverbsError, WrongUse

WHOLE, INDEX = "model.safetensors", "model.safetensors.index.json"
Floats = NDArray[np.float32]


def _from_bfloat16(data: NDArray[np.uint8]) -> Floats:
    """Its 16 bits are the upper half of a float32's."""
    return (data.view("<u2").astype(np.uint32) << 16).view(np.float32)


FLOAT32: dict[str, Callable[[NDArray[np.uint8]], Floats]] = {
    "F32": lambda data: data.view("<f4"),
    "F16": lambda data: data.view("<f2").astype(np.float32),
    "BF16": _from_bfloat16,
}
"""Type of a tensor → its values as float32, none of which is rounded."""


def read_tensors(folder: Path, without: str = "(?!)") -> dict[str, Floats]:
    """The tensors by their names, as float32. Those that are stored in it are mapped from the file and read-only.

    without: a pattern; those with names in which it is found are left out.

    Raises:
        WrongUse: no such files, or tensors of other types.
        DeepproverbsError: a file is damaged.
    """
    found: dict[str, Floats] = {}
    for name in part_names(folder):
        found |= _read(folder / name, without)
    return found


def part_names(folder: Path) -> list[str]:
    """Names of the files that hold the weights.

    Raises:
        WrongUse: there are none.
    """
    index = folder / INDEX
    if not index.is_file():
        if not (folder / WHOLE).is_file():
            raise WrongUse(f"{folder} has no {WHOLE}; weights in other forms are not read.")
        return [WHOLE]
    try:
        return sorted(
            {Path(name).name for name in json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()}
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DeepproverbsError(f"{index} is damaged; copy it again.") from error


def _read(path: Path, without: str) -> dict[str, Floats]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="np"):  # checks that the header fits the file
            pass
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header: dict[str, Any] = json.loads(file.read(length))
    except OSError as error:
        raise WrongUse(f"{path} cannot be read ({error.strerror or error}); copy it again.") from error
    except (SafetensorError, ValueError) as error:
        raise DeepproverbsError(f"{path} is damaged ({error}); copy it again.") from error
    data = np.memmap(path, np.uint8, "r")[8 + length :]
    found: dict[str, Floats] = {}
    for name, about in header.items():
        if name == "__metadata__" or re.search(without, name):
            continue
        if about["dtype"] not in FLOAT32:
            raise WrongUse(f"{path} holds {name} as {about['dtype']}; only {', '.join(FLOAT32)} are read.")
        first, end = about["data_offsets"]
        found[name] = FLOAT32[about["dtype"]](data[first:end]).reshape(about["shape"])
    return found
