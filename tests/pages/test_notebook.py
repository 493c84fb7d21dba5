"""The notebook that `make run-jupyter` opens, executed from its first cell to its last."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.helpers.labelled import proverbs
from training.common.paths import ROOT
from training.common.text import DELIMITER

NOTEBOOK = ROOT / "training" / "notebook.ipynb"


def parts(notebook: Any, kind: str) -> list[str]:
    """What the cells have put out in one form."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return [output["data"][kind] for output in outputs if kind in output.get("data", {})]


def printed(notebook: Any) -> str:
    return "".join(
        o["text"] for cell in notebook.cells for o in cell.get("outputs", []) if o["output_type"] == "stream"
    )


def test_it_is_kept_without_outputs() -> None:
    """So that what it once printed on somebody's machine is not taken for what it prints here."""
    for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]:
        assert cell.get("outputs", []) == [] and cell.get("execution_count") is None


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of jupyter_client's and ipykernel's own
def test_every_cell_runs(tf1: Path, tmp_path: Path) -> None:
    bot = tmp_path / "notes"
    bot.mkdir()
    (bot / "corpus.txt").write_text(DELIMITER.join(proverbs()[:250]))
    (bot / "bot.toml").write_text('model = "nano"\n[finetune]\nepochs = 1\n[filter]\nskip = ["band"]\n')
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    (parameters,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    parameters.source = f'BOT, MODEL, RUN, CANDIDATES = {str(bot)!r}, "nano", {str(tmp_path / "run")!r}, 48'
    notebook.cells.append(nbformat.v4.new_code_cell('show(1.2, "the wise")'))  # as the button of the sliders does
    NotebookClient(notebook, timeout=600, kernel_name="python3").execute()
    said = printed(notebook)
    assert "250 texts, for example:" in said and "Learnt in " in said and "Some that passed:" in said
    assert "deepproverbs run --bot" in said
    assert len(parts(notebook, "image/png")) == 1, "the funnel"
    assert parts(notebook, "application/vnd.jupyter.widget-view+json"), "the sliders"
    assert parts(notebook, "text/html")[-1].count("<p>the wise") == 8
