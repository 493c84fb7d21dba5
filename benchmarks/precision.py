"""How far int8 is from float32: mean difference of a token's log-probability on held-out texts, nats.

CTranslate2's int8 and the native engine's, each against CTranslate2's float32, under the model that
benchmarks.accepted has made. ONEDNN_MAX_CPU_ISA=AVX2 and CC="cc -march=haswell" hold both to AVX2.

    .venvs/project/bin/python -m benchmarks.precision [--run runs/bench/proverbs]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import ctranslate2
import numpy as np

from benchmarks import needs
from training.common.paths import ROOT
from training.model.converted import Converted, held_out
from training.model.score import precision
from training.sample.native.sampler import Model, Sampler, decoder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, default=ROOT / "runs" / "bench" / "proverbs")
    args = parser.parse_args()
    folder, corpus = needs.model_in(args.run / "model", "accepted"), args.run / "corpus.npz"
    print(f"CTranslate2 int8: {precision(folder, corpus).mean_difference:.4f}")
    converted = Converted(folder)
    row_of = {name: row for row, name in enumerate(converted.token_names())}
    texts = held_out(converted, corpus)
    exact = ctranslate2.Generator(str(folder), compute_type="float32").score_batch(texts, max_batch_size=32)
    model = Model(folder, converted.end)
    longest = max(map(len, texts))
    sampler = Sampler(model, seats=1, most=longest, prefixes=[[converted.end]], temperatures=[1.0])
    off: list[float] = []
    for text, scores in zip(texts, exact, strict=True):
        rows = [row_of[name] for name in text]
        logits = sampler.logits(rows[:-1]).astype(np.float64)
        found = logits[np.arange(len(rows) - 1), rows[1:]] - np.logaddexp.reduce(logits, axis=1)
        off += np.abs(found - np.array(scores.log_probs)).tolist()
    print(f"native int8 ({decoder().kernel().decode()}): {np.mean(off):.4f}")


if __name__ == "__main__":
    needs.run(main)
