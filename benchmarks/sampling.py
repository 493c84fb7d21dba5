"""Tokens a second of every way to sample GPT-2 texts, in one run: `make bench`.

The peers are processes that take turns, one run each a round, so that a machine that slows down slows all of
them; medians are quoted. Each peer finds its own best settings first, in another process, so that the peak of memory
is that of these settings alone.

    .venvs/project/bin/python -m benchmarks.sampling [--model 124M nano smollm2-135m] [--rounds 5] [--out FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import models, needs
from training.common.errors import DeepproverbsError
from training.common.machine import cores, processor
from training.common.paths import ROOT
from training.model import smollm2
from training.sample.native.sampler import decoder

PEERS = ROOT / "benchmarks" / "peers"
OURS = "ours, trimmed vocabulary"
CEILING = "CTranslate2's forward pass, trimmed"


@dataclass
class Peer:
    name: str
    environment: str
    program: str
    arguments: dict[str, Any]
    process: subprocess.Popen[str] | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    runs: list[dict[str, float]] = field(default_factory=list)

    def start(self) -> None:
        """Find the best settings, then begin anew with these."""
        self._spawn()
        self.arguments["chosen"] = self._answer()["chosen"]
        self.stop()
        self._spawn()
        self.settings = self._answer()["ready"]

    def _spawn(self) -> None:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("VIRTUAL_ENV")}
        if self.environment == "project":
            environment["PYTHONPATH"] = f"{ROOT}:{ROOT / 'functions'}"
        self.process = subprocess.Popen(
            [needs.python_of(self.environment), PEERS / f"{self.program}.py", json.dumps(self.arguments, default=str)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )

    def run(self) -> None:
        assert self.process and self.process.stdin
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        self.runs.append(self._answer())

    def stop(self) -> None:
        if self.process and self.process.stdin:
            self.process.stdin.close()
            self.process.terminate()
            self.process.wait()

    def _answer(self) -> dict[str, Any]:
        assert self.process and self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            raise DeepproverbsError(
                f"{self.name} died: run {self.program}.py in the environment {self.environment} by hand to see why."
            )
        answer: dict[str, Any] = json.loads(line)
        return answer

    def median(self, what: str) -> float:
        """tokens or texts a second, or peak_mb."""
        values = [run[what] if what == "peak_mb" else run[what] / run["seconds"] for run in self.runs]
        return statistics.median(values)


def peers(model: str, folder: Path, length: int) -> list[Peer]:
    large = model != "nano"
    common = {"length": length, "cores": cores(), "rounds": 2 if large else 20}
    batches = [64, 128]
    full, trimmed = folder / "full", folder / "trimmed"
    if model == smollm2.NAME:  # no TensorFlow, and transformers' own sampler is known to be slower
        plain = common | {"folder": full, "way": "sample", "batches": batches}
        return [
            Peer("CTranslate2, called plainly", "project", "plain_ctranslate2", plain),
            Peer("CTranslate2, float32", "project", "plain_ctranslate2", plain | {"compute_type": "float32"}),
            Peer("ours, whole vocabulary", "project", "ours", common | {"folder": full, "rounds": 3}),
            Peer(OURS, "project", "ours", common | {"folder": trimmed, "rounds": 3}),
        ]
    checkpoint = folder / "checkpoint"
    kinds = ["float32", "bfloat16"] if _has("avx512_bf16") or _has("amx_bf16") else ["float32"]
    tutorial = {"folder": checkpoint, "way": "tutorial", "tutorial": 200}
    found = [
        Peer("gpt-2-simple, as the tutorial calls it", "tf1", "simple", common | tutorial),
        Peer(
            "gpt-2-simple at its best batch",
            "tf1",
            "simple",
            common | {"folder": checkpoint, "way": "batched", "batches": batches},
        ),
        Peer(
            "transformers generate, float32",
            "bench",
            "hugging_face",
            common | {"folder": folder, "batches": batches, "kinds": ["float32"]},
        ),
        Peer(
            "CTranslate2, called plainly",
            "project",
            "plain_ctranslate2",
            common | {"folder": full, "way": "sample", "batches": batches},
        ),
        Peer("ours, whole vocabulary", "project", "ours", common | {"folder": full, "rounds": 5 if large else 40}),
    ]
    if "bfloat16" in kinds:
        half = common | {"folder": folder, "batches": batches, "kinds": ["bfloat16"]}
        found.insert(3, Peer("transformers generate, bfloat16", "bench", "hugging_face", half))
    if large:
        cut = common | {"folder": trimmed, "batches": batches}
        found += [
            Peer("CTranslate2, trimmed", "project", "plain_ctranslate2", cut | {"way": "sample"}),
            Peer(OURS, "project", "ours", common | {"folder": trimmed, "rounds": 5}),
            Peer(CEILING, "project", "plain_ctranslate2", cut | {"way": "ceiling"}),
        ]
    return found


def matrix_rate() -> float:
    """fp32 operations a second of NumPy's matrix product, all cores: the best of five."""
    a = np.random.default_rng(0).random((2048, 2048), dtype=np.float32)
    best = 0.0
    for _ in range(5):
        started = time.perf_counter()
        a @ a
        best = max(best, 2 * 2048**3 / (time.perf_counter() - started))
    return best


