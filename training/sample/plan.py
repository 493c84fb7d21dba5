"""Which engine samples, and how: by the settings where they say, else by a short trial on the real model.

The trial's result is kept in model/calibration.json, under a key of the processor and the settings that matter.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from training.common.errors import DeepproverbsError, WrongUse
from training.common.files import read_note, write_note
from training.common.machine import cores, free_memory, processor
from training.common.manifest import key_of
from training.common.progress import Say, details, step
from training.model.converted import Converted
from training.sample.engine import Engine, Plan, Task, Unavailable
from training.sample.engines import ENGINES, task_of
from training.sample.precision import key_of_plan, measured
from training.sample.stop_rules import StopRules
from training.settings import SampleSettings

DEVICES = ("cuda", "cpu")
"""The faster one first."""
SECONDS = 0.25
"""How long each plan of a trial is measured, after one batch that is not."""
FEWEST = 6
"""Batches to measure at least, unless that takes LONGEST seconds: a large model needs longer than SECONDS for one."""
LONGEST = 3
"""With 134 million parameters and 96 texts a batch takes a second or two."""


def choose_plan(converted: Converted, settings: SampleSettings, say: Say = print) -> Plan:
    """The plan for sampling this model under these settings.

    Raises:
        WrongUse: the settings ask for an engine, a device or a compute type that is not available.
    """
    plans = _fitting(open_plans(settings, converted, say), converted, settings)
    if len(plans) == 1:
        return plans[0]
    path = converted.folder / "calibration.json"
    builds = "".join(ENGINES[name].build() for name in dict.fromkeys(plan.engine for plan in plans))
    about = [processor(), cores(), [asdict(plan) for plan in plans], settings.max_tokens, builds]
    key = key_of([*about, metadata.version("ctranslate2")])
    known = _read(path)
    if key in known:
        return Plan(**known[key])
    started = time.monotonic()
    with step("Finding out how this machine writes fastest"):
        tried = list(_measured(plans, converted, settings))
    best = max(tried, key=lambda plan: plan.speed)
    write_note(path, {**known, key: asdict(best)})
    details(say)(
        f"Sampling: tried {len(tried)} settings in {time.monotonic() - started:.0f} s, "
        f"{min(p.speed for p in tried):,.0f} to {best.speed:,.0f} tokens/s."
    )
    return best


def make_engine(
    plan: Plan, converted: Converted, settings: SampleSettings, rules: StopRules | None, run: Path, weights: Any = None
) -> Engine:
    """The engine of a plan. `rules` are followed where the engine can; `weights`: another engine's, to share.

    Raises:
        WrongUse: the model, the engine and the settings do not go together.
    """
    task = check_plan(plan, converted, settings, rules, run)
    return ENGINES[plan.engine].make(plan, task, weights)


def check_plan(plan: Plan, converted: Converted, settings: SampleSettings, rules: StopRules | None, run: Path) -> Task:
    """What the engine of a plan is told. Raises as `make_engine`."""
    kind = ENGINES[plan.engine]
    if what := kind.takes(converted):
        raise WrongUse(f"{kind.title[0].upper()}{kind.title[1:]} cannot do {what}; set [sample] engine to auto.")
    task = task_of(plan, converted, settings, rules, run)
    checkpoint = task.checkpoint
    longest = max(map(len, task.prompts))
    if longest + settings.max_tokens > converted.hparams.n_ctx:
        raise WrongUse(
            f"A prefix of {longest} tokens and {settings.max_tokens} more do not fit the model's "
            f"{converted.hparams.n_ctx}; lower [sample] max_tokens."
        )
    if max(settings.temperatures) > converted.hottest:
        raise WrongUse(
            f"The model's vocabulary was trimmed for temperatures up to {converted.hottest:g}; run "
            f"`deepproverbs convert` again with --temperature {max(settings.temperatures):g}."
        )
    if checkpoint and len(converted.ids) != converted.hparams.n_vocab:
        raise WrongUse(
            f"{kind.title} samples the checkpoint, whose vocabulary is not trimmed as this model's is; "
            "run `deepproverbs convert --vocabulary full` first."
        )
    if settings.top_k and settings.top_p < 1 and not kind.top_k_with_top_p:
        raise WrongUse(f"{kind.title}'s sampler knows top_k or top_p, not both; set [sample] top_p = 1 or top_k = 0.")
    if checkpoint and not (checkpoint / "checkpoint").exists():
        raise WrongUse(
            f"The checkpoint of this model, {checkpoint}, is not there any more; {kind.title} samples from it."
        )
    return task


def open_plans(settings: SampleSettings, converted: Converted, say: Say) -> list[Plan]:
    """Every plan that the settings allow, that samples this model as it is and that may be the fastest.

    Raises:
        WrongUse: no engine can do what they ask.
        Unavailable: the engine that they name cannot run here.
    """
    auto, wanted = settings.engine == "auto", settings.compute_type
    kinds = [kind for kind in ENGINES.values() if kind.automatic] if auto else [ENGINES[settings.engine]]
    device: str = settings.device
    if device == "auto":
        device = next(each for each in DEVICES if any(each in kind.devices() for kind in kinds))
    if auto:
        able = [kind for kind in kinds if device in kind.devices()]
        able = [kind for kind in able if wanted == "auto" or wanted in kind.compute_types(device)]
        able = [kind for kind in able if not kind.takes(converted)]
        kinds = able or kinds[-1:]  # whose `plans` then says why not
    if sentence := kinds[0].refusal(settings, device):
        raise WrongUse(sentence)
    plans: list[Plan] = []
    off: list[Plan] = []
    for kind, following in zip(kinds, [*kinds[1:], None], strict=True):
        try:
            found = kind.plans(settings, device, converted)
            plans += _exact(found, converted)
            off += found
        except Unavailable as error:
            if following is None:
                raise
            say(f"{error} Sampling with {following.title} instead.")
        else:
            if plans and kind.fastest():
                break
    return plans or off  # the settings leave nothing better


def _exact(plans: list[Plan], converted: Converted) -> list[Plan]:
    """Without those that were measured to be off."""
    known = measured(converted.folder)
    return [plan for plan in plans if key_of_plan(plan) not in known or known[key_of_plan(plan)].fine]


def _fitting(plans: list[Plan], converted: Converted, settings: SampleSettings) -> list[Plan]:
    """Those that need at most half the free memory; at least the smallest."""
    room = free_memory() / 2
    fitting = [plan for plan in plans if ENGINES[plan.engine].memory(plan, converted, settings) <= room]
    return fitting or [min(plans, key=lambda plan: plan.workers * plan.batch)]


def _measured(plans: list[Plan], converted: Converted, settings: SampleSettings) -> Iterator[Plan]:
    """The plans that work here, with their speeds."""
    weights: dict[str, Any] = {}
    failed: DeepproverbsError | RuntimeError | None = None
    worked = False
    for plan in plans:
        try:
            engine = make_engine(plan, converted, settings, None, converted.folder, weights.get(plan.engine))
            weights[plan.engine] = engine.weights
            speed = round(_speed(engine), 1)
            del engine  # its memory is needed for the next one
            worked = True
            yield replace(plan, speed=speed)
        except WrongUse:
            raise
        except (DeepproverbsError, RuntimeError) as error:  # CTranslate2: out of memory on the GPU
            failed = error
    if not worked and failed:
        raise failed


def _speed(engine: Engine) -> float:
    """Tokens a second over SECONDS, after the first batch."""
    with closing(engine.draw(0)) as batches:
        next(batches)
        started, tokens, count = time.monotonic(), 0, 0
        while (passed := time.monotonic() - started) < SECONDS or count < (FEWEST if passed < LONGEST else 1):
            tokens += sum(len(drawn.rows) for drawn in next(batches))
            count += 1
        return tokens / passed


def _read(path: Path) -> dict[str, dict[str, Any]]:
    """What earlier trials found; nothing where their note is damaged."""

    def plans(note: dict[str, Any]) -> dict[str, dict[str, Any]]:
        return {key: asdict(Plan(**about)) for key, about in note.items() if about["engine"] in ENGINES}

    try:
        return read_note(path, plans)
    except (OSError, ValueError):
        return {}
