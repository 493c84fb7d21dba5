"""The engines, the likely fastest first. `--engine` takes these names."""

from __future__ import annotations

from pathlib import Path

from training.common.manifest import Manifest
from training.model.converted import Converted
from training.sample.engine import Plan, Task
from training.sample.engines import ctranslate2, gpt_2_simple, native
from training.sample.stop_rules import StopRules
from training.settings import SampleSettings

ENGINES = {kind.name: kind for kind in (native.KIND, ctranslate2.KIND, gpt_2_simple.KIND)}


def task_of(plan: Plan, converted: Converted, settings: SampleSettings, rules: StopRules | None, run: Path) -> Task:
    """What the engine of a plan is told."""
    kind = ENGINES[plan.engine]
    checkpoint = None
    if kind.samples_checkpoint:
        named = Manifest(run).stages.get("convert", {}).get("checkpoint", run / "checkpoint" / "run1")
        checkpoint = Path(named)
    return Task(converted, settings, rules if kind.stop_rules and converted.byte_level else None, checkpoint, run)
