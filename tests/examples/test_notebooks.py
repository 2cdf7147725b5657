"""Every notebook runs as it stands, in a folder of its own."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[2] / "examples" / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])
def test_a_notebook_runs_and_shows_what_it_says(path, tmp_path):
    notebook = nbformat.read(path, as_version=4)
    kept = [[output.output_type for output in cell.get("outputs", [])] for cell in notebook.cells]
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [{output.output_type for output in cell.get("outputs", [])} for cell in notebook.cells]
    assert shown == [set(types) for types in kept]
    assert any("execute_result" in types for types in shown)


def test_there_are_three():
    assert len(NOTEBOOKS) == 3
