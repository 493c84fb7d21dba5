"""The engines, the likely fastest first. `--engine` takes these names."""

from training.sample.engines import ctranslate2, gpt_2_simple, native

ENGINES = {kind.name: kind for kind in (native.KIND, ctranslate2.KIND, gpt_2_simple.KIND)}
