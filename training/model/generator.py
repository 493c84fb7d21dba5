"""CTranslate2 with a converted model: what cannot be loaded is told in a sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from training.common.errors import DeepproverbsError


def generator(folder: Path, **settings: Any) -> Any:
    """A ctranslate2.Generator of the model in `folder`.

    Raises:
        DeepproverbsError: the model's files are damaged.
        RuntimeError: there is too little memory, or none of the devices that `settings` name.
    """
    import ctranslate2

    try:
        return ctranslate2.Generator(str(folder), **settings)
    except (RuntimeError, ValueError, IndexError) as error:
        reason = " ".join(str(error).split())
        if any(word in reason.lower() for word in ("memory", "cuda", "cublas", "device")):
            raise
        raise DeepproverbsError(
            f"{folder / 'model.bin'} is not a converted model, or a file beside it is damaged ({reason[:200]}); delete "
            "it, and the next run converts again."
        ) from error
