"""Checkpoints as transformers and gpt-2-simple load them, and the model card."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tests.helpers import bundles, by_transformers, tiny
from training.cli.main import main
from training.common.errors import DeepproverbsError, WrongUse
from training.model import bundle, export, hub
from training.model.card import card
from training.model.huggingface import read_gpt2, write_gpt2
from training.model.layout import Hparams, read_hparams

HPARAMS = Hparams(**tiny.HPARAMS)  # type: ignore[arg-type]
SECRET = "a text of the corpus that nobody may read"
STAGES: dict[str, Any] = {
    "corpus": {"counts": {"texts": 1234, "tokens": 56789, "held_out_texts": 123, "longest_text": SECRET}},
    "finetune": {
        "settings": {"recipe": "texts", "epochs": 4, "learning_rate": 0.0003, "base": "124M", "base_sha": "5a"},
        "metrics": [
            {"epoch": 0, "held_out": 4.0894, "bits": 1.5},
            {"epoch": 1, "held_out": 3.5254, "bits": 1.25},
            {"epoch": 2, "held_out": 3.6, "bits": 1.3},
        ],
        "best_epoch": 1,
    },
}
LOAD = """
import sys, warnings; warnings.filterwarnings("ignore")
import gpt_2_simple as gpt2, numpy as np, tensorflow as tf
session = gpt2.start_tf_sess()
gpt2.load_gpt2(session, checkpoint_dir=sys.argv[1], run_name="run7")
variables = tf.compat.v1.global_variables()
np.savez(sys.argv[2], **dict(zip([v.op.name for v in variables], session.run(variables))))
"""


def run_with(folder: Path, layout: str, stages: dict[str, Any] = STAGES) -> Path:
    """A run whose checkpoint is the tiny GPT-2."""
    checkpoint = folder / "checkpoint" / "run1"
    if layout == "openai":
        tiny.source(checkpoint)
        bundles.write(checkpoint, tiny.arrays())
        (checkpoint / "checkpoint").write_text('model_checkpoint_path: "/content/checkpoint/run1/model-7"\n')
        (checkpoint / "model-7.meta").write_bytes(b"graph")
        (checkpoint / "counter").write_text("7\n")
        for other in ("model-6.index", "model-77.index", "events.out"):
            (checkpoint / other).write_bytes(b"x")
    else:
        write_gpt2(tiny.arrays(), HPARAMS, tiny.source(folder / "source"), checkpoint)
        (checkpoint / "rows.json").write_text("{}")
    (folder / "manifest.json").write_text(json.dumps(stages))
    return folder


def exported(run: Path, form: str, out: Path) -> Path:
    export.export(run, form, out, "sayings", "en", run / "models")
    return out


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def same(found: dict[str, Any], wanted: dict[str, Any]) -> bool:
    return set(found) == set(wanted) and all(np.array_equal(found[name], wanted[name]) for name in wanted)


HF_FILES = {
    "README.md", "config.json", "generation_config.json", "merges.txt", "model.safetensors", "tokenizer.json",
    "tokenizer_config.json", "vocab.json",
}  # fmt: skip


@pytest.mark.parametrize("layout", ["openai", "huggingface"])
def test_for_transformers(tmp_path: Path, layout: str) -> None:
    out = exported(run_with(tmp_path / "run", layout), "hf", tmp_path / "out")
    assert names(out) == HF_FILES and names(tmp_path) == {"run", "out"}
    arrays, hparams = read_gpt2(out)
    assert same(arrays, tiny.arrays()) and hparams == HPARAMS


def test_for_gpt_2_simple_as_it_is(tmp_path: Path) -> None:
    out = exported(run_with(tmp_path / "run", "openai"), "openai", tmp_path / "out")
    assert names(out) == {
        "checkpoint", "counter", "encoder.json", "hparams.json", "vocab.bpe", "model-7.index", "model-7.meta",
        "model-7.data-00000-of-00001",
    }  # fmt: skip
    assert '"model-7"' in (out / "checkpoint").read_text() and "/content" not in (out / "checkpoint").read_text()
    assert same(dict(bundle.read(out)), tiny.arrays())


@pytest.mark.parametrize("layout", ["openai", "huggingface"])
def test_gpt_2_simple_loads_it(tf1: Path, tmp_path: Path, layout: str) -> None:
    run = run_with(tmp_path / "run", layout)
    out = exported(run, "openai", tmp_path / "run7")
    assert read_hparams(out) == HPARAMS and not list(out.glob("*.log")) and not list(out.glob("*.npz"))
    subprocess.run([tf1, "-c", LOAD, str(tmp_path), str(tmp_path / "loaded.npz")], check=True, capture_output=True)
    assert same(dict(np.load(tmp_path / "loaded.npz")), tiny.arrays())


@pytest.mark.parametrize("layout", ["openai", "huggingface"])
def test_transformers_loads_it_as_the_card_says(torch: Path, tmp_path: Path, layout: str) -> None:
    out = exported(run_with(tmp_path / "run", layout), "hf", tmp_path / "sayings-tiny")
    (logits,), facts = by_transformers.run(torch, out, [[tiny.END, 65, 66]], ["AB"], tmp_path / "found")
    assert np.abs(logits - tiny.logits(tiny.arrays(), [tiny.END, 65, 66])).max() < 1e-4
    assert facts["texts"] == ["AB"]
    found = re.search(r"```python\n(.*?)```", (out / "README.md").read_text(), re.DOTALL)
    assert found
    code = found[1].replace("max_new_tokens=60", "max_new_tokens=8")  # it has a token a byte
    done = subprocess.run([torch, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.strip(), done.stderr[-2000:]
    assert "<|endoftext|>" not in done.stdout[:13]


def test_a_llama_is_for_transformers_alone(tmp_path: Path) -> None:
    run = run_with(tmp_path / "run", "huggingface")
    path = run / "checkpoint/run1/config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"model_type": "llama"}))
    with pytest.raises(WrongUse, match="holds a model of type 'llama', not a GPT-2"):
        exported(run, "openai", tmp_path / "out")
    assert names(tmp_path) == {"run"}
    out = exported(run, "hf", tmp_path / "out")
    assert names(out) == HF_FILES and front_of((out / "README.md").read_text())["tags"][0] == "llama"
    for name in HF_FILES - {"README.md"}:
        assert (out / name).read_bytes() == (run / "checkpoint/run1" / name).read_bytes()


def test_nothing_is_written_over(tmp_path: Path) -> None:
    run, out = run_with(tmp_path / "run", "openai"), tmp_path / "out"
    with pytest.raises(WrongUse, match="run `deepproverbs finetune` first"):
        exported(tmp_path / "other", "hf", out)
    out.mkdir()
    (tmp_path / ".out.part").mkdir()  # left by a kill
    (tmp_path / ".out.part" / "half").write_text("")
    assert names(exported(run, "hf", out)) == HF_FILES
    for taken in (out, out / "README.md"):
        with pytest.raises(WrongUse, match="is there already; name a new or empty folder with --out"):
            exported(run, "openai", taken)
    with pytest.raises(DeepproverbsError, match=r"Cannot write .* with --out"):
        exported(run, "hf", out / "README.md" / "below")
    (run / "checkpoint/run1/model-7.data-00000-of-00001").write_bytes(b"")
    with pytest.raises(DeepproverbsError, match="damaged or cut short"):
        exported(run, "hf", tmp_path / "new")
    assert names(tmp_path) == {"run", "out"}


def front_of(text: str) -> dict[str, Any]:
    return dict(yaml.safe_load(text.split("---\n")[1]))


def test_the_card_tells_what_the_run_knows_and_no_text(tmp_path: Path) -> None:
    out = exported(run_with(tmp_path / "run", "openai"), "hf", tmp_path / "sayings-124M")
    text = (out / "README.md").read_text()
    assert front_of(text) == {
        "license": "mit",
        "language": "en",
        "library_name": "transformers",
        "base_model": "openai-community/gpt2",
        "pipeline_tag": "text-generation",
        "tags": ["gpt2", "deepproverbs", "short-texts"],
    }
    for fact in (
        "# sayings\n",
        "1,234 texts, 56,789 tokens; 123 of the texts",
        "| base model | 4.089 | 1.500 |",
        "| this model, after epoch 1 | 3.525 | 1.250 |",
        "| learning_rate | 0.0003 |",
        'model="sayings-124M"',
        '"Modified MIT License"',
    ):
        assert fact in text
    assert SECRET not in text and "base_sha" not in text


@pytest.mark.parametrize(
    ("base", "name", "licence", "words"),
    [
        ("1558M", "openai-community/gpt2-xl", "mit", "Modified MIT"),
        ("nano", None, "mit", "the MIT License of deepproverbs"),
        ("smollm2-135m", "HuggingFaceTB/SmolLM2-135M-Instruct", "apache-2.0", "the Apache License 2.0"),
        ("hf:openai-community/gpt2-medium@main", "openai-community/gpt2-medium", "mit", "Modified MIT"),
        ("hf:owner/known@v1", "owner/known", "apache-2.0", "`apache-2.0`, as its page says"),
        ("hf:owner/other", "owner/other", "unknown", "not known here; see its page"),
        ("/home/me/model", None, "unknown", "a licence that is not known here."),
        (None, None, "unknown", "a licence that is not known here."),
    ],
)
def test_where_the_base_is_from(tmp_path: Path, base: str | None, name: str | None, licence: str, words: str) -> None:
    fetched = hub.place("owner/known@v1", tmp_path)
    fetched.mkdir(parents=True)
    record = {"name": "owner/known@v1", "commit": "c0", "licence": "apache-2.0", "files": {}}
    (fetched / hub.RECORD).write_text(json.dumps(record))
    stages = {"finetune": {"settings": {"base": base} if base else {}}}
    (tmp_path / "manifest.json").write_text(json.dumps(stages))
    text = card(tmp_path, "sayings", "out", "gpt2", "no", "<|endoftext|>", tmp_path)
    front = front_of(text)
    assert (front.get("base_model"), front["license"], front["language"]) == (name, licence, "no")
    assert words in text and "Not known." in text and "its size is not known" in text


def test_without_bits_in_old_runs(tmp_path: Path) -> None:
    metrics = [{"epoch": epoch, "held_out": 4.0 - epoch} for epoch in (0, 1)]
    (tmp_path / "manifest.json").write_text(json.dumps({"finetune": {"metrics": metrics, "best_epoch": 1}}))
    text = card(tmp_path, "sayings", "out", "gpt2", "en", "<|endoftext|>", tmp_path)
    assert "| | nats a token |\n|---|---|\n| base model | 4.000 |\n| this model, after epoch 1 | 3.000 |\n" in text


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = run_with(tmp_path / "run", "openai")
    for form, out in (("hf", "one"), ("openai", "two")):
        assert main(["export", "--to", form, "--out", str(tmp_path / out), "--run", str(run)]) == 0
        assert f"Written: {tmp_path / out}" in capsys.readouterr().out
    assert "# proverbs\n" in (tmp_path / "one/README.md").read_text()
    assert main(["export", "--to", "hf", "--out", str(tmp_path / "one"), "--run", str(run)]) == 2
    assert "is there already" in capsys.readouterr().err
    assert main(["export", "--to", "hf", "--out", str(tmp_path / "x"), "--run", str(tmp_path / "none")]) == 2
    assert not (tmp_path / "none").exists()
