"""Model in Hugging Face's layout → CTranslate2 in float32: {folder, out, rows, names, end} → event "written".

rows: a .npy file with the tokens that stay, or null for all; names: a JSON list of the names of those that stay; end:
the name of the token that ends a text.
"""

import json
from pathlib import Path

import common
import numpy as np
import torch
from ctranslate2.converters import TransformersConverter


class Converter(TransformersConverter):
    """Always from float32: the samplers round the weights themselves."""

    def load_model(self, model_class, folder, **options):
        return model_class.from_pretrained(folder, **{**options, "dtype": torch.float32, "local_files_only": True})


def main(a: dict) -> None:
    spec = Converter(a["folder"])._load()
    decoder = spec.decoder
    if a["rows"]:
        rows = torch.from_numpy(np.load(a["rows"]))
        for layer in {id(part): part for part in (decoder.embeddings, decoder.projection)}.values():
            layer.weight = layer.weight[rows].contiguous()
    spec.register_vocabulary(json.loads(Path(a["names"]).read_text(encoding="utf-8")))
    spec.config.bos_token = spec.config.eos_token = spec.config.unk_token = a["end"]
    spec.validate()
    spec.optimize()
    spec.save(a["out"])
    common.emit("written", parameters=sum(np.size(value) for value in spec.variables().values()))


if __name__ == "__main__":
    with torch.no_grad():
        main(common.arguments())
