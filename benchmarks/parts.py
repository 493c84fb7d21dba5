"""Where the time of a sampled token goes: the decoder's parts on one core, in microseconds a token.

Wants the models that benchmarks.sampling has made; the decoder is compiled with -DPROFILE.

    .venvs/project/bin/python -m benchmarks.parts [--folder runs/bench/124M/trimmed] [--length 24] [--seats 48]
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

os.environ["CC"] = f"{os.environ.get('CC', 'cc')} -DPROFILE"  # before anything loads the decoder

from benchmarks import needs
from training.common.paths import ROOT
from training.model.converted import Converted
from training.sample.native.sampler import Counter, Model, Sampler, decoder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=ROOT / "runs" / "bench" / "124M" / "trimmed")
    parser.add_argument("--length", type=int, default=24, help="tokens a text at most (default: 24)")
    parser.add_argument("--seats", type=int, default=48, help="texts side by side (default: 48)")
    args = parser.parse_args()
    converted = Converted(needs.model_in(args.folder, "sampling"))
    model = Model(args.folder, converted.end)
    sampler = Sampler(model, seats=args.seats, most=args.length, prefixes=[[converted.end]], temperatures=[1.0])
    counter = Counter(0)
    sampler.run(counter, args.seats)
    before, started = sampler.spent(), time.perf_counter()
    tokens = int(sampler.run(counter, 6 * args.seats).length.sum())
    passed, after = time.perf_counter() - started, sampler.spent()
    name = decoder().kernel().decode()
    print(f"{name}, one core: {tokens / passed:,.0f} tokens/s, {1e6 * passed / tokens:.1f} us a token")
    for part, value in after.items():
        print(f"    {part:<20}{1e6 * (value - before[part]) / tokens:8.1f} us")


if __name__ == "__main__":
    needs.run(main)
