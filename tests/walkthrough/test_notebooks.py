"""The committed notebooks are those that their scripts give, they are small, and they run in Jupyter."""

import json

import pytest

from tests.support.paths import ROOT
from tests.support.walkthroughs import FOLDER, NAMES, notebook
from tools.walkthrough.notebooks import linked, notebook_of
from tools.walkthrough.percent import cells


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_has_the_cells_of_its_script(name):
    script = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
    expected = [
        ("markdown", linked(cell.source)) if cell.is_text else ("code", cell.source.strip()) for cell in cells(script)
    ]
    assert notebook(name) == expected, "run python -m tools.walkthrough.notebooks"


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_committed_without_outputs(name):
    found = json.loads((FOLDER / f"{name}.ipynb").read_text(encoding="utf-8"))
    code = [cell for cell in found["cells"] if cell["cell_type"] == "code"]
    assert code and all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    assert found["nbformat"] == 4 and (FOLDER / f"{name}.ipynb").stat().st_size < 60_000


@pytest.mark.parametrize("name", NAMES)
def test_jupytext_makes_the_same_file(name):
    pytest.importorskip("jupytext", reason="needs jupytext: notebooks are made by it")
    script = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
    assert notebook_of(script) == (FOLDER / f"{name}.ipynb").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_notebook_runs_in_a_kernel_of_jupyter(monkeypatch):
    """Without nbclient the cells of all four are executed all the same, by test_walkthroughs.py."""
    nbclient = pytest.importorskip("nbclient", reason="needs nbclient: runs a notebook in a kernel")
    pytest.importorskip("ipykernel", reason="needs ipykernel: the kernel of a notebook")
    import nbformat

    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    found = nbformat.read(FOLDER / "word_times.ipynb", as_version=4)
    nbclient.NotebookClient(found, timeout=120, resources={"metadata": {"path": str(FOLDER)}}).execute()
    shown = [
        output["data"].get("text/html", "")
        for cell in found.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if output.output_type == "display_data"
    ]
    assert any("<audio" in html for html in shown) and all("<figcaption>" in html for html in shown)
