"""Whatever is damaged in a converted model, the C decoder tells it in a sentence, and never touches memory that is not
its own: under the address and the undefined-behaviour sanitizer.
"""

from __future__ import annotations

import json
from pathlib import Path

from tests.helpers import llama, sanitized, tiny

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


def test_no_damaged_model_is_taken_in_silence(small: Path, tmp_path: Path) -> None:
    s, folder = llama.ODD, llama.model(tmp_path / "llama" / "model", llama.ODD)
    declared = {"n_vocab": s.vocabulary, "n_ctx": 64, "n_embd": s.width, "n_head": s.heads, "n_layer": s.layers}
    (folder / "hparams.json").write_text(json.dumps(declared | {"architecture": "llama"}))
    gpt2 = tiny.model(tmp_path / "gpt2")
    scratch = tmp_path / "scratch"
    done = sanitized.run("-m", "tests.helpers.fuzz_native", str(scratch), str(gpt2), str(folder))
    assert done.returncode == 0, "\n".join(done.stderr.splitlines()[-40:])
    tally = json.loads(done.stdout)
    print(*(f"{kind}: {outcomes}" for kind, outcomes in tally.items()), sep="\n")
    assert {kind: sum(outcomes.values()) for kind, outcomes in tally.items()}.keys() == {
        "shapes",
        "settings",
        "config.json",
        "bytes",
        "parts",
        "numbers",
        "numbers in C",
    }
    for kind in ("shapes", "settings"):  # both right and wrong arguments were tried
        assert min(tally[kind]["told"], tally[kind]["done"]) > 100
    assert tally["parts"]["told"] > 10 * tally["parts"]["no change"]
