"""Fine-tuning nano on the real Proverbs: it learns, each trainer goes on after kill -9 and Ctrl-C, and gpt-2-simple
takes what comes of TensorFlow's. What concerns PyTorch alone is in test_torch.py."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from tests.helpers.fine_tuned import QUIET, Line, goes_on_after_kill_9, metrics, weights_of
from training.common.paths import ROOT
from training.common.pulse import STOPPING
from training.model.finetune import finetune, training_arguments
from training.model.trainers import TENSORFLOW, TRAINERS
from training.settings import FinetuneSettings


def test_fine_tuning_lowers_the_held_out_loss(line: Line, tuned: Path) -> None:
    before, after = metrics(line.folder)
    assert after["held_out"] < before["held_out"] - 0.1
    assert (before["epoch"], after["epoch"], after["step"]) == (0, 1, 7)
    said: list[str] = []
    finetune(line.folder, line.base, FinetuneSettings(epochs=1, batch_size=32), said.append)
    assert "already done" in said[0]


def test_gpt_2_simple_itself_loads_and_samples_the_checkpoint(tuned: Path) -> None:
    code = (
        "import sys, gpt_2_simple as g; s = g.start_tf_sess(); g.load_gpt2(s, checkpoint_dir=sys.argv[1]); "
        "print('TEXT', len(g.generate(s, checkpoint_dir=sys.argv[1], length=8, return_as_list=True)[0]))"
    )
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    result = subprocess.run(
        [str(TENSORFLOW.interpreter()), "-W", "ignore", "-c", code, str(tuned.parent)],
        capture_output=True,
        text=True,
        env=environment,
        cwd=tuned.parent,
    )
    assert "TEXT" in result.stdout, result.stderr[-800:]


def test_windows_is_gpt_2_simple_s_finetune(line: Line) -> None:
    folder = line.folder.parent / "windows"
    folder.mkdir()
    shutil.copy(line.folder / "corpus.npz", folder)
    settings = FinetuneSettings(recipe="windows", epochs=1)
    assert training_arguments(settings, line.base, folder / "corpus.npz").steps_per_epoch in (4, 5)
    checkpoint = finetune(folder, line.base, settings, QUIET.append)
    before, after = metrics(folder)
    assert after["held_out"] < before["held_out"]
    assert (checkpoint / "counter").read_text().strip() == str(after["step"])


@pytest.fixture(params=[pytest.param(name, marks=getattr(pytest.mark, name)) for name in TRAINERS])
def each(request: pytest.FixtureRequest) -> Line:
    """nano for each trainer."""
    return cast(Line, request.getfixturevalue({"tensorflow": "line", "torch": "torch_line"}[request.param]))


def test_kill_9_during_fine_tuning_goes_on_where_it_was(each: Line) -> None:
    """Killed after a save, resumed: the steps before the save are not run again, and the end is that of
    an uninterrupted run."""
    goes_on_after_kill_9(each)


def test_memory_saving_and_fixed_embeddings_train_too(each: Line) -> None:
    at = each.folder.parent / "saving"
    at.mkdir()
    settings = FinetuneSettings(each.trainer.name, epochs=1, memory_saving="on", layers="transformer", batch_size=64)
    shutil.copy(each.folder / "corpus.npz", at)
    checkpoint = finetune(at, each.base, settings, QUIET.append)
    before, after = metrics(at)
    assert after["held_out"] < before["held_out"]
    before_it, after_it = weights_of(each.base.folder), weights_of(checkpoint)
    same = {name for name in before_it if np.array_equal(before_it[name], after_it[name])}
    assert same == {"model/wte", "model/wpe", "model/ln_f/g", "model/ln_f/b"}


def test_ctrl_c_during_fine_tuning_keeps_what_was_done(each: Line, tmp_path: Path) -> None:
    """The terminal sends SIGINT to the program and to the trainer's; the second start goes on from there."""
    shutil.copytree(each.bot.folder, tmp_path / "bot", ignore=shutil.ignore_patterns("run", "windows", "saving"))
    code = (
        "import sys; from training.cli import main as cli; from training.runs import stages; "
        "from pathlib import Path; stages.MODELS = Path(sys.argv.pop(1)); "
    )
    command = [sys.executable, "-c", f"{code}sys.exit(cli.main())", str(each.base.folder.parent), "finetune"]
    command += ["--bot", str(tmp_path / "bot" / "bot.toml"), "--model", "nano", "--run", str(tmp_path / "run")]
    command += ["--epochs", "2", "--batch-size", "16", "--trainer", each.trainer.name, "-v"]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'functions'}"}
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
        # A shell's background jobs ignore SIGINT and hand that down; a terminal's do not.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stdout is not None
    for text in process.stdout:
        if text.startswith("  epoch 1"):
            break
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=600)
    assert process.returncode == 130 and "  saved in epoch 2" in out, err[-500:]
    assert STOPPING in err + out and err.splitlines()[-1].startswith("Stopped;") and "Traceback" not in err
    again = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert again.returncode == 0 and "going on in epoch 2" in again.stdout and "  epoch 1" not in again.stdout
