"""Chooses the engine and how to run it: by hand where the settings say so, else by a short trial on the real model.

The trial's result is kept in model/calibration.json, under a key of the processor and the settings that matter.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from itertools import product
from pathlib import Path
from typing import Any

from training.common.errors import DeepproverbsError, WrongUse
from training.common.files import write_whole
from training.common.machine import cores, free_memory, physical_cores, processor
from training.common.manifest import Manifest, key_of
from training.common.progress import Say
from training.model.converted import Converted
from training.sample.engine import Engine
from training.sample.engines import ctranslate2
from training.sample.engines.gpt_2_simple import SimpleEngine
from training.sample.engines.native import NativeEngine
from training.sample.native.build import NoCompiler, library
from training.sample.native.sampler import Model, decoder
from training.sample.stop_rules import StopRules
from training.settings import SampleSettings

SECONDS = 0.25
"""How long each setting of a trial is measured, after one batch that is not."""
FEWEST = 6
"""Batches that count at least: a large model needs longer than SECONDS for one."""
REMEMBERED = 64 << 20
"""Bytes that a native worker spends on common beginnings (training/sample/native/decoder.c)."""
FAST = ("avx512-vnni", "avx-vnni", "avx2")
"""Kernels that were seen to be ahead of CTranslate2; with another one both are tried."""


@dataclass(frozen=True)
class Plan:
    """How to sample, with nothing left open."""

    engine: str
    device: str = "cpu"
    compute_type: str = "int8"
    workers: int = 1
    threads: int = 1
    batch: int = 64
    """Texts side by side, a worker."""
    speed: float = 0.0
    """Tokens a second in the trial; 0: not tried."""


def choose(converted: Converted, settings: SampleSettings, say: Say = print) -> Plan:
    """The plan for sampling this model under these settings.

    Raises:
        WrongUse: the settings ask for an engine or device that is not there.
    """
    plans = _that_fit(list(_open_plans(settings, say)), converted, settings)
    if len(plans) == 1:
        return plans[0]
    path = converted.folder / "calibration.json"
    native = library().name if any(plan.engine == "native" for plan in plans) else ""
    about = [processor(), cores(), [asdict(p) for p in plans], settings.max_tokens, native]
    key = key_of([*about, metadata.version("ctranslate2")])
    known = _read(path)
    if key in known:
        return Plan(**known[key])
    started = time.monotonic()
    tried = list(_tried(plans, converted, settings))
    best = max(tried, key=lambda plan: plan.speed)
    write_whole(path, json.dumps({**known, key: asdict(best)}, indent=1) + "\n")
    say(
        f"Sampling: tried {len(tried)} settings in {time.monotonic() - started:.0f} s, "
        f"{min(p.speed for p in tried):,.0f} to {best.speed:,.0f} tokens/s."
    )
    return best


def make(
    plan: Plan,
    converted: Converted,
    settings: SampleSettings,
    rules: StopRules | None,
    run: Path,
    model: Model | None = None,
) -> Engine:
    """The engine of a plan. `rules` count where the engine can follow them.

    Raises:
        WrongUse: the model, the engine and the settings do not go together.
    """
    longest = max(len(converted.prompt(prefix)) for prefix in settings.prefixes or ("",))
    if longest + settings.max_tokens > converted.hparams["n_ctx"]:
        raise WrongUse(
            f"A prefix of {longest} tokens and {settings.max_tokens} more do not fit the model's "
            f"{converted.hparams['n_ctx']}; lower [sample] max_tokens."
        )
    if max(settings.temperatures) > converted.hottest:
        raise WrongUse(
            f"The model's vocabulary was trimmed for temperatures up to {converted.hottest:g}; run "
            f"`deepproverbs convert` again with --temperature {max(settings.temperatures):g}."
        )
    if plan.engine == "native":
        return NativeEngine(converted, settings, plan.workers, plan.batch, rules, model)
    if plan.engine == "ctranslate2":
        return ctranslate2.CTranslate2Engine(
            converted, settings, plan.device, plan.compute_type, plan.workers, plan.threads, plan.batch
        )
    if len(converted.ids) != converted.hparams["n_vocab"]:
        raise WrongUse(
            "gpt-2-simple samples the checkpoint, whose vocabulary is not trimmed as this model's is; "
            "run `deepproverbs convert --vocabulary full` first."
        )
    if settings.top_k and settings.top_p < 1:
        raise WrongUse("gpt-2-simple's sampler knows top_k or top_p, not both; set [sample] top_p = 1 or top_k = 0.")
    source = Manifest(run).stages.get("convert", {}).get("checkpoint", run / "checkpoint" / "run1")
    if not (Path(source) / "checkpoint").exists():
        raise WrongUse(f"The checkpoint of this model, {source}, is not there any more; gpt-2-simple samples from it.")
    return SimpleEngine(Path(source), converted, settings, plan.batch, run / "tf1.log")


def _open_plans(settings: SampleSettings, say: Say) -> Iterator[Plan]:
    """Every plan that the settings leave open and that may be the best one."""
    engine, device = settings.engine, settings.device
    if engine == "gpt-2-simple":
        yield Plan(engine, batch=settings.batch or 64)
        return
    if engine == "auto" and settings.compute_type not in ("auto", "int8"):
        engine = "ctranslate2"  # the native one computes in int8 alone
    if device == "auto":
        device = "cuda" if engine != "native" and ctranslate2.gpu() else "cpu"
    if device == "cuda" and not ctranslate2.gpu():
        raise WrongUse("CTranslate2 sees no GPU with CUDA 12 here; set [sample] device to cpu or auto.")
    if engine == "native" and device == "cuda":
        raise WrongUse("The native engine runs on processors; set [sample] engine to ctranslate2 for a GPU.")
    if settings.compute_type not in ("auto", *(kinds := ctranslate2.supported(device))):
        known = ", ".join(kinds)
        raise WrongUse(f"CTranslate2 cannot compute in {settings.compute_type!r} here; [sample] compute_type: {known}.")
    kernel = ""
    if device == "cpu" and engine != "ctranslate2":
        try:
            kernel = decoder().kernel().decode()
        except NoCompiler as error:
            if engine == "native":
                raise
            say(f"{error} Sampling with CTranslate2 instead.")
    n = cores()
    if kernel:
        for workers, batch in product(
            _given(settings.workers, n, physical_cores()), _given(settings.batch, 24, 48, 96)
        ):
            yield Plan("native", workers=workers, batch=batch)
    if kernel in FAST or engine == "native":
        return
    for kind in [settings.compute_type] if settings.compute_type != "auto" else ctranslate2.compute_types(device)[:2]:
        if device == "cuda":
            for workers, batch in product(_given(settings.workers, 1, 3), _given(settings.batch, 64, 256)):
                yield Plan("ctranslate2", device, kind, workers, 1, batch)
        else:
            for workers, batch in product(_given(settings.workers, n, 1), _given(settings.batch, 64, 128)):
                yield Plan("ctranslate2", device, kind, workers, settings.threads or max(1, n // workers), batch)


def _that_fit(plans: list[Plan], converted: Converted, settings: SampleSettings) -> list[Plan]:
    """The native plans whose keys and values (two numbers of 2 bytes a place, layer and width) and logits fit into half
    the memory that is free; at least the smallest. 96 texts of 1558M are 3 GB a worker."""
    h, room = converted.hparams, free_memory() / 2
    a_text = (settings.max_tokens + 8) * h["n_layer"] * 2 * h["n_embd"] * 2 + 4 * len(converted.ids)

    def fits(plan: Plan) -> bool:
        return plan.engine != "native" or plan.workers * (plan.batch * a_text + REMEMBERED) <= room

    return [plan for plan in plans if fits(plan)] or [min(plans, key=lambda plan: plan.workers * plan.batch)]


def _given(value: int, *choices: int) -> list[int]:
    return [value] if value else sorted({max(1, choice) for choice in choices}, reverse=True)


def _tried(plans: list[Plan], converted: Converted, settings: SampleSettings) -> Iterator[Plan]:
    model: Model | None = None
    failed: DeepproverbsError | RuntimeError | None = None
    worked = False
    for plan in plans:
        try:
            engine: Engine | None = make(plan, converted, settings, None, converted.folder, model)
            assert engine is not None
            model = engine.model if isinstance(engine, NativeEngine) else model
            speed = round(_speed(engine), 1)
            engine = None  # its memory is needed for the next one
            worked = True
            yield replace(plan, speed=speed)
        except WrongUse:
            raise
        except (DeepproverbsError, RuntimeError) as error:  # CTranslate2: out of memory on the GPU
            failed = error
    if not worked and failed:
        raise failed


def _speed(engine: Engine) -> float:
    """Tokens a second over SECONDS, once every worker has come to its second batch."""
    with closing(engine.draw(0)) as batches:
        next(batches)
        started, tokens, count = time.monotonic(), 0, 0
        while (passed := time.monotonic() - started) < SECONDS or count < FEWEST:
            tokens += sum(len(drawn.rows) for drawn in next(batches))
            count += 1
        return tokens / passed


def _read(path: Path) -> dict[str, dict[str, Any]]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
