"""Whatever is damaged in a converted model, the C decoder tells it in a sentence, and never touches memory that is not
its own: under the address and the undefined-behaviour sanitizer.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.helpers import damage, llama, sanitized, tiny
from training.common.errors import DeepproverbsError
from training.model.convert import write_model
from training.model.converted import Converted
from training.sample.engine import Plan
from training.sample.native.sampler import Model, Sampler
from training.sample.plan import make_engine
from training.settings import SampleSettings

OVER_READ = """
from training.sample.native.sampler import StopRules, Watch
watch = Watch([b"a"], StopRules(b"a", 1, True, 0, ()))
watch.lib.watch_learn(watch.handle, b"abc", 1000)
"""
NULL = "from training.sample.native.sampler import decoder; decoder().sampler_spent(None, None)"


def test_the_sanitizers_are_at_work() -> None:
    """What C cannot check: a length that its caller made up, and a sampler that is none."""
    found = sanitized.run("-c", OVER_READ)
    assert found.returncode and "ERROR: AddressSanitizer: heap-buffer-overflow" in found.stderr, found.stderr
    found = sanitized.run("-c", NULL)
    assert found.returncode and "runtime error: member access within null pointer" in found.stderr, found.stderr


def test_no_damaged_model_is_taken_in_silence(tmp_path: Path) -> None:
    s, folder = llama.ODD, llama.model(tmp_path / "llama" / "model", llama.ODD)
    declared = {"n_vocab": s.vocabulary, "n_ctx": 64, "n_embd": s.width, "n_head": s.heads, "n_layer": s.layers}
    (folder / "hparams.json").write_text(json.dumps(declared | {"architecture": "llama"}))
    gpt2 = tiny.model(tmp_path / "gpt2")
    scratch = tmp_path / "scratch"
    done = sanitized.run("-m", "tests.helpers.fuzz_native", str(scratch), str(gpt2), str(folder))
    assert done.returncode == 0, "\n".join(done.stderr.splitlines()[-40:])
    tally = json.loads(done.stdout)
    print(*(f"{kind}: {outcomes}" for kind, outcomes in tally.items()), sep="\n")
    for kind in ("shapes", "settings"):  # both right and wrong arguments were tried
        assert min(tally[kind]["told"], tally[kind]["done"]) > 100
    assert tally["parts"]["told"] > 10 * tally["parts"]["no change"]
    assert tally["bytes"]["told"] > 200 and tally["config.json"]["told"] > 30
    # 1e-30 and the like are weights, too; what is no number is none for the C code, either, up to the draw.
    assert (
        min(tally[kind][outcome] for kind in ("numbers", "numbers in C") for outcome in ("told", "other numbers")) > 90
    )


def test_heads_of_any_size_have_room(tmp_path: Path) -> None:
    """One of 2,304 numbers would need 9 MB of the stack at the 1,000th place."""
    hparams = {"n_vocab": 257, "n_ctx": 1024, "n_embd": 2304, "n_head": 1, "n_layer": 1}
    source = tiny.source(tmp_path / "source")
    (source / "hparams.json").write_text(json.dumps(hparams))
    write_model(tiny.arrays(1, 0.02, hparams), source, tmp_path / "model")
    sampler = Sampler(
        Model(tmp_path / "model", tiny.END), seats=1, most=1000, prefixes=[[tiny.END]], temperatures=[1.0]
    )
    logits = sampler.logits([tiny.END] + [5] * 999)
    assert np.isfinite(logits).all()


@pytest.mark.parametrize("engine", ["native", "ctranslate2"])
@pytest.mark.parametrize("how", ["cut", "heads", "other tokens", "name"])
def test_engines_tell_what_is_damaged(tmp_path: Path, engine: str, how: str) -> None:
    folder = tiny.model(tmp_path)
    path = folder / "model.bin"
    file = damage.parsed(path.read_bytes())
    heads = next(n for n, v in enumerate(file.variables) if v.name == b"decoder/num_heads")
    if how == "cut":
        path.write_bytes(file.written()[:-1000])
    elif how == "heads":
        path.write_bytes(file.with_one(heads, data=b"\4\0").written())
    elif how == "name":
        path.write_bytes(file.with_one(heads, name=b"decoder/num_heaps").written())
    else:
        trimmed = tiny.model(tmp_path / "trimmed", [*range(100), tiny.END])
        path.write_bytes((trimmed / "model.bin").read_bytes())
    settings = SampleSettings(engine=engine, max_tokens=8, workers=1, threads=1, batch=2)  # type: ignore[arg-type]
    plan = Plan(engine, workers=1, threads=1, batch=2)
    with pytest.raises(DeepproverbsError) as caught:
        next(make_engine(plan, Converted(folder), settings, None, tmp_path).draw(0))
    sentence = str(caught.value)
    assert "\n" not in sentence and str(path) in sentence
    assert "delete it, and the next run converts again" in sentence or "delete it and convert again" in sentence
