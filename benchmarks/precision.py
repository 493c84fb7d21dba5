"""How far each way of sampling on this processor is from float32: the divergence on held-out texts, nats a token.

Of a run's model, by default the one that benchmarks.accepted has made. ONEDNN_MAX_CPU_ISA=AVX2 and
CC="cc -march=haswell" hold the engines to AVX2.

    .venvs/project/bin/python -m benchmarks.precision [--run runs/bench/proverbs]
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks import needs
from training.common.paths import ROOT
from training.model.converted import Converted
from training.sample.engine import Plan
from training.sample.engines import ENGINES, task_of
from training.sample.engines.ctranslate2 import forward
from training.sample.precision import compare, rows_of
from training.settings import SampleSettings

WAYS = (("native", "int8"), ("ctranslate2", "int8"), ("ctranslate2", "bfloat16"), ("ctranslate2", "float32"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, default=ROOT / "runs" / "bench" / "proverbs")
    args = parser.parse_args()
    converted = Converted(needs.model_in(args.run / "model", "accepted"))
    rows = rows_of(converted, args.run / "corpus.npz")
    exact = forward(converted, "cpu", "float32", rows)
    print(f"{'engine':<14}{'computes in':<14}{'mean':>10}{'first':>10}")
    for engine, compute_type in WAYS:
        kind = ENGINES[engine]
        if compute_type not in kind.compute_types("cpu") or kind.takes(converted):
            continue
        task = task_of(Plan(engine), converted, SampleSettings(), None, args.run)
        found = compare(exact, kind.logits(Plan(engine, compute_type=compute_type), task, rows))
        print(f"{engine:<14}{compute_type:<14}{found.mean:>10.5f}{found.first:>10.5f}", flush=True)


if __name__ == "__main__":
    needs.run(main)
