"""Which trainer fine-tunes: by the base, the recipe, the settings, and what is or can be installed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.helpers import hf_llama, tiny
from tests.helpers.base_models import model_files, write
from training.common.errors import DeepproverbsError, WrongUse
from training.model import trainers
from training.model.base import layouts_of
from training.model.huggingface import write_gpt2
from training.model.layout import HF_LAYOUT, OPENAI_LAYOUT, Hparams
from training.model.trainers import TENSORFLOW, TORCH, TRAINERS, choose_trainer, install

BOTH = frozenset({OPENAI_LAYOUT, HF_LAYOUT})
HF = frozenset({HF_LAYOUT})
Machine = Callable[..., None]
NO_TENSORFLOW = "TensorFlow 1.15 is not installed here; run `scripts/setup tf1`"
NO_TORCH = "PyTorch is not installed here; run `scripts/setup torch`"


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Say which environments are there; scripts/setup makes those of `can`, and says why not for others."""

    def set_up(*there: str, can: tuple[str, ...] = ()) -> None:
        for trainer in (TENSORFLOW, TORCH):
            python = tmp_path / ".venvs" / trainer.environment / "bin" / "python"
            monkeypatch.setitem(TRAINERS, trainer.name, replace(trainer, python=python))
            if trainer.name in there:
                python.parent.mkdir(parents=True)
                python.touch()
        script = tmp_path / "scripts" / "setup"
        script.parent.mkdir()
        names = "|".join(TRAINERS[name].environment for name in can) or "nothing"
        script.write_text(
            f'#!/bin/sh\ncd "{tmp_path}"; echo "asked for $*"\n'
            f"case $1 in {names}) mkdir -p .venvs/$1/bin; touch .venvs/$1/bin/python;;\n"
            '*) echo "$1 cannot be had here" >&2; exit 1;; esac\n'
        )
        script.chmod(0o755)
        monkeypatch.setattr(trainers, "ROOT", tmp_path)

    return set_up


@pytest.mark.parametrize(
    ("there", "layouts", "recipe", "wanted", "chosen", "why"),
    [
        (("tensorflow", "torch"), BOTH, "texts", "auto", "tensorflow", ""),
        (("tensorflow",), BOTH, "windows", "auto", "tensorflow", ""),
        (("torch",), BOTH, "texts", "auto", "torch", "TensorFlow 1.15 is not installed here"),
        (("tensorflow", "torch"), HF, "texts", "auto", "torch", "TensorFlow 1.15 cannot train this base"),
        (("tensorflow", "torch"), BOTH, "texts", "torch", "torch", ""),
        (("tensorflow", "torch"), BOTH, "texts", "tensorflow", "tensorflow", ""),
    ],
)
def test_the_first_that_can_does_it(
    machine: Machine, there: tuple[str, ...], layouts: frozenset[str], recipe: str, wanted: str, chosen: str, why: str
) -> None:
    machine(*there)
    choice = choose_trainer(wanted, layouts, recipe)
    assert (choice.trainer.name, choice.why) == (chosen, why)


@pytest.mark.parametrize(
    ("layouts", "recipe", "wanted", "kind", "sentence"),
    [
        (BOTH, "texts", "auto", DeepproverbsError, f"^{NO_TENSORFLOW}, or `scripts/setup torch` for PyTorch.$"),
        (BOTH, "windows", "auto", DeepproverbsError, f"^{NO_TENSORFLOW}.$"),
        (HF, "texts", "auto", DeepproverbsError, f"^{NO_TORCH}.$"),
        (BOTH, "texts", "torch", DeepproverbsError, f"^{NO_TORCH}.$"),
        (BOTH, "windows", "torch", WrongUse, "so: PyTorch has no recipe windows. Choose another"),
        (HF, "windows", "auto", WrongUse, "TensorFlow 1.15 cannot train this base; PyTorch has no recipe windows."),
        (HF, "texts", "tensorflow", WrongUse, "^Nothing can fine-tune it so: TensorFlow 1.15 cannot train this base."),
    ],
)  # fmt: skip
def test_what_cannot_be_is_told(
    machine: Machine, layouts: frozenset[str], recipe: str, wanted: str, kind: type[Exception], sentence: str
) -> None:
    machine()
    with pytest.raises(kind, match=sentence) as caught:
        choose_trainer(wanted, layouts, recipe)
    assert type(caught.value) is kind


@pytest.mark.parametrize(
    ("there", "can", "layouts", "chosen", "why", "asked"),
    [
        ((), ("tensorflow", "torch"), BOTH, "tensorflow", "", ["tf1"]),
        (("tensorflow",), ("tensorflow", "torch"), HF, "torch", "TensorFlow 1.15 cannot train this base", ["torch"]),
        ((), ("torch",), BOTH, "torch", "TensorFlow 1.15 cannot be installed here", ["tf1", "torch"]),
    ],
)
def test_setup_installs_it_or_the_next(
    machine: Machine,
    capfd: pytest.CaptureFixture[str],
    there: tuple[str, ...],
    can: tuple[str, ...],
    layouts: frozenset[str],
    chosen: str,
    why: str,
    asked: list[str],
) -> None:
    machine(*there, can=can)
    choice = choose_trainer("auto", layouts, "texts", install)
    assert (choice.trainer.name, choice.why, choice.trainer.installed) == (chosen, why, True)
    out, err = capfd.readouterr()
    assert out.splitlines() == [f"asked for {name}" for name in asked]
    assert ("tf1 cannot be had here" in err) == (len(asked) == 2)


def test_setup_of_nothing_is_told(machine: Machine) -> None:
    machine()
    with pytest.raises(DeepproverbsError, match=r"TensorFlow 1.15 cannot be .* here; PyTorch cannot be installed here"):
        choose_trainer("auto", BOTH, "texts", install)


def test_which_layouts_a_base_can_be_had_in(tmp_path: Path) -> None:
    """Without reading weights, or the network."""
    folder = write(tmp_path / "openai", model_files())
    write_gpt2(tiny.arrays(), Hparams(**tiny.HPARAMS), tiny.source(tmp_path / "source"), tmp_path / "gpt2")
    for name in ("nano", "124M", "1558M", str(folder), str(tmp_path / "gpt2")):
        assert layouts_of(name) == BOTH, name
    for name in ("smollm2-135m", "hf:owner/model@main", str(hf_llama.folder(tmp_path / "llama", hf_llama.TINY))):
        assert layouts_of(name) == HF, name