def measure(model: str, length: int, rounds: int, only: list[str]) -> dict[str, Any]:
    folder = ROOT / "runs" / "bench" / model
    hparams = models.prepare(model, folder)
    rate = matrix_rate()
    found = [p for p in peers(model, folder, length) if not only or any(word in p.name for word in only)]
    try:
        for peer in found:
            print(f"  {peer.name}: ", end="", file=sys.stderr, flush=True)
            peer.start()
            print(peer.settings, file=sys.stderr, flush=True)
        for _ in range(rounds):
            for peer in found:
                # The tutorial's way takes 10 s a run and varies little.
                if len(peer.runs) < (2 if "tutorial" in peer.name else rounds):
                    peer.run()
    finally:
        for peer in found:
            peer.stop()
    ours = next((p for p in found if p.name == OURS), found[-1]).median("tokens")
    ceiling = next((p.median("tokens") for p in found if p.name == CEILING), None)
    rows = []
    for peer in found:
        speed = peer.median("tokens")
        rows_of = models.TRIMMED if "trimmed" in peer.name else hparams["n_vocab"]
        rows.append(
            {
                "way": peer.name,
                "tokens_per_s": round(speed, 1),
                "texts_per_s": round(peer.median("texts"), 2),
                "ours_is_times": round(ours / speed, 2),
                "of_fp32_rate": round(speed * models.operations(hparams, rows_of) / rate, 3),
                "of_ceiling": round(speed / ceiling, 3) if ceiling else None,
                "peak_mb": round(peer.median("peak_mb")),
                "settings": peer.settings,
                "runs": [round(run["tokens"] / run["seconds"], 1) for run in peer.runs],
            }
        )
    return {"model": model, "length": length, "fp32_gflops": round(rate / 1e9, 1), "ways": rows}


def table(result: dict[str, Any]) -> str:
    lines = [
        f"{result['model']}, texts of at most {result['length']} tokens; fp32 products {result['fp32_gflops']} GFLOP/s",
        f"{'way':<40}{'tokens/s':>10}{'texts/s':>9}{'ours is':>9}{'of fp32':>9}{'of ceiling':>11}{'peak MB':>9}",
    ]
    for way in result["ways"]:
        share = "" if way["of_ceiling"] is None else f"{way['of_ceiling']:.2f}"
        lines.append(
            f"{way['way']:<40}{way['tokens_per_s']:>10,.0f}{way['texts_per_s']:>9,.1f}{way['ours_is_times']:>8.2f}x"
            f"{way['of_fp32_rate']:>9.2f}{share:>11}{way['peak_mb']:>9,}"
        )
    return "\n".join(lines)


def _has(flag: str) -> bool:
    try:
        return f" {flag} " in Path("/proc/cpuinfo").read_text().replace("\n", " \n ")
    except OSError:
        return False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--model", nargs="+", default=["124M", "nano", smollm2.NAME], help="124M, nano, smollm2-135m (default: all)"
    )
    parser.add_argument("--rounds", type=int, default=5, help="runs of each peer (default: 5)")
    parser.add_argument("--only", nargs="+", default=[], help="ways whose name holds one of these words (default: all)")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "sampling.json")
    args = parser.parse_args()
    for environment in ("tf1", "bench", "torch") if args.model != [smollm2.NAME] else ("torch", "bench"):
        needs.python_of(environment)
    decoder()
    results = []
    for model in args.model:
        results.append(measure(model, 64 if model == "nano" else 24, args.rounds, args.only))
        print(table(results[-1]), end="\n\n", flush=True)
    about = {
        "processor": processor(),
        "cores": cores(),
        "kernel": decoder().kernel().decode(),
        "python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d"),
    }
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps({"machine": about, "results": results}, indent=1) + "\n", encoding="utf-8")
    subprocess.run([needs.python_of("bench"), ROOT / "benchmarks" / "plot.py", args.out], check=True)
    print(f"Written: {args.out} and {args.out.with_suffix('.svg')}")


if __name__ == "__main__":
    needs.run(main)
